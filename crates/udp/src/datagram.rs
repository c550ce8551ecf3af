use std::{fmt, net::SocketAddr};

/// A datagram with both of its addresses.
///
/// The `Debug` output shows the length of the payload, not its content.
///
/// ```
/// use brooklet_udp::Datagram;
///
/// let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
/// let question = Datagram::new(*b"question", client, server);
/// assert_eq!((question.from, question.to), (client, server));
/// assert!(format!("{question:?}").contains("8 bytes"));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Datagram {
    /// The payload, which may be empty.
    pub payload: Vec<u8>,
    /// The address of the sender.
    pub from: SocketAddr,
    /// The destination address.
    pub to: SocketAddr,
}

impl Datagram {
    /// Creates a datagram that carries `payload` from the address `from` to the address `to`.
    #[must_use]
    pub fn new(payload: impl Into<Vec<u8>>, from: SocketAddr, to: SocketAddr) -> Self {
        Self {
            payload: payload.into(),
            from,
            to,
        }
    }

    /// Creates a reply to this datagram: the addresses are swapped.
    ///
    /// ```
    /// use brooklet_udp::Datagram;
    ///
    /// let (client, server) = ("10.0.0.1:5000".parse()?, "9.9.9.9:53".parse()?);
    /// let question = Datagram::new(*b"question", client, server);
    /// assert_eq!(question.reply(*b"answer"), Datagram::new(*b"answer", server, client));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    #[must_use]
    pub fn reply(&self, payload: impl Into<Vec<u8>>) -> Self {
        Self::new(payload, self.to, self.from)
    }
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("from", &self.from)
            .field("to", &self.to)
            .finish()
    }
}
