//! The program of netstack-smoltcp's README, on brooklet.
//!
//! ```sh
//! cargo run --release --example netstack_port
//! ```
//!
//! [The guide](../docs/from-netstack-smoltcp.md) has the names and the lines that differ. The
//! program keeps its shape: the device is a `Stream` and a `Sink` of packets, two tasks copy the
//! packets between device and stack, and two more serve connections and datagrams. Here the device
//! is one end of a wire in memory, whose other end is a client.

use brooklet::{Builder, Parts, Stack, TcpListener, TcpStream, TransparentUdpSocket};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use std::io;
use std::net::SocketAddr;

/// The longest packet of the virtual device, in bytes.
const MTU: usize = 9000;

/// Runs the program on a device.
fn start<D>(framed: D) -> io::Result<()>
where
    D: Stream<Item = io::Result<Vec<u8>>> + Sink<Vec<u8>, Error = io::Error> + Send + 'static,
{
    let (device, stack) = brooklet::pipe(512);
    let Parts {
        tcp: tcp_listener,
        udp: udp_socket,
        driver: runner,
        ..
    } = Builder::new().mtu(MTU).build(device)?;
    smol::spawn(runner).detach();

    let (mut stack_sink, mut stack_stream) = stack.split();
    let (mut tun_sink, mut tun_stream) = framed.split();

    // Reads packets from the stack and sends them to the device.
    smol::spawn(async move {
        while let Some(Ok(packet)) = stack_stream.next().await {
            tun_sink.send(packet).await?;
        }
        io::Result::Ok(())
    })
    .detach();

    // Reads packets from the device and sends them to the stack.
    smol::spawn(async move {
        while let Some(Ok(packet)) = tun_stream.next().await {
            stack_sink.send(packet).await?;
        }
        io::Result::Ok(())
    })
    .detach();

    smol::spawn(handle_inbound_stream(tcp_listener)).detach();
    smol::spawn(handle_inbound_datagram(udp_socket)).detach();
    Ok(())
}

/// Serves every connection. A forwarder would connect to `remote` here.
async fn handle_inbound_stream(mut tcp_listener: TcpListener) {
    while let Some((stream, local, remote)) = tcp_listener.next().await {
        smol::spawn(answer(stream, local, remote)).detach();
    }
}

async fn answer(mut stream: TcpStream, local: SocketAddr, remote: SocketAddr) -> io::Result<()> {
    use futures_lite::AsyncWriteExt;

    let answer = format!("{local} asked for {remote}");
    stream.write_all(answer.as_bytes()).await?;
    stream.close().await
}

/// Sends every datagram back in the name of the host that the datagram was meant for.
async fn handle_inbound_datagram(udp_socket: TransparentUdpSocket) {
    let (mut read_half, mut write_half) = udp_socket.split();
    while let Some((data, local, remote)) = read_half.next().await {
        // A datagram that is longer than the MTU allows is lost.
        let _ = write_half.send((data, remote, local)).await;
    }
}

fn main() -> io::Result<()> {
    smol::block_on(async {
        let (framed, client) = brooklet::pipe(512);
        start(framed)?;
        let client = Builder::new()
            .mtu(MTU)
            .address([10, 0, 0, 1])
            .build(client)?;
        smol::spawn(client.driver).detach();

        println!("{}", ask(&client.stack, ([192, 0, 2, 1], 80).into()).await?);
        let (from, to) = (([10, 0, 0, 1], 5000).into(), ([192, 0, 2, 1], 7).into());
        println!("{:?}", ask_by_datagram(&client.udp, from, to).await?);
        Ok(())
    })
}

async fn ask(stack: &Stack, to: SocketAddr) -> io::Result<String> {
    use futures_lite::AsyncReadExt;

    let mut answer = String::new();
    stack.connect(to).await?.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn ask_by_datagram(
    socket: &TransparentUdpSocket,
    from: SocketAddr,
    to: SocketAddr,
) -> io::Result<brooklet::Datagram> {
    socket.send_to(b"hello", from, to).await?;
    socket.recv_datagram().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_serves_connections_and_datagrams() -> io::Result<()> {
        smol::block_on(async {
            let (framed, client) = brooklet::pipe(512);
            start(framed)?;
            let builder = Builder::new().mtu(MTU).address([10, 0, 0, 1]);
            let client = builder.build(client)?;
            smol::spawn(client.driver).detach();
            for n in 1..=3 {
                let to = ([192, 0, 2, n], 80).into();
                let answer = ask(&client.stack, to).await?;
                let (local, remote) = answer.split_once(" asked for ").unwrap();
                assert!(local.starts_with("10.0.0.1:"), "{answer}");
                assert_eq!(remote, to.to_string());
            }
            let (from, to) = (([10, 0, 0, 1], 5000).into(), ([192, 0, 2, 1], 7).into());
            let echo = ask_by_datagram(&client.udp, from, to).await?;
            assert_eq!(
                (&echo.payload[..], echo.from, echo.to),
                (&b"hello"[..], to, from)
            );
            Ok(())
        })
    }
}
