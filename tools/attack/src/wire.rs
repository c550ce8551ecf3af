//! The attacker's end of a wire.

use crate::packet::Batch;
use crate::victim::SERVER;
use brooklet::{PacketBuf, PacketIo};
use brooklet_tun::Tun;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recv, recvfrom, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::fs;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::task::{Context, Poll, Waker};

/// Sends and receives packets without waiting.
pub(crate) trait Wire {
    /// How many packets may be sent without a loss on the way to the victim.
    fn room(&mut self) -> usize;

    /// Sends packets, `limit` at most, and removes them from the batch. Those that find no room stay.
    fn send(&mut self, batch: &mut Batch, limit: usize) -> io::Result<()>;

    /// Receives one packet, if there is one, into `packet`.
    fn recv(&mut self, packet: &mut Vec<u8>) -> io::Result<bool>;

    /// The packets that the victim has taken from the wire, where the wire counts them.
    fn taken(&mut self) -> Option<u64> {
        None
    }

    /// The datagrams that were sent to find the victim.
    fn knocks(&self) -> u64 {
        0
    }
}

/// A device that this process holds: a pipe to a stack in the same process, or a TUN device with the
/// kernel behind it.
#[derive(Debug)]
pub(crate) struct Device<D> {
    device: D,
    packet: PacketBuf,
}

impl<D: PacketIo> Device<D> {
    pub(crate) fn new(device: D) -> Self {
        Self {
            device,
            packet: PacketBuf::with_capacity(2048),
        }
    }
}

impl<D: PacketIo> Wire for Device<D> {
    fn room(&mut self) -> usize {
        // A device that is full says so.
        usize::MAX
    }

    fn send(&mut self, batch: &mut Batch, limit: usize) -> io::Result<()> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut sent = 0;
        for packet in batch.iter().take(limit) {
            self.packet.copy_from_slice(packet);
            self.packet.set_meta(Default::default());
            match self.device.poll_send(&mut cx, &self.packet) {
                Poll::Ready(result) => result?,
                Poll::Pending => break,
            }
            sent += 1;
        }
        batch.remove(sent);
        Ok(())
    }

    fn recv(&mut self, packet: &mut Vec<u8>) -> io::Result<bool> {
        let mut cx = Context::from_waker(Waker::noop());
        match self.device.poll_recv(&mut cx, &mut self.packet) {
            Poll::Ready(result) => {
                result?;
                packet.clear();
                packet.extend_from_slice(&self.packet);
                Ok(true)
            }
            Poll::Pending => Ok(false),
        }
    }
}

/// The kernel's side of a TUN device that a program has opened, by a packet socket.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    socket: OwnedFd,
    link: LinkAddr,
    interface: String,
    /// What the interface had counted when the socket was opened.
    before: u64,
    sent: u64,
    /// How many may still be sent before the counters are read again.
    room: usize,
    window: usize,
}

impl PacketSocket {
    /// On an interface of the network namespace of this thread. At most `window` packets wait in the
    /// queue of the interface.
    pub(crate) fn new(interface: &str, window: usize) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        // With this protocol a socket receives what comes from the program, and not what goes there.
        let ip = SockProtocol::EthIp;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, ip)?;
        setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20))?;
        let link = find_link()?;
        let before = passed(interface)?;
        Ok(Self {
            socket,
            link,
            interface: interface.to_owned(),
            before: before.taken + before.dropped,
            sent: 0,
            room: 0,
            window,
        })
    }
}

impl Wire for PacketSocket {
    fn room(&mut self) -> usize {
        if self.room < self.window / 4 {
            let passed = passed(&self.interface).map_or(0, |passed| passed.taken + passed.dropped);
            let waiting = (self.before + self.sent).saturating_sub(passed);
            self.room = self.window.saturating_sub(waiting as usize);
        }
        self.room
    }

    fn send(&mut self, batch: &mut Batch, limit: usize) -> io::Result<()> {
        let mut sent = 0;
        for packet in batch.iter().take(limit) {
            match sendto(
                self.socket.as_raw_fd(),
                packet,
                &self.link,
                MsgFlags::empty(),
            ) {
                Ok(_) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => break,
                // The kernel lets no packet out that is shorter than an IP header.
                Err(Errno::EINVAL) => {}
                Err(error) => return Err(error.into()),
            }
            sent += 1;
        }
        self.sent += sent as u64;
        self.room = self.room.saturating_sub(sent);
        batch.remove(sent);
        Ok(())
    }

    fn recv(&mut self, packet: &mut Vec<u8>) -> io::Result<bool> {
        packet.resize(65_536, 0);
        match recv(self.socket.as_raw_fd(), packet, MsgFlags::empty()) {
            Ok(len) => {
                packet.truncate(len);
                Ok(true)
            }
            Err(Errno::EAGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn taken(&mut self) -> Option<u64> {
        passed(&self.interface).ok().map(|passed| passed.taken)
    }

    fn knocks(&self) -> u64 {
        1
    }
}

/// What the packet is that shows the interface.
const KNOCK: &[u8] = b"which interface is it?";

/// Returns the address of the interface behind which the server is. Packet sockets tell it with each packet.
fn find_link() -> io::Result<LinkAddr> {
    let all = SockProtocol::EthAll;
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        all,
    )?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(10))?;
    let knock = UdpSocket::bind("0.0.0.0:0")?;
    knock.send_to(KNOCK, (SERVER, 9))?;
    loop {
        let mut packet = [0; 2048];
        let (len, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut packet)?;
        if let Some(from) = from.filter(|_| packet[..len].ends_with(KNOCK)) {
            return Ok(from);
        }
    }
}

/// Packets that an interface has passed to its program.
struct Passed {
    taken: u64,
    dropped: u64,
}

/// Reads the counters of an interface. A TUN device counts a packet when the program reads it.
fn passed(interface: &str) -> io::Result<Passed> {
    let text = fs::read_to_string("/proc/thread-self/net/dev")?;
    let figures = text.lines().find_map(|line| {
        let (name, figures) = line.split_once(':')?;
        (name.trim() == interface).then_some(figures)
    });
    let figures: Vec<u64> = figures
        .into_iter()
        .flat_map(str::split_whitespace)
        .filter_map(|figure| figure.parse().ok())
        .collect();
    match figures[..] {
        [.., _bytes, taken, _errors, dropped, _, _, _, _] => Ok(Passed { taken, dropped }),
        _ => Err(io::Error::other(format!("no counters of {interface}"))),
    }
}

/// Opens a TUN device with the kernel behind it.
pub(crate) fn kernel(interface: &str) -> io::Result<Device<Tun>> {
    let tun = brooklet_tun::TunBuilder::new(interface)
        .offload(false)
        .open()?;
    Ok(Device::new(tun))
}
