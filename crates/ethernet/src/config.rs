use crate::MacAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// An address of the adapter and the length of its prefix in bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address {
    pub(crate) ip: IpAddr,
    prefix: u8,
}

impl Address {
    /// Whether `other` is in the network of the address.
    pub(crate) fn contains(&self, other: Ipv4Addr) -> bool {
        match self.ip {
            IpAddr::V4(ip) => {
                let hosts = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                ip.to_bits() | hosts == other.to_bits() | hosts
            }
            IpAddr::V6(_) => false,
        }
    }
}

/// The settings of an [`Ethernet`](crate::Ethernet).
///
/// ```
/// use brooklet_ethernet::{Config, MacAddr};
///
/// // The router 10.0.2.2 of a virtual machine, which stands for every other address as well.
/// let config = Config::new(MacAddr::new([2, 0, 0, 0, 0, 1]))
///     .address([10, 0, 2, 2], 24)
///     .address("fd00::2".parse::<std::net::Ipv6Addr>()?, 64)
///     .proxy(true)
///     .mtu(1500);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing before `Ethernet::new` takes it"]
pub struct Config {
    pub(crate) mac: MacAddr,
    pub(crate) addresses: Vec<Address>,
    pub(crate) proxy: bool,
    pub(crate) learn: bool,
    pub(crate) mtu: Option<usize>,
    pub(crate) neighbors: usize,
    pub(crate) queue: usize,
    pub(crate) lifetime: Duration,
    pub(crate) advertised_prefix: Option<Ipv6Addr>,
}

impl Config {
    /// Creates the default settings with the MAC address of the adapter: no addresses, no proxy.
    ///
    /// Choose a locally administered address, whose first byte is 2 modulo 4, that no other
    /// interface of the network has.
    ///
    /// ```
    /// use brooklet_ethernet::Config;
    ///
    /// let config = Config::new([2, 0, 0, 0, 0, 1].into());
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `mac` is a group address or zero.
    pub fn new(mac: MacAddr) -> Self {
        assert!(mac.is_unicast(), "{mac} is not the address of an interface");
        Self {
            mac,
            addresses: Vec::new(),
            proxy: false,
            learn: true,
            mtu: None,
            neighbors: 1024,
            queue: 16,
            lifetime: Duration::from_secs(60),
            advertised_prefix: None,
        }
    }

    /// Adds an address of the stack, with the length of its prefix in bits: 0 to 32 or 128.
    ///
    /// The adapter answers ARP requests and neighbor solicitations for the address, announces the
    /// address at its start, and defends it against another host that claims it. Of IPv4, packets
    /// to the last address of the prefix are broadcast. The adapter does not test whether another
    /// host has the address already.
    ///
    /// The link-local IPv6 address that follows from the MAC address needs no call.
    ///
    /// ```
    /// # use brooklet_ethernet::{Config, MacAddr};
    /// let config = Config::new(MacAddr::new([2, 0, 0, 0, 0, 1])).address([10, 0, 2, 2], 24);
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `prefix` is longer than the address, or if `address` is none of one host.
    pub fn address(mut self, address: impl Into<IpAddr>, prefix: u8) -> Self {
        let ip = address.into();
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        assert!(prefix <= longest, "a prefix of {prefix} bits for {ip}");
        assert!(
            brooklet_packet::is_unicast(ip),
            "{ip} is not the address of a host"
        );
        self.addresses.push(Address { ip, prefix });
        self
    }

    /// Sets whether the adapter answers ARP requests and neighbor solicitations for every address,
    /// as a transparent stack needs that accepts connections to any destination. Off by default.
    ///
    /// The adapter is then the router of everything: for a virtual machine, or for hosts that
    /// reach each other only through the stack. It answers neither for an address that a known
    /// neighbor has, nor a host that tests whether its own address is taken (RFC 5227, 2.1.1;
    /// RFC 4862, 5.4), nor a host that announces its address. On a network where hosts talk to
    /// each other directly, leave this off, and let the hosts use an [`address`](Self::address) as
    /// their router.
    ///
    /// ```
    /// # use brooklet_ethernet::{Config, MacAddr};
    /// let config = Config::new(MacAddr::new([2, 0, 0, 0, 0, 1])).proxy(true);
    /// ```
    pub fn proxy(mut self, proxy: bool) -> Self {
        self.proxy = proxy;
        self
    }

    /// Sets whether the adapter learns the MAC address of a neighbor from the source addresses of
    /// the packets that it receives. On by default.
    ///
    /// Then an answer needs no ARP request, and a host behind another router gets its answers
    /// through that router. Such a packet adds an entry to the table and never changes one.
    ///
    /// ```
    /// # use brooklet_ethernet::{Config, MacAddr};
    /// let config = Config::new(MacAddr::new([2, 0, 0, 0, 0, 1])).learn(false);
    /// ```
    pub fn learn(mut self, learn: bool) -> Self {
        self.learn = learn;
        self
    }

    /// Sets the MTU: the length of the longest IP packet, in bytes. By default the MTU is 14 bytes
    /// less than that of the frame source, or 1,500 if the source does not tell.
    ///
    /// ```
    /// # use brooklet_ethernet::{Config, MacAddr};
    /// let config = Config::new(MacAddr::new([2, 0, 0, 0, 0, 1])).mtu(9000);
    /// ```
    pub fn mtu(mut self, mtu: usize) -> Self {
        self.mtu = Some(mtu);
        self
    }

    /// Bounds the table of neighbors (at least 1); 1,024 by default. A full table forgets the
    /// neighbor that was used least recently.
    ///
    /// ```
    /// # use brooklet_ethernet::{Config, MacAddr};
    /// let config = Config::new(MacAddr::new([2, 0, 0, 0, 0, 1])).neighbors(16);
    /// ```
    pub fn neighbors(mut self, neighbors: usize) -> Self {
        self.neighbors = neighbors.max(1);
        self
    }

    /// Bounds the queue of packets for a neighbor that is being resolved (at least 1); 16 by
    /// default. All these queues together hold at most 256 packets.
    ///
    /// ```
    /// # use brooklet_ethernet::{Config, MacAddr};
    /// let config = Config::new(MacAddr::new([2, 0, 0, 0, 0, 1])).neighbor_queue(3);
    /// ```
    pub fn neighbor_queue(mut self, packets: usize) -> Self {
        self.queue = packets.max(1);
        self
    }

    /// Sets how long a neighbor is believed to have its MAC address without a sign of life; 60 s
    /// by default (RFC 1122, 2.3.2.1). The next packet to the neighbor then begins a check by up
    /// to three requests to that MAC address, one a second; without an answer the neighbor is
    /// resolved anew.
    ///
    /// ```
    /// # use brooklet_ethernet::{Config, MacAddr};
    /// # use std::time::Duration;
    /// let mac = MacAddr::new([2, 0, 0, 0, 0, 1]);
    /// let config = Config::new(mac).neighbor_lifetime(Duration::from_secs(30));
    /// ```
    pub fn neighbor_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Makes the adapter an IPv6 router that advertises itself and a prefix of 64 bits, from which
    /// hosts make their addresses (RFC 4861, 6.2; RFC 4862, 5.5). Off by default.
    ///
    /// The adapter sends an advertisement at its start, every 200 s, and to hosts that ask. The
    /// prefix is not advertised as on-link: hosts send all packets to the router.
    ///
    /// ```
    /// # use brooklet_ethernet::{Config, MacAddr};
    /// let config = Config::new(MacAddr::new([2, 0, 0, 0, 0, 1]))
    ///     .advertise("fd00:0:0:1::".parse()?);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `prefix` has bits behind the first 64, or is a multicast or link-local one.
    pub fn advertise(mut self, prefix: Ipv6Addr) -> Self {
        let usable = !prefix.is_multicast() && !prefix.is_unicast_link_local();
        let host_bits = prefix.to_bits() & u128::from(u64::MAX);
        assert!(usable && host_bits == 0, "{prefix} is no prefix of 64 bits");
        self.advertised_prefix = Some(prefix);
        self
    }

    /// Whether packets to `address` are broadcast.
    pub(crate) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        let directed = |own: &Address| match own.ip {
            // RFC 3021: a prefix of 31 bits has no broadcast address.
            IpAddr::V4(ip) if own.prefix < 31 => {
                let hosts = u32::MAX.checked_shr(own.prefix.into()).unwrap_or(0);
                address.to_bits() == ip.to_bits() | hosts
            }
            _ => false,
        };
        address.is_broadcast() || self.addresses.iter().any(directed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_address_of_a_prefix_is_broadcast() {
        let mac = MacAddr::new([2, 0, 0, 0, 0, 1]);
        let config = Config::new(mac)
            .address([10, 0, 2, 2], 24)
            .address([10, 1, 0, 1], 31)
            .address([10, 2, 0, 0], 32);
        for (address, broadcast) in [
            ([255, 255, 255, 255], true),
            ([10, 0, 2, 255], true),
            ([10, 0, 3, 255], false),
            ([10, 1, 0, 1], false),
            ([10, 2, 0, 0], false),
        ] {
            assert_eq!(
                config.is_broadcast(address.into()),
                broadcast,
                "{address:?}"
            );
        }
    }
}
