//! Stacks with one fault each in segment arrival, options, TIME-WAIT and recovery: the cases find it.

use super::{Spoiler, fail, seg};
use crate::packet::{ACK, FIN, Packet, RST, SYN, Seg};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

/// A stack that ignores the segments that `ignored` says.
fn ignores(found: &[&str], ignored: fn(&Seg) -> bool) {
    fail(found, || {
        Spoiler::new(
            move |bytes| seg(bytes).is_none_or(|seg| !ignored(&seg)),
            |_| true,
        )
    });
}

#[test]
fn an_ignored_rst_with_fin_is_found() {
    ignores(&["F121", "F122", "F123", "F125", "F146"], |seg| {
        seg.has(RST | FIN)
    });
}

#[test]
fn an_ignored_rst_with_data_is_found() {
    ignores(&["F120", "F121"], |seg| {
        seg.has(RST) && !seg.data.is_empty()
    });
}

#[test]
fn ignored_segments_with_malformed_options_are_found() {
    fail(&["F126", "F127", "F128", "F129", "F130"], || {
        Spoiler::new(
            |bytes| Packet::parse(Duration::ZERO, bytes).is_ok(),
            |_| true,
        )
    });
}

#[test]
fn an_ignored_syn_with_a_lower_number_is_found() {
    // The first connection of a case begins at 11,000,000.
    ignores(&["F131", "F133"], |seg| {
        seg.flags == SYN && super::after(11_000_000, seg.seq)
    });
}

#[test]
fn an_ignored_syn_of_a_connection_that_just_ended_is_found() {
    fail(&["F135", "F136"], || {
        let mut seen: HashSet<SocketAddr> = HashSet::new();
        Spoiler::new(
            move |bytes| {
                let syn = seg(bytes).filter(|seg| seg.flags == SYN);
                syn.is_none_or(|seg| seen.insert(seg.from))
            },
            |_| true,
        )
    });
}

#[test]
fn a_d_sack_that_is_not_looked_at_is_found() {
    fail(&["F151", "F159"], || {
        Spoiler::new(
            |bytes| {
                if let Some(mut seg) = seg(bytes) {
                    let ack = seg.ack;
                    let blocks = &mut seg.options.sack;
                    blocks.retain(|block| !super::after(ack, block.0));
                    *bytes = seg.packet();
                }
                true
            },
            |_| true,
        )
    });
}

#[test]
fn a_syn_that_is_not_repeated_after_a_challenge_is_found() {
    ignores(&["F145"], |seg| seg.flags == ACK);
}

#[test]
fn a_receive_window_that_does_not_grow_is_found() {
    fail(&["F158"], || {
        Spoiler::new(
            |_| true,
            |bytes| {
                if let Some(mut seg) = seg(bytes).filter(|seg| !seg.has(SYN)) {
                    seg.window = seg.window.min(512);
                    *bytes = seg.packet();
                }
                true
            },
        )
    });
}

#[test]
fn options_that_are_not_known_are_missed() {
    fail(
        &["T23", "T36", "T37", "F38", "F131", "F132", "F134"],
        || {
            Spoiler::new(
                |bytes| {
                    if let Some(mut seg) = seg(bytes) {
                        seg.options.sack_ok = false;
                        seg.options.stamps = None;
                        seg.options.scale = None;
                        *bytes = seg.packet();
                    }
                    true
                },
                |_| true,
            )
        },
    );
}

#[test]
fn an_early_end_is_found() {
    // The last segment of the peer's is cut off, and its end is told all the same.
    fail(&["T17", "T27", "F22", "F59"], || {
        Spoiler::new(
            |bytes| {
                if let Some(mut seg) = seg(bytes)
                    && !seg.has(SYN)
                    && !seg.data.is_empty()
                {
                    seg.data.truncate(seg.data.len() / 2);
                    seg.flags |= FIN;
                    *bytes = seg.packet();
                }
                true
            },
            |_| true,
        )
    });
}
