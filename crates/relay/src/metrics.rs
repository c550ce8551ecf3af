//! The figures of a stack and its relay as OpenMetrics text, for Prometheus and whatever reads its
//! format.

use crate::RelayStats;
use brooklet::{RoundTrips, Stats};
use std::fmt::{Display, Write};

/// The `Content-Type` of the text in an HTTP answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Returns the figures of a stack and its relay as
/// [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) text 1.0. The names begin
/// with `brooklet_`.
///
/// ```
/// use brooklet::Stats;
/// use brooklet_relay::{RelayStats, metrics};
///
/// let mut stack = Stats::default();
/// stack.packets_in = 7;
/// let text = metrics::encode(&stack, &RelayStats::default());
/// assert!(text.contains("\nbrooklet_packets_total{direction=\"in\"} 7\n"));
/// assert!(text.ends_with("\n# EOF\n"));
/// ```
pub fn encode(stack: &Stats, relay: &RelayStats) -> String {
    let mut text = Text(String::with_capacity(16 * 1024));
    device(&mut text, stack);
    fragments(&mut text, stack);
    tcp(&mut text, stack);
    udp(&mut text, stack);
    icmp(&mut text, stack);
    memory(&mut text, stack);
    relayed_connections(&mut text, relay);
    relayed_datagrams(&mut text, relay);
    text.0.push_str("# EOF\n");
    text.0
}

fn device(text: &mut Text, stack: &Stats) {
    text.counters(
        "packets",
        "Packets from the device (in) and to it (out). A super-packet counts once.",
        "direction",
        [("in", stack.packets_in), ("out", stack.packets_out)],
    );
    text.counters(
        "device_bytes",
        "Bytes of those packets.",
        "direction",
        [("in", stack.bytes_in), ("out", stack.bytes_out)],
    );
    text.counter(
        "device_errors",
        "Errors of the device after which the stack has gone on.",
        stack.device_errors,
    );
    text.counters(
        "dropped_packets",
        "Packets that the stack dropped.",
        "reason",
        stack
            .drops()
            .map(|(reason, count)| (snake_case(&format!("{reason:?}")), count)),
    );
}

/// Returns the name of a variant as a label: `tcp_backlog_full` for `TcpBacklogFull`, and
/// `malformed_truncated` for `Malformed(Truncated)`.
fn snake_case(variant: &str) -> String {
    let mut label = String::new();
    for c in variant.chars().filter(|c| c.is_ascii_alphanumeric()) {
        if c.is_ascii_uppercase() && !label.is_empty() {
            label.push('_');
        }
        label.push(c.to_ascii_lowercase());
    }
    label
}

fn fragments(text: &mut Text, stack: &Stats) {
    let fragments = &stack.reassembly;
    text.counters(
        "fragments",
        "Fragments received, and those of packets that were reassembled.",
        "use",
        [("received", fragments.fragments), ("used", fragments.used)],
    );
    text.counter(
        "reassembled_packets",
        "Packets reassembled from fragments.",
        fragments.packets,
    );
    text.gauge(
        "reassembly_packets",
        "Packets in reassembly.",
        fragments.queued_packets,
    );
    text.gauge(
        "reassembly_fragments",
        "Fragments of those packets.",
        fragments.queued_fragments,
    );
    text.gauge(
        "reassembly_bytes",
        "Bytes of those fragments.",
        fragments.queued_bytes,
    );
}

fn tcp(text: &mut Text, stack: &Stats) {
    let tcp = &stack.tcp;
    text.gauges(
        "tcp_connections",
        "TCP connections: those in TIME-WAIT and all others.",
        "state",
        [("open", tcp.connections), ("time_wait", tcp.time_wait)],
    );
    text.gauge(
        "tcp_half_open_connections",
        "TCP connections whose handshake a client has not completed.",
        tcp.half_open,
    );
    text.gauge(
        "tcp_waiting_requests",
        "TCP connection requests that wait for an answer.",
        tcp.requests,
    );
    text.gauge(
        "tcp_buffered_connections",
        "TCP connections that hold buffers.",
        tcp.buffered,
    );
    text.gauges(
        "tcp_buffer_bytes",
        "Memory of TCP buffers: those of connections (used) and free ones (pooled).",
        "state",
        [("used", tcp.buffers), ("pooled", tcp.pooled_buffers)],
    );
    text.counter(
        "tcp_requests",
        "TCP connection requests received.",
        tcp.requested,
    );
    text.counters(
        "tcp_answered_requests",
        "TCP connection requests by their end.",
        "outcome",
        [
            ("accepted", tcp.accepted),
            ("refused", tcp.refused),
            ("rejected", tcp.rejected),
            ("dropped_silently", tcp.dropped_silently),
            ("withdrawn", tcp.withdrawn),
            ("expired", tcp.expired),
            ("half_open_full", tcp.half_open_full),
        ],
    );
    text.counter(
        "tcp_connects",
        "TCP connections opened by the stack.",
        tcp.connects,
    );
    text.counter(
        "tcp_resets",
        "RSTs for TCP segments that belong to no connection.",
        tcp.resets,
    );
    text.counters(
        "tcp_syn_cookies",
        "SYN cookies: sent, received back, and segments without a good one.",
        "outcome",
        [
            ("sent", tcp.syn_cookies_sent),
            ("received", tcp.syn_cookies_received),
            ("failed", tcp.syn_cookies_failed),
        ],
    );
    text.counter(
        "tcp_limited_acks",
        "TCP ACKs not sent because of the rate limit.",
        tcp.limited_acks,
    );
    text.counter(
        "tcp_ignored_sack_blocks",
        "SACK blocks ignored because the scoreboard was full.",
        tcp.scoreboard_full,
    );
    text.counter(
        "tcp_retransmitted_segments",
        "TCP segments retransmitted.",
        tcp.retransmits,
    );
    text.counter(
        "tcp_retransmission_timeouts",
        "TCP retransmission timeouts.",
        tcp.timeouts,
    );
    text.histogram(
        "tcp_round_trip_seconds",
        "Round-trip times that TCP acknowledgments gave.",
        &tcp.round_trips,
    );
}

fn udp(text: &mut Text, stack: &Stats) {
    let udp = &stack.udp;
    text.counters(
        "udp_datagrams",
        "UDP datagrams from the device (in) and to it (out).",
        "direction",
        [("in", udp.datagrams_in), ("out", udp.datagrams_out)],
    );
    text.counters(
        "udp_payload_bytes",
        "Payload of those datagrams.",
        "direction",
        [("in", udp.bytes_in), ("out", udp.bytes_out)],
    );
    text.counter(
        "udp_icmp_errors",
        "ICMP errors about UDP datagrams.",
        udp.icmp_errors,
    );
    text.gauge("udp_sessions", "UDP sessions of the stack.", udp.sessions);
    text.counter(
        "udp_opened_sessions",
        "UDP sessions opened.",
        udp.sessions_opened,
    );
    text.counters(
        "udp_ended_sessions",
        "UDP sessions ended.",
        "reason",
        [
            ("idle", udp.sessions_idle),
            ("evicted", udp.sessions_evicted),
            ("closed", udp.sessions_closed),
        ],
    );
}

fn icmp(text: &mut Text, stack: &Stats) {
    let raw = &stack.raw;
    text.counter(
        "icmp_errors",
        "ICMP errors received from the device.",
        stack.icmp_errors,
    );
    text.counter(
        "icmp_echo_answers",
        "ICMP echo requests that the stack answered.",
        stack.echo_replies,
    );
    text.counters(
        "icmp_echo_requests",
        "ICMP echo requests received, by what became of them, and sent by the program (out).",
        "outcome",
        [
            ("delivered", raw.echo_requests_in),
            ("stack_answers", raw.answered),
            ("rejected", raw.rejected),
            ("out", raw.echo_requests_out),
        ],
    );
    text.counters(
        "icmp_echo_replies",
        "ICMP echo replies to the program (in) and of the program (out).",
        "direction",
        [("in", raw.echo_replies_in), ("out", raw.echo_replies_out)],
    );
    text.counters(
        "icmp_echo_errors",
        "ICMP errors about echo requests of the program (in), and errors of the program (out).",
        "direction",
        [("in", raw.icmp_errors_in), ("out", raw.icmp_errors_out)],
    );
    text.counter(
        "icmp_unmatched",
        "ICMP messages about no echo request of the program.",
        raw.unmatched,
    );
    text.counters(
        "raw_packets",
        "Packets of raw sockets.",
        "direction",
        [("in", raw.raw_packets_in), ("out", raw.raw_packets_out)],
    );
}

fn memory(text: &mut Text, stack: &Stats) {
    text.gauges(
        "memory_bytes",
        "Memory that the stack holds, by what holds it.",
        "part",
        stack
            .memory
            .parts()
            .map(|(part, bytes)| (part.to_lowercase().replace([' ', '-'], "_"), bytes)),
    );
}

fn relayed_connections(text: &mut Text, relay: &RelayStats) {
    text.counter(
        "relay_panics",
        "Tasks of the relay that panicked, each with its connection or session.",
        relay.panics,
    );
    text.gauges(
        "relay_connections",
        "Relayed connections: those whose host has not answered yet, and open ones.",
        "state",
        [
            ("connecting", relay.connecting),
            ("open", relay.connections),
        ],
    );
    text.gauge(
        "relay_uploads",
        "Open connections with data to come from the client, or to go to the host.",
        relay.uploads,
    );
    text.counter(
        "relay_requests",
        "Connection requests that the relay took.",
        relay.requests,
    );
    text.counter(
        "relay_accepted_connections",
        "Connections that the relay accepted.",
        relay.connections_total,
    );
    text.counters(
        "relay_connection_bytes",
        "Data of connections, from clients (up) and to clients (down).",
        "direction",
        [("up", relay.bytes_up), ("down", relay.bytes_down)],
    );
    text.counters(
        "relay_declined_requests",
        "Connection requests that were not dialed, or given up by the client.",
        "reason",
        [
            ("unmapped", relay.unmapped),
            ("hop_limit_exceeded", relay.hop_limit_exceeded),
            ("withdrawn", relay.withdrawn),
        ],
    );
    text.counters(
        "relay_failed_dials",
        "Hosts that could not be reached.",
        "reason",
        [
            ("refused", relay.dials_refused),
            ("unreachable", relay.dials_unreachable),
            ("timed_out", relay.dials_timed_out),
            ("out_of_files", relay.dials_out_of_files),
            ("other", relay.dials_failed),
        ],
    );
    text.counters(
        "relay_broken_connections",
        "Connections that ended otherwise than by a close of both sides.",
        "reason",
        [
            ("client_reset", relay.client_resets),
            ("host_reset", relay.host_resets),
            ("client_vanished", relay.clients_vanished),
            ("host_vanished", relay.hosts_vanished),
            ("half_closed_and_idle", relay.half_close_timeouts),
            ("idle", relay.idle_timeouts),
        ],
    );
}

fn relayed_datagrams(text: &mut Text, relay: &RelayStats) {
    text.gauge(
        "relay_udp_sessions",
        "UDP sessions with a socket of the host.",
        relay.udp_sessions,
    );
    text.counter(
        "relay_opened_udp_sessions",
        "UDP sessions that the relay opened.",
        relay.udp_sessions_total,
    );
    text.counters(
        "relay_datagrams",
        "Datagrams relayed from clients (up) and to clients (down).",
        "direction",
        [("up", relay.datagrams_up), ("down", relay.datagrams_down)],
    );
    text.counters(
        "relay_datagram_bytes",
        "Payload of those datagrams.",
        "direction",
        [
            ("up", relay.datagram_bytes_up),
            ("down", relay.datagram_bytes_down),
        ],
    );
    text.counters(
        "relay_dropped_datagrams",
        "Datagrams that the relay dropped.",
        "reason",
        [
            ("not_mapped", relay.datagrams_unmapped),
            ("hop_limit_exceeded", relay.datagrams_hop_limit_exceeded),
            ("too_big", relay.datagrams_too_big),
            ("unreachable", relay.datagrams_unreachable),
            ("queue_full", relay.datagrams_queue_full),
            ("out_of_files", relay.datagrams_out_of_files),
            ("other", relay.datagrams_dropped),
        ],
    );
    text.counter(
        "relay_datagram_errors",
        "ICMP errors that the host received about datagrams.",
        relay.datagram_errors,
    );
    text.counters(
        "relay_echo_requests",
        "Echo requests of clients.",
        "outcome",
        [
            ("sent", relay.echo_requests),
            ("dropped", relay.echo_dropped),
        ],
    );
    text.counter(
        "relay_echo_replies",
        "Echo replies for clients.",
        relay.echo_replies,
    );
}

/// OpenMetrics text that grows by one metric family at a time.
struct Text(String);

/// The type of the label of a sample that has none.
type NoLabel = &'static str;

impl Text {
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample::<NoLabel>(name, "_total", None, value);
    }

    fn counters<L: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (L, u64)>,
    ) {
        self.family(name, "counter", help);
        for (by, value) in samples {
            self.sample(name, "_total", Some((label, by)), value);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help);
        self.sample::<NoLabel>(name, "", None, value);
    }

    fn gauges<L: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (L, u64)>,
    ) {
        self.family(name, "gauge", help);
        for (by, value) in samples {
            self.sample(name, "", Some((label, by)), value);
        }
    }

    fn histogram(&mut self, name: &str, help: &str, round_trips: &RoundTrips) {
        self.family(name, "histogram", help);
        let mut count = 0;
        let last = RoundTrips::BOUNDS.len() - 1;
        for (index, bound) in RoundTrips::BOUNDS.iter().enumerate() {
            count += round_trips.counts[index];
            let bound = match index {
                // The last bucket has everything else.
                _ if index == last => "+Inf".to_owned(),
                _ => bound.as_secs_f64().to_string(),
            };
            self.sample(name, "_bucket", Some(("le", bound)), count);
        }
        self.sample::<NoLabel>(name, "_count", None, count);
        self.sample::<NoLabel>(name, "_sum", None, round_trips.sum.as_secs_f64());
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# TYPE brooklet_{name} {kind}"));
        for unit in ["bytes", "seconds"] {
            if name.ends_with(&format!("_{unit}")) {
                self.line(format_args!("# UNIT brooklet_{name} {unit}"));
            }
        }
        self.line(format_args!("# HELP brooklet_{name} {help}"));
    }

    /// Writes a sample. The text of a label has no character that OpenMetrics would escape.
    fn sample<L: Display>(
        &mut self,
        name: &str,
        suffix: &str,
        label: Option<(&str, L)>,
        value: impl Display,
    ) {
        match label {
            Some((label, by)) => self.line(format_args!(
                "brooklet_{name}{suffix}{{{label}=\"{by}\"}} {value}"
            )),
            None => self.line(format_args!("brooklet_{name}{suffix} {value}")),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

#[cfg(test)]
mod tests;
