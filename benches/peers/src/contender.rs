//! Who takes part.

mod brooklet;
mod kernel;
mod netstack_smoltcp;

pub(crate) use brooklet::build_inetd;

use std::io;

/// The port that echoes.
pub(crate) const ECHO: u16 = 7;
/// The port that reads, and closes when its client has.
pub(crate) const DISCARD: u16 = 9;
/// The port that writes until its client goes.
pub(crate) const CHARGEN: u16 = 19;
/// The port that answers anything with [`ANSWER`] and closes.
pub(crate) const WEB: u16 = 80;

/// What port 80 says, to the letter what brooklet's `inetd` does.
pub(crate) const ANSWER: &[u8; 64] =
    b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nHello, from inetd.\n";

/// Bytes that a service reads or writes at a time, as brooklet's `inetd` does.
pub(crate) const BUFFER: usize = 64 * 1024;

/// The TUN device that a contender finds, with an MTU of [`MTU`].
pub(crate) const TUN: &str = "peers0";
pub(crate) const MTU: u16 = 1500;

/// In this order in the tables. The first is the one that the others are compared with.
pub(crate) const ALL: &[Contender] = &[
    brooklet::CONTENDER,
    brooklet::LOCAL,
    netstack_smoltcp::MANY_THREADS,
    netstack_smoltcp::ONE_THREAD,
    kernel::CONTENDER,
];

/// A stack, and a program that serves the ports above with it.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    /// What it is and how it was set, in one sentence.
    pub(crate) about: &'static str,
    pub(crate) link: Link,
    pub(crate) server: Server,
}

/// What is between client and server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    /// The device [`TUN`].
    Tun,
    /// The loopback of the namespace.
    Loopback,
}

/// The program, in a process of its own.
#[derive(Debug)]
pub(crate) enum Server {
    /// brooklet's `inetd` with these flags.
    Inetd(&'static [&'static str]),
    /// This program; the function runs for ever.
    Here(fn() -> io::Result<()>),
}

/// Is the server of a contender.
pub(crate) fn serve(name: &str) -> io::Result<()> {
    match ALL.iter().find(|contender| contender.name == name) {
        Some(Contender {
            server: Server::Here(serve),
            ..
        }) => serve(),
        _ => Err(io::Error::other(format!("no contender `{name}` in here"))),
    }
}
