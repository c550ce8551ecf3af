use crate::Checked;
use brooklet::{
    Builder, Clock, IcmpConfig, PacketBuf, PacketIo, Pipe, QueueParts, Stack, TcpConfig,
    TcpListener, Timer, TransparentUdpSocket, UdpConfig,
};
use brooklet_tcp::TcpOptions;
use shuttle::future::JoinHandle;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Instant;

/// Two stacks joined by a wire, or by several, each with its drivers in tasks of their own.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Net {
    pub here: Stack,
    pub there: Stack,
    pub here_udp: TransparentUdpSocket,
    pub there_udp: TransparentUdpSocket,
    /// The listener of the far stack.
    pub tcp: TcpListener,
    /// That of the near one, to which nobody connects.
    pub here_tcp: TcpListener,
    pub drivers: Drivers,
}

/// The drivers of the near and the far stack, one for each queue.
#[derive(Debug)]
pub struct Drivers([Vec<Driver>; 2]);

type Driver = JoinHandle<io::Result<()>>;

impl Drivers {
    /// Drops the first driver of the near stack, wherever it is. A far one's device then fails.
    pub fn kill(&self) {
        self.0[0][0].abort();
    }

    /// Ends all. Every model ends with this, or with [`ended`](Self::ended): shuttle cannot end a
    /// task that holds a cell.
    pub fn end(self) {
        for driver in self.0.into_iter().flatten() {
            driver.abort();
            let _ = shuttle::future::block_on(driver);
        }
    }

    /// Waits until all have ended by themselves, but those that were dropped. Returns with what
    /// those of the near stack have.
    pub fn ended(self) -> Vec<io::ErrorKind> {
        let [near, far] = self.0.map(|drivers| {
            let ends = drivers.into_iter().map(shuttle::future::block_on);
            ends.filter_map(Result::ok).collect::<Vec<_>>()
        });
        assert!(far.iter().all(Result::is_err));
        near.into_iter()
            .map(|end| end.unwrap_err().kind())
            .collect()
    }
}

/// How tight it is.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Options {
    /// Of each stack. What the far one sends on a queue comes in on the next one of the near stack:
    /// every packet that it receives is of a connection that sends through another.
    pub queues: usize,
    /// Packets on the wire, each way.
    pub wire: usize,
    /// Packets that wait for the device; 2 is the least.
    pub outbound: usize,
    pub max_half_open: usize,
    pub udp_outbound: usize,
    pub raw_outbound: usize,
    /// In bytes, of each stack.
    pub mtu: usize,
    /// Of each direction of a connection, in bytes.
    pub buffer: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queues: 1,
            wire: 2,
            outbound: 2,
            max_half_open: 16,
            udp_outbound: 2,
            raw_outbound: 2,
            mtu: 1280,
            // Less than two full segments: windows close and open all the time.
            buffer: 2048,
        }
    }
}

/// Makes two stacks and runs their drivers.
pub fn net(options: Options) -> Net {
    let wires = || -> (Vec<Pipe>, Vec<Pipe>) {
        (0..options.queues)
            .map(|_| brooklet::pipe(options.wire))
            .unzip()
    };
    let ((near_out, far_in), (mut near_in, far_out)) = (wires(), wires());
    near_in.rotate_left(1);
    let devices = |inward: Vec<Pipe>, outward: Vec<Pipe>| {
        let wires = inward.into_iter().zip(outward);
        wires
            .map(|(inward, outward)| Device { inward, outward })
            .collect()
    };
    let (near, far) = (devices(near_in, near_out), devices(far_in, far_out));
    let (here, here_tcp, here_udp, first) = stack(near, options);
    let (there, tcp, there_udp, second) = stack(far, options);
    Net {
        here,
        there,
        here_udp,
        there_udp,
        tcp,
        here_tcp,
        drivers: Drivers([first, second]),
    }
}

fn stack(
    devices: Vec<Device>,
    options: Options,
) -> (Stack, TcpListener, TransparentUdpSocket, Vec<Driver>) {
    let timer = Frozen::new();
    let QueueParts {
        stack,
        tcp,
        udp,
        drivers,
        ..
    } = Builder::new()
        .mtu(options.mtu)
        .tcp_config(
            TcpConfig::new()
                .options(
                    TcpOptions::new()
                        .recv_buffer(options.buffer)
                        .send_buffer(options.buffer),
                )
                .max_half_open(options.max_half_open)
                // A SYN-ACK with a cookie that finds no room is lost, and the clock of the models stands
                // still, so that no client would repeat its SYN.
                .syn_cookies(false)
                .outbound_packets(options.outbound),
        )
        .icmp_config(IcmpConfig::new().outbound_packets(options.raw_outbound))
        .udp_config(UdpConfig::new().outbound_packets(options.udp_outbound))
        .build_queues_with_timers(devices.into_iter().map(|device| (device, timer)))
        .unwrap();
    let drivers = drivers.into_iter().map(Checked::new);
    (
        stack,
        tcp,
        udp,
        drivers.map(shuttle::future::spawn).collect(),
    )
}

/// One queue, which is one wire in and one wire out.
struct Device {
    inward: Pipe,
    outward: Pipe,
}

impl PacketIo for Device {
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        self.inward.poll_recv(cx, packet)
    }
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        self.outward.poll_send(cx, packet)
    }
}

/// A clock that stands still.
#[derive(Clone, Copy, Debug)]
pub struct Frozen(Instant);

impl Frozen {
    /// Stops the clock at this moment.
    #[expect(clippy::new_without_default, reason = "no two are alike")]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Timer for Frozen {
    fn clock(&self) -> Clock {
        let now = self.0;
        Clock::new(move || now)
    }

    fn poll_deadline(&mut self, _: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        match deadline {
            Some(deadline) if deadline <= self.0 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

/// The address `10.0.0.host:port`.
pub const fn addr(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)), port)
}
