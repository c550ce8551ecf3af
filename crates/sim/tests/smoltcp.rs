//! smoltcp's TCP socket as the peer of a stack, on a lossy link in virtual time.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet::{Builder, Parts, TcpStream};
use brooklet_device::PacketDevice;
use brooklet_packet::Packet;
use brooklet_sim::{Link, LinkConfig, LinkEnd, Simulation, VirtualTime};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

const MTU: usize = 1500;
const SMOLTCP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const BROOKLET: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PORT: u16 = 80;

/// Bytes that each end sends.
const LEN: usize = 256 * 1024;

const SEEDS: u64 = 16;

/// The end that opens the connection.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Smoltcp,
    Brooklet,
}

/// What an end does with its connection.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Sends, sends a FIN and then receives: half-closed, as the first end to close.
    SendFirst,
    /// Receives up to the peer's FIN and then sends.
    ReceiveFirst,
    /// Sends and receives at the same time, and sends its FIN behind the last byte.
    Both,
}

impl Order {
    fn of_peer(self) -> Self {
        match self {
            Self::SendFirst => Self::ReceiveFirst,
            Self::ReceiveFirst => Self::SendFirst,
            Self::Both => Self::Both,
        }
    }
}

/// The stream of one end: no two places of it look alike, and no two streams.
fn stream(of_smoltcp: bool) -> Vec<u8> {
    let step = if of_smoltcp { 7 } else { 11 };
    let byte = |at: usize| ((at * step) ^ (at >> 8)) as u8;
    (0..LEN).map(byte).collect()
}

/// An interface of smoltcp with one TCP socket, driven by virtual time.
struct Smoltcp {
    time: VirtualTime,
    device: PacketDevice<LinkEnd>,
    interface: Interface,
    socket: Socket<'static>,
}

impl Smoltcp {
    fn new(time: VirtualTime, end: LinkEnd, seed: u64) -> Self {
        let mut device = PacketDevice::new(end, MTU);
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut device, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(SMOLTCP.into(), 24)).unwrap();
        });
        let buffer = || SocketBuffer::new(vec![0; 64 * 1024]);
        Self {
            time,
            device,
            interface,
            socket: Socket::new(buffer(), buffer()),
        }
    }

    /// Opens the connection, exchanges the streams and stays until the connection is CLOSED: for
    /// the active close that is behind TIME-WAIT. Returns the bytes that were received.
    async fn run(mut self, client: Client, order: Order) -> io::Result<Vec<u8>> {
        match client {
            Client::Smoltcp => {
                let context = self.interface.context();
                let connect = self.socket.connect(context, (BROOKLET, PORT), 40_000);
                connect.unwrap();
            }
            Client::Brooklet => self.socket.listen(PORT).unwrap(),
        }
        let mut sockets = SocketSet::new(vec![]);
        let handle = sockets.add(self.socket);
        let (data, mut sent, mut received) = (stream(true), 0, Vec::new());
        loop {
            let now = Instant::from_micros(self.time.elapsed().as_micros() as i64);
            self.interface.poll(now, &mut self.device, &mut sockets);
            let socket = sockets.get_mut::<Socket<'_>>(handle);
            while socket.can_recv() {
                let read = |bytes: &mut [u8]| (bytes.len(), received.extend_from_slice(bytes));
                socket.recv(read).unwrap();
            }
            let fin_received = matches!(
                socket.state(),
                State::CloseWait | State::LastAck | State::Closing | State::TimeWait
            );
            if fin_received || !matches!(order, Order::ReceiveFirst) {
                while sent < LEN && socket.can_send() {
                    sent += socket.send_slice(&data[sent..]).unwrap();
                }
                if sent == LEN && socket.may_send() {
                    socket.close();
                }
            }
            if socket.state() == State::Closed {
                assert_eq!(sent, LEN);
                return Ok(received);
            }
            let delay = self.interface.poll_delay(now, &sockets);
            let time = self.time.clone();
            self.device.wait(delay, |delay| time.sleep(delay)).await?;
        }
    }
}

/// Exchanges the streams, and returns the bytes that were received.
async fn exchange(stream: TcpStream, order: Order) -> io::Result<Vec<u8>> {
    let data = self::stream(false);
    let (mut reader, mut writer) = stream.split();
    let mut received = Vec::new();
    let send = async {
        writer.write_all(&data).await?;
        writer.close().await
    };
    let receive = reader.read_to_end(&mut received);
    match order {
        Order::SendFirst => {
            send.await?;
            receive.await?;
        }
        Order::ReceiveFirst => {
            receive.await?;
            send.await?;
        }
        Order::Both => {
            future::try_zip(send, receive).await?;
        }
    }
    Ok(received)
}

/// One connection from its SYN to both FINs; `order` is that of the stack.
fn converse(seed: u64, client: Client, order: Order, link: LinkConfig) {
    let sim = Simulation::new();
    let (link, here, there) = Link::new(sim.time(), seed, link);
    // A segment that is late for a connection in CLOSED is answered with a RST; no other is.
    let (resets, closed) = (
        Arc::new(AtomicU32::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (counter, end) = (resets.clone(), closed.clone());
    link.tap(move |event| {
        let packet = Packet::parse(event.packet).unwrap();
        if packet.tcp().unwrap().flags.rst() && !end.load(Ordering::Relaxed) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    let parts = Builder::new()
        .mtu(MTU)
        .build_with_timer(here, sim.time().timer());
    let Parts {
        stack, tcp, driver, ..
    } = parts.unwrap();
    sim.spawn(driver).detach();
    let smoltcp = Smoltcp::new(sim.time().clone(), there, seed).run(client, order.of_peer());
    let brooklet = async {
        let stream = match client {
            Client::Smoltcp => tcp.accept().await?.0,
            Client::Brooklet => {
                let (from, to) = ((BROOKLET, 40_000), (SMOLTCP, PORT));
                let (from, to) = (SocketAddr::from(from), SocketAddr::from(to));
                stack.connect_from(from, to).await?
            }
        };
        let received = exchange(stream, order).await;
        closed.store(true, Ordering::Relaxed);
        received
    };
    let case = format!("seed {seed}, {client:?} connects, brooklet: {order:?}");
    let (to_brooklet, to_smoltcp) = sim
        .run(future::try_zip(brooklet, smoltcp))
        .unwrap_or_else(|error| panic!("{case}: {error}"))
        .unwrap_or_else(|error| panic!("{case}: {error}"));
    assert!(to_brooklet == stream(true), "{case}: to brooklet");
    assert!(to_smoltcp == stream(false), "{case}: to smoltcp");
    assert_eq!(resets.load(Ordering::Relaxed), 0, "{case}: resets");
    let (from_brooklet, from_smoltcp) = link.stats();
    assert!(from_brooklet.delivered > 0 && from_smoltcp.delivered > 0);
}

fn converse_on_lossy_links(client: Client, order: Order) {
    let delay = Duration::from_millis(10);
    let impaired = LinkConfig::new()
        .delay(delay)
        .jitter(Duration::from_millis(1))
        .loss(0.02)
        .duplicate(0.02)
        .reorder(0.05);
    let clean = LinkConfig::new().delay(delay);
    converse(0, client, order, clean);
    for seed in 0..SEEDS {
        converse(seed, client, order, impaired);
    }
}

#[test]
fn smoltcp_connects_and_closes_after_brooklet() {
    converse_on_lossy_links(Client::Smoltcp, Order::SendFirst);
}

#[test]
fn smoltcp_connects_and_closes_before_brooklet() {
    converse_on_lossy_links(Client::Smoltcp, Order::ReceiveFirst);
}

#[test]
fn smoltcp_connects_and_both_send_at_once() {
    converse_on_lossy_links(Client::Smoltcp, Order::Both);
}

#[test]
fn brooklet_connects_and_closes_before_smoltcp() {
    converse_on_lossy_links(Client::Brooklet, Order::SendFirst);
}

#[test]
fn brooklet_connects_and_closes_after_smoltcp() {
    converse_on_lossy_links(Client::Brooklet, Order::ReceiveFirst);
}

#[test]
fn brooklet_connects_and_both_send_at_once() {
    converse_on_lossy_links(Client::Brooklet, Order::Both);
}
