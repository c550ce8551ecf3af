//! The settings of a connection that can be read and changed while it lasts.

use super::TcpStream;
use crate::connection::info::TcpInfo;
use crate::options::{at_least_a_second, duration, micros, usable_delay, usable_time, without_ecn};
use brooklet_cell::Flavor;
use brooklet_packet::TrafficClass;
use std::io;
use std::time::Duration;

impl<F: Flavor> TcpStream<F> {
    /// Whether small writes are sent at once (`TCP_NODELAY`). Default `true`.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// assert!(stream.nodelay()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(self.connection.with(|connection| !connection.nagle))
    }

    /// Sets whether small writes are sent at once, or are delayed while data is in flight (Nagle's
    /// algorithm, RFC 9293, 3.7.4).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// stream.set_nodelay(false)?;
    /// assert!(!stream.nodelay()?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.enter(|connection, fx| {
            connection.nagle = !nodelay;
            connection.flush(fx);
        });
        Ok(())
    }

    /// How long an ACK waits at most for data of the application; `None` delays no ACK.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// assert_eq!(stream.delayed_ack(), None);
    /// # Ok(()) });
    /// ```
    pub fn delayed_ack(&self) -> Option<Duration> {
        self.connection.with(|connection| connection.delayed_ack())
    }

    /// Sets how long an ACK waits at most for data of the application that can carry the ACK
    /// (RFC 9293, 3.8.6.3), from 1 ms to 500 ms in whole milliseconds; `None` and 0 delay none. See
    /// [`TcpOptions::delayed_ack`](crate::TcpOptions::delayed_ack).
    ///
    /// An ACK that waits is sent at once.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use std::time::Duration;
    ///
    /// let delay = Some(Duration::from_millis(40));
    /// stream.set_delayed_ack(delay);
    /// assert_eq!(stream.delayed_ack(), delay);
    /// # Ok(()) });
    /// ```
    pub fn set_delayed_ack(&self, delay: Option<Duration>) {
        self.enter(|connection, fx| {
            connection.set_delayed_ack(delay.and_then(usable_delay));
            connection.flush(fx);
        });
    }

    /// The TTL or hop limit of the packets that are sent. Default 64.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// assert_eq!(stream.ttl()?, 64);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// Never. The signature follows async-net.
    pub fn ttl(&self) -> io::Result<u32> {
        Ok(self.connection.with(|connection| connection.ttl.into()))
    }

    /// Sets the TTL or hop limit of the packets that are sent.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// stream.set_ttl(128)?;
    /// assert_eq!(stream.ttl()?, 128);
    /// assert!(stream.set_ttl(0).is_err());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if `ttl` is 0 or above 255.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        let hop_limit = u8::try_from(ttl)
            .ok()
            .filter(|&ttl| ttl > 0)
            .ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "a TTL is between 1 and 255")
            })?;
        self.connection
            .with(|connection| connection.ttl = hop_limit);
        Ok(())
    }

    /// The traffic class of the packets that are sent: the type of service of IPv4, the traffic
    /// class of IPv6 (RFC 2474). Default 0.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// assert_eq!(stream.traffic_class().dscp(), 0);
    /// # Ok(()) });
    /// ```
    pub fn traffic_class(&self) -> TrafficClass {
        self.connection.with(|connection| connection.traffic_class)
    }

    /// Sets the traffic class of the packets that are sent, from the next one on.
    ///
    /// Only the DSCP is taken, as with Linux: the ECN codepoint belongs to TCP (RFC 3168, 6.1), and
    /// this TCP does not negotiate ECN, so every packet is sent as not ECN-capable.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use brooklet_tcp::TrafficClass;
    ///
    /// // Low-latency data, AF21 (RFC 4594).
    /// stream.set_traffic_class(TrafficClass::default().with_dscp(18));
    /// assert_eq!(stream.traffic_class().dscp(), 18);
    /// # Ok(()) });
    /// ```
    pub fn set_traffic_class(&self, class: TrafficClass) {
        self.connection
            .with(|connection| connection.traffic_class = without_ecn(class));
    }

    /// The idle time after which a keepalive probe is sent; `None` sends none.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// assert_eq!(stream.keepalive(), None);
    /// # Ok(()) });
    /// ```
    pub fn keepalive(&self) -> Option<Duration> {
        duration(self.connection.with(|connection| connection.keepalive))
    }

    /// Sets the idle time after which a keepalive probe is sent (RFC 9293, 3.8.4), at least 1 s;
    /// `None` sends none. The connection times out if the peer answers no probe for the
    /// [user timeout](Self::set_user_timeout).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use std::time::Duration;
    ///
    /// let minute = Some(Duration::from_secs(60));
    /// stream.set_keepalive(minute);
    /// assert_eq!(stream.keepalive(), minute);
    /// # Ok(()) });
    /// ```
    pub fn set_keepalive(&self, interval: Option<Duration>) {
        self.enter(|connection, fx| {
            connection.keepalive = micros(interval.map(at_least_a_second));
            connection.flush(fx);
        });
    }

    /// How long the peer may leave data or probes unacknowledged before the connection times out.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use std::time::Duration;
    ///
    /// assert_eq!(stream.user_timeout(), Some(Duration::from_secs(300)));
    /// # Ok(()) });
    /// ```
    pub fn user_timeout(&self) -> Option<Duration> {
        duration(self.connection.with(|connection| connection.user_timeout))
    }

    /// Sets how long the peer may leave data or probes unacknowledged before the connection times
    /// out (RFC 9293, 3.8.3), at least 1 s; `None` never times out.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use std::time::Duration;
    ///
    /// let minute = Some(Duration::from_secs(60));
    /// stream.set_user_timeout(minute);
    /// assert_eq!(stream.user_timeout(), minute);
    /// # Ok(()) });
    /// ```
    pub fn set_user_timeout(&self, timeout: Option<Duration>) {
        self.enter(|connection, fx| {
            connection.user_timeout = micros(timeout.map(at_least_a_second));
            connection.flush(fx);
        });
    }

    /// What happens to undelivered data when the last handle is dropped (`SO_LINGER`). Default `None`.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// assert_eq!(stream.linger(), None);
    /// # Ok(()) });
    /// ```
    pub fn linger(&self) -> Option<Duration> {
        duration(self.connection.with(|connection| connection.linger))
    }

    /// Sets what happens to undelivered data when the last handle is dropped (`SO_LINGER`); see
    /// [`TcpOptions::linger`](crate::TcpOptions::linger).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use std::time::Duration;
    ///
    /// stream.set_linger(Some(Duration::ZERO));
    /// drop(stream); // sends a RST
    /// # Ok(()) });
    /// ```
    pub fn set_linger(&self, linger: Option<Duration>) {
        self.connection
            .with(|connection| connection.linger = micros(linger.map(usable_time)));
    }

    /// The current sizes of the receive buffer and the send buffer, in bytes.
    ///
    /// The initial sizes come from [`TcpOptions`](crate::TcpOptions). The buffers grow on a path with
    /// a long round-trip time, up to [`recv_buffer_max`](crate::TcpOptions::recv_buffer_max) and
    /// [`send_buffer_max`](crate::TcpOptions::send_buffer_max), and are smaller when memory is short
    /// ([`Config::memory`](crate::Config::memory)).
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// assert_eq!(stream.buffer_sizes(), (128 * 1024, 128 * 1024));
    /// # Ok(()) });
    /// ```
    pub fn buffer_sizes(&self) -> (usize, usize) {
        self.connection.with(|connection| connection.buffer_sizes())
    }

    /// The state of the connection, its round-trip time, windows and queues, as in `TCP_INFO`.
    ///
    /// ```
    /// # mod example { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/example_pair.rs")); }
    /// # example::run(async |stream, _peer| {
    /// use brooklet_tcp::TcpState;
    ///
    /// assert_eq!(stream.info().state, TcpState::Established);
    /// # Ok(()) });
    /// ```
    pub fn info(&self) -> TcpInfo {
        self.connection.with(|connection| connection.info())
    }
}
