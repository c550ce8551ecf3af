//! The options of a socket.

use super::UdpSocket;
use crate::inbound::{Options, Receiver};
use brooklet_cell::Flavor;
use brooklet_packet::TrafficClass;
use std::io;

impl<F: Flavor> UdpSocket<F> {
    /// Returns the IPv4 time to live and IPv6 hop limit of the datagrams that the socket sends.
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.option(|options| options.hop_limit.into()))
    }

    /// Sets the IPv4 time to live and IPv6 hop limit of the datagrams that the socket sends.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): `ttl` is 0 or exceeds 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        match u8::try_from(ttl) {
            Ok(ttl @ 1..) => {
                self.option(|options| options.hop_limit = ttl);
                Ok(())
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a time to live of {ttl} is out of range; use 1 to 255"),
            )),
        }
    }

    /// Returns the IPv4 type of service and IPv6 traffic class of the datagrams that
    /// [`send_to`](Self::send_to) and [`send`](Self::send) send.
    pub fn traffic_class(&self) -> TrafficClass {
        self.option(|options| options.traffic_class)
    }

    /// Sets the IPv4 type of service and IPv6 traffic class of the datagrams that
    /// [`send_to`](Self::send_to) and [`send`](Self::send) send. Default 0.
    pub fn set_traffic_class(&self, traffic_class: TrafficClass) {
        self.option(|options| options.traffic_class = traffic_class);
    }

    /// Returns whether [`send_to`](Self::send_to) and [`send`](Self::send) refuse datagrams that
    /// exceed the path MTU.
    pub fn dont_fragment(&self) -> bool {
        self.option(|options| options.dont_fragment)
    }

    /// Sets whether [`send_to`](Self::send_to) and [`send`](Self::send) refuse datagrams that exceed
    /// the path MTU, and set "don't fragment" in the others. Default `false`: long datagrams are
    /// fragmented. Programs that discover the path MTU, such as QUIC, set it.
    pub fn set_dont_fragment(&self, dont_fragment: bool) {
        self.option(|options| options.dont_fragment = dont_fragment);
    }

    /// Sets whether calls report every ICMP error about a datagram of the socket, such as the
    /// "time exceeded" of a router, and also while the socket is not connected (`IP_RECVERR` of
    /// Linux). Default `false`.
    pub fn set_recv_errors(&self, recv_errors: bool) {
        self.option(|options| options.recv_errors = recv_errors);
    }

    /// Sets whether segment batches (GRO) are received as one [`Datagram`](crate::Datagram) with a
    /// [`segment_size`](crate::Datagram#structfield.segment_size). Default `false`: one by one. With
    /// batches, receive by [`recv_datagram`](Self::recv_datagram) or
    /// [`recv_batch`](Self::recv_batch): the other methods do not tell where a datagram ends.
    pub fn set_gro(&self, gro: bool) {
        self.with(|inbound, id| inbound.set_gro(Receiver::Socket(id), gro));
    }

    fn option<R: Default>(&self, f: impl FnOnce(&mut Options) -> R) -> R {
        self.with(|inbound, id| {
            let socket = inbound.sockets.get_mut(id);
            socket
                .map(|socket| f(&mut socket.options))
                .unwrap_or_default()
        })
    }
}
