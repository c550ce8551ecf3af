use crate::drop_reason::{DropReason, REASONS};
use crate::memory::MemoryStats;
use brooklet_packet::reassembly;
use std::fmt;

/// The counters and gauges of a stack.
///
/// Its text has one line for each figure that is not 0.
///
/// ```
/// # #[cfg(all(feature = "sync", feature = "async-io"))] {
/// use brooklet::{Builder, DropReason, Parts};
///
/// # let (device, _) = brooklet::pipe(64);
/// let Parts { stack, .. } = Builder::new().build(device)?;
/// let stats = stack.stats();
/// assert_eq!((stats.packets_in, stats.dropped(DropReason::BadChecksum)), (0, 0));
/// assert_eq!(stats.to_string(), "");
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default)
)]
#[non_exhaustive]
pub struct Stats {
    /// Packets received from the device. A super-packet counts once.
    pub packets_in: u64,
    /// Bytes received from the device.
    pub bytes_in: u64,
    /// Packets sent to the device. A packet that the driver segments or fragments counts once.
    pub packets_out: u64,
    /// Bytes sent to the device.
    pub bytes_out: u64,
    /// ICMP echo requests answered.
    pub echo_replies: u64,
    /// ICMP errors received.
    pub icmp_errors: u64,
    /// Errors of the device that are not fatal: after each the driver has gone on. See
    /// [`DeviceFault`](crate::DeviceFault).
    pub device_errors: u64,
    /// The reassembly of fragments.
    pub reassembly: reassembly::Stats,
    /// TCP.
    pub tcp: brooklet_tcp::Stats,
    /// UDP.
    pub udp: brooklet_udp::Stats,
    /// ICMP and raw sockets.
    pub raw: brooklet_raw::Stats,
    /// The memory that the stack holds.
    pub memory: MemoryStats,
    pub(crate) drops: Drops,
}

/// The packets that the drivers drop, by [`DropReason::index`]. The entries of reasons that an
/// engine or the reassembler counts stay 0.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(from = "Vec<(DropReason, u64)>", into = "Vec<(DropReason, u64)>")
)]
pub(crate) struct Drops([u64; REASONS]);

#[cfg(feature = "serde")]
impl From<Drops> for Vec<(DropReason, u64)> {
    fn from(drops: Drops) -> Self {
        let counted = DropReason::ALL.iter().copied().zip(drops.0);
        counted.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(feature = "serde")]
impl From<Vec<(DropReason, u64)>> for Drops {
    fn from(counted: Vec<(DropReason, u64)>) -> Self {
        let mut drops = Self::default();
        for (reason, count) in counted {
            drops.0[reason.index()] = count;
        }
        drops
    }
}

impl Drops {
    /// Counts one packet.
    pub(crate) fn count(&mut self, reason: DropReason) {
        self.0[reason.index()] += 1;
    }
}

impl Default for Drops {
    fn default() -> Self {
        Self([0; REASONS])
    }
}

impl fmt::Debug for Drops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = DropReason::ALL.iter().zip(self.0);
        f.debug_map()
            .entries(counted.filter(|(_, count)| *count > 0))
            .finish()
    }
}

impl Stats {
    /// Adds the counters of another driver of the stack.
    pub(crate) fn add(&mut self, driver: &Self) {
        self.packets_in += driver.packets_in;
        self.bytes_in += driver.bytes_in;
        self.packets_out += driver.packets_out;
        self.bytes_out += driver.bytes_out;
        self.echo_replies += driver.echo_replies;
        self.icmp_errors += driver.icmp_errors;
        self.memory.drivers += driver.memory.drivers;
        self.device_errors += driver.device_errors;
        for (sum, count) in self.drops.0.iter_mut().zip(driver.drops.0) {
            *sum += count;
        }
    }

    /// Returns the number of packets dropped for `reason`.
    ///
    /// ```
    /// use brooklet::{DropReason, Stats};
    ///
    /// assert_eq!(Stats::default().dropped(DropReason::FilteredIn), 0);
    /// ```
    pub fn dropped(&self, reason: DropReason) -> u64 {
        let (fragments, tcp) = (&self.reassembly, &self.tcp);
        let (udp, raw) = (&self.udp, &self.raw);
        match reason {
            DropReason::FragmentInvalid => fragments.invalid,
            DropReason::FragmentDuplicate => fragments.duplicates,
            DropReason::FragmentConflict => fragments.conflicts,
            DropReason::FragmentEvicted => fragments.full,
            DropReason::FragmentExpired => fragments.expired,
            DropReason::TcpMalformed => tcp.malformed,
            DropReason::TcpBadFlags => tcp.bad_flags,
            DropReason::TcpBadAddress => tcp.bad_address,
            DropReason::TcpBacklogFull => tcp.backlog_full,
            DropReason::TcpSourceFull => tcp.source_full,
            DropReason::TcpTableFull => tcp.table_full,
            DropReason::TcpRepeatedSyn => tcp.repeated_syns,
            DropReason::TcpUnaccepted => tcp.unaccepted,
            DropReason::TcpResetLimit => tcp.reset_limit,
            DropReason::TcpLate => tcp.late,
            DropReason::TcpClosed => tcp.closed,
            DropReason::TcpBadRst => tcp.bad_rst,
            DropReason::TcpUnexpectedSyn => tcp.unexpected_syn,
            DropReason::TcpBadAck => tcp.bad_ack,
            DropReason::TcpNoAck => tcp.no_ack,
            DropReason::TcpOldTimestamp => tcp.old_timestamp,
            DropReason::TcpOutsideWindow => tcp.outside_window,
            DropReason::TcpDuplicate => tcp.duplicates,
            DropReason::TcpOutOfOrderFull => tcp.out_of_order_full,
            DropReason::TcpOutboundFull => tcp.outbound_full,
            DropReason::UdpFull => udp.dropped_full,
            DropReason::UdpSourceFull => udp.dropped_source,
            DropReason::UdpBacklogFull => udp.dropped_backlog,
            DropReason::UdpFiltered => udp.filtered,
            DropReason::UdpNoListener => udp.no_listener,
            DropReason::UdpMalformed => udp.dropped_other,
            DropReason::EchoIgnored => raw.ignored,
            DropReason::RawNoSocket => raw.no_listener,
            DropReason::RawFull => raw.dropped_full,
            DropReason::RawSourceFull => raw.dropped_source,
            DropReason::RawClosed => raw.dropped_other,
            DropReason::IcmpForbidden => raw.icmp_errors_forbidden,
            DropReason::RawOutboundFull => raw.answers_dropped,
            DropReason::RawInvalid => raw.invalid_out,
            // The driver counts the packets of other protocols, and its own errors.
            DropReason::TooBig => self.drops.0[reason.index()] + udp.dropped_too_big,
            DropReason::IcmpLimited => self.drops.0[reason.index()] + raw.icmp_errors_limited,
            DropReason::IcmpIgnored => self.drops.0[reason.index()] + tcp.icmp_ignored,
            reason => self.drops.0[reason.index()],
        }
    }

    /// Returns every reason with the number of packets dropped for it.
    ///
    /// ```
    /// # let stats = brooklet::Stats::default();
    /// for (reason, count) in stats.drops().filter(|(_, count)| *count > 0) {
    ///     println!("{count} packets dropped: {reason}");
    /// }
    /// # assert_eq!(stats.drops().count(), brooklet::DropReason::ALL.len());
    /// ```
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> {
        let stats = *self;
        let reasons = DropReason::ALL.iter();
        reasons.map(move |&reason| (reason, stats.dropped(reason)))
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tcp, udp, raw) = (&self.tcp, &self.udp, &self.raw);
        let figures = [
            ("packets in", self.packets_in),
            ("bytes in", self.bytes_in),
            ("packets out", self.packets_out),
            ("bytes out", self.bytes_out),
            ("echo replies", self.echo_replies),
            ("ICMP errors in", self.icmp_errors),
            ("device errors", self.device_errors),
            ("fragments in", self.reassembly.fragments),
            ("packets reassembled", self.reassembly.packets),
            ("fragments used", self.reassembly.used),
            ("packets in reassembly", self.reassembly.queued_packets),
            ("fragments in reassembly", self.reassembly.queued_fragments),
            ("bytes in reassembly", self.reassembly.queued_bytes),
            ("TCP connections", tcp.connections),
            ("TCP requests waiting", tcp.requests),
            ("TCP connections half-open", tcp.half_open),
            ("TCP connections in TIME-WAIT", tcp.time_wait),
            ("TCP connections with buffers", tcp.buffered),
            ("TCP bytes in buffers", tcp.buffers),
            ("TCP bytes in pooled buffers", tcp.pooled_buffers),
            ("TCP requested", tcp.requested),
            ("TCP accepted", tcp.accepted),
            ("TCP refused", tcp.refused),
            ("TCP rejected", tcp.rejected),
            ("TCP dropped silently", tcp.dropped_silently),
            ("TCP requests withdrawn", tcp.withdrawn),
            ("TCP requests expired", tcp.expired),
            ("TCP connects", tcp.connects),
            ("TCP resets of unmatched segments", tcp.resets),
            ("TCP half-open connections evicted", tcp.half_open_full),
            ("TCP SYN cookies sent", tcp.syn_cookies_sent),
            ("TCP SYN cookies received", tcp.syn_cookies_received),
            ("TCP SYN cookies failed", tcp.syn_cookies_failed),
            ("TCP ACKs not sent at the rate limit", tcp.limited_acks),
            ("TCP segments retransmitted", tcp.retransmits),
            ("TCP retransmission timeouts", tcp.timeouts),
            (
                "TCP SACK blocks ignored, scoreboard full",
                tcp.scoreboard_full,
            ),
            ("TCP round trips measured", tcp.round_trips.count()),
            ("UDP datagrams in", udp.datagrams_in),
            ("UDP bytes in", udp.bytes_in),
            ("UDP datagrams out", udp.datagrams_out),
            ("UDP bytes out", udp.bytes_out),
            ("UDP ICMP errors", udp.icmp_errors),
            ("UDP sessions", udp.sessions),
            ("UDP sessions opened", udp.sessions_opened),
            ("UDP sessions ended, idle", udp.sessions_idle),
            ("UDP sessions ended, evicted", udp.sessions_evicted),
            ("UDP sessions closed", udp.sessions_closed),
            ("echo requests delivered", raw.echo_requests_in),
            ("echo requests for the stack to answer", raw.answered),
            ("echo requests rejected", raw.rejected),
            ("echo replies delivered", raw.echo_replies_in),
            ("ICMP errors about echo requests", raw.icmp_errors_in),
            ("ICMP messages about no echo request", raw.unmatched),
            ("raw packets in", raw.raw_packets_in),
            ("echo requests out", raw.echo_requests_out),
            ("echo replies of the program", raw.echo_replies_out),
            ("ICMP errors of the program", raw.icmp_errors_out),
            ("raw packets out", raw.raw_packets_out),
        ];
        for (name, figure) in figures.into_iter().filter(|(_, figure)| *figure > 0) {
            writeln!(f, "{name}: {figure}")?;
        }
        let round_trips = &tcp.round_trips;
        let quantiles = [0.5, 0.99].map(|quantile| round_trips.quantile(quantile));
        if let (Some(mean), [Some(median), Some(most)]) = (round_trips.mean(), quantiles) {
            writeln!(
                f,
                "TCP round-trip time: {mean:.1?} on average, half within {median:.1?}, \
                 99 of 100 within {most:.1?}"
            )?;
        }
        for (part, bytes) in self.memory.parts().filter(|(_, bytes)| *bytes > 0) {
            writeln!(f, "memory, {part}: {bytes}")?;
        }
        for (reason, count) in self.drops().filter(|(_, count)| *count > 0) {
            writeln!(f, "dropped, {reason}: {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Sets each of the fields to a number of its own.
    macro_rules! number {
        ($next:ident, $stats:expr, $($field:ident)*) => {
            $($stats.$field = $next(); )*
        };
    }

    /// Stats in which every figure is another number from 1,000 on, and how many there are.
    fn numbered() -> (Stats, u64) {
        let mut last = 999;
        let mut next = || {
            last += 1;
            last
        };
        let mut stats = Stats::default();
        number!(next, stats, packets_in bytes_in packets_out bytes_out echo_replies icmp_errors);
        number!(next, stats, device_errors);
        number!(next, stats.reassembly, fragments packets used queued_packets queued_fragments);
        number!(next, stats.reassembly, queued_bytes invalid duplicates conflicts full expired);
        number!(next, stats.tcp, connections requests time_wait buffered buffers pooled_buffers);
        number!(next, stats.tcp, requested accepted refused rejected dropped_silently withdrawn);
        number!(next, stats.tcp, expired connects resets half_open_full limited_acks malformed);
        number!(next, stats.tcp, bad_flags bad_address backlog_full source_full table_full late);
        number!(next, stats.tcp, repeated_syns closed bad_rst unexpected_syn bad_ack no_ack);
        number!(next, stats.tcp, old_timestamp outside_window duplicates out_of_order_full);
        number!(next, stats.tcp, icmp_ignored outbound_full retransmits timeouts half_open);
        number!(next, stats.tcp, syn_cookies_sent syn_cookies_received syn_cookies_failed);
        number!(next, stats.tcp, unaccepted reset_limit scoreboard_full);
        stats.tcp.round_trips.counts[7] = next();
        stats.tcp.round_trips.sum = Duration::from_secs(5);
        number!(next, stats.udp, datagrams_in bytes_in datagrams_out bytes_out dropped_full);
        number!(next, stats.udp, dropped_source no_listener dropped_other dropped_backlog);
        number!(next, stats.udp, dropped_too_big filtered icmp_errors sessions sessions_opened);
        number!(next, stats.udp, sessions_idle sessions_evicted sessions_closed);
        number!(next, stats.raw, echo_requests_in echo_replies_in icmp_errors_in raw_packets_in);
        number!(next, stats.raw, echo_requests_out echo_replies_out icmp_errors_out);
        number!(next, stats.raw, raw_packets_out answered rejected ignored dropped_full);
        number!(next, stats.raw, dropped_source no_listener unmatched answers_dropped);
        number!(next, stats.raw, icmp_errors_limited icmp_errors_forbidden invalid_out);
        number!(next, stats.raw, dropped_other);
        number!(next, stats.memory, tcp_buffers tcp_pooled_buffers tcp_connections tcp_syn_queue);
        number!(next, stats.memory, tcp_time_wait tcp_outbound udp_inbound udp_sessions);
        number!(next, stats.memory, udp_outbound raw_inbound raw_outbound reassembly drivers);
        for &reason in DropReason::ALL {
            if stats.dropped(reason) == 0 {
                stats.drops.0[reason.index()] = next();
            }
        }
        (stats, last - 999)
    }

    #[test]
    fn every_figure_has_a_line_of_its_own() {
        let (stats, figures) = numbered();
        // A field that is new, and missing in `numbered`, is still 0.
        let debug = format!("{stats:?}");
        assert!(
            !debug.contains(": 0,") && !debug.contains(": 0 "),
            "{debug}"
        );
        let text = stats.to_string();
        for figure in 1000..1000 + figures {
            let lines = text
                .lines()
                .filter(|line| line.ends_with(&format!(": {figure}")));
            assert_eq!(lines.count(), 1, "{figure} in\n{text}\nof\n{debug}");
        }
        // The round-trip time is several figures in one line.
        assert_eq!(text.lines().count() as u64, figures + 1, "{text}");
    }

    #[test]
    fn the_round_trip_time_is_shown_by_its_mean_and_two_bounds() {
        let mut stats = Stats::default();
        stats.tcp.round_trips.counts[6] = 99;
        stats.tcp.round_trips.counts[10] = 1;
        stats.tcp.round_trips.sum = Duration::from_millis(200);
        assert_eq!(
            stats.to_string(),
            "TCP round trips measured: 100\nTCP round-trip time: 2.0ms on average, half within \
             2.0ms, 99 of 100 within 2.0ms\n"
        );
    }

    #[test]
    fn the_counters_of_two_drivers_add_up() {
        let (driver, _) = numbered();
        let mut sum = Stats::default();
        sum.add(&driver);
        sum.add(&driver);
        assert_eq!(sum.packets_in, 2 * driver.packets_in);
        assert_eq!(sum.icmp_errors, 2 * driver.icmp_errors);
        for reason in [DropReason::Martian, DropReason::UnknownProtocol] {
            assert_eq!(sum.dropped(reason), 2 * driver.dropped(reason));
        }
    }
}
