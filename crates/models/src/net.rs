use crate::Checked;
use brooklet::{
    Builder, Clock, Parts, Pipe, Stack, TcpConfig, TcpListener, Timer, UdpConfig, UdpSocket,
};
use brooklet_tcp::TcpOptions;
use shuttle::future::JoinHandle;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Instant;

/// Two stacks joined by a wire, each with its driver in a task of its own.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Net {
    pub here: Stack,
    pub there: Stack,
    pub here_udp: UdpSocket,
    pub there_udp: UdpSocket,
    /// The listener of the far stack.
    pub tcp: TcpListener,
    /// That of the near one, to which nobody connects.
    pub here_tcp: TcpListener,
    pub drivers: Drivers,
}

/// The drivers of the near and the far stack.
#[derive(Debug)]
pub struct Drivers([Driver; 2]);

type Driver = JoinHandle<std::io::Result<()>>;

impl Drivers {
    /// Drops the driver of the near stack, wherever it is. The far one's device then fails.
    pub fn kill(&self) {
        self.0[0].abort();
    }

    /// Ends both. Every model ends with this: shuttle cannot end a task that holds a cell.
    pub fn end(self) {
        for driver in self.0 {
            driver.abort();
            let _ = shuttle::future::block_on(driver);
        }
    }
}

/// How tight it is.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Options {
    /// Packets on the wire, each way.
    pub wire: usize,
    /// Packets that wait for the device; 2 is the least.
    pub outbound: usize,
    pub handshakes: usize,
    pub udp_outbound: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wire: 2,
            outbound: 2,
            handshakes: 16,
            udp_outbound: 2,
        }
    }
}

/// Makes two stacks and runs their drivers.
pub fn net(options: Options) -> Net {
    let (near, far) = brooklet::pipe(options.wire);
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

fn stack(device: Pipe, options: Options) -> (Stack, TcpListener, UdpSocket, Driver) {
    let Parts {
        stack,
        tcp,
        udp,
        driver,
    } = Builder::new()
        .mtu(1280)
        .tcp_config(TcpConfig {
            options: TcpOptions {
                // Less than two full segments: windows close and open all the time.
                recv_buffer: 2048,
                send_buffer: 2048,
                ..TcpOptions::default()
            },
            handshakes: options.handshakes,
            outbound_packets: options.outbound,
            ..TcpConfig::default()
        })
        .udp_config(UdpConfig {
            outbound_packets: options.udp_outbound,
            ..UdpConfig::default()
        })
        .build_with_timer(device, Frozen::new())
        .unwrap();
    let driver = shuttle::future::spawn(Checked::new(driver));
    (stack, tcp, udp, driver)
}

/// A clock that stands still.
#[derive(Debug)]
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
