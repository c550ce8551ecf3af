use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Ports of the host that lead into the namespace: `[ADDRESS:]HOSTPORT:PORT[/tcp|/udp]`, where both
/// ports may be ranges of the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    /// The address of the host. `None` stands for both loopback addresses.
    pub(crate) address: Option<IpAddr>,
    /// The ports of the host.
    pub(crate) host: RangeInclusive<u16>,
    /// The first port in the namespace.
    pub(crate) inside: u16,
    /// The protocol of the ports.
    pub(crate) protocol: Protocol,
}

/// The protocol of a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

impl Publish {
    /// Returns each port of the host with the port in the namespace.
    #[cfg(any(target_os = "linux", test))]
    pub(crate) fn ports(&self) -> impl Iterator<Item = (u16, u16)> {
        self.host.clone().zip(self.inside..=u16::MAX)
    }
}

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, protocol) = match text.rsplit_once('/') {
            None => (text, Protocol::Tcp),
            Some((rest, "tcp")) => (rest, Protocol::Tcp),
            Some((rest, "udp")) => (rest, Protocol::Udp),
            Some((_, other)) => return Err(format!("`{other}` is neither tcp nor udp")),
        };
        let form = "write [ADDRESS:]HOSTPORT:PORT, such as 8080:80 or [::1]:8080:80/udp";
        let (rest, inside) = rest.rsplit_once(':').ok_or(form)?;
        let (address, host) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((address, host)) => (Some(address), host),
        };
        let address = match address {
            None => None,
            Some(address) => Some(parse_address(address)?),
        };
        let (host, inside) = (parse_ports(host)?, parse_ports(inside)?);
        if host.len() != inside.len() {
            let (host, inside) = (host.len(), inside.len());
            return Err(format!(
                "{host} ports of the host cannot lead to {inside} ports: write ranges of one length"
            ));
        }
        Ok(Self {
            address,
            inside: *inside.start(),
            host,
            protocol,
        })
    }
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = match bare {
        Some(ipv6) => ipv6.parse().map(IpAddr::V6),
        None => text.parse().map(IpAddr::V4),
    };
    address.map_err(|_| {
        format!("`{text}` is not an address: write 127.0.0.1:8080:80 or [::1]:8080:80")
    })
}

fn parse_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first @ 1..), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(format!(
            "`{text}` is not a port: write 1 to 65535, or a range such as 8000-8010"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_with_and_without_address_protocol_and_range() {
        for (text, address, ports, protocol) in [
            ("8080:80", None, vec![(8080, 80)], Protocol::Tcp),
            ("8080:80/tcp", None, vec![(8080, 80)], Protocol::Tcp),
            (
                "0.0.0.0:53:5353/udp",
                Some("0.0.0.0"),
                vec![(53, 5353)],
                Protocol::Udp,
            ),
            ("[::1]:1:2", Some("::1"), vec![(1, 2)], Protocol::Tcp),
            (
                "65534-65535:10-11",
                None,
                vec![(65534, 10), (65535, 11)],
                Protocol::Tcp,
            ),
            ("7:65535", None, vec![(7, 65535)], Protocol::Tcp),
        ] {
            let publish: Publish = text.parse().unwrap();
            assert_eq!(
                publish.address,
                address.map(|address| address.parse().unwrap()),
                "{text}"
            );
            assert_eq!(publish.ports().collect::<Vec<_>>(), ports, "{text}");
            assert_eq!(publish.protocol, protocol, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (text, about) in [
            ("8080", "HOSTPORT:PORT"),
            ("", "HOSTPORT:PORT"),
            ("8080:80/sctp", "`sctp`"),
            ("8080:http", "`http`"),
            ("0:80", "`0`"),
            ("80:0", "`0`"),
            ("80:70000", "`70000`"),
            ("9-8:9-8", "`9-8`"),
            ("8000-8010:80", "11 ports"),
            ("::1:8080:80", "[::1]"),
            ("[127.0.0.1]:8080:80", "not an address"),
            ("localhost:8080:80", "not an address"),
            (":8080:80", "not an address"),
        ] {
            let error = text.parse::<Publish>().unwrap_err();
            assert!(
                error.contains(about) && !error.contains('\n'),
                "{text}: {error}"
            );
        }
    }
}
