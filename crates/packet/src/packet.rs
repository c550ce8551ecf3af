//! The bytes and the headers of a packet.

use crate::{Headers, ParseError};
use std::ops::Deref;

/// The bytes of an IP packet together with its [`Headers`].
///
/// The methods of [`Headers`] are methods of the packet too.
///
/// ```
/// use brooklet_packet::{Packet, udp};
///
/// let mut bytes = Vec::new();
/// udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
/// let packet = Packet::parse(&bytes)?;
/// assert_eq!(packet.payload(), b"hello");
/// assert_eq!(packet.source().to_string(), "10.0.0.1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    headers: Headers,
}

impl<'a> Packet<'a> {
    /// Parses a packet like [`Headers::parse`]. Bytes beyond the length of the IP header are ignored.
    ///
    /// # Errors
    ///
    /// The first fault that the parser finds.
    ///
    /// ```
    /// use brooklet_packet::{Packet, ParseError};
    ///
    /// assert_eq!(Packet::parse(b"").unwrap_err(), ParseError::Truncated);
    /// ```
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Ok(Self::new(bytes, Headers::parse(bytes)?))
    }

    /// Returns a packet of `bytes` and the headers that were parsed from them.
    ///
    /// # Panics
    ///
    /// If `bytes` is shorter than [`Headers::total_len`]. The function does not check that the bytes
    /// are those that were parsed; every range is inside of them.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, Packet, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// let headers = Headers::parse(&bytes)?;
    /// // ... the bytes wait in a queue, the headers beside them ...
    /// assert_eq!(Packet::new(&bytes, headers).payload(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(bytes: &'a [u8], headers: Headers) -> Self {
        let total_len = headers.total_len();
        assert!(
            bytes.len() >= total_len,
            "{} bytes of a packet of {total_len}",
            bytes.len()
        );
        Self {
            bytes: &bytes[..total_len],
            headers,
        }
    }

    /// Returns the bytes of the packet, without padding behind it.
    ///
    /// ```
    /// # use brooklet_packet::{Packet, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// bytes.extend_from_slice(b"padding");
    /// assert_eq!(Packet::parse(&bytes)?.bytes().len(), 33);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns transport header and payload; see [`Headers::transport_range`].
    ///
    /// ```
    /// # use brooklet_packet::{Packet, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Packet::parse(&bytes)?.transport().len(), 8 + 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transport(&self) -> &'a [u8] {
        &self.bytes[self.headers.transport_range()]
    }

    /// Returns the payload; see [`Headers::payload_range`].
    ///
    /// ```
    /// # use brooklet_packet::{Packet, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Packet::parse(&bytes)?.payload(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[self.headers.payload_range()]
    }

    /// Returns the headers, for a caller that keeps them apart from the bytes.
    ///
    /// ```
    /// # use brooklet_packet::{Headers, Packet, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert_eq!(Packet::parse(&bytes)?.headers(), &Headers::parse(&bytes)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns whether the transport checksum is correct; see [`Headers::verify_checksum`].
    ///
    /// ```
    /// # use brooklet_packet::{Packet, udp};
    /// # let mut bytes = Vec::new();
    /// # udp::write(&mut bytes, "10.0.0.1:5000".parse()?, "10.0.0.2:53".parse()?, 64, b"hello")?;
    /// assert!(Packet::parse(&bytes)?.verify_checksum());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify_checksum(&self) -> bool {
        self.headers.verify_checksum(self.bytes)
    }
}

impl Deref for Packet<'_> {
    type Target = Headers;

    fn deref(&self) -> &Headers {
        &self.headers
    }
}
