//! quinn on a UDP socket of a stack, with a server on a socket of the host.

use crate::link::Link;
use crate::{LOOPBACK, client, in_time};
use brooklet::{Builder, Offload, Stack};
use brooklet_programs::quic::endpoint;
use futures_lite::future;
use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, VarInt};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The name in the certificate.
const NAME: &str = "server.example";

/// How many streams carry data at a time, and how much in each direction.
const STREAMS: u8 = 4;
const BYTES: usize = 512 * 1024;

/// The longest UDP payload that quinn tries, on a path that carries packets of 1,500 bytes.
const LONGEST: u16 = 1452;

/// The longest UDP payload on a path with an MTU of 1,280 bytes.
const LONGEST_AT_1280: u16 = 1280 - 20 - 8;

#[test]
fn quic_crosses_a_lossy_link_and_finds_its_mtu() {
    in_time(async {
        let link = Link::new(10, 1500);
        let (near, far) = connect(&client(&link)).await?;
        let served = smol::spawn(serve(far.clone()));
        exchange(&near).await?;
        for connection in [&near, &far] {
            let path = connection.stats().path;
            assert_eq!((path.current_mtu, path.black_holes_detected), (LONGEST, 0));
        }
        let counters = link.counters();
        assert!(counters.lost > 10, "{counters:?}");
        assert_eq!(counters.too_long, 0);
        assert!(
            counters.ecn_capable > counters.arrived * 9 / 10,
            "{counters:?}"
        );
        close(&link, &near, served).await
    })
    .unwrap();
}

#[test]
fn quic_crosses_a_path_of_1280_bytes_without_icmp() {
    in_time(async {
        let link = Link::new(10, 1280);
        let (near, far) = connect(&client(&link)).await?;
        let served = smol::spawn(serve(far.clone()));
        exchange(&near).await?;
        for connection in [&near, &far] {
            let path = connection.stats().path;
            assert!(path.current_mtu <= LONGEST_AT_1280, "{path:?}");
        }
        assert!(link.counters().too_long > 0, "no probe was too long");
        close(&link, &near, served).await
    })
    .unwrap();
}

#[test]
fn quic_survives_a_path_that_becomes_a_black_hole_for_its_packets() {
    in_time(async {
        let link = Link::new(0, 1500);
        let (near, far) = connect(&client(&link)).await?;
        let served = smol::spawn(serve(far.clone()));
        exchange(&near).await?;
        assert_eq!(near.stats().path.current_mtu, LONGEST);
        link.set_mtu(1280);
        exchange(&near).await?;
        for connection in [&near, &far] {
            let path = connection.stats().path;
            assert!(path.current_mtu <= LONGEST_AT_1280, "{path:?}");
            assert!(path.black_holes_detected > 0, "{path:?}");
        }
        close(&link, &near, served).await
    })
    .unwrap();
}

/// The batches of quinn cross the link between two stacks as one packet each.
#[test]
fn segment_batches_stay_whole_between_two_stacks() {
    in_time(async {
        let link = Link::new(0, 1500);
        let all = Offload::new()
            .checksum(true)
            .tso4(true)
            .tso6(true)
            .uso(true);
        let (near, far) = brooklet::pipe(64);
        let here = Builder::new().address([10, 0, 0, 1]);
        let here = here.build(link.end(near.with_offload(all), 1))?;
        let there = Builder::new().address([10, 0, 0, 2]);
        let there = there.build(link.end(far.with_offload(all), 2))?;
        smol::spawn(here.driver).detach();
        smol::spawn(there.driver).detach();
        let (certificate, config) = tls()?;
        let address = "10.0.0.2:443".parse()?;
        let server = endpoint(&there.stack, address, Some(config))?;
        let (near, far) = handshake(&here.stack, &server, address, certificate).await?;
        let served = smol::spawn(serve(far));
        exchange(&near).await?;
        let counters = link.counters();
        assert!(counters.batches > 100, "{counters:?}");
        close(&link, &near, served).await
    })
    .unwrap();
}

/// Connects a client on the stack with a server on the host's loopback.
async fn connect(stack: &Stack) -> Result<(Connection, Connection)> {
    let (certificate, config) = tls()?;
    let server = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into())?;
    let address = (LOOPBACK[0], server.local_addr()?.port()).into();
    handshake(stack, &server, address, certificate).await
}

async fn handshake(
    stack: &Stack,
    server: &Endpoint,
    address: SocketAddr,
    certificate: CertificateDer<'static>,
) -> Result<(Connection, Connection)> {
    let client = endpoint(stack, "0.0.0.0:0".parse()?, None)?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let config = ClientConfig::with_root_certificates(Arc::new(roots))?;
    let near = async { Ok(client.connect_with(config, address, NAME)?.await?) };
    let far = async { Ok(server.accept().await.ok_or("no connection")?.await?) };
    future::try_zip(near, far).await
}

/// Echoes every stream until the client closes the connection, and returns how it did.
async fn serve(connection: Connection) -> ConnectionError {
    loop {
        match connection.accept_bi().await {
            Ok((send, recv)) => smol::spawn(echo(send, recv)).detach(),
            Err(error) => return error,
        }
    }
}

async fn echo(mut send: SendStream, mut recv: RecvStream) -> Result<()> {
    while let Some(chunk) = recv.read_chunk(usize::MAX, true).await? {
        send.write_chunk(chunk.bytes).await?;
    }
    Ok(send.finish()?)
}

/// Sends data on several streams at a time, and small requests one after the other beside them.
async fn exchange(connection: &Connection) -> Result<()> {
    let mut bulk = Vec::new();
    for seed in 0..STREAMS {
        let data = (0..BYTES).map(|n| (n * 7 / 3) as u8 ^ seed).collect();
        bulk.push(smol::spawn(round_trip(connection.clone(), data)));
    }
    for number in 0..30_u8 {
        round_trip(connection.clone(), vec![number; 40]).await?;
    }
    for stream in bulk {
        stream.await?;
    }
    Ok(())
}

/// Sends data on a new stream, and checks that the same comes back.
async fn round_trip(connection: Connection, data: Vec<u8>) -> Result<()> {
    let (mut send, mut recv) = connection.open_bi().await?;
    let up = async {
        send.write_all(&data).await?;
        send.finish()?;
        Result::Ok(())
    };
    let down = async { Ok(recv.read_to_end(data.len()).await?) };
    let ((), echoed) = future::try_zip(up, down).await?;
    assert!(echoed == data, "{} bytes came back", echoed.len());
    Ok(())
}

/// Closes the connection. The only packet that says so must not be lost.
async fn close(link: &Link, near: &Connection, served: smol::Task<ConnectionError>) -> Result<()> {
    link.set_loss(0);
    near.close(VarInt::from_u32(7), b"done");
    match served.await {
        ConnectionError::ApplicationClosed(close) => {
            assert_eq!(
                (close.error_code, &close.reason[..]),
                (7_u32.into(), &b"done"[..])
            );
            Ok(())
        }
        error => Err(error.into()),
    }
}

/// Makes a certificate, and a server that has it.
fn tls() -> Result<(CertificateDer<'static>, quinn::ServerConfig)> {
    let made = rcgen::generate_simple_self_signed([NAME.into()])?;
    let certificate = made.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let chain = vec![certificate.clone()];
    let config = quinn::ServerConfig::with_single_cert(chain, key.into())?;
    Ok((certificate, config))
}
