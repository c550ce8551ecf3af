//! Fetches a page through a WireGuard tunnel, without root and without a TUN device.
//!
//! ```sh
//! cargo run --manifest-path examples/programs/Cargo.toml --example wireguard -- \
//!     --key key.txt --address 10.0.0.2 --peer AAAA…= --endpoint 192.0.2.1:51820 10.0.0.1:80 /
//! ```
//!
//! The tunnel is the device of a stack: `Stack::connect` opens connections inside the tunnel.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use boringtun::x25519::{PublicKey, StaticSecret};
use brooklet::Builder;
use brooklet_programs::wireguard::{MTU, Tunnel};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: wireguard --key FILE --address IP --peer KEY --endpoint ADDRESS:PORT HOST:PORT PATH

  --key FILE                our private key, as `wg genkey` prints it
  --address IP              our address inside the tunnel
  --peer KEY                the peer's public key, as `wg pubkey` prints it
  --endpoint ADDRESS:PORT   where the peer is outside the tunnel
  HOST:PORT PATH            the HTTP server inside the tunnel, and the page
";

fn main() -> ExitCode {
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("wireguard: {why}; `wireguard --help` lists the flags");
            return ExitCode::from(2);
        }
    };
    match smol::block_on(run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("wireguard: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> io::Result<()> {
    let secret = StaticSecret::from(key(&std::fs::read_to_string(&options.key)?)?);
    let peer = PublicKey::from(key(&options.peer)?);
    let any: IpAddr = match options.endpoint {
        SocketAddr::V4(_) => [0; 4].into(),
        SocketAddr::V6(_) => [0; 16].into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(options.endpoint)?;
    let tunnel = Tunnel::new(socket, secret, peer)?;
    let parts = Builder::new()
        .mtu(MTU)
        .address(options.address)
        .build(tunnel)?;

    let fetch = async {
        let mut stream = parts.stack.connect(options.server).await?;
        let request = format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\n\r\n",
            options.path, options.server
        );
        stream.write_all(request.as_bytes()).await?;
        let mut page = Vec::new();
        stream.read_to_end(&mut page).await?;
        io::stdout().write_all(&page)
    };
    future::or(fetch, parts.driver).await
}

/// A key of 32 bytes in base64.
fn key(text: &str) -> io::Result<[u8; 32]> {
    let bytes = BASE64_STANDARD.decode(text.trim()).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "a key is 44 characters of base64",
        )
    })
}

struct Options {
    key: PathBuf,
    address: IpAddr,
    peer: String,
    endpoint: SocketAddr,
    server: SocketAddr,
    path: String,
}

impl Options {
    /// `None` when the usage was asked for.
    fn parse() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;

        let (mut key, mut address, mut peer, mut endpoint) = (None, None, None, None);
        let (mut server, mut path) = (None, None);
        let mut args = lexopt::Parser::from_env();
        while let Some(arg) = args.next()? {
            match arg {
                Long("key") => key = Some(args.value()?.into()),
                Long("address") => address = Some(args.value()?.parse()?),
                Long("peer") => peer = Some(args.value()?.string()?),
                Long("endpoint") => endpoint = Some(args.value()?.parse()?),
                Short('h') | Long("help") => return Ok(None),
                Value(value) if server.is_none() => server = Some(value.parse()?),
                Value(value) if path.is_none() => path = Some(value.string()?),
                _ => return Err(arg.unexpected()),
            }
        }
        Ok(Some(Self {
            key: key.ok_or("--key FILE is missing")?,
            address: address.ok_or("--address IP is missing")?,
            peer: peer.ok_or("--peer KEY is missing")?,
            endpoint: endpoint.ok_or("--endpoint ADDRESS:PORT is missing")?,
            server: server.ok_or("HOST:PORT is missing")?,
            path: path.ok_or("PATH is missing")?,
        }))
    }
}
