//! ICMP errors as answers to requests.

use super::TcpRequest;
use crate::address::is_host;
use brooklet_cell::Flavor;
use brooklet_packet::icmp::{self, IcmpErrorKind};
use std::net::IpAddr;

impl<F: Flavor> TcpRequest<F> {
    /// Answers with an ICMP error from the address that the client asked for: the client's `connect`
    /// fails at once with "no route to host", "network unreachable" or the error that `kind` means to
    /// the client (RFC 1122, 4.2.3.9; RFC 5461).
    ///
    /// The network may filter or drop the ICMP error. The client then retransmits its SYN, which
    /// makes a new request. A client that has [completed the
    /// handshake](Self#while-syns-flood-the-stack) gets a RST instead. No error is sent that a host
    /// must not send about a SYN, such as "packet too big" about an IPv4 packet without "don't
    /// fragment".
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # let client = connector.connect("192.0.2.1:80".parse().unwrap());
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// use brooklet_tcp::Unreachable;
    ///
    /// request.reject(Unreachable::Host);
    /// # assert_eq!(listener.stats().rejected, 1);
    /// # Ok::<(), std::io::Error>(()) };
    /// let failed = future::zip(client, server).await.0.unwrap_err();
    /// assert_eq!(failed.kind(), std::io::ErrorKind::HostUnreachable);
    /// # Ok(()) });
    /// ```
    pub fn reject(self, kind: impl Into<IcmpErrorKind>) {
        self.reject_with(kind.into(), None);
    }

    /// Answers with an ICMP error, as [`reject`](Self::reject) does, from the address of `router`:
    /// of the hop on the way to the destination that the packet does not pass.
    ///
    /// A proxy shows the path behind it to `traceroute -T` so: it connects upstream with the hop
    /// limit that is left, and passes on the ICMP error that comes back.
    ///
    /// If `router` has another family than the client, or is the address of no host, the error comes
    /// from the address that the client asked for.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_stacks.rs")); }
    /// # example::run(async |connector, listener| {
    /// # use futures_lite::{StreamExt, future};
    /// # use std::net::{Ipv4Addr, SocketAddr};
    /// use brooklet_tcp::{IcmpErrorKind, TcpOptions};
    ///
    /// # let from = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    /// # let probe = TcpOptions::new().ttl(1);
    /// # let client = connector.connect_with(from, "192.0.2.1:80".parse().unwrap(), probe);
    /// # let server = async {
    /// # let request = listener.requests().next().await.unwrap()?;
    /// if request.hop_limit() <= 1 {
    ///     let router = "10.0.0.1".parse().unwrap();
    ///     request.reject_from(IcmpErrorKind::HopLimitExceeded, router);
    /// }
    /// # Ok::<(), std::io::Error>(()) };
    /// # let failed = future::zip(client, server).await.0.unwrap_err();
    /// # assert_eq!(failed.kind(), std::io::ErrorKind::HostUnreachable);
    /// # Ok(()) });
    /// ```
    pub fn reject_from(self, kind: impl Into<IcmpErrorKind>, router: IpAddr) {
        self.reject_with(kind.into(), Some(router));
    }

    fn reject_with(mut self, kind: IcmpErrorKind, router: Option<IpAddr>) {
        self.answered = true;
        let syn = self.take(|stats| &mut stats.rejected);
        if syn.as_ref().is_some_and(|syn| syn.completed().is_some()) {
            // The client is connected, and would only wait longer (RFC 1122, 4.2.3.9).
            return self.stack.refuse(syn.as_slice());
        }
        let router = router
            .filter(|router| is_host(*router) && router.is_ipv4() == self.local_addr().is_ipv4());
        self.stack
            .reply(syn.as_slice(), |out, packet| match router {
                Some(router) => icmp::error_from(out, router, packet, kind),
                None => icmp::error(out, packet, kind),
            });
    }
}
