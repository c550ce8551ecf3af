//! The states of RFC 9293, figure 5, as a table: state, event, next state, what is sent.
//!
//! What comes is taken in as section 3.10.7 says, with RFC 5961 for RSTs and SYNs inside the window.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/states.rs"]
mod states;
mod support;

use brooklet_tcp::TcpState::{self, *};
use states::Event::*;
use states::Sent::*;
use states::*;
use std::fmt::Write;
use support::*;

type Row = (Event, TcpState, &'static [Sent]);

const TABLE: &[(From, &[Row])] = &[
    (
        From::Active,
        &[
            (SynAck, Established, &[Ack]),
            (Syn, SynReceived, &[TheSynAck]),
            (AckOfAll, SynSent, &[]),
            (Rst, Closed, &[]),
            (RstWithoutAck, SynSent, &[]),
            (Rto, SynSent, &[TheSyn]),
        ],
    ),
    (
        From::Passive,
        &[
            (AckOfAll, Established, &[]),
            (Data, Established, &[Ack]),
            (Fin, CloseWait, &[Ack]),
            (WrongAck, SynReceived, &[Reset]),
            (Syn, SynReceived, &[TheSynAck]),
            (NewSyn, SynReceived, &[Ack]),
            (Rst, Closed, &[]),
            (RstInWindow, SynReceived, &[Ack]),
            (Rto, SynReceived, &[TheSynAck]),
        ],
    ),
    (
        From::Simultaneous,
        &[
            (AckOfAll, Established, &[]),
            (SynAck, Established, &[]),
            (Data, Established, &[Ack]),
            (Fin, CloseWait, &[Ack]),
            (WrongAck, SynReceived, &[Reset]),
            (Rst, Closed, &[]),
            (Rto, SynReceived, &[TheSynAck]),
        ],
    ),
    (
        From::In(Established),
        &[
            (Syn, Established, &[Ack]),
            (NewSyn, Established, &[Ack]),
            (SynAck, Established, &[Ack]),
            (AckOfAll, Established, &[]),
            (WrongAck, Established, &[Ack]),
            (Data, Established, &[Ack]),
            (Fin, CloseWait, &[Ack]),
            (Rst, Closed, &[]),
            (RstInWindow, Established, &[Ack]),
            (Close, FinWait1, &[TheFin]),
            (Abort, Closed, &[Reset]),
            (UserTimeout, Established, &[]),
        ],
    ),
    (
        From::In(FinWait1),
        &[
            (Syn, FinWait1, &[Ack]),
            (NewSyn, FinWait1, &[Ack]),
            (OldAck, FinWait1, &[]),
            (WrongAck, FinWait1, &[Ack]),
            (AckOfAll, FinWait2, &[]),
            (Data, FinWait1, &[Ack]),
            (Fin, Closing, &[Ack]),
            (FinAckOfAll, TimeWait, &[Ack]),
            (Rst, Closed, &[]),
            (RstInWindow, FinWait1, &[Ack]),
            (Close, FinWait1, &[]),
            (Abort, Closed, &[Reset]),
            (Rto, FinWait1, &[TheFin]),
        ],
    ),
    (
        From::In(FinWait2),
        &[
            (Syn, FinWait2, &[Ack]),
            (NewSyn, FinWait2, &[Ack]),
            (AckOfAll, FinWait2, &[]),
            (WrongAck, FinWait2, &[Ack]),
            (Data, FinWait2, &[Ack]),
            (FinAckOfAll, TimeWait, &[Ack]),
            (Rst, Closed, &[]),
            (RstInWindow, FinWait2, &[Ack]),
            (Close, FinWait2, &[]),
            (Abort, Closed, &[Reset]),
            (UserTimeout, FinWait2, &[]),
        ],
    ),
    (
        From::In(CloseWait),
        &[
            (Syn, CloseWait, &[Ack]),
            (NewSyn, CloseWait, &[Ack]),
            (AckOfAll, CloseWait, &[]),
            (WrongAck, CloseWait, &[Ack]),
            (FinAgain, CloseWait, &[Ack]),
            (Rst, Closed, &[]),
            (RstInWindow, CloseWait, &[Ack]),
            (Close, LastAck, &[TheFin]),
            (Abort, Closed, &[Reset]),
            (UserTimeout, CloseWait, &[]),
        ],
    ),
    (
        From::In(Closing),
        &[
            (Syn, Closing, &[Ack]),
            (NewSyn, Closing, &[Ack]),
            (OldAck, Closing, &[]),
            (WrongAck, Closing, &[Ack]),
            (AckOfAll, TimeWait, &[]),
            (FinAgain, Closing, &[Ack]),
            (FinAgainAckOfAll, TimeWait, &[Ack]),
            (Rst, Closed, &[]),
            (RstInWindow, Closing, &[Ack]),
            (Close, Closing, &[]),
            (Abort, Closed, &[Reset]),
            (Rto, Closing, &[TheFin]),
        ],
    ),
    (
        From::In(LastAck),
        &[
            (Syn, LastAck, &[Ack]),
            (NewSyn, LastAck, &[Ack]),
            (OldAck, LastAck, &[]),
            (WrongAck, LastAck, &[Ack]),
            (AckOfAll, Closed, &[]),
            (FinAgain, LastAck, &[Ack]),
            (FinAgainAckOfAll, Closed, &[Ack]),
            (Rst, Closed, &[]),
            (RstInWindow, LastAck, &[Ack]),
            (Close, LastAck, &[]),
            (Abort, Closed, &[Reset]),
            (Rto, LastAck, &[TheFin]),
        ],
    ),
    (
        From::In(TimeWait),
        &[
            (Syn, TimeWait, &[Ack]),
            (AckOfAll, TimeWait, &[]),
            (FinAgain, TimeWait, &[Ack]),
            (RstInWindow, TimeWait, &[]),
            (Close, TimeWait, &[]),
        ],
    ),
];

#[test]
fn each_event_leads_to_the_next_state_and_sends_what_it_must() {
    let mut wrong = String::new();
    for (from, events) in TABLE {
        for (event, next, sends) in *events {
            let mut case = Case::new(*from);
            case.event(*event);
            let sent = case.sent();
            let state = case.state();
            if (state, &sent[..]) != (*next, *sends) {
                let expected = format!("{next:?} {sends:?}");
                writeln!(
                    wrong,
                    "{from:?}, {event:?}: {state:?} {sent:?}, not {expected}"
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_unacceptable_ack_in_syn_sent_gets_a_reset() {
    // RFC 9293, 3.10.7.3. The SYN may follow at once.
    for event in [WrongAck, WrongSynAck] {
        let mut case = Case::new(From::Active);
        case.event(event);
        assert_eq!(case.sent()[0], Reset);
        assert_eq!(case.state(), SynSent);
    }
}

#[test]
fn time_wait_ends_after_its_time() {
    let mut case = Case::new(From::In(TimeWait));
    assert_eq!(case.host.engine.stats().time_wait, 1);
    case.host.pass(29 * SECOND);
    assert_eq!(case.host.engine.stats().time_wait, 1);
    case.host.pass(2 * SECOND);
    assert_eq!(case.host.engine.stats().time_wait, 0);
    case.host.silent();
    // What comes now belongs to no connection.
    case.event(FinAgain);
    assert_eq!(case.sent(), [Reset]);
}

#[test]
fn a_user_timeout_ends_every_state_in_which_the_peer_owes_an_ack() {
    for state in [FinWait1, Closing, LastAck] {
        let mut case = Case::new(From::In(state));
        case.host.pass(299 * SECOND);
        assert_eq!(case.state(), state);
        case.host.pass(2 * SECOND);
        assert_eq!(case.state(), Closed);
        assert_eq!(case.host.engine.stats().connections, 0, "{state:?}");
    }
}

#[test]
fn a_handshake_that_is_not_finished_ends_after_its_time() {
    for from in [From::Active, From::Passive, From::Simultaneous] {
        let mut case = Case::new(from);
        case.host.pass(14 * SECOND);
        assert_eq!(case.host.engine.stats().connections, 1, "{from:?}");
        case.host.pass(2 * SECOND);
        assert_eq!(case.state(), Closed, "{from:?}");
    }
}
