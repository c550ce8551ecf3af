//! Whether the cases of ICMP, fragments, path MTUs and UDP sessions can fail.

use super::{Spoiled, Spoiler, fail, mend};
use crate::app::{ECHO, NOBODY, Setup, Udp};
use crate::backend::BackendKind;
use crate::cases;
use crate::packet::{ICMP, ICMPV6, fill_header_checksum};
use crate::run;
use crate::sim::Sim;
use crate::wire::Wire;
use brooklet::{Filtering, Mapping};

/// The offset of the ICMP header in a packet without options.
fn icmp_at(bytes: &[u8]) -> Option<usize> {
    match (bytes[0] >> 4, bytes.len()) {
        (4, 28..) if bytes[9] == ICMP => Some(20),
        (6, 48..) if bytes[6] == ICMPV6 => Some(40),
        _ => None,
    }
}

fn is_error(bytes: &[u8]) -> bool {
    icmp_at(bytes).is_some_and(|at| match at {
        20 => matches!(bytes[at], 3 | 11 | 12),
        _ => bytes[at] < 128,
    })
}

/// Whether the packet says that another was too big.
fn is_too_big(bytes: &[u8]) -> bool {
    icmp_at(bytes).is_some_and(|at| match at {
        20 => bytes[at..at + 2] == [3, 4],
        _ => bytes[at] == 2,
    })
}

#[test]
fn icmp_errors_that_are_not_sent_are_missed() {
    let found = [
        "F162", "F163", "F164", "F165", "F169", "F170", "F171", "F174", "F175", "F176", "F177",
        "F178", "F179", "F186", "F187", "F194", "F195", "F201", "F203", "F204", "F205", "F206",
        "F207", "F211", "F228", "F229",
    ];
    fail(&found, || Spoiler::new(|_| true, |bytes| !is_error(bytes)));
}

#[test]
fn a_parameter_problem_that_points_elsewhere_is_found() {
    let found = [
        "I15", "F162", "F163", "F164", "F165", "F169", "F170", "F171", "F174", "F175", "F176",
        "F177", "F178", "F194", "F195",
    ];
    fail(&found, || {
        Spoiler::new(
            |_| true,
            |bytes| {
                if icmp_at(bytes) == Some(40) && bytes[40] == 4 {
                    bytes[47] ^= 1;
                    mend(bytes);
                }
                true
            },
        )
    });
}

#[test]
fn options_whose_type_is_not_looked_at_are_found() {
    let found = ["F161", "F162", "F163", "F164", "F178", "F195"];
    fail(&found, || {
        Spoiler::new(
            |bytes| {
                if bytes[0] >> 4 == 6 && matches!(bytes[6], 0 | 60) {
                    bytes[42] &= 0x3f;
                }
                true
            },
            |_| true,
        )
    });
}

#[test]
fn fragments_of_two_packets_with_one_identification_are_found() {
    fail(&["F180", "F181"], || {
        Spoiler::new(
            |_| true,
            |bytes| {
                match (bytes[0] >> 4, bytes[6]) {
                    (4, _) => {
                        bytes[4..6].fill(7);
                        fill_header_checksum(bytes);
                    }
                    (_, 44) => bytes[44..48].fill(7),
                    _ => {}
                }
                true
            },
        )
    });
}

#[test]
fn a_fragment_that_does_not_arrive_is_missed() {
    let found = [
        "F180", "F181", "F182", "F183", "F184", "F185", "F188", "F189", "F190", "F192", "F207",
        "F251",
    ];
    fail(&found, || {
        // The last one of each packet.
        let is_last = |bytes: &[u8]| match (bytes[0] >> 4, bytes[6]) {
            (4, flags) => flags & 0x20 == 0 && (flags & 0x1f != 0 || bytes[7] != 0),
            (_, 44) => bytes[43] & 1 == 0,
            _ => false,
        };
        Spoiler::new(move |bytes| !is_last(bytes), |_| true)
    });
}

#[test]
fn a_path_mtu_that_is_not_learned_is_found() {
    let found = ["F220", "F221", "F225", "F226", "F227", "F231", "F233"];
    fail(&found, || {
        Spoiler::new(|bytes| !is_too_big(bytes), |_| true)
    });
}

#[test]
fn an_mtu_about_a_datagram_that_was_not_sent_is_found_if_it_is_believed() {
    fail(&["F224"], || {
        Spoiler::new(
            |bytes| {
                if let Some(at) = icmp_at(bytes).filter(|_| is_too_big(bytes)) {
                    // The source port of the quoted datagram.
                    let port = if at == 20 { 48 } else { 88 };
                    assert_eq!(bytes[port..port + 2], NOBODY.to_be_bytes());
                    bytes[port..port + 2].copy_from_slice(&ECHO.to_be_bytes());
                    mend(bytes);
                }
                true
            },
            |_| true,
        )
    });
}

#[test]
fn an_mtu_that_is_raised_is_found() {
    fail(&["F225", "F228", "F229"], || {
        Spoiler::new(
            |bytes| {
                // Nothing is as long as the path's MTU.
                if let Some(at) = icmp_at(bytes).filter(|_| is_too_big(bytes)) {
                    bytes[at + 6..at + 8].copy_from_slice(&1500_u16.to_be_bytes());
                    mend(bytes);
                }
                true
            },
            |bytes| {
                if let Some(at) = icmp_at(bytes).filter(|_| is_too_big(bytes)) {
                    bytes[at + 6..at + 8].copy_from_slice(&1400_u16.to_be_bytes());
                    mend(bytes);
                }
                true
            },
        )
    });
}

#[test]
fn other_hop_limits_and_traffic_classes_are_found() {
    fail(&["F180", "F181", "F190", "F200", "F201"], || {
        Spoiler::new(
            |_| true,
            |bytes| {
                if bytes[0] >> 4 == 4 {
                    (bytes[1], bytes[8]) = (4, 128);
                    fill_header_checksum(bytes);
                } else {
                    (bytes[1], bytes[7]) = (0x40, 128);
                }
                true
            },
        )
    });
}

/// The case fails if the stack and its application are set up otherwise.
fn fails_with(id: &str, udp: Udp) {
    let all = cases::all();
    let case = all.iter().find(|case| case.id == id).unwrap();
    let setup = Setup { udp, ..case.setup };
    let spoiled = Spoiled {
        sim: Sim::new(setup).unwrap(),
        spoiler: Spoiler::new(|_| true, |_| true),
    };
    let mut wire = Wire::new(BackendKind::Sim, Box::new(spoiled));
    assert!(run::play(case, &mut wire).is_err(), "{id} with {udp:?}");
}

#[test]
fn another_mapping_is_found() {
    let all = [
        ("F240", Mapping::EndpointIndependent),
        ("F241", Mapping::AddressDependent),
        ("F242", Mapping::AddressAndPortDependent),
    ];
    for (id, right) in all {
        for (_, mapping) in all.into_iter().filter(|(_, mapping)| *mapping != right) {
            fails_with(id, Udp::Sessions(mapping, Filtering::EndpointIndependent));
        }
    }
}

#[test]
fn another_filtering_is_found() {
    let all = [
        ("F243", Filtering::EndpointIndependent),
        ("F244", Filtering::AddressDependent),
        ("F245", Filtering::AddressAndPortDependent),
    ];
    for (id, right) in all {
        for (_, filtering) in all.into_iter().filter(|(_, filtering)| *filtering != right) {
            fails_with(id, Udp::Sessions(Mapping::EndpointIndependent, filtering));
        }
    }
    let open = Udp::Sessions(Mapping::EndpointIndependent, Filtering::EndpointIndependent);
    fails_with("F252", open);
}

#[test]
fn a_socket_that_stays_open_is_found() {
    fails_with("F203", Udp::Sockets);
}
