/// The properties of the device that carries the packets of an [`Engine`](crate::Engine).
///
/// ```
/// use brooklet_raw::Interface;
///
/// let interface = Interface::new().mtu(9000).ipv6(false);
/// assert_eq!(interface.mtu, 9000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// The MTU of the link, in bytes: the longest IP packet that is sent without fragmentation.
    /// Default 1,500.
    pub mtu: usize,
    /// Whether packets are sent over IPv6. Default `true`.
    pub ipv6: bool,
}

impl Default for Interface {
    fn default() -> Self {
        Self {
            mtu: 1500,
            ipv6: true,
        }
    }
}

impl Interface {
    /// Returns the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`mtu`](Self#structfield.mtu).
    #[must_use]
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }

    /// Sets [`ipv6`](Self#structfield.ipv6).
    #[must_use]
    pub fn ipv6(mut self, ipv6: bool) -> Self {
        self.ipv6 = ipv6;
        self
    }
}
