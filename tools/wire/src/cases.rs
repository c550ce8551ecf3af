//! The cases, by subject.

mod ack;
mod arrival;
mod close;
mod connect;
mod ending;
mod flow;
mod further;
mod handshake;
mod icmp;
mod ip;
mod malformed;
mod nat;
mod opening;
mod options6;
mod path;
mod path_mtu;
mod reassembly;
mod receiver;
mod recovery;
mod replies;
mod reset;
mod retransmit;
mod sender;
mod time_wait;
mod udp;
mod udp_socket;
mod window;

use crate::app::Setup;
use crate::backend::BackendKind;
use crate::wire::{Done, Wire};

/// A few packets in, and an answer expected.
pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) setup: Setup,
    /// Where it is known to fail, or not run, and why.
    pub(crate) known: &'static [Known],
    pub(crate) run: fn(&mut Wire) -> Done,
}

/// What is expected other than that a case passes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Known {
    /// It fails there, for this reason. If it passes, the mark has to go.
    #[allow(dead_code, reason = "at times there is none")]
    Fails(BackendKind, &'static str),
    /// It is not run there, for this reason.
    NotRun(BackendKind, &'static str),
}

/// It fails on brooklet, wherever that runs.
#[allow(dead_code, reason = "at times there is none")]
const fn known_of_brooklet(why: &'static str) -> [Known; 2] {
    [
        Known::Fails(BackendKind::Sim, why),
        Known::Fails(BackendKind::Tun, why),
    ]
}

/// A case that every backend passes.
const fn case(id: &'static str, name: &'static str, run: fn(&mut Wire) -> Done) -> Case {
    Case {
        id,
        name,
        setup: Setup::DEFAULT,
        known: &[],
        run,
    }
}

impl Case {
    const fn with(self, setup: Setup) -> Self {
        Self { setup, ..self }
    }

    const fn known(self, known: &'static [Known]) -> Self {
        Self { known, ..self }
    }

    /// Whether it is one of those that are counted.
    pub(crate) fn counts(&self) -> bool {
        !self.id.starts_with('F')
    }
}

/// All cases: those that are counted, and then the others.
pub(crate) fn all() -> Vec<&'static Case> {
    [
        handshake::CASES,
        reset::CASES,
        ack::CASES,
        window::CASES,
        retransmit::CASES,
        close::CASES,
        malformed::CASES,
        ip::CASES,
        icmp::CASES,
        udp::CASES,
        further::CASES,
        flow::CASES,
        connect::CASES,
        path::CASES,
        receiver::CASES,
        sender::CASES,
        ending::CASES,
        arrival::CASES,
        time_wait::CASES,
        opening::CASES,
        recovery::CASES,
        options6::CASES,
        reassembly::CASES,
        replies::CASES,
        path_mtu::CASES,
        nat::CASES,
        udp_socket::CASES,
    ]
    .into_iter()
    .flatten()
    .collect()
}
