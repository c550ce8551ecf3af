//! The kernel's TCP and UDP over its loopback: no TUN and no second stack, so a ceiling and not a
//! rival.

use super::{ANSWER, BUFFER, CHARGEN, Contender, DISCARD, ECHO, HOLD, Link, Server, WEB};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;

pub(crate) const CONTENDER: Contender = Contender {
    key: "kernel",
    name: "kernel, loopback",
    about: "Linux's own TCP and UDP at both ends, with the loopback's MTU of 65,536 and blocking \
            threads: a ceiling, because no packet passes a TUN device.",
    link: Link::Loopback,
    server: Server::Here(|| serve(MANY)),
    most_connections: None,
};

/// Threads of a port, each with a connection at a time: as many as a work has connections.
const MANY: usize = 256;
const FEW: usize = 32;

type Service = fn(TcpStream) -> io::Result<()>;

/// Serves the ports, and so many connections of each of the longer services at once.
pub(crate) fn serve(many: usize) -> io::Result<()> {
    // The port that tells that the server is there comes last.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, ECHO))?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, HOLD))?;
    thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept() {
            held.push(stream);
        }
    });
    let services: [(u16, Service, usize); 4] = [
        (DISCARD, discard, many),
        (CHARGEN, chargen, many),
        (WEB, answer, FEW),
        (ECHO, echo, many),
    ];
    for (port, service, threads) in services {
        let listener = Arc::new(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?);
        for _ in 0..threads {
            let listener = listener.clone();
            thread::spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    // How a connection ends is its peer's affair.
                    let _ = service(stream);
                }
            });
        }
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        let (n, from) = socket.recv_from(&mut buffer)?;
        // A datagram that cannot be sent is lost, as datagrams are.
        let _ = socket.send_to(&buffer[..n], from);
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..n])?;
    }
}

fn discard(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn chargen(mut stream: TcpStream) -> io::Result<()> {
    let bytes = vec![b'#'; BUFFER];
    loop {
        stream.write_all(&bytes)?;
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    if stream.read(&mut [0; 4096])? > 0 {
        stream.write_all(ANSWER)?;
    }
    Ok(())
}
