//! The options of a socket.

use super::UdpSocket;
use crate::inbound::{Options, Receiver};
use brooklet_cell::Flavor;
use brooklet_packet::TrafficClass;
use std::io;

impl<F: Flavor> UdpSocket<F> {
    /// Returns the IPv4 time to live and IPv6 hop limit of the datagrams that the socket sends.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// assert_eq!(socket.ttl()?, 64);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.option(|options| options.hop_limit.into()))
    }

    /// Sets the IPv4 time to live and IPv6 hop limit of the datagrams that the socket sends.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// socket.set_ttl(1)?;
    /// assert_eq!(socket.ttl()?, 1);
    /// assert!(socket.set_ttl(256).is_err());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
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
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// assert_eq!(socket.traffic_class().dscp(), 0);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn traffic_class(&self) -> TrafficClass {
        self.option(|options| options.traffic_class)
    }

    /// Sets the IPv4 type of service and IPv6 traffic class of the datagrams that
    /// [`send_to`](Self::send_to) and [`send`](Self::send) send. Default 0.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// use brooklet_udp::TrafficClass;
    ///
    /// // Expedited forwarding (RFC 3246).
    /// socket.set_traffic_class(TrafficClass::default().with_dscp(46));
    /// assert_eq!(socket.traffic_class().dscp(), 46);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_traffic_class(&self, traffic_class: TrafficClass) {
        self.option(|options| options.traffic_class = traffic_class);
    }

    /// Returns whether [`send_to`](Self::send_to) and [`send`](Self::send) refuse datagrams that
    /// exceed the path MTU.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// assert!(!socket.dont_fragment());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn dont_fragment(&self) -> bool {
        self.option(|options| options.dont_fragment)
    }

    /// Sets whether [`send_to`](Self::send_to) and [`send`](Self::send) refuse datagrams that exceed
    /// the path MTU, and set "don't fragment" in the others. Default `false`: long datagrams are
    /// fragmented. Programs that discover the path MTU, such as QUIC, set it.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// let client = "10.0.0.1:5000".parse().unwrap();
    /// assert_eq!(socket.try_send_to(&[0; 4000], client)?, 4000);
    /// socket.set_dont_fragment(true);
    /// assert!(socket.try_send_to(&[0; 4000], client).is_err());
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_dont_fragment(&self, dont_fragment: bool) {
        self.option(|options| options.dont_fragment = dont_fragment);
    }

    /// Sets whether calls report every ICMP error about a datagram of the socket, such as the
    /// "time exceeded" of a router, and also while the socket is not connected (`IP_RECVERR` of
    /// Linux). Default `false`.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// socket.set_recv_errors(true);
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn set_recv_errors(&self, recv_errors: bool) {
        self.option(|options| options.recv_errors = recv_errors);
    }

    /// Sets whether segment batches (GRO) are received as one [`Datagram`](crate::Datagram) with a
    /// [`segment_size`](crate::Datagram#structfield.segment_size). Default `false`: one by one. With
    /// batches, receive by [`recv_datagram`](Self::recv_datagram) or
    /// [`recv_batch`](Self::recv_batch): the other methods do not tell where a datagram ends.
    ///
    /// ```
    /// # #[cfg(feature = "sync")] {
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example.rs")); }
    /// # use example::*; let (engine, socket) = example::socket();
    /// socket.set_gro(true);
    /// assert_eq!(socket.try_recv_datagram()?.segment_size, None, "a single datagram");
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
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
