use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// An address, or the address of a network, and the length of its prefix in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) address: IpAddr,
    pub(super) len: u8,
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl Prefix {
    fn longest(self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// Returns the address with the bits behind the prefix cleared.
    fn network(self) -> IpAddr {
        let host_bits = u32::from(self.longest().saturating_sub(self.len));
        match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V4((address.to_bits() & mask).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                IpAddr::V6((address.to_bits() & mask).into())
            }
        }
    }
}

/// The longest transmit queue in packets: Linux allocates an array of pointers to them, which may
/// have 4 MiB (`KMALLOC_MAX_SIZE`) on most machines. It says `EPERM` of a longer queue.
const LONGEST_TX_QUEUE: u32 = 512 * 1024;

/// What a [`TunBuilder`](super::TunBuilder) was told.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) mtu: Option<u16>,
    pub(super) addresses: Vec<Prefix>,
    pub(super) routes: Vec<Prefix>,
    pub(super) tx_queue_len: Option<u32>,
    pub(super) owner: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) persist: bool,
    pub(super) netns: Option<PathBuf>,
    pub(super) offload: bool,
    pub(super) tap: bool,
    pub(super) packet_info: bool,
    pub(super) queues: usize,
}

impl Settings {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            mtu: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            tx_queue_len: None,
            owner: None,
            group: None,
            persist: false,
            netns: None,
            offload: true,
            tap: false,
            packet_info: false,
            queues: 1,
        }
    }

    /// Refuses values that no system takes, before anything is opened.
    pub(super) fn check(&self) -> io::Result<()> {
        for prefix in self.addresses.iter().chain(&self.routes) {
            if prefix.len > prefix.longest() {
                let longest = prefix.longest();
                return Err(self.unfit(format_args!(
                    "the prefix of {prefix} is too long: use 0 to {longest} bits"
                )));
            }
        }
        for Prefix { address, .. } in &self.addresses {
            if address.is_unspecified() || address.is_multicast() {
                return Err(self.unfit(format_args!(
                    "{address} is no address of an interface: use a unicast address"
                )));
            }
        }
        for route in &self.routes {
            let network = route.network();
            if network != route.address {
                let len = route.len;
                return Err(self.unfit(format_args!(
                    "the route {route} has bits behind its prefix: use {network}/{len}"
                )));
            }
        }
        match self.tx_queue_len {
            Some(0) => {
                return Err(self.unfit(
                    "a transmit queue of 0 packets drops every packet: use 1 or more, 500 is usual",
                ));
            }
            Some(len) if len > LONGEST_TX_QUEUE => {
                return Err(self.unfit(format_args!(
                    "a transmit queue of {len} packets is too long: use at most \
                     {LONGEST_TX_QUEUE}, 500 is usual"
                )));
            }
            _ => {}
        }
        if self
            .netns
            .as_ref()
            .is_some_and(|path| path.as_os_str().is_empty())
        {
            return Err(self.unfit(
                "the network namespace has no name: give one, or a path such as /proc/PID/ns/net",
            ));
        }
        for (id, what) in [(self.owner, "user"), (self.group, "group")] {
            if id == Some(u32::MAX) {
                return Err(self.unfit(format_args!(
                    "{} is no {what} id: use that of a {what} of the system",
                    u32::MAX
                )));
            }
        }
        if self.tap && self.packet_info {
            return Err(self.unfit("a TAP has no packet information: leave `packet_info` out"));
        }
        if self.queues == 0 {
            return Err(self.unfit("0 queues: ask for one or more"));
        }
        Ok(())
    }

    /// An error of what the caller asked for.
    pub(super) fn unfit(&self, why: impl fmt::Display) -> io::Error {
        self.error(io::ErrorKind::InvalidInput, why)
    }

    /// An error of opening the device, as one line.
    pub(super) fn error(&self, kind: io::ErrorKind, why: impl fmt::Display) -> io::Error {
        let device = self.device();
        io::Error::new(kind, format!("cannot open {device} `{}`: {why}", self.name))
    }

    /// Returns the kind of device, for messages.
    pub(super) fn device(&self) -> &'static str {
        if self.tap { "TAP" } else { "TUN" }
    }

    /// Returns whether the device is to be opened with segmentation offload: super-packets come with
    /// virtio-net headers and not with packet information.
    #[cfg(target_os = "linux")]
    pub(super) fn wants_offload(&self) -> bool {
        self.offload && !self.packet_info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::new("tun3".into());
        change(&mut settings);
        let error = settings.check().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(text.contains("`tun3`") && !text.contains('\n'), "{text}");
        text
    }

    fn prefix(address: &str, len: u8) -> Prefix {
        let address = address.parse().unwrap();
        Prefix { address, len }
    }

    #[test]
    fn a_prefix_beyond_the_address_is_refused() {
        for (address, len, mend) in [("10.0.0.1", 33, "0 to 32"), ("fd00::1", 129, "0 to 128")] {
            let text = refusal(|s| s.addresses.push(prefix(address, len)));
            assert!(text.contains(mend), "{text}");
            let text = refusal(|s| s.routes.push(prefix(address, len)));
            assert!(text.contains(mend), "{text}");
        }
    }

    #[test]
    fn a_route_with_host_bits_is_refused_with_its_network() {
        for (address, len, mend) in [
            ("10.1.2.3", 8, "use 10.0.0.0/8"),
            ("10.1.2.3", 0, "use 0.0.0.0/0"),
            ("fd00::1", 64, "use fd00::/64"),
            ("fd00::1", 0, "use ::/0"),
        ] {
            let text = refusal(|s| s.routes.push(prefix(address, len)));
            assert!(text.contains(mend), "{text}");
        }
    }

    #[test]
    fn networks_hosts_and_defaults_are_routes() {
        let mut settings = Settings::new("tun3".into());
        settings.routes = vec![
            prefix("10.0.0.0", 8),
            prefix("10.1.2.3", 32),
            prefix("0.0.0.0", 0),
            prefix("fd00::", 16),
            prefix("fd00::1", 128),
            prefix("::", 0),
        ];
        settings.check().unwrap();
    }

    #[test]
    fn an_address_that_no_interface_has_is_refused() {
        for address in ["0.0.0.0", "224.0.0.1", "::", "ff02::1"] {
            let text = refusal(|s| s.addresses.push(prefix(address, 8)));
            assert!(text.contains("use a unicast address"), "{text}");
        }
    }

    #[test]
    fn a_namespace_without_a_name_is_refused() {
        assert!(refusal(|s| s.netns = Some(PathBuf::new())).contains("give one"));
    }

    #[test]
    fn a_queue_without_room_or_of_too_much_is_refused() {
        assert!(refusal(|s| s.tx_queue_len = Some(0)).contains("use 1 or more"));
        assert!(refusal(|s| s.tx_queue_len = Some(524_289)).contains("at most 524288"));
        assert!(refusal(|s| s.queues = 0).contains("one or more"));
    }

    #[test]
    fn a_tap_with_packet_information_is_refused() {
        let text = refusal(|s| (s.tap, s.packet_info) = (true, true));
        assert!(text.starts_with("cannot open TAP"), "{text}");
    }

    #[test]
    fn the_invalid_id_is_refused() {
        assert!(refusal(|s| s.owner = Some(u32::MAX)).contains("user id"));
        assert!(refusal(|s| s.group = Some(u32::MAX)).contains("group id"));
    }
}
