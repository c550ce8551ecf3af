//! The advertised window: scale, silly window avoidance, updates.

use crate::seq::{after, later};

/// The advertised window (RFC 9293, 3.8.6; RFC 7323, 2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The receive buffer, in bytes: the attached one, or the one that will be attached.
    capacity: u32,
    /// Our shift count, Rcv.Wind.Shift.
    shift: u8,
    /// A segment other than a SYN has been sent: the window of a SYN is not scaled.
    scaled: bool,
    /// RCV.NXT as it was in the last segment sent (Linux: `rcv_wup`).
    last_ack: u32,
    /// RCV.WND as the last segment sent advertised it, in bytes.
    rcv_wnd: u32,
    /// The furthest right edge that was ever advertised.
    right_edge: u32,
}

/// A full segment on most paths.
pub(crate) const LONG_SEGMENT: u32 = 1460;

/// Of a buffer so many bytes may be a range of the out-of-order queue of its own.
const BYTES_PER_RANGE: usize = 256;
const MIN_RANGES: usize = 64;
const MAX_RANGES: usize = 4096;

impl Window {
    pub(crate) fn new(buffer: usize, shift: u8) -> Self {
        Self {
            capacity: buffer as u32, // at most 1 GiB
            shift,
            scaled: false,
            last_ack: 0,
            rcv_wnd: 0,
            right_edge: 0,
        }
    }

    /// The peer's SYN has told whether it scales windows: both ends do, or none.
    pub(crate) fn negotiate(&mut self, scales: bool) {
        if !scales {
            self.shift = 0;
        }
    }

    /// The shift count for our SYN.
    pub(crate) fn shift(&self) -> u8 {
        self.shift
    }

    pub(crate) fn last_ack(&self) -> u32 {
        self.last_ack
    }

    pub(crate) fn right_edge(&self) -> u32 {
        self.right_edge
    }

    /// The window field of the last segment sent.
    pub(crate) fn field(&self) -> u16 {
        let scaled = if self.scaled { self.shift } else { 0 };
        (self.rcv_wnd >> scaled) as u16 // it was made of 16 bits
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    pub(crate) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity as u32; // at most 1 GiB
    }

    /// Ranges that the out-of-order queue may have.
    pub(crate) fn max_ranges(&self) -> usize {
        (self.capacity() / BYTES_PER_RANGE).clamp(MIN_RANGES, MAX_RANGES)
    }

    /// By less than this the right edge does not advance (RFC 9293, 3.8.6.2.2).
    fn sws_threshold(&self) -> u32 {
        (self.capacity / 2).min(LONG_SEGMENT)
    }

    /// The window field of a SYN, which is never scaled (RFC 7323, 2.2).
    pub(crate) fn of_syn(&mut self, rcv_nxt: Option<u32>) -> u16 {
        let window = self.capacity.min(u16::MAX.into());
        if let Some(rcv_nxt) = rcv_nxt {
            self.last_ack = rcv_nxt;
            self.rcv_wnd = window;
            self.right_edge = rcv_nxt.wrapping_add(window);
        }
        window as u16
    }

    /// The window field of a segment that acknowledges `rcv_nxt` while `waiting` bytes before it
    /// wait for the application. Notes that the segment is sent.
    pub(crate) fn advertise(&mut self, rcv_nxt: u32, waiting: u32) -> u16 {
        let units = self.units(rcv_nxt, waiting);
        self.scaled = true;
        self.last_ack = rcv_nxt;
        self.rcv_wnd = u32::from(units) << self.shift;
        self.right_edge = later(self.right_edge, rcv_nxt.wrapping_add(self.rcv_wnd));
        units
    }

    /// The window field that tells the same window as the last segment sent.
    pub(crate) fn repeat(&self) -> u16 {
        (self.rcv_wnd >> self.shift).min(u16::MAX.into()) as u16
    }

    fn units(&self, rcv_nxt: u32, waiting: u32) -> u16 {
        let max = u32::from(u16::MAX);
        let free = self.capacity.saturating_sub(waiting);
        let units = (free >> self.shift).min(max);
        let new_edge = rcv_nxt.wrapping_add(units << self.shift);
        let right_edge = later(self.right_edge, rcv_nxt);
        let units = if after(new_edge, right_edge)
            && new_edge.wrapping_sub(right_edge) >= self.sws_threshold()
        {
            units
        } else {
            // The right edge stays where it is. It must not move to the left (RFC 9293, 3.8.6),
            // as far as the unit of the scale allows.
            let advertised = right_edge.wrapping_sub(rcv_nxt);
            let up = advertised.div_ceil(1 << self.shift);
            match up << self.shift <= free {
                true => up.min(max),
                false => (advertised >> self.shift).min(units),
            }
        };
        units as u16 // at most `max`
    }

    /// The window beyond `rcv_nxt` as the last segment advertised it. The furthest
    /// edge may lie further: a buffer may have been larger.
    fn advertised_beyond(&self, rcv_nxt: u32) -> u32 {
        let right_edge = self.last_ack.wrapping_add(self.rcv_wnd);
        match after(right_edge, rcv_nxt) {
            true => right_edge.wrapping_sub(rcv_nxt),
            false => 0,
        }
    }

    /// Whether a window update is worth a segment of its own: the window has grown by a third of
    /// the buffer, and by more than a full segment, since the last segment sent. The first segment
    /// after the handshake raises the window of the SYN, which is not scaled; before that segment
    /// there is no update.
    pub(crate) fn should_update(&self, rcv_nxt: u32, waiting: u32) -> bool {
        if !self.scaled {
            return false;
        }
        let max = u32::from(u16::MAX) << self.shift;
        let free = self.capacity.saturating_sub(waiting).min(max);
        // The window in whole units of the scale. The update needs a little more than the
        // threshold, so that a buffer of two segments does not cause one for each segment read.
        let window = free >> self.shift << self.shift;
        let least = self.sws_threshold() + 2;
        window >= self.advertised_beyond(rcv_nxt) + (self.capacity.min(max) / 3).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_edge_never_moves_to_the_left() {
        for shift in 0..=14 {
            let capacity = 100_000.max(64 << shift);
            let mut window = Window::new(capacity, shift);
            window.of_syn(Some(0));
            let (mut rcv_nxt, mut waiting) = (0, 0);
            let mut right_edge = 0;
            let mut rng = 7u32;
            for _ in 0..1000 {
                rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let advertised = u32::from(window.advertise(rcv_nxt, waiting)) << shift;
                let new = rcv_nxt + advertised;
                assert!(
                    new + (1 << shift) > right_edge,
                    "shift {shift}: {new} after {right_edge}"
                );
                right_edge = right_edge.max(new);
                assert!(waiting + advertised <= capacity as u32);
                // The peer fills some of the window, and the application reads some of that.
                let more = (rng >> 8) % (advertised + 1);
                rcv_nxt += more;
                waiting += more;
                waiting -= (rng >> 4) % (waiting + 1);
            }
        }
    }

    #[test]
    fn a_window_of_a_few_bytes_is_not_advertised() {
        let mut window = Window::new(8192, 0);
        window.of_syn(Some(0));
        assert_eq!(window.advertise(8192, 8192), 0);
        assert_eq!(window.advertise(8192, 8192 - 1459), 0);
        assert_eq!(window.advertise(8192, 8192 - 1460), 1460);
    }

    #[test]
    fn a_sender_that_waits_for_half_of_a_small_buffer_is_told_of_it() {
        // The scale is that of a buffer of 4 MiB: a unit is 128 bytes.
        for advertised in (0..1024).step_by(128) {
            let mut window = Window::new(2048, 7);
            window.of_syn(Some(0));
            window.advertise(2048, 2048);
            window.right_edge = 2048;
            let waiting = 2048 - advertised;
            window.rcv_wnd = advertised;
            assert!(!window.should_update(2048, waiting), "{advertised}");
            assert!(
                window.should_update(2048, 0),
                "{advertised}: the sender waits"
            );
        }
    }
}
