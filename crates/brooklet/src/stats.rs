use brooklet_packet::{ParseError, reassembly};
use std::fmt;

/// What a stack has done so far, and what it holds.
///
/// It prints one counter a line, without those that are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct Stats {
    /// Packets received from the device. Several that come as one packet, where the device has
    /// offload, count once.
    pub packets_in: u64,
    /// Bytes received from the device.
    pub bytes_in: u64,
    /// Packets sent to the device. One that is cut into several on its way counts once.
    pub packets_out: u64,
    /// Bytes sent to the device.
    pub bytes_out: u64,
    /// ICMP echo requests answered.
    pub echo_replies: u64,
    /// ICMP errors received about packets that were sent from here.
    pub icmp_errors: u64,
    /// The reassembly of fragments.
    pub reassembly: reassembly::Stats,
    /// The TCP side.
    pub tcp: brooklet_tcp::Stats,
    /// The UDP side.
    pub udp: brooklet_udp::Stats,
    pub(crate) dropped: Dropped,
}

/// What the driver itself drops, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
pub(crate) struct Dropped {
    pub(crate) malformed: [u64; ParseError::ALL.len()],
    pub(crate) ipv6: u64,
    pub(crate) checksum: u64,
    pub(crate) fragment: u64,
    pub(crate) filtered_in: u64,
    pub(crate) filtered_out: u64,
    pub(crate) protocol: u64,
    pub(crate) icmp: u64,
    pub(crate) icmp_full: u64,
    pub(crate) icmp_limited: u64,
}

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum DropReason {
    /// It is not an IP packet that can be read.
    Malformed(ParseError),
    /// An IPv6 packet, and the stack was built [without IPv6](crate::generic::Builder::ipv6).
    Ipv6,
    /// Its TCP, UDP or ICMP checksum is wrong.
    Checksum,
    /// It is a fragment and reassembly is off, or it is one inside of fragments.
    Fragment,
    /// A fragment as no packet can have it.
    FragmentInvalid,
    /// A fragment that was there already.
    FragmentDuplicate,
    /// A fragment of a packet whose fragments overlap or contradict each other.
    FragmentConflict,
    /// A fragment that gave way to newer ones.
    FragmentFull,
    /// A fragment whose packet was not complete in time.
    FragmentExpired,
    /// The filter dropped it on the way in.
    FilteredIn,
    /// The filter dropped it on the way out.
    FilteredOut,
    /// It carries neither TCP, UDP nor ICMP.
    Protocol,
    /// It carries an ICMP message that is not answered.
    Icmp,
    /// The answer of ICMP found its queue full.
    IcmpFull,
    /// The ICMP error in answer would have been one too many: 100 a second are sent, and 50 at
    /// once.
    IcmpLimited,
    /// TCP flags that make no sense together.
    TcpFlags,
    /// A SYN from or to an address that is not unicast, a port 0, or from an address to itself.
    TcpAddress,
    /// A TCP request that gave way to a newer one in a full backlog.
    TcpBacklog,
    /// A TCP connection request gave way to a newer one of its source.
    TcpSource,
    /// A SYN that found the table full.
    TcpTable,
    /// A TCP request that nobody answered in time.
    TcpExpired,
    /// An answer of TCP that found the outbound queue full.
    TcpOutbound,
    /// A datagram that found the queue full.
    UdpFull,
    /// A datagram whose source held more than its share of the queue.
    UdpSource,
    /// A datagram when nobody could read it.
    UdpNoListener,
    /// A datagram that was not whole, or came after the end.
    UdpOther,
}

impl Stats {
    /// Adds what another driver of the stack has counted.
    pub(crate) fn add(&mut self, driver: &Self) {
        self.packets_in += driver.packets_in;
        self.bytes_in += driver.bytes_in;
        self.packets_out += driver.packets_out;
        self.bytes_out += driver.bytes_out;
        self.echo_replies += driver.echo_replies;
        self.icmp_errors += driver.icmp_errors;
        let (sum, dropped) = (&mut self.dropped, &driver.dropped);
        for (sum, malformed) in sum.malformed.iter_mut().zip(dropped.malformed) {
            *sum += malformed;
        }
        sum.ipv6 += dropped.ipv6;
        sum.checksum += dropped.checksum;
        sum.fragment += dropped.fragment;
        sum.filtered_in += dropped.filtered_in;
        sum.filtered_out += dropped.filtered_out;
        sum.protocol += dropped.protocol;
        sum.icmp += dropped.icmp;
        sum.icmp_full += dropped.icmp_full;
        sum.icmp_limited += dropped.icmp_limited;
    }

    /// Packets dropped for `reason`.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        let (own, tcp, udp) = (&self.dropped, &self.tcp, &self.udp);
        let fragments = &self.reassembly;
        match reason {
            DropReason::Malformed(error) => own.malformed[error.index()],
            DropReason::Ipv6 => own.ipv6,
            DropReason::Checksum => own.checksum,
            DropReason::Fragment => own.fragment,
            DropReason::FragmentInvalid => fragments.invalid,
            DropReason::FragmentDuplicate => fragments.duplicates,
            DropReason::FragmentConflict => fragments.conflicts,
            DropReason::FragmentFull => fragments.full,
            DropReason::FragmentExpired => fragments.expired,
            DropReason::FilteredIn => own.filtered_in,
            DropReason::FilteredOut => own.filtered_out,
            DropReason::Protocol => own.protocol,
            DropReason::Icmp => own.icmp,
            DropReason::IcmpFull => own.icmp_full,
            DropReason::IcmpLimited => own.icmp_limited,
            DropReason::TcpFlags => tcp.bad_flags,
            DropReason::TcpAddress => tcp.bad_address,
            DropReason::TcpBacklog => tcp.backlog_full,
            DropReason::TcpSource => tcp.source_full,
            DropReason::TcpTable => tcp.table_full,
            DropReason::TcpExpired => tcp.expired,
            DropReason::TcpOutbound => tcp.outbound_full,
            DropReason::UdpFull => udp.dropped_full,
            DropReason::UdpSource => udp.dropped_source,
            DropReason::UdpNoListener => udp.no_listener,
            DropReason::UdpOther => udp.dropped_other,
        }
    }

    /// Every reason, with the packets dropped for it.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        use DropReason as R;
        let rest = [
            R::Ipv6,
            R::Checksum,
            R::Fragment,
            R::FragmentInvalid,
            R::FragmentDuplicate,
            R::FragmentConflict,
            R::FragmentFull,
            R::FragmentExpired,
            R::FilteredIn,
            R::FilteredOut,
            R::Protocol,
            R::Icmp,
            R::IcmpFull,
            R::IcmpLimited,
            R::TcpFlags,
            R::TcpAddress,
            R::TcpBacklog,
            R::TcpSource,
            R::TcpTable,
            R::TcpExpired,
            R::TcpOutbound,
            R::UdpFull,
            R::UdpSource,
            R::UdpNoListener,
            R::UdpOther,
        ];
        let stats = *self;
        ParseError::ALL
            .into_iter()
            .map(R::Malformed)
            .chain(rest)
            .map(move |reason| (reason, stats.dropped(reason)))
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(error) => return write!(f, "malformed: {error}"),
            Self::Ipv6 => "IPv6 switched off",
            Self::Checksum => "bad checksum",
            Self::Fragment => "fragment",
            Self::FragmentInvalid => "fragment of no packet",
            Self::FragmentDuplicate => "fragment repeated",
            Self::FragmentConflict => "fragments in conflict",
            Self::FragmentFull => "fragment displaced",
            Self::FragmentExpired => "fragment expired",
            Self::FilteredIn => "filtered inbound",
            Self::FilteredOut => "filtered outbound",
            Self::Protocol => "unknown protocol",
            Self::Icmp => "ICMP not answered",
            Self::IcmpFull => "ICMP answer queue full",
            Self::IcmpLimited => "ICMP error beyond the limit",
            Self::TcpFlags => "TCP flags",
            Self::TcpAddress => "TCP address",
            Self::TcpBacklog => "TCP backlog full",
            Self::TcpSource => "TCP backlog of the source full",
            Self::TcpTable => "TCP table full",
            Self::TcpExpired => "TCP request expired",
            Self::TcpOutbound => "TCP outbound queue full",
            Self::UdpFull => "UDP queue full",
            Self::UdpSource => "UDP queue share of the source full",
            Self::UdpNoListener => "UDP without listener",
            Self::UdpOther => "UDP not whole",
        })
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tcp, udp) = (&self.tcp, &self.udp);
        let counters = [
            ("packets in", self.packets_in),
            ("bytes in", self.bytes_in),
            ("packets out", self.packets_out),
            ("bytes out", self.bytes_out),
            ("echo replies", self.echo_replies),
            ("ICMP errors in", self.icmp_errors),
            ("fragments in", self.reassembly.fragments),
            ("fragments waiting", self.reassembly.held_fragments),
            ("packets put together", self.reassembly.packets),
            ("TCP connections", tcp.connections),
            ("TCP requests waiting", tcp.requests),
            ("TCP time-wait", tcp.time_wait),
            ("TCP requested", tcp.requested),
            ("TCP accepted", tcp.accepted),
            ("TCP refused", tcp.refused),
            ("TCP unreachable", tcp.unreachable),
            ("TCP dropped silently", tcp.dropped_silently),
            ("TCP connects", tcp.connects),
            ("TCP resets to strangers", tcp.resets),
            ("UDP datagrams in", udp.datagrams_in),
            ("UDP datagrams out", udp.datagrams_out),
        ];
        for (name, count) in counters.into_iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "{name}: {count}")?;
        }
        for (reason, count) in self.drops().filter(|(_, count)| *count > 0) {
            writeln!(f, "dropped, {reason}: {count}")?;
        }
        Ok(())
    }
}
