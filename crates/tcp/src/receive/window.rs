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
    /// The bytes of the window that `rcv_wnd` leaves out, because they are less than a unit of the
    /// scale.
    cut_off: u16,
    /// The furthest right edge that was ever advertised.
    right_edge: u32,
}

/// A full segment over an MTU of 1,500 bytes: the longest, over IPv4 without options, and the
/// shortest, over IPv6 with timestamps.
pub(crate) const LONG_SEGMENT: u32 = 1460;
const SHORT_SEGMENT: u32 = 1428;

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
            cut_off: 0,
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
        (self.capacity / 2).min(SHORT_SEGMENT)
    }

    /// A sender that has no room for so much may wait for more.
    fn segment(&self) -> u32 {
        (self.capacity / 2).min(LONG_SEGMENT)
    }

    /// The window field of a SYN, which is never scaled (RFC 7323, 2.2).
    pub(crate) fn of_syn(&mut self, rcv_nxt: Option<u32>) -> u16 {
        let window = self.capacity.min(u16::MAX.into());
        if let Some(rcv_nxt) = rcv_nxt {
            self.last_ack = rcv_nxt;
            (self.rcv_wnd, self.cut_off) = (window, 0);
            self.right_edge = rcv_nxt.wrapping_add(window);
        }
        window as u16
    }

    /// The window field of a segment that acknowledges `rcv_nxt` while `waiting` bytes before it
    /// wait for the application. Notes that the segment is sent.
    pub(crate) fn advertise(&mut self, rcv_nxt: u32, waiting: u32) -> u16 {
        let (units, exact) = self.units(rcv_nxt, waiting);
        self.scaled = true;
        self.last_ack = rcv_nxt;
        self.rcv_wnd = u32::from(units) << self.shift;
        let cut_off = exact.saturating_sub(self.rcv_wnd);
        self.cut_off = cut_off.min((1 << self.shift) - 1) as u16; // the shift is at most 14
        self.right_edge = later(self.right_edge, rcv_nxt.wrapping_add(self.rcv_wnd));
        units
    }

    /// The window field that tells the same window as the last segment sent.
    pub(crate) fn repeat(&self) -> u16 {
        (self.rcv_wnd >> self.shift).min(u16::MAX.into()) as u16
    }

    /// The window field, and the window to the byte.
    fn units(&self, rcv_nxt: u32, waiting: u32) -> (u16, u32) {
        let free = self.free(waiting);
        let units = free >> self.shift;
        let new_edge = rcv_nxt.wrapping_add(units << self.shift);
        let right_edge = later(self.right_edge, rcv_nxt);
        let advertised = right_edge.wrapping_sub(rcv_nxt);
        // To the byte: what the unit of the scale cuts off holds no edge back.
        let (units, exact) =
            if after(new_edge, right_edge) && free - advertised >= self.sws_threshold() {
                (units, free)
            } else {
                // The right edge stays where it is. It must not move to the left (RFC 9293, 3.8.6),
                // as far as the unit of the scale allows.
                let up = advertised.div_ceil(1 << self.shift);
                let units = match up << self.shift <= free {
                    true => up,
                    false => (advertised >> self.shift).min(units),
                };
                (units, advertised)
            };
        (units as u16, exact) // at most 16 bits, as `free` is
    }

    /// The largest window that can be advertised while `waiting` bytes wait for the application.
    fn free(&self, waiting: u32) -> u32 {
        let max = u32::from(u16::MAX) << self.shift;
        self.capacity.saturating_sub(waiting).min(max)
    }

    /// What is left beyond `rcv_nxt` of a `window` that the last segment advertised. The furthest
    /// edge may lie further: a buffer may have been larger.
    fn left_of(&self, window: u32, rcv_nxt: u32) -> u32 {
        let right_edge = self.last_ack.wrapping_add(window);
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
        let free = self.free(waiting);
        // The update needs a little more than a segment, so that a buffer of two segments does not
        // cause one for each segment read.
        let least = (self.free(0) / 3).max(self.segment() + 2);
        let left = self.left_of(self.rcv_wnd, rcv_nxt);
        if left >= self.segment() {
            // The sender can go on. The window grows by what was read, to the byte, and not by what
            // the unit of the scale has cut off.
            return free >= self.left_of(self.rcv_wnd + u32::from(self.cut_off), rcv_nxt) + least;
        }
        // The sender may wait for what the field tells, in whole units of the scale.
        free >> self.shift << self.shift >= left + least
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
        assert_eq!(window.advertise(8192, 8192 - 1427), 0);
        assert_eq!(window.advertise(8192, 8192 - 1428), 1428);
    }

    #[test]
    fn a_window_that_the_field_limits_advances_by_whole_segments() {
        for (shift, limit) in [(0, 65_535), (2, 65_535 << 2)] {
            let mut window = Window::new(1 << 20, shift);
            window.of_syn(Some(0));
            let mut advertise = |rcv_nxt| u32::from(window.advertise(rcv_nxt, 0)) << shift;
            assert_eq!(advertise(0), limit);
            for rcv_nxt in [4, 400, 1424] {
                assert_eq!(advertise(rcv_nxt), limit - rcv_nxt, "after {rcv_nxt} bytes");
            }
            assert_eq!(advertise(1460), limit);
        }
    }

    /// A sender with silly window avoidance (RFC 9293, 3.8.6.2.1).
    fn never_waits_for_a_reader(capacity: u32, shift: u8, mss: u32) {
        let mut window = Window::new(capacity as usize, shift);
        let mut max_wnd = u32::from(window.of_syn(Some(0)));
        let (mut rcv_nxt, mut waiting, mut edge) = (0, 0, max_wnd);
        let mut rng = 7u32;
        for _ in 0..2000 {
            rng = rng.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let least = mss.min(max_wnd / 2);
            let mut tell = |window: &mut Window, rcv_nxt, waiting| {
                let wnd = u32::from(window.advertise(rcv_nxt, waiting)) << shift;
                max_wnd = max_wnd.max(wnd);
                rcv_nxt + wnd
            };
            if edge - rcv_nxt >= least {
                let len = mss.min(edge - rcv_nxt);
                (rcv_nxt, waiting) = (rcv_nxt + len, waiting + len);
                edge = tell(&mut window, rcv_nxt, waiting);
                waiting -= (rng >> 4) % (waiting + 1);
            } else {
                waiting = 0;
            }
            if window.should_update(rcv_nxt, waiting) {
                edge = tell(&mut window, rcv_nxt, waiting);
                assert!(!window.should_update(rcv_nxt, waiting));
            }
            assert!(
                waiting > 0 || edge - rcv_nxt >= mss.min(max_wnd / 2),
                "{capacity} bytes, shift {shift}, MSS {mss}: {} bytes left",
                edge - rcv_nxt
            );
        }
    }

    #[test]
    fn a_sender_never_waits_for_a_reader_that_has_read_all() {
        for shift in 0..=14 {
            for capacity in [
                2048,
                2500,
                3000,
                3500,
                4096,
                5000,
                8192,
                16 << 10,
                128 << 10,
                1 << 20,
            ] {
                for mss in [536, 1220, 1428, 1448, 1460, 8960, 65_483] {
                    if capacity >= 8 << shift {
                        never_waits_for_a_reader(capacity, shift, mss);
                    }
                }
            }
        }
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
