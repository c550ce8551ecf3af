//! A stack on a Unix datagram socket: each datagram is one IP packet or one Ethernet frame.

use async_io::Async;
use brooklet::{Builder, Clock, PacketBuf, PacketIo, TcpListener, TransparentUdpSocket};
use brooklet_ethernet::{Config, Ethernet};
use futures_lite::{AsyncWriteExt, future};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::ExitCode;
use std::task::{Context, Poll, ready};
use std::time::Instant;

const USAGE: &str = "\
Usage: unix_datagram --listen PATH --peer PATH [--ethernet]

  --listen PATH   where to create the socket; an old one is replaced
  --peer PATH     the peer's socket, which exists already
  --ethernet      the datagrams are Ethernet frames: the stack is the router
                  10.0.2.2 of a virtual machine, advertises fd00:2:2:2::/64, and
                  has every address that the machine asks for
";

/// The longest packet, in bytes. Both ends know the length; nothing on the way limits it.
const MTU: usize = 9000;

/// The longest packet in an Ethernet frame of a virtual machine, in bytes.
const ETHERNET_MTU: usize = 1500;

/// A connected Unix datagram socket as a device.
#[derive(Debug)]
struct Device(Async<UnixDatagram>);

impl Device {
    fn new(socket: UnixDatagram) -> io::Result<Self> {
        Async::new(socket).map(Self)
    }
}

impl PacketIo for Device {
    fn mtu(&self) -> Option<usize> {
        Some(MTU)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        loop {
            match self.0.get_ref().recv(packet.storage_mut()) {
                Ok(len) => {
                    packet.set_len(len);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.0.poll_readable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        loop {
            match self.0.get_ref().send(packet) {
                Ok(_) => return Poll::Ready(Ok(())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.0.poll_writable(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// The `main` of the example `unix_datagram`.
pub fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("unix_datagram: {why}; `unix_datagram --help` lists the flags");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("unix_datagram: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    match std::fs::remove_file(&options.listen) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = UnixDatagram::bind(&options.listen)?;
    socket.connect(&options.peer)?;
    let device = Device::new(socket)?;
    smol::block_on(async {
        match options.ethernet {
            false => serve(device, MTU).await,
            true => serve(router(device), ETHERNET_MTU).await,
        }
    })
}

/// The router of the virtual machine at the other end of `frames`.
fn router(frames: Device) -> impl PacketIo {
    let config = Config::new([0x02, 0, 0, 0, 0, 0x01].into())
        .address([10, 0, 2, 2], 24)
        .advertise([0xfd00, 2, 2, 2, 0, 0, 0, 0].into())
        .proxy(true)
        .mtu(ETHERNET_MTU);
    let clock = Clock::new(Instant::now);
    Ethernet::new(frames, config, clock, smol::Timer::after)
}

/// Runs a stack that echoes, until the device fails.
async fn serve(device: impl PacketIo, mtu: usize) -> io::Result<()> {
    let parts = Builder::new().mtu(mtu).build(device)?;
    let services = future::try_zip(echo_streams(parts.tcp), echo_datagrams(parts.udp));
    future::try_zip(parts.driver, services).await.map(drop)
}

async fn echo_streams(listener: TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        smol::spawn(async move {
            futures_lite::io::copy(&stream, &stream).await?;
            stream.close().await
        })
        .detach();
    }
}

async fn echo_datagrams(socket: TransparentUdpSocket) -> io::Result<()> {
    loop {
        let datagram = socket.recv_datagram().await?;
        let reply = datagram.reply(&datagram.payload[..]);
        socket.send_datagram(&reply).await?;
    }
}

struct Options {
    listen: PathBuf,
    peer: PathBuf,
    ethernet: bool,
}

impl Options {
    /// `None` when the usage was asked for.
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut listen, mut peer, mut ethernet) = (None, None, false);
        let mut args = lexopt::Parser::from_iter(args);
        while let Some(arg) = args.next()? {
            match arg {
                Long("listen") => listen = Some(args.value()?.into()),
                Long("peer") => peer = Some(args.value()?.into()),
                Long("ethernet") => ethernet = true,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(Some(Self {
            listen: listen.ok_or("--listen PATH is missing")?,
            peer: peer.ok_or("--peer PATH is missing")?,
            ethernet,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::AsyncReadExt;

    #[test]
    fn two_stacks_at_the_ends_of_a_socket_pair() -> io::Result<()> {
        smol::block_on(async {
            let (here, there) = UnixDatagram::pair()?;
            smol::spawn(serve(Device::new(there)?, MTU)).detach();
            let client = Builder::new().mtu(MTU).address([10, 0, 0, 1]);
            let client = client.build(Device::new(here)?)?;
            smol::spawn(client.driver).detach();

            let (from, to) = (([10, 0, 0, 1], 5000).into(), ([192, 0, 2, 1], 7).into());
            let longest = vec![7; MTU - 28];
            client.udp.send_to(&longest, from, to).await?;
            let echo = client.udp.recv_datagram().await?;
            assert!(echo.payload == longest && echo.from == to, "{echo:?}");

            let stream = client.stack.connect(to).await?;
            let sent: Vec<u8> = (0..1024 * 1024_u32).map(|n| n as u8).collect();
            let send = async {
                (&stream).write_all(&sent).await?;
                (&stream).close().await
            };
            let mut received = Vec::new();
            let receive = async { (&stream).read_to_end(&mut received).await };
            future::try_zip(send, receive).await?;
            assert!(sent == received, "other bytes came back than were sent");
            Ok(())
        })
    }

    #[test]
    fn the_stack_ends_when_the_peer_has_gone() -> io::Result<()> {
        smol::block_on(async {
            let (here, there) = UnixDatagram::pair()?;
            let client = Builder::new().mtu(MTU).address([10, 0, 0, 1]);
            let client = client.build(Device::new(here)?)?;
            drop(there);
            let connect = client.stack.connect(([192, 0, 2, 1], 7).into());
            let (ended, connected) = future::zip(client.driver, connect).await;
            // The first packet is refused, and Linux then disconnects the socket.
            assert_eq!(ended.unwrap_err().kind(), ErrorKind::NotConnected);
            assert_eq!(connected.unwrap_err().kind(), ErrorKind::NetworkDown);
            Ok(())
        })
    }
}
