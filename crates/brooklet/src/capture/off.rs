//! What the drivers call where the feature `capture` is off: nothing.

use super::Outcome;
use crate::engines::Engines;
use brooklet_cell::{Flavor, Shared};
use brooklet_filter::Direction;
use brooklet_io::PacketBuf;
use brooklet_packet::reassembly::Reassembler;
use brooklet_tcp::Clock;
use std::marker::PhantomData;
use std::num::NonZeroU8;

#[derive(Clone, Debug)]
pub(crate) struct Captures<F>(PhantomData<fn() -> F>);

impl<F: Flavor> Captures<F> {
    pub(crate) fn new(_queues: NonZeroU8) -> Self {
        Self(PhantomData)
    }
}

type Reassembly<F> = Option<Shared<F, Reassembler>>;

pub(crate) struct Tap<F>(PhantomData<fn() -> F>);

impl<F: Flavor> Tap<F> {
    pub(crate) fn new(_captures: &Captures<F>, _queue: u8, _clock: Clock) -> Self {
        Self(PhantomData)
    }

    pub(crate) fn begin(&mut self, _: &mut Engines<F>, _: &Reassembly<F>) {}

    pub(crate) fn note(&mut self, _outcome: Outcome) {}

    pub(crate) fn arrived(&mut self, _: &PacketBuf, _: &mut Engines<F>, _: &Reassembly<F>) {}

    pub(crate) fn packet(&self, _: Direction, _packet: &[u8], _: Option<Outcome>) {}

    pub(crate) fn end(&self) {}
}
