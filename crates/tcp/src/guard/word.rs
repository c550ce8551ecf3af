//! What smoltcp is told of its peer's window: how much may be sent now.

use super::Guard;
use crate::segment::Segment;

impl Guard {
    /// What smoltcp is to be told of the peer, if that is not what it believes: that all is as it
    /// was, and the window such that it sends what may be sent. `unsent` bytes wait.
    pub(crate) fn word(
        &mut self,
        received: usize,
        unsent: usize,
        always: bool,
    ) -> Option<Segment<'static>> {
        let next = self.next(received)?;
        if !always && !self.mistold(unsent) {
            return None;
        }
        let units = self.units(unsent);
        let bytes = u32::from(units) << self.shown_shift;
        self.shown = bytes;
        Some(Segment {
            seq: next,
            ack: Some(self.send.una()),
            window: units,
            ..Segment::default()
        })
    }

    /// Whether the window has grown by a good piece of the buffer (RFC 9293, 3.8.6.2.2), of which
    /// `free` bytes of `capacity` are free, since the peer was told of it. The window of the
    /// handshake is small, and nothing is told before it is over.
    pub(crate) fn lags(&self, received: usize, free: usize, capacity: usize) -> bool {
        let (Some(next), true) = (self.next(received), self.opened) else {
            return false;
        };
        let told = self.told_beyond(next) as usize;
        let most = usize::from(u16::MAX) << self.shift;
        // What is told is rounded down, by a unit or two.
        let crumb = self.crumb as usize + (2 << self.shift);
        free.min(most) >= told + (capacity.min(most) / 3).max(crumb)
    }

    /// A byte of the peer that has been received already.
    pub(crate) fn old_byte(&self, received: usize) -> Option<Segment<'static>> {
        Some(Segment {
            seq: self.next(received)?.wrapping_sub(1),
            ack: Some(self.send.una()),
            window: (self.shown >> self.shown_shift) as u16,
            timestamp: self.stamps.on.then_some((0, 0)),
            payload: &[0],
            ..Segment::default()
        })
    }

    /// A [`word`](Self::word) with a window that reaches just as far as what has been sent, so that
    /// smoltcp gives all of it out again.
    pub(crate) fn word_for_copies(&mut self, received: usize) -> Option<Segment<'static>> {
        let next = self.next(received)?;
        let units = self.send.flight().div_ceil(1 << self.shown_shift);
        let units = units.min(u16::MAX.into()) as u16;
        self.shown = u32::from(units) << self.shown_shift;
        Some(Segment {
            seq: next,
            ack: Some(self.send.una()),
            window: units,
            ..Segment::default()
        })
    }

    /// Whether smoltcp would send what it should not, or not send what it may.
    pub(super) fn mistold(&self, unsent: usize) -> bool {
        if unsent == 0 {
            return false;
        }
        let wants = self.send.flight() as usize + unsent;
        let bytes = u32::from(self.units(unsent)) << self.shown_shift;
        match bytes < self.shown {
            true => wants > bytes as usize,
            false => bytes > self.shown && wants > self.shown as usize,
        }
    }

    /// Whether the window that smoltcp knows does not reach over all that is under way.
    pub(crate) fn short(&self) -> bool {
        self.shown < self.send.flight()
    }

    pub(super) fn units(&self, unsent: usize) -> u16 {
        let flight = self.send.flight();
        let allowance = self.send.allowance(unsent);
        let units = match unsent {
            // All of what is under way, so that it can be had again in any state.
            0 => allowance.div_ceil(1 << self.shown_shift),
            // And nothing beyond what may be sent.
            _ => allowance >> self.shown_shift,
        };
        let units = units.min(u16::MAX.into()) as u16;
        // A closed window over what is under way would stop smoltcp's timer, which is needed to
        // get that out of it once more.
        units.max(u16::from(flight > 0 || allowance > 0))
    }
}
