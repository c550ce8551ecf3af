use brooklet_packet::ParseError;
use std::fmt;

/// Defines [`DropReason`] with its text and its place among all reasons in one list, so that no
/// reason can be missing from one of them.
macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident: $text:literal,)*) => {
        /// Why a packet was dropped.
        ///
        /// Each packet that the stack drops counts once; [`Stats::dropped`](crate::Stats::dropped)
        /// returns the number for a reason. The text of a reason is in lower case, except for
        /// names.
        ///
        /// ```
        /// use brooklet::DropReason;
        ///
        /// assert!(DropReason::ALL.contains(&DropReason::BadChecksum));
        /// assert_eq!(DropReason::BadChecksum.to_string(), "wrong TCP, UDP or ICMP checksum");
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(
            feature = "serde",
            derive(serde::Serialize, serde::Deserialize),
            serde(rename_all = "snake_case")
        )]
        #[non_exhaustive]
        pub enum DropReason {
            /// Inbound: not an IP packet that a host takes.
            Malformed(ParseError),
            $($(#[$doc])* $reason,)*
        }

        /// The number of reasons.
        pub(crate) const REASONS: usize = ParseError::ALL.len() + [$(stringify!($reason)),*].len();

        const ALL: [DropReason; REASONS] = {
            let mut all = [DropReason::Malformed(ParseError::Truncated); REASONS];
            let mut index = 0;
            while index < ParseError::ALL.len() {
                all[index] = DropReason::Malformed(ParseError::ALL[index]);
                index += 1;
            }
            $(
                all[index] = DropReason::$reason;
                index += 1;
            )*
            assert!(index == REASONS);
            all
        };

        impl DropReason {
            /// Every reason, in ascending order.
            pub const ALL: &'static [Self] = &ALL;

            /// The place of the reason in [`ALL`](Self::ALL).
            pub(crate) fn index(self) -> usize {
                /// The reasons without data, which the compiler numbers.
                enum Number {
                    $($reason,)*
                }
                match self {
                    Self::Malformed(error) => error.index(),
                    $(Self::$reason => ParseError::ALL.len() + Number::$reason as usize,)*
                }
            }
        }

        impl fmt::Display for DropReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    Self::Malformed(error) => write!(f, "malformed: {error}"),
                    $(Self::$reason => f.write_str($text),)*
                }
            }
        }
    };
}

reasons! {
    /// Inbound: IPv6, and the stack was built [without IPv6](crate::generic::Builder::ipv6).
    Ipv6Disabled: "IPv6 is switched off",
    /// Inbound: an address that no host uses on a link, such as loopback; see
    /// [Addresses](crate::generic::Driver#addresses).
    Martian: "martian address",
    /// Inbound: the TCP, UDP or ICMP checksum is wrong.
    BadChecksum: "wrong TCP, UDP or ICMP checksum",
    /// Inbound: a fragment while reassembly is off, or a fragment whose payload is a fragment.
    ReassemblyOff: "fragment that is not reassembled",
    /// Inbound: a fragment whose offset or length no packet can have.
    FragmentInvalid: "fragment with an impossible offset or length",
    /// Inbound: a fragment that had arrived before.
    FragmentDuplicate: "duplicate fragment",
    /// Inbound: a fragment of a packet whose fragments overlap or contradict each other.
    FragmentConflict: "fragments that overlap or contradict each other",
    /// Inbound: a fragment that was removed to make room for newer ones.
    FragmentEvicted: "fragment removed to make room for newer ones",
    /// Inbound: a fragment of a packet that was not complete in time.
    FragmentExpired: "fragment of a packet that was not complete in time",
    /// Inbound: the filter dropped it.
    FilteredIn: "filtered, inbound",
    /// Outbound: the filter dropped it.
    FilteredOut: "filtered, outbound",
    /// Inbound: the filter rejected it, with an answer to its sender.
    RejectedIn: "rejected, inbound",
    /// Outbound: the filter rejected it, with an answer to the connection or the socket that sent
    /// it.
    RejectedOut: "rejected, outbound",
    /// Inbound or outbound: the filter panicked instead of giving a verdict.
    FilterPanicked: "filter panicked",
    /// Outbound: the device refused it. [`DeviceFault::Packet`](crate::DeviceFault) tells by which
    /// errors.
    DeviceRefused: "refused by the device",
    /// Outbound: longer than the MTU of its path, and it may not or cannot be fragmented: an IPv4
    /// packet with "don't fragment", or a packet with IPv4 options or IPv6 extension headers.
    TooLong: "too long for the path MTU",
    /// Outbound: a reply of the stack (an ICMP message, or a RST for the filter) that found the
    /// queue full.
    ReplyFull: "queue of replies full",
    /// Inbound: longer than the path MTU that is known for its destination, and must not be
    /// fragmented.
    TooBig: "above the path MTU of its destination",
    /// Inbound: neither TCP, UDP nor ICMP, and no raw socket takes the protocol.
    UnknownProtocol: "neither TCP, UDP nor ICMP",
    /// Inbound: an ICMP message that is neither an error nor an echo request, nor the reply to an
    /// echo request of the program.
    IcmpUnanswered: "ICMP message that is not answered",
    /// Inbound: an ICMP error that is about no TCP segment in flight (RFC 5927, 4.1), no UDP socket
    /// or session and no echo request of the stack, or one that timeouts deal with (RFC 5927, 6.1).
    IcmpIgnored: "ICMP error about nothing that the stack has sent",
    /// Outbound: an ICMP error above the limit, which is 100 per second and 50 at once to one IPv4
    /// address or IPv6 /64, and ten times that to all.
    IcmpLimited: "ICMP error above the rate limit",
    /// Outbound: a packet made by the stack that is no IP packet. This is a fault of the stack.
    OutboundMalformed: "malformed packet made by the stack",
    /// Inbound: no TCP segment.
    TcpMalformed: "malformed TCP segment",
    /// Inbound: TCP control bits that contradict each other.
    TcpBadFlags: "TCP control bits that contradict each other",
    /// Inbound: a TCP segment for no connection with an address that no host can have, a port 0, or
    /// the same address and port at both ends.
    TcpBadAddress: "TCP segment with an unusable address or port 0",
    /// Inbound: a SYN that found the backlog full, or that a newer one evicted.
    TcpBacklogFull: "TCP backlog full",
    /// Inbound: a SYN of a source that has as many requests as it may have.
    TcpSourceFull: "TCP backlog of the source full",
    /// Inbound: a SYN, while there are as many connections as there may be.
    TcpTableFull: "TCP connection table full",
    /// Inbound: a SYN that repeats one that was or will be answered.
    TcpRepeatedSyn: "repeated TCP SYN",
    /// Inbound: a TCP segment of a client that a SYN cookie has connected, before the program has
    /// accepted.
    TcpUnaccepted: "TCP segment before the program has accepted",
    /// Inbound: a TCP segment that belongs to no connection, beyond the limit of RSTs.
    TcpResetLimit: "unmatched TCP segment at the rate limit of RSTs",
    /// Inbound: a segment that arrived in TIME-WAIT and needs no answer.
    TcpLate: "TCP segment in TIME-WAIT",
    /// Inbound: a segment whose connection ended while the segment was on its way to it.
    TcpClosed: "TCP segment of a connection that has just ended",
    /// Inbound: a RST without a connection or with an unexpected sequence number (RFC 5961, 3.2).
    TcpBadRst: "unexpected TCP RST",
    /// Inbound: a SYN of a connection that is established (RFC 5961, 4.2).
    TcpUnexpectedSyn: "unexpected TCP SYN",
    /// Inbound: a segment with an unacceptable acknowledgment number (RFC 5961, 5.2).
    TcpBadAck: "unacceptable TCP acknowledgment",
    /// Inbound: a segment without the ACK that its connection requires (RFC 9293, 3.10.7).
    TcpNoAck: "TCP segment without ACK",
    /// Inbound: a segment with an old timestamp: PAWS (RFC 7323, 5).
    TcpOldTimestamp: "old TCP timestamp",
    /// Inbound: a segment outside of the receive window, such as a window probe (RFC 9293, 3.4).
    TcpOutsideWindow: "TCP segment outside of the window",
    /// Inbound: a segment whose data had arrived before.
    TcpDuplicate: "duplicate TCP data",
    /// Inbound: a TCP segment that found the out-of-order queue of its connection full.
    TcpOutOfOrderFull: "TCP out-of-order queue full",
    /// Outbound: an answer of TCP without a connection that found the outbound queue full.
    TcpOutboundFull: "TCP outbound queue full",
    /// Inbound: a datagram that found the inbound queue full.
    UdpFull: "UDP inbound queue full",
    /// Inbound: a datagram whose source holds its share of the inbound queue.
    UdpSourceFull: "UDP inbound queue share of the source full",
    /// Inbound: a datagram that would have opened a session, while as many as may wait to be
    /// accepted did.
    UdpBacklogFull: "UDP session backlog full",
    /// Outbound: a datagram to the client of a session, from an address that the session's
    /// [`Filtering`](crate::Filtering) refuses.
    UdpFiltered: "UDP datagram filtered by its session",
    /// Inbound: a datagram, while no handle could read it.
    UdpNoListener: "UDP without a socket that reads",
    /// Inbound: an echo request that the policy ignores.
    EchoIgnored: "ICMP echo request ignored",
    /// An echo request that no ICMP socket takes, or a diverted packet that no raw socket takes.
    RawNoSocket: "no ICMP or raw socket takes it",
    /// Inbound: a message or packet that found the queue of its ICMP or raw socket full.
    RawFull: "queue of an ICMP or raw socket full",
    /// Inbound: a message or packet whose source holds its share of the queue of the ICMP or raw
    /// socket.
    RawSourceFull: "share of the source in the queue of an ICMP or raw socket full",
    /// Inbound: a message or packet for an ICMP or raw socket, after the end of the stack.
    RawClosed: "ICMP and raw sockets ended",
    /// Outbound: a reply or an error of the program that found the outbound queue of the ICMP and
    /// raw sockets full.
    RawOutboundFull: "outbound queue of ICMP and raw sockets full",
    /// Outbound: an ICMP error of the program about a packet about which no error may be sent
    /// (RFC 1122, 3.2.2; RFC 4443, 2.4(e)).
    IcmpForbidden: "ICMP error that must not be sent",
    /// Outbound: bytes that another stack sent through a raw socket and that are no IP packet, or
    /// too long with "don't fragment", or IPv6 and the stack was built without IPv6.
    RawInvalid: "invalid packet of a raw socket",
    /// Inbound: a datagram that is not whole, or that arrived after the end of the stack.
    UdpMalformed: "UDP datagram that is not whole",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn all_reasons_are_in_ascending_order_and_at_their_index() {
        assert!(DropReason::ALL.is_sorted());
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index, "{reason:?}");
        }
    }

    #[test]
    fn every_reason_has_a_text_of_its_own() {
        let texts: HashSet<_> = DropReason::ALL.iter().map(DropReason::to_string).collect();
        assert_eq!(texts.len(), DropReason::ALL.len());
    }
}
