//! The sending side of a connection: SND.UNA, SND.NXT and SND.WND (RFC 9293, 3.3.1), loss recovery
//! (RFC 8985, 6298) and congestion control (RFC 9438).
//!
//! The sender holds no data. It knows when each segment in flight was sent and what the peer has
//! acknowledged, and says what may be sent and what is to be retransmitted.

mod acknowledgment;
mod congestion;
mod detection;
mod hystart;
mod recovery;
mod rto;
mod scoreboard;
mod timeouts;

use self::congestion::Window;
use self::recovery::{Rack, Recovery};
use self::rto::Rto;
use self::scoreboard::{LEAST_RUNS, MAX_RUNS, Scoreboard};
use crate::options::Congestion;
use crate::seq::{Micros, after, earlier, later};

/// How long a peer may delay the acknowledgment of a lone segment (RFC 8985, 7.2).
const MAX_ACK_DELAY: Micros = 200_000;

/// Duplicate acknowledgments, or segments selectively acknowledged, that mean a loss
/// (RFC 5681, 3.2).
const DUP_THRESH: u32 = 3;

/// The first timeouts of a SYN are no longer than the one before (Linux:
/// `tcp_syn_linear_timeouts`): nothing is known of the path that they could relieve.
const LINEAR_SYN_TIMEOUTS: u8 = 4;

/// A SYN or SYN-ACK that follows another one sooner says nothing of a loss: half of the initial
/// retransmission timeout.
const MIN_SYN_INTERVAL: Micros = 500_000;

/// So many segments may be in flight however short they are.
const MIN_SEGMENTS: u32 = 64;

/// The MSS before the peer has sent its own (RFC 9293, 3.7.1).
const DEFAULT_MSS: u32 = 536;

/// The sending side of one connection. Every idle connection holds one, so it is kept small: what
/// only a connection with losses needs is on the heap.
#[derive(Debug)]
pub(crate) struct Sender {
    scoreboard: Scoreboard,
    window: Window,
    rto: Rto,
    rack: Rack,
    /// None until the first loss, and again once the connection is idle.
    recovery: Option<Box<Recovery>>,
    /// What the retransmission timer counts from, if it runs.
    timer_start: Micros,
    /// When the last segment was sent.
    sent_at: Micros,
    /// The right edge of the peer's window: SND.UNA + SND.WND.
    window_edge: u32,
    largest_window: u32,
    /// The sequence number of the segment that the window is from.
    snd_wl1: u32,
    /// The number of the FIN, once sent.
    fin: u32,
    /// Sequence numbers that the peer has acknowledged, with those of the SYN and the FIN.
    acknowledged: u64,
    retransmits: u32,
    /// Retransmission timeouts, or window probes, since the last progress.
    backoff: u8,
    /// SYNs or SYN-ACKs that were lost, as far as is known.
    lost_syns: u8,
    timer_runs: bool,
    fin_sent: bool,
    /// The peer sends selective acknowledgments.
    sack: bool,
    /// An acknowledgment has told the peer's window: the handshake is over.
    window_known: bool,
    rack_valid: bool,
    /// Packets overtake each other on this path: RACK.reordering_seen (RFC 8985, 6.1).
    reordering_seen: bool,
    /// One segment may be retransmitted whatever the congestion window says.
    bypass_cwnd: bool,
    /// A window that is too small for silly window avoidance may be filled: the override timeout
    /// has passed (RFC 9293, 3.8.6.2.1).
    sws_override: bool,
    /// The memory budget of all connections is exceeded: the scoreboard keeps to [`LEAST_RUNS`].
    is_short_of_memory: bool,
}

/// An acknowledgment that is not beyond SND.NXT.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack<'a> {
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    /// Scaled, in bytes.
    pub(crate) window: u32,
    /// Blocks of the SACK option, in the order of the option.
    pub(crate) sack: &'a [(u32, u32)],
    /// When the segment was sent whose timestamp is echoed, to the millisecond.
    pub(crate) tsecr_sent_at: Option<Micros>,
    /// The round-trip time by the same timestamp.
    pub(crate) rtt: Option<Micros>,
    /// The segment carries data or a FIN, so that it is no duplicate acknowledgment.
    pub(crate) data: bool,
}

/// What the peer's SYN says about segments to the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NegotiatedOptions {
    /// Bytes of data in a full segment, beside the options that every segment carries.
    pub(crate) mss: u32,
    pub(crate) sack: bool,
    /// Never scaled, in bytes (RFC 7323, 2.2).
    pub(crate) window: u32,
}

impl Sender {
    pub(crate) fn new(kind: Congestion) -> Self {
        Self {
            scoreboard: Scoreboard::new(0),
            window: Window::new(kind, DEFAULT_MSS),
            rto: Rto::default(),
            rack: Rack::default(),
            recovery: None,
            timer_start: 0,
            sent_at: 0,
            window_edge: 0,
            largest_window: 0,
            snd_wl1: 0,
            fin: 0,
            acknowledged: 0,
            retransmits: 0,
            backoff: 0,
            lost_syns: 0,
            timer_runs: false,
            fin_sent: false,
            sack: false,
            window_known: false,
            rack_valid: false,
            reordering_seen: false,
            bypass_cwnd: false,
            sws_override: false,
            is_short_of_memory: false,
        }
    }

    /// Our SYN has the number `iss`. Nothing has been sent.
    pub(crate) fn start(&mut self, iss: u32) {
        self.scoreboard = Scoreboard::new(iss);
        self.window_edge = iss.wrapping_add(1);
    }

    /// The peer's SYN has come.
    pub(crate) fn negotiate(&mut self, options: NegotiatedOptions) {
        self.sack = options.sack;
        self.largest_window = options.window;
        self.window = Window::new(self.window.kind(), options.mss);
        if self.scoreboard.flight() > 0 {
            self.window_edge = self.scoreboard.nxt().wrapping_add(options.window);
        }
    }

    /// Segments carry `mss` bytes from now on. What is in flight and larger is lost: it does not
    /// fit the path (RFC 1191, 6.4).
    pub(crate) fn set_mss(&mut self, mss: u32) {
        let fell = mss < self.mss();
        self.window.set_mss(mss);
        if fell && self.scoreboard.lose_larger_than(mss) > 0 {
            self.bypass_cwnd = true;
        }
    }

    /// Gives all heap memory back. Nothing is in flight and will not be for some time, or nothing
    /// will be sent any more.
    pub(crate) fn release(&mut self) {
        self.scoreboard.release();
        self.window.release();
        self.recovery = None;
    }

    /// Says whether the memory budget of all connections is exceeded, so that the scoreboard grows no
    /// further.
    pub(crate) fn set_short_of_memory(&mut self, is_short: bool) {
        self.is_short_of_memory = is_short;
    }

    /// The most runs that the scoreboard may have.
    fn max_runs(&self) -> usize {
        match self.is_short_of_memory {
            true => LEAST_RUNS,
            false => MAX_RUNS,
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_size(&self) -> usize {
        let recovery = self.recovery.as_ref();
        let recovery = recovery.map_or(0, |r| size_of::<Recovery>() + r.heap_size());
        self.scoreboard.heap_size() + self.window.heap_size() + recovery
    }

    pub(crate) fn una(&self) -> u32 {
        self.scoreboard.una()
    }

    pub(crate) fn nxt(&self) -> u32 {
        self.scoreboard.nxt()
    }

    /// The sequence number of a segment without data. SND.NXT may lie outside of a window that has
    /// shrunk, and a peer ignores the acknowledgment of such a segment.
    pub(crate) fn empty(&self) -> u32 {
        earlier(
            self.scoreboard.nxt(),
            later(self.window_edge, self.scoreboard.una()),
        )
    }

    /// Sent and not acknowledged, in sequence numbers.
    pub(crate) fn flight(&self) -> u32 {
        self.scoreboard.flight()
    }

    /// Bytes of data in a full segment.
    pub(crate) fn mss(&self) -> u32 {
        self.window.mss()
    }

    /// New numbers up to `end` were sent, in segments of [`mss`](Self::mss) bytes of which the last
    /// may be shorter. `fin` says whether the last carries a FIN.
    pub(crate) fn sent(&mut self, now: Micros, end: u32, fin: bool) {
        if self.scoreboard.flight() == 0 {
            if self.sent_at > 0 && now > self.sent_at + self.rto.timeout(0) {
                self.window.on_idle();
            }
            self.start_timer(now);
        }
        if fin {
            self.fin = end.wrapping_sub(1);
            self.fin_sent = true;
        }
        let max_runs = self.max_runs();
        self.scoreboard.push(now, end, self.window.mss(), max_runs);
        self.sent_at = now;
        self.sws_override = false;
    }

    fn start_timer(&mut self, now: Micros) {
        self.timer_start = now;
        self.timer_runs = true;
    }

    /// Nothing that was sent has left this host yet: the retransmission timer begins anew.
    pub(crate) fn restart_timer(&mut self, now: Micros) {
        if self.timer_runs {
            self.start_timer(now);
        }
    }

    /// The SYN was retransmitted.
    pub(crate) fn retransmitted_syn(&mut self, now: Micros) {
        let syn = (self.scoreboard.una(), self.scoreboard.nxt());
        self.scoreboard.retransmitted(now, syn, 1, self.max_runs());
        self.retransmits = self.retransmits.saturating_add(1);
        // The timer and a SYN that the peer repeats at the same time tell of one loss.
        if now >= self.sent_at + MIN_SYN_INTERVAL {
            self.lost_syns = self.lost_syns.saturating_add(1);
        }
        self.sent_at = now;
        self.start_timer(now);
    }

    /// Whether an ACK of `ack` with a window of `window` bytes says nothing new: nothing is in
    /// flight.
    pub(crate) fn is_acknowledged(&self, ack: u32, window: u32) -> bool {
        ack == self.scoreboard.nxt()
            && self.scoreboard.flight() == 0
            && self.window_edge == ack.wrapping_add(window)
    }

    /// Whether something is to be retransmitted, as soon as the congestion window allows.
    pub(crate) fn has_retransmission(&self) -> bool {
        self.scoreboard.lost() > 0
    }

    /// SACK blocks that were ignored since the last call, because the scoreboard was full.
    pub(crate) fn take_ignored_sacks(&mut self) -> u8 {
        let recovery = self.recovery.as_deref_mut();
        recovery.map_or(0, |recovery| std::mem::take(&mut recovery.ignored_sacks))
    }

    /// Whether a segment of less than the MSS waits for an acknowledgment: as many segments as the
    /// congestion window has are in flight. Linux counts the window in segments. Without this a
    /// window of full segments would be one of very many tiny ones.
    pub(crate) fn holds_short_segment(&self) -> bool {
        let segments = self.scoreboard.pipe_segments();
        segments >= MIN_SEGMENTS && segments.saturating_mul(self.mss()) >= self.window.cwnd()
    }

    /// The next stretch to retransmit, at most `most` bytes as far as the congestion window allows:
    /// its first number, the number after its data, and whether a FIN follows. It counts as
    /// retransmitted at `now`.
    pub(crate) fn next_retransmission(
        &mut self,
        now: Micros,
        most: u32,
    ) -> Option<(u32, u32, bool)> {
        let (pipe, mss) = (self.scoreboard.pipe(), self.mss());
        let mut room = self.window.cwnd().saturating_sub(pipe);
        if let Some(recovery) = &self.recovery {
            room = room.min(recovery.credit.saturating_mul(mss));
        }
        if pipe == 0 || self.bypass_cwnd {
            room = room.max(mss);
        }
        if room == 0 {
            return None;
        }
        let (start, end) = self.scoreboard.first_lost(most)?;
        let (mut end, mut fin) = self.data_end(start, end, most);
        if end.wrapping_sub(start) > room {
            end = start.wrapping_add(room - room % mss);
            fin = false;
        }
        let upto = end.wrapping_add(fin.into());
        if upto == start {
            return None;
        }
        self.bypass_cwnd = false;
        let max_runs = self.max_runs();
        self.scoreboard
            .retransmitted(now, (start, upto), mss, max_runs);
        let segments = upto.wrapping_sub(start).div_ceil(mss).max(1);
        if let Some(recovery) = &mut self.recovery {
            recovery.on_retransmission(now, start, upto);
            recovery.credit = recovery.credit.saturating_sub(segments);
        }
        self.retransmits = self.retransmits.saturating_add(segments);
        if start == self.scoreboard.una() || !self.timer_runs {
            self.start_timer(now);
        }
        self.sent_at = now;
        Some((start, end, fin))
    }

    /// Where the data of the lost stretch `start..end` ends, and whether the FIN follows and is
    /// lost too.
    fn data_end(&mut self, start: u32, end: u32, most: u32) -> (u32, bool) {
        if !self.fin_sent {
            return (end, false);
        }
        if end == self.fin.wrapping_add(1) {
            return (self.fin, true);
        }
        // The FIN takes no room in a full segment.
        let more = end == self.fin && self.scoreboard.first_lost(most + 1) != Some((start, end));
        (end, more)
    }

    /// Up to where new data may be sent, in bytes from SND.UNA; `unsent` bytes wait.
    pub(crate) fn allowance(&self, unsent: usize) -> u32 {
        let flight = self.scoreboard.flight();
        let usable = self.peer_window().saturating_sub(flight);
        if self.scoreboard.lost() > 0 || (self.is_silly(usable, unsent) && !self.sws_override) {
            return flight;
        }
        let mss = self.mss();
        let pipe = match (&self.recovery, self.sack) {
            // Each duplicate acknowledgment says that a segment has left the path.
            (Some(recovery), false) => {
                (self.scoreboard.pipe()).saturating_sub(recovery.dup_acks.saturating_mul(mss))
            }
            _ => self.scoreboard.pipe(),
        };
        let room = match self.window.cwnd().saturating_sub(pipe) {
            room if unsent <= room as usize => room,
            room if pipe > 0 => room - room % mss,
            room => (room - room % mss).max(mss),
        };
        flight + usable.min(room)
    }

    /// Whether the usable window is too small to be filled yet: silly window avoidance
    /// (RFC 9293, 3.8.6.2.1).
    fn is_silly(&self, usable: u32, unsent: usize) -> bool {
        usable < self.mss().min(self.largest_window / 2).max(1) && unsent > usable as usize
    }

    /// The peer's window is zero.
    pub(crate) fn closed(&self) -> bool {
        !after(self.window_edge, self.scoreboard.una())
    }

    /// Smoothed round-trip time and its variation, once measured.
    pub(crate) fn rtt(&self) -> Option<(Micros, Micros)> {
        Some((self.rto.srtt()?, self.rto.rttvar()))
    }

    /// The round-trip time, in microseconds, that the last acknowledgment gave, once.
    pub(crate) fn take_rtt_sample(&mut self) -> Option<u32> {
        self.rto.take_sample()
    }

    /// The shortest round-trip time of late, once measured.
    pub(crate) fn min_rtt(&self) -> Option<Micros> {
        self.rto.min_rtt()
    }

    /// The retransmission timeout.
    pub(crate) fn timeout(&self) -> Micros {
        let backoff = match self.is_unanswered() {
            true => self.backoff.saturating_sub(LINEAR_SYN_TIMEOUTS),
            false => self.backoff,
        };
        self.rto.timeout(backoff)
    }

    /// Whether only our SYN has been sent, and no SYN of the peer has come.
    fn is_unanswered(&self) -> bool {
        !self.window_known && self.largest_window == 0
    }

    /// Retransmission timeouts since the last progress, 0 while the window is closed, and the
    /// length of the segment at SND.UNA. Several mean that the path may take smaller segments only
    /// (RFC 8899, 3).
    pub(crate) fn timeouts(&self) -> (u32, u32) {
        let timeouts = if self.closed() { 0 } else { self.backoff };
        (timeouts.into(), self.scoreboard.first_segment_len())
    }

    /// Congestion window and slow start threshold, in bytes.
    pub(crate) fn window(&self) -> (u32, u32) {
        (self.window.cwnd(), self.window.ssthresh())
    }

    /// Segments retransmitted so far.
    pub(crate) fn retransmits(&self) -> u64 {
        self.retransmits.into()
    }

    /// Retransmission timeouts, or window probes, since the last progress.
    pub(crate) fn backoff(&self) -> u8 {
        self.backoff
    }

    /// Bytes of data that the peer has acknowledged.
    pub(crate) fn acknowledged_bytes(&self) -> u64 {
        let fin = self.fin_sent && after(self.scoreboard.una(), self.fin);
        self.acknowledged.saturating_sub(1 + u64::from(fin)) // without the SYN
    }

    /// The largest window of the peer so far, in bytes: an acknowledgment is at most so late
    /// (RFC 5961, 5.2). A window that is never scaled could have been 65,535.
    pub(crate) fn largest_window(&self) -> u32 {
        self.largest_window.max(u16::MAX.into())
    }

    /// The peer's window beyond SND.UNA, in bytes.
    pub(crate) fn peer_window(&self) -> u32 {
        match self.closed() {
            true => 0,
            false => self.window_edge.wrapping_sub(self.scoreboard.una()),
        }
    }
}

#[cfg(test)]
mod tests;
