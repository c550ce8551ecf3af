//! Who takes part.

mod before;
pub(crate) mod brooklet;
mod ipstack;
pub(crate) mod kernel;
#[cfg(feature = "lwip")]
mod lwip;
mod netstack_smoltcp;
mod services;

pub(crate) use before::ALL as BEFORE;

use crate::results::Entrant;
use std::io;
use std::path::PathBuf;

/// The port that echoes, of TCP and of UDP.
pub(crate) const ECHO: u16 = 7;
/// The port that reads, and closes when its client has.
pub(crate) const DISCARD: u16 = 9;
/// The port that takes a connection and does nothing with it.
pub(crate) const HOLD: u16 = 11;
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

/// In this order in the tables: brooklet's forms, then those with which they are compared.
pub(crate) const ALL: &[Contender] = &[
    brooklet::PLAIN,
    brooklet::OFFLOAD,
    brooklet::LOCAL,
    brooklet::LOCAL_OFFLOAD,
    netstack_smoltcp::PLAIN,
    netstack_smoltcp::ONE_THREAD,
    netstack_smoltcp::OFFLOAD,
    ipstack::CONTENDER,
    #[cfg(feature = "lwip")]
    lwip::CONTENDER,
    kernel::CONTENDER,
];

/// A stack, and a program that serves the ports above with it.
#[derive(Debug)]
pub(crate) struct Contender {
    /// By this it is asked for.
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    /// What it is and how it was set, in one sentence.
    pub(crate) about: &'static str,
    pub(crate) link: Link,
    pub(crate) server: Server,
    /// So many connections at once are all that it was built for, if there is such a number.
    pub(crate) most_connections: Option<usize>,
}

impl Entrant for Contender {
    fn key(&self) -> &'static str {
        self.key
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn is_brooklet(&self) -> bool {
        matches!(self.server, Server::Inetd(_))
    }
}

/// What is between client and server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Link {
    /// The device [`TUN`].
    Tun,
    /// The device [`TUN`], with a virtio-net header before each packet.
    TunWithHeader,
    /// The loopback of the namespace.
    Loopback,
}

/// The program, in a process of its own.
#[derive(Debug)]
pub(crate) enum Server {
    /// brooklet's `inetd` with these flags.
    Inetd(&'static [&'static str]),
    /// The `inetd` of an earlier revision with these flags.
    InetdBefore(&'static [&'static str]),
    /// This program; the function runs for ever.
    Here(fn() -> io::Result<()>),
}

/// The programs of [`Server::Inetd`] and [`Server::InetdBefore`].
#[derive(Debug)]
pub(crate) struct Inetd {
    pub(crate) now: PathBuf,
    /// `None` where no revision was named.
    pub(crate) before: Option<PathBuf>,
}

impl Inetd {
    /// Builds both; `before` is a revision, or a file that is built already.
    pub(crate) fn build(before: Option<&str>) -> io::Result<Self> {
        Ok(Self {
            now: brooklet::build_inetd()?,
            before: before.map(before::find_inetd).transpose()?,
        })
    }
}

/// Is the server of a contender.
pub(crate) fn serve(key: &str) -> io::Result<()> {
    match ALL.iter().find(|contender| contender.key == key) {
        Some(Contender {
            server: Server::Here(serve),
            ..
        }) => serve(),
        _ => Err(io::Error::other(format!("no contender `{key}` in here"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_key_is_one_contender_and_one_word() {
        let all = || ALL.iter().chain(BEFORE);
        let keys: HashSet<_> = all().map(|contender| contender.key).collect();
        assert_eq!(keys.len(), all().count());
        assert!(keys.iter().all(|key| !key.contains([',', ' '])));
    }
}
