//! Sends every TCP connection that is routed into a TUN device through a SOCKS 5 server.
//!
//! ```sh
//! cargo run --release --example tun2socks -- --tun tun0 --proxy 127.0.0.1:1080 &
//! ip route add 192.0.2.0/24 dev tun0     # the destinations to forward
//! ```
//!
//! The client waits, as for a distant host, until the SOCKS server has answered, and then sees
//! what the server saw: connected, refused or unreachable. Datagrams are answered with "port
//! unreachable".

use async_signal::{Signal, Signals};
use brooklet::{Builder, Parts, Stack, TcpListener};
use brooklet_examples::shared::socks;
use brooklet_relay::{DialRequest, Limits, Map, Relay, Router, Spawner};
use brooklet_tun::Tun;
use futures_lite::{StreamExt, future};
use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

/// How long the SOCKS server may take to accept the first connection.
const REACH: Duration = Duration::from_secs(5);

const USAGE: &str = "\
Usage: tun2socks --tun NAME --proxy ADDRESS:PORT [--mtu N]

  --tun NAME             TUN device to create, or to attach to where it exists
  --proxy ADDRESS:PORT   SOCKS 5 server
  --mtu N                MTU of the device in bytes, 1280 to 65535 (default 1500)

SIGTERM and SIGINT end it, and the counters of the stack are printed.
";

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("tun2socks: {why}; `tun2socks --help` lists the flags");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("tun2socks: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> io::Result<()> {
    reach(options.proxy)?;
    let builder = Builder::new().mtu(options.mtu.into());
    let Parts {
        stack,
        tcp,
        udp,
        driver,
        ..
    } = builder.build(open(options)?)?;
    // Without a socket the stack answers datagrams with "port unreachable".
    drop(udp);
    let relay = forward(stack.clone(), tcp, Map::transparent(), options.proxy);
    let signalled = async {
        let mut signals = Signals::new([Signal::Term, Signal::Int])?;
        signals.next().await.transpose().map(drop)
    };
    let ended = smol::block_on(future::or(driver, signalled));
    eprint!("{}{}", stack.stats(), relay.stats());
    ended
}

/// Checks that the SOCKS server takes connections: a mistake shows at the start, and not as a network
/// in which every connection is refused.
fn reach(proxy: SocketAddr) -> io::Result<()> {
    let connected = std::net::TcpStream::connect_timeout(&proxy, REACH);
    connected.map(drop).map_err(|error| {
        let why = format!("no SOCKS server at {proxy} (start it, or change --proxy): {error}");
        io::Error::new(error.kind(), why)
    })
}

#[cfg(not(any(target_os = "android", target_os = "ios")))]
fn open(options: &Options) -> io::Result<Tun> {
    brooklet_tun::TunBuilder::new(&options.tun)
        .mtu(options.mtu)
        .open()
}

/// These systems open the device themselves, and a program adopts its descriptor.
#[cfg(any(target_os = "android", target_os = "ios"))]
fn open(_: &Options) -> io::Result<Tun> {
    let why = "programs cannot open a TUN device on this system: see Tun::from_fd";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}

/// Forwards connections through the SOCKS server until the stack ends.
fn forward(stack: Stack, listener: TcpListener, map: Map, proxy: SocketAddr) -> Relay {
    let spawner = Spawner::new(|task| smol::spawn(task).detach());
    let limits = Limits::of_this_process();
    let relay = Relay::new(stack, map, Router::default(), limits, spawner);
    relay.start_tcp(listener, move |request: DialRequest| async move {
        Ok(socks::connect(proxy, request.to).await?)
    });
    relay
}

#[cfg_attr(
    any(target_os = "android", target_os = "ios"),
    expect(dead_code, reason = "this system opens no TUN device by its name")
)]
struct Options {
    tun: String,
    proxy: SocketAddr,
    mtu: u16,
}

impl Options {
    /// `None` when the usage was asked for.
    fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut tun, mut proxy, mut mtu) = (None, None, 1500);
        let mut args = lexopt::Parser::from_iter(args);
        while let Some(arg) = args.next()? {
            match arg {
                Long("tun") => tun = Some(args.value()?.string()?),
                Long("proxy") => proxy = Some(args.value()?.parse()?),
                Long("mtu") => mtu = args.value()?.parse()?,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(Some(Self {
            tun: tun.ok_or("--tun NAME is missing")?,
            proxy: proxy.ok_or("--proxy ADDRESS:PORT is missing")?,
            mtu,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_io::Timer;
    use async_net::{Ipv4Addr, TcpStream};
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use std::io::ErrorKind;
    use std::process::{Child, Command, Stdio};

    /// What a client behind the device knows the loopback as.
    const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    #[test]
    fn a_proxy_that_is_not_there_ends_the_program_at_once() {
        // The port of a listener that is gone.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = listener.local_addr().unwrap();
        drop(listener);
        let why = reach(proxy).unwrap_err().to_string();
        assert!(
            why.starts_with(&format!("no SOCKS server at {proxy}")),
            "{why}"
        );
        assert!(!why.contains('\n'), "{why}");
    }

    /// A client's stack, whose connections go to the SOCKS server.
    fn client_of(proxy: SocketAddr) -> io::Result<Stack> {
        let (here, there) = brooklet::pipe(64);
        let client = Builder::new().address([10, 0, 0, 1]).build(here)?;
        let forwarder = Builder::new().build(there)?;
        smol::spawn(client.driver).detach();
        smol::spawn(forwarder.driver).detach();
        let map =
            Map::new(|to| (to.ip() == REMOTE).then_some((Ipv4Addr::LOCALHOST, to.port()).into()));
        forward(forwarder.stack, forwarder.tcp, map, proxy);
        Ok(client.stack)
    }

    /// Starts a server that sends everything back in capitals.
    async fn shouter() -> io::Result<u16> {
        let listener = async_net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        smol::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                    buffer.make_ascii_uppercase();
                    stream.write_all(&buffer[..n]).await?;
                }
            }
            io::Result::Ok(())
        })
        .detach();
        Ok(port)
    }

    async fn ask(stack: &Stack, to: SocketAddr, question: &str) -> io::Result<String> {
        let stream = stack.connect(to).await?;
        let send = async {
            (&stream).write_all(question.as_bytes()).await?;
            (&stream).close().await
        };
        let mut answer = String::new();
        let receive = async { (&stream).read_to_string(&mut answer).await };
        future::try_zip(send, receive).await?;
        Ok(answer)
    }

    /// A SOCKS server. With a `reply` other than 0 (section 6) it answers that and no more.
    async fn tiny_socks_server(reply: u8) -> io::Result<SocketAddr> {
        let listener = async_net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        smol::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut greeting = [0; 3];
                client.read_exact(&mut greeting).await?;
                assert_eq!(greeting, [5, 1, 0]);
                client.write_all(&[5, 0]).await?;
                let mut request = [0; 10];
                client.read_exact(&mut request).await?;
                assert_eq!(request[..8], [5, 1, 0, 1, 127, 0, 0, 1]);
                // The bound address as a name, which a server may answer with.
                let answer = [&[5, reply, 0, 3, 9], &b"localhost"[..], &[0, 0]].concat();
                client.write_all(&answer).await?;
                if reply == 0 {
                    let port = u16::from_be_bytes([request[8], request[9]]);
                    let upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                    smol::spawn(through(client, upstream)).detach();
                }
            }
            io::Result::Ok(())
        })
        .detach();
        Ok(address)
    }

    async fn through(client: TcpStream, upstream: TcpStream) -> io::Result<()> {
        let up = async {
            futures_lite::io::copy(client.clone(), upstream.clone()).await?;
            upstream.clone().close().await
        };
        let down = async {
            futures_lite::io::copy(upstream.clone(), client.clone()).await?;
            client.clone().close().await
        };
        future::try_zip(up, down).await.map(drop)
    }

    #[test]
    fn a_connection_goes_through_the_socks_server() -> io::Result<()> {
        smol::block_on(async {
            let client = client_of(tiny_socks_server(0).await?)?;
            let to = (REMOTE, shouter().await?).into();
            assert_eq!(ask(&client, to, "hello").await?, "HELLO");
            let long = "x".repeat(1024 * 1024);
            assert!(ask(&client, to, &long).await? == long.to_uppercase());
            Ok(())
        })
    }

    #[test]
    fn the_client_sees_why_the_socks_server_cannot_connect() -> io::Result<()> {
        smol::block_on(async {
            for (reply, expected) in [
                (5, ErrorKind::ConnectionRefused),
                (4, ErrorKind::HostUnreachable),
                (3, ErrorKind::NetworkUnreachable),
                (1, ErrorKind::ConnectionRefused), // a general failure
            ] {
                let client = client_of(tiny_socks_server(reply).await?)?;
                let error = client.connect((REMOTE, 80).into()).await.unwrap_err();
                assert_eq!(error.kind(), expected, "reply {reply}");
            }
            Ok(())
        })
    }

    #[test]
    fn an_unreachable_socks_server_refuses_the_client() -> io::Result<()> {
        smol::block_on(async {
            let nobody = async_net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let client = client_of(nobody.local_addr()?)?;
            drop(nobody);
            let error = client.connect((REMOTE, 80).into()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            Ok(())
        })
    }

    #[test]
    fn a_destination_that_is_not_in_the_map_is_refused() -> io::Result<()> {
        smol::block_on(async {
            let client = client_of(tiny_socks_server(0).await?)?;
            let elsewhere = ([192, 0, 2, 2], shouter().await?).into();
            let error = client.connect(elsewhere).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            Ok(())
        })
    }

    /// Debian's microsocks, on a port of the loopback; ends when dropped.
    struct Microsocks(Child);

    impl Drop for Microsocks {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn microsocks_is_understood() -> io::Result<()> {
        // The port is free for whoever takes it first: microsocks does not choose one itself.
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let proxy = free.local_addr()?;
        drop(free);
        let mut command = Command::new("microsocks");
        command.args(["-i", "127.0.0.1", "-p", &proxy.port().to_string()]);
        let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = started else {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{started:?}");
            // Not by `println`, which the test harness keeps to itself.
            let _ = io::Write::write_all(&mut io::stderr(), b"skipped: no microsocks\n");
            return Ok(());
        };
        let _server = Microsocks(child);
        smol::block_on(async {
            for _ in 0..100 {
                if TcpStream::connect(proxy).await.is_ok() {
                    break;
                }
                Timer::after(Duration::from_millis(50)).await;
            }
            let client = client_of(proxy)?;
            let to = (REMOTE, shouter().await?).into();
            let mut stream = client.connect(to).await?;
            stream.write_all(b"hello").await?;
            // Before the client's end: microsocks ends both directions when one has ended.
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).await?;
            assert_eq!(&answer, b"HELLO");
            let closed = (REMOTE, 1).into();
            let error = client.connect(closed).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            Ok(())
        })
    }

    #[test]
    fn a_missing_flag_is_named() {
        let parse =
            |args: &[&str]| Options::parse(["tun2socks"].iter().chain(args).map(Into::into));
        let options = parse(&["--tun", "t", "--proxy", "127.0.0.1:1080"]).unwrap();
        assert_eq!(options.unwrap().proxy, ([127, 0, 0, 1], 1080).into());
        for (args, about) in [
            (&["--tun", "t"][..], "--proxy"),
            (&["--proxy", "[::1]:1080"], "--tun"),
            (&["--proxy", "localhost"], "localhost"),
        ] {
            let error = parse(args).err().expect("a complaint").to_string();
            assert!(error.contains(about), "{args:?}: {error}");
        }
    }
}
