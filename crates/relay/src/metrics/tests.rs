use super::*;
use std::collections::HashSet;
use std::time::Duration;

/// Sets each of the fields to a number of its own.
macro_rules! number {
    ($next:ident, $stats:expr, $($field:ident)*) => {
        $($stats.$field = $next(); )*
    };
}

/// Figures that are all different, from 1,000 on, and how many there are.
fn numbered() -> (Stats, RelayStats, u64) {
    let mut last = 999;
    let mut next = || {
        last += 1;
        last
    };
    let mut stack = Stats::default();
    number!(next, stack, packets_in bytes_in packets_out bytes_out echo_replies icmp_errors);
    number!(next, stack, device_errors);
    number!(next, stack.reassembly, fragments packets used queued_packets queued_fragments);
    number!(next, stack.reassembly, queued_bytes invalid duplicates conflicts full expired);
    number!(next, stack.tcp, connections requests time_wait buffered buffers pooled_buffers);
    number!(next, stack.tcp, requested accepted refused rejected dropped_silently withdrawn);
    number!(next, stack.tcp, expired connects resets half_open_full limited_acks malformed);
    number!(next, stack.tcp, retransmits timeouts half_open scoreboard_full);
    number!(next, stack.tcp, syn_cookies_sent syn_cookies_received syn_cookies_failed);
    number!(next, stack.udp, datagrams_in bytes_in datagrams_out bytes_out);
    number!(next, stack.udp, icmp_errors sessions sessions_opened);
    number!(next, stack.udp, sessions_idle sessions_evicted sessions_closed);
    number!(next, stack.raw, echo_requests_in echo_replies_in icmp_errors_in raw_packets_in);
    number!(next, stack.raw, echo_requests_out echo_replies_out icmp_errors_out);
    number!(next, stack.raw, raw_packets_out answered rejected unmatched);
    number!(next, stack.memory, tcp_buffers tcp_pooled_buffers tcp_connections tcp_syn_queue);
    number!(next, stack.memory, tcp_time_wait tcp_outbound udp_inbound udp_sessions udp_outbound);
    number!(next, stack.memory, raw_inbound raw_outbound reassembly drivers);
    let mut relay = RelayStats::default();
    number!(next, relay, connections connecting uploads requests connections_total bytes_up);
    number!(next, relay, bytes_down unmapped hop_limit_exceeded dials_refused);
    number!(next, relay, dials_unreachable dials_timed_out dials_out_of_files dials_failed);
    number!(next, relay, withdrawn client_resets host_resets clients_vanished hosts_vanished);
    number!(next, relay, half_close_timeouts idle_timeouts udp_sessions udp_sessions_total);
    number!(next, relay, datagrams_up datagrams_down datagram_bytes_up datagram_bytes_down);
    number!(next, relay, datagrams_unmapped datagrams_hop_limit_exceeded datagrams_too_big);
    number!(next, relay, datagrams_unreachable datagrams_queue_full datagrams_dropped);
    number!(next, relay, datagrams_out_of_files datagram_errors);
    number!(next, relay, echo_requests echo_replies echo_dropped panics);
    let debug = format!("{relay:?}");
    assert!(!debug.contains(": 0"), "a figure is missing here: {debug}");
    (stack, relay, last - 999)
}

#[test]
fn every_figure_has_a_sample() {
    let (stack, relay, figures) = numbered();
    let text = encode(&stack, &relay);
    for figure in 1000..1000 + figures {
        let samples = text
            .lines()
            .filter(|line| line.ends_with(&format!(" {figure}")));
        assert_eq!(samples.count(), 1, "{figure} in\n{text}");
    }
}

#[test]
fn the_text_follows_the_grammar_of_openmetrics() {
    let (mut stack, relay, _) = numbered();
    stack.tcp.round_trips.counts[3] = 2;
    let text = encode(&stack, &relay);
    let (mut families, mut samples) = (HashSet::new(), HashSet::new());
    let mut current = None;
    let (lines, end) = text.rsplit_once("# EOF").expect("an end");
    assert_eq!(end, "\n");
    for line in lines.lines() {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "TYPE", name, kind] => {
                assert!(families.insert(name), "{line}: twice");
                current = Some((name, kind));
            }
            ["#", "UNIT", name, unit] => {
                assert_eq!(current.map(|(name, _)| name), Some(name), "{line}");
                assert!(name.ends_with(&format!("_{unit}")), "{line}");
            }
            ["#", "HELP", name, help] => {
                assert_eq!(current.map(|(name, _)| name), Some(name), "{line}");
                assert!(help.ends_with('.'), "{line}");
            }
            _ => {
                let (sample, value) = line.rsplit_once(' ').expect("a sample");
                assert!(samples.insert(sample), "{line}: twice");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                let (name, kind) = current.expect("a family before the sample");
                let rest = sample.strip_prefix(name).expect("the name of the family");
                let (suffix, labels) = rest.split_once('{').unwrap_or((rest, "}"));
                assert!(labels.ends_with('}'), "{line}");
                assert!(
                    !labels.contains('\\') && labels.matches('"').count() <= 2,
                    "{line}"
                );
                let suffixes = match kind {
                    "counter" => &["_total"][..],
                    "gauge" => &[""],
                    _ => &["_bucket", "_count", "_sum"],
                };
                assert!(suffixes.contains(&suffix), "{line}");
            }
        }
    }
}

#[test]
fn a_reason_is_a_label_in_lower_case() {
    let mut stack = Stats::default();
    stack.tcp.backlog_full = 3;
    let text = encode(&stack, &RelayStats::default());
    for sample in [
        "{reason=\"tcp_backlog_full\"} 3",
        "{reason=\"ipv6_disabled\"} 0",
        "{reason=\"malformed_truncated\"} 0",
    ] {
        let sample = format!("\nbrooklet_dropped_packets_total{sample}\n");
        assert!(text.contains(&sample), "no {sample} in\n{text}");
    }
}

#[test]
fn the_buckets_of_the_histogram_are_cumulative() {
    let mut stack = Stats::default();
    stack.tcp.round_trips.counts[0] = 1;
    stack.tcp.round_trips.counts[2] = 4;
    *stack.tcp.round_trips.counts.last_mut().expect("buckets") = 1;
    stack.tcp.round_trips.sum = Duration::from_millis(1500);
    let text = encode(&stack, &RelayStats::default());
    for sample in [
        "_bucket{le=\"0.000032\"} 1",
        "_bucket{le=\"0.000064\"} 1",
        "_bucket{le=\"0.000128\"} 5",
        "_bucket{le=\"16.777216\"} 5",
        "_bucket{le=\"+Inf\"} 6",
        "_count 6",
        "_sum 1.5",
    ] {
        let sample = format!("\nbrooklet_tcp_round_trip_seconds{sample}\n");
        assert!(text.contains(&sample), "no {sample} in\n{text}");
    }
}
