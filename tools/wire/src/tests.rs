//! All cases in virtual time; and whether they can fail: a wire that spoils packets makes of
//! brooklet a stack with a fault, which those cases have to find that ask for it.

mod datagrams;
mod segments;

use crate::app::{ECHO, Log};
use crate::backend::{Backend, BackendKind, CLIENT, SERVER};
use crate::cases;
use crate::packet::{
    ACK, ICMP, ICMPV6, Packet, RST, SYN, Seg, TCP, UDP, What, fill_checksum, fill_header_checksum,
};
use crate::run;
use crate::sim::Sim;
use crate::wire::{Wire, after};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn every_case_fares_as_expected_in_virtual_time() {
    let cases = cases::all();
    let reports = run::run(&cases, &[BackendKind::Sim]);
    assert_eq!(reports.len(), cases.len());
    crate::print(&cases, &[BackendKind::Sim], &reports, false);
    let faults: Vec<_> = reports
        .iter()
        .filter(|(_, report)| report.outcome.is_fault())
        .map(|((id, _), report)| format!("{id}: {:?}", report.outcome))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn no_id_is_used_twice_and_75_are_counted() {
    let all = cases::all();
    let ids: HashSet<_> = all.iter().map(|case| case.id).collect();
    assert_eq!(ids.len(), all.len());
    assert_eq!(all.iter().filter(|case| case.counts()).count(), 75);
}

#[test]
fn nothing_passes_on_a_wire_that_is_cut() {
    let passed = passed(|| Spoiler::new(|_| false, |_| false));
    assert!(passed.is_empty(), "{passed:?}");
}

#[test]
fn resets_that_are_not_sent_are_missed() {
    let found = [
        "T06", "T08", "T09", "T16", "T46", "T47", "F02", "F09", "F18", "F54", "F122", "F125",
        "F145",
    ];
    fail(&found, || {
        Spoiler::new(|_| true, |bytes| seg(bytes).is_none_or(|seg| !seg.has(RST)))
    });
}

#[test]
fn acknowledgements_that_are_not_sent_are_missed() {
    let found = [
        "T10", "T12", "T15", "T21", "T22", "T26", "T29", "F03", "F13", "F20", "F39", "F123",
        "F126", "F133", "F134",
    ];
    fail(&found, || {
        let bare = |seg: &Seg| seg.flags == ACK && seg.data.is_empty();
        Spoiler::new(
            |_| true,
            move |bytes| seg(bytes).is_none_or(|seg| !bare(&seg)),
        )
    });
}

#[test]
fn second_copies_that_are_not_sent_are_missed() {
    let found = [
        "T14", "T20", "T30", "T31", "F19", "F32", "F33", "F40", "F41", "F53", "F63", "F129",
        "F142", "F144", "F145", "F152", "F154", "F156", "F157",
    ];
    fail(&found, || {
        let mut sent = HashSet::new();
        Spoiler::new(
            |_| true,
            move |bytes| match seg(bytes) {
                Some(seg) if seg.end() != seg.seq => sent.insert((seg.to, seg.seq)),
                _ => true,
            },
        )
    });
}

#[test]
fn wrong_checksums_that_are_not_seen_are_found() {
    fail(&["T40", "T41", "I04", "U05", "F208"], || {
        Spoiler::new(
            |bytes| {
                mend(bytes);
                true
            },
            |_| true,
        )
    });
}

#[test]
fn a_reset_of_any_number_that_is_believed_is_found() {
    fail(&["T10", "T11"], || {
        let expected = Rc::new(RefCell::new(HashMap::new()));
        let seen = expected.clone();
        Spoiler::new(
            move |bytes| {
                if let Some(mut seg) = seg(bytes).filter(|seg| seg.flags == RST)
                    && let Some(ack) = expected.borrow().get(&seg.from)
                {
                    seg.seq = *ack;
                    *bytes = seg.packet();
                }
                true
            },
            move |bytes| {
                if let Some(seg) = seg(bytes).filter(|seg| seg.has(ACK)) {
                    seen.borrow_mut().insert(seg.to, seg.ack);
                }
                true
            },
        )
    });
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_that_is_believed_is_found() {
    fail(&["T13", "T14"], || {
        let sent = Rc::new(RefCell::new(HashMap::<SocketAddr, u32>::new()));
        let seen = sent.clone();
        Spoiler::new(
            move |bytes| {
                if let Some(mut seg) = seg(bytes).filter(|seg| seg.has(ACK) && !seg.has(RST))
                    && let Some(end) = sent.borrow().get(&seg.from)
                    && after(seg.ack, *end)
                {
                    seg.ack = *end;
                    *bytes = seg.packet();
                }
                true
            },
            move |bytes| {
                if let Some(seg) = seg(bytes) {
                    let mut sent = seen.borrow_mut();
                    let end = sent.entry(seg.to).or_insert_with(|| seg.end());
                    if after(seg.end(), *end) {
                        *end = seg.end();
                    }
                }
                true
            },
        )
    });
}

#[test]
fn windows_and_sizes_that_are_not_looked_at_are_found() {
    fail(&["T28", "T33", "T34", "T36", "F35", "F155"], || {
        Spoiler::new(
            |bytes| {
                if let Some(mut seg) = seg(bytes) {
                    seg.window = 65_535;
                    if seg.has(SYN) {
                        seg.options.mss = Some(1460);
                    }
                    *bytes = seg.packet();
                }
                true
            },
            |_| true,
        )
    });
}

#[test]
fn a_window_that_never_shuts_is_found() {
    fail(&["T29", "F36"], || {
        Spoiler::new(
            |_| true,
            |bytes| {
                if let Some(mut seg) = seg(bytes) {
                    seg.window = 65_535;
                    *bytes = seg.packet();
                }
                true
            },
        )
    });
}

#[test]
fn other_data_is_found() {
    let found = [
        "T01", "T02", "T17", "T28", "T45", "C01", "C02", "U01", "F12", "F26", "F51", "F138",
        "F156", "F157",
    ];
    fail(&found, || {
        Spoiler::new(
            |_| true,
            |bytes| {
                let spoil = match Packet::parse(Duration::ZERO, bytes).map(|packet| packet.what) {
                    Ok(What::Tcp(seg)) => !seg.data.is_empty(),
                    Ok(What::Udp(_) | What::Icmp(_)) => true,
                    _ => false,
                };
                if let Some(last) = bytes.last_mut().filter(|_| spoil) {
                    *last ^= 1;
                    mend(bytes);
                }
                true
            },
        )
    });
}

#[test]
fn a_wrong_checksum_of_the_stacks_is_found() {
    fail(&["T01", "T02", "C01", "C02", "U01", "U03"], || {
        Spoiler::new(
            |_| true,
            |bytes| {
                // The last byte of the ports, or of an ICMP header.
                let at = if bytes[0] >> 4 == 4 { 23 } else { 43 };
                bytes[at] ^= 1;
                true
            },
        )
    });
}

#[test]
fn wrong_lengths_that_are_not_seen_are_found() {
    fail(&["T39", "I03", "U07"], || {
        Spoiler::new(
            |bytes| {
                mend_lengths(bytes);
                mend(bytes);
                true
            },
            |_| true,
        )
    });
}

#[test]
fn parts_that_are_taken_for_the_whole_are_found() {
    let found = [
        "I05", "I06", "I07", "I08", "I09", "I10", "F76", "F182", "F183", "F188", "F192",
    ];
    fail(&found, || {
        Spoiler::new(
            |bytes| {
                if bytes[0] >> 4 == 4 && bytes[6..8] != [0, 0] {
                    bytes[6..8].fill(0);
                    mend_lengths(bytes);
                    mend(bytes);
                }
                true
            },
            |_| true,
        )
    });
}

#[test]
fn addresses_and_flags_that_are_not_looked_at_are_found() {
    fail(&["T42", "T43", "F04", "F05"], || {
        Spoiler::new(
            |bytes| {
                let (client, server) = (CLIENT.octets(), SERVER.octets());
                if bytes[0] >> 4 == 4 && bytes.len() >= 40 && bytes[9] == TCP {
                    bytes[12..16].copy_from_slice(&client);
                    bytes[16..20].copy_from_slice(&server);
                    if bytes[22..24] == [0, 0] {
                        bytes[22..24].copy_from_slice(&ECHO.to_be_bytes());
                    }
                    if bytes[33] & SYN != 0 {
                        bytes[33] = SYN;
                    }
                    mend(bytes);
                }
                true
            },
            // Whoever asked by another address or port receives the answer all the same.
            |bytes| seg(bytes).is_some(),
        )
    });
}

#[test]
fn a_checksum_that_is_not_asked_for_is_found() {
    fail(&["U06"], || {
        Spoiler::new(
            |bytes| {
                if bytes[0] >> 4 == 6 {
                    mend(bytes);
                }
                true
            },
            |_| true,
        )
    });
}

/// The segment in a packet.
fn seg(bytes: &[u8]) -> Option<Seg> {
    let packet = Packet::parse(Duration::ZERO, bytes).ok()?;
    packet.tcp().cloned()
}

/// Makes the lengths of an IPv4 packet right, and those of what is in it.
fn mend_lengths(bytes: &mut [u8]) {
    if bytes.len() < 28 || bytes[0] >> 4 != 4 {
        return;
    }
    let len = bytes.len() as u16;
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&len.to_be_bytes());
    match bytes[9] {
        UDP => bytes[24..26].copy_from_slice(&(len - 20).to_be_bytes()),
        TCP if bytes.len() >= 40 => bytes[32] = 5 << 4,
        _ => {}
    }
}

/// Makes the checksums of a packet right.
fn mend(bytes: &mut [u8]) {
    let v4 = bytes[0] >> 4 == 4;
    if v4 {
        fill_header_checksum(bytes);
    }
    let (from, to, protocol, header) = match (v4, bytes.len()) {
        (true, 28..) => (
            <[u8; 4]>::try_from(&bytes[12..16]).map(Into::into),
            <[u8; 4]>::try_from(&bytes[16..20]).map(Into::into),
            bytes[9],
            usize::from(bytes[0] & 15) * 4,
        ),
        (false, 48..) => (
            <[u8; 16]>::try_from(&bytes[8..24]).map(Into::into),
            <[u8; 16]>::try_from(&bytes[24..40]).map(Into::into),
            bytes[6],
            40,
        ),
        _ => return,
    };
    let (from, to) = (from.unwrap(), to.unwrap());
    let at = match protocol {
        TCP => 16,
        UDP => 6,
        ICMP | ICMPV6 => 2,
        _ => return,
    };
    if bytes.len() >= header + at + 2 {
        fill_checksum(&mut bytes[header..], at, from, to, protocol);
    }
}

/// The cases that pass on a wire that spoils what goes through it.
fn passed(spoiler: impl Fn() -> Spoiler) -> Vec<&'static str> {
    play(|_| true, spoiler)
}

/// These cases fail on such a wire, although they pass on a good one.
fn fail(ids: &[&str], spoiler: impl Fn() -> Spoiler) {
    let all = cases::all();
    assert!(
        ids.iter().all(|id| all.iter().any(|case| case.id == *id)),
        "no such case"
    );
    let passed = play(|id| ids.contains(&id), spoiler);
    assert!(passed.is_empty(), "the fault was not found by {passed:?}");
}

fn play(wanted: impl Fn(&str) -> bool, spoiler: impl Fn() -> Spoiler) -> Vec<&'static str> {
    let mut passed = Vec::new();
    for case in cases::all() {
        if wanted(case.id) {
            let spoiled = Spoiled {
                sim: Sim::new(case.setup).unwrap(),
                spoiler: spoiler(),
            };
            if run::play(case, &mut Wire::new(BackendKind::Sim, Box::new(spoiled))).is_ok() {
                passed.push(case.id);
            }
        }
    }
    passed
}

/// Changes a packet; says whether it goes on.
type Change = Box<dyn FnMut(&mut Vec<u8>) -> bool>;

struct Spoiler {
    inward: Change,
    outward: Change,
}

impl Spoiler {
    fn new(
        inward: impl FnMut(&mut Vec<u8>) -> bool + 'static,
        outward: impl FnMut(&mut Vec<u8>) -> bool + 'static,
    ) -> Self {
        Self {
            inward: Box::new(inward),
            outward: Box::new(outward),
        }
    }
}

struct Spoiled {
    sim: Sim,
    spoiler: Spoiler,
}

impl Backend for Spoiled {
    fn tx(&mut self, packet: &[u8]) -> io::Result<()> {
        let mut packet = packet.to_vec();
        if (self.spoiler.inward)(&mut packet) {
            self.sim.tx(&packet)?;
        }
        Ok(())
    }

    fn rx(&mut self, within: Duration) -> io::Result<Option<Vec<u8>>> {
        let end = self.now() + within;
        while let Some(mut packet) = self.sim.rx(end.saturating_sub(self.now()))? {
            if (self.spoiler.outward)(&mut packet) {
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    fn now(&self) -> Duration {
        self.sim.now()
    }

    fn log(&self) -> &Rc<RefCell<Log>> {
        self.sim.log()
    }
}
