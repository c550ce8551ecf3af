//! The receiving side of one connection.

mod out_of_order;
mod timestamps;
mod window;

pub(crate) use self::timestamps::Timestamps;
pub(crate) use self::window::LONG_SEGMENT;

use self::out_of_order::{Inserted, OutOfOrder};
use self::window::Window;
use crate::buffer::{Claim, Ring, Side, window_scale};
use crate::seq::{Micros, after, earlier};
use crate::syn::Syn;
use brooklet_cell::Flavor;
use brooklet_packet::TrafficClass;

/// The most ranges of the out-of-order queue while the memory budget of all connections is exceeded.
const LEAST_RANGES: usize = 16;

/// The receive sequence variables of RFC 9293, 3.3.1, the receive buffer and the out-of-order
/// queue.
#[derive(Debug)]
pub(crate) struct Receiver<F: Flavor> {
    /// IRS, once the peer's SYN has arrived.
    irs: Option<u32>,
    /// RCV.NXT: behind a FIN it is the number after the FIN.
    rcv_nxt: u32,
    /// Bytes of data before RCV.NXT.
    received: u64,
    pub(crate) window: Window,
    pub(crate) timestamps: Timestamps,
    /// Both ends have offered SACK (RFC 2018).
    pub(crate) sack_permitted: bool,
    /// The memory budget is exceeded: no more than [`LEAST_RANGES`].
    is_short_of_memory: bool,
    /// Of the packet that carried the peer's SYN.
    hop_limit: u8,
    traffic_class: TrafficClass,
    /// What arrived twice and has not been reported (RFC 2883).
    dsack: Option<(u32, u32)>,
    ring: Option<Box<Ring<F>>>,
    out_of_order: Option<Box<OutOfOrder>>,
}

/// What became of the text of a segment (RFC 9293, 3.10.7.4, seventh).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// In order: RCV.NXT has advanced, over the peer's FIN if `fin` says so.
    InOrder { fin: bool },
    /// In order, but the bytes beyond the window were dropped.
    Truncated,
    /// Beyond a gap.
    OutOfOrder,
    /// All of it had arrived before.
    Duplicate,
    /// It lies outside of the window: a zero-window probe.
    Outside,
    /// There are too many gaps.
    Full,
}

impl<F: Flavor> Receiver<F> {
    /// For a connection with a receive buffer of `buffer` bytes at first, and `largest` at most.
    /// `offset` is added to TSval.
    pub(crate) fn new(buffer: usize, largest: usize, offset: u32) -> Self {
        Self {
            irs: None,
            rcv_nxt: 0,
            received: 0,
            window: Window::new(buffer, window_scale(largest)),
            timestamps: Timestamps::new(offset),
            sack_permitted: false,
            is_short_of_memory: false,
            hop_limit: 0,
            traffic_class: TrafficClass::default(),
            dsack: None,
            ring: None,
            out_of_order: None,
        }
    }

    /// The peer's SYN has arrived.
    pub(crate) fn negotiate(&mut self, now: Micros, syn: &Syn) {
        self.irs = Some(syn.isn);
        self.rcv_nxt = syn.isn.wrapping_add(1);
        self.timestamps
            .negotiate(now, syn.timestamp.map(|(tsval, _)| tsval));
        self.sack_permitted = syn.sack_permitted;
        (self.hop_limit, self.traffic_class) = (syn.hop_limit, syn.traffic_class);
        self.window.negotiate(syn.window_scale.is_some());
    }

    /// Whether the peer's SYN has arrived.
    pub(crate) fn has_irs(&self) -> bool {
        self.irs.is_some()
    }

    /// The TTL or hop limit with which the peer's SYN arrived.
    pub(crate) fn syn_hop_limit(&self) -> Option<u8> {
        self.irs.map(|_| self.hop_limit)
    }

    /// The traffic class with which the peer's SYN arrived.
    pub(crate) fn syn_traffic_class(&self) -> Option<TrafficClass> {
        self.irs.map(|_| self.traffic_class)
    }

    /// Whether `seq` is the number of the peer's SYN.
    pub(crate) fn is_irs(&self, seq: u32) -> bool {
        self.irs == Some(seq)
    }

    pub(crate) fn rcv_nxt(&self) -> u32 {
        self.rcv_nxt
    }

    /// Bytes of data received in order so far.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received
    }

    /// Bytes that wait for the application.
    pub(crate) fn len(&self) -> usize {
        self.ring.as_ref().map_or(0, |ring| ring.len())
    }

    pub(crate) fn ring(&mut self) -> Option<&mut Ring<F>> {
        self.ring.as_deref_mut()
    }

    /// Whether nothing waits for the application, nothing waits beyond a gap, and everything is
    /// acknowledged.
    pub(crate) fn is_idle(&self) -> bool {
        self.len() == 0 && self.has_no_gap() && !self.owes_ack()
    }

    pub(crate) fn has_no_gap(&self) -> bool {
        self.out_of_order.is_none()
    }

    /// Whether something has arrived that no ACK has covered.
    pub(crate) fn owes_ack(&self) -> bool {
        self.irs.is_some() && self.window.last_ack() != self.rcv_nxt
    }

    /// The sequence numbers that have arrived and that no ACK has covered.
    pub(crate) fn unacknowledged(&self) -> u32 {
        self.rcv_nxt.wrapping_sub(self.window.last_ack())
    }

    /// Whether buffers are attached.
    pub(crate) fn has_buffer(&self) -> bool {
        self.ring.is_some()
    }

    /// Whether the attached buffer is smaller than it should be.
    pub(crate) fn is_scarce(&self) -> bool {
        self.ring.as_ref().is_some_and(|ring| ring.is_scarce())
    }

    /// Gives the receive buffer back, in which nothing waits. The next one will have `capacity`
    /// bytes.
    pub(crate) fn release(&mut self, capacity: usize) {
        self.ring = None;
        self.out_of_order = None;
        self.window.set_capacity(capacity);
    }

    /// Says whether the memory budget of all connections is exceeded, so that the out-of-order queue
    /// grows no further.
    pub(crate) fn set_short_of_memory(&mut self, is_short: bool) {
        self.is_short_of_memory = is_short;
    }

    /// Bytes on the heap beside the buffer.
    pub(crate) fn heap_size(&self) -> usize {
        let ring = self.ring.as_ref().map_or(0, |_| size_of::<Ring<F>>());
        let queue = self.out_of_order.as_ref();
        ring + queue.map_or(0, |queue| size_of::<OutOfOrder>() + queue.heap_size())
    }

    fn attach(&mut self, claim: &Claim<F>) {
        let start = self.rcv_nxt;
        let ring = self.ring.get_or_insert_with(|| {
            let ring = Ring::new(claim.attach(Side::Receive), start);
            Box::new(ring)
        });
        self.window.set_capacity(ring.capacity());
        // An idle connection has given back a buffer that had grown, and the peer may fill the
        // window that it was advertised then.
        let right_edge = self.window.right_edge();
        let advertised = right_edge.wrapping_sub(start) as usize;
        if after(right_edge, start) && advertised > self.window.capacity() {
            self.grow(advertised, claim);
        }
    }

    /// The sequence number behind the last byte that may be taken: the right edge of the window
    /// as it was advertised, or the end of a buffer that is smaller than it was.
    fn limit(&self) -> u32 {
        let advertised = self.window.right_edge();
        match &self.ring {
            Some(ring) => {
                let end = ring.start().wrapping_add(ring.capacity() as u32);
                earlier(advertised, end)
            }
            None => advertised,
        }
    }

    /// The first sequence number of a segment that is acceptable, and the number after the last
    /// one (RFC 9293, 3.4). An old duplicate is acceptable as far back as a window, so that it is
    /// looked at for its ACK.
    pub(crate) fn acceptable(&self) -> (u32, u32) {
        let right_edge = self.window.right_edge();
        let window = match after(right_edge, self.rcv_nxt) {
            true => right_edge.wrapping_sub(self.rcv_nxt),
            false => 0,
        };
        (
            self.rcv_nxt.wrapping_sub(window.max(65_536)),
            right_edge.wrapping_add(1),
        )
    }

    /// Takes in the text and the FIN of an acceptable segment that has one of them.
    pub(crate) fn segment_text(
        &mut self,
        seq: u32,
        data: &[u8],
        fin: bool,
        claim: &Claim<F>,
    ) -> Text {
        let next = self.rcv_nxt;
        let end = seq.wrapping_add(data.len() as u32 + u32::from(fin));
        if !after(end, next) {
            self.dsack = Some((seq, end));
            return Text::Duplicate;
        }
        if !data.is_empty() && self.ring.is_none() {
            self.attach(claim);
        }
        let limit = self.limit();
        if !(after(limit, seq) || data.is_empty() && seq == next) {
            return Text::Outside;
        }
        let mut data = data;
        let mut start = seq;
        if after(next, seq) {
            self.dsack = Some((seq, next));
            let old = (next.wrapping_sub(seq) as usize).min(data.len());
            data = &data[old..];
            start = next;
        }
        // Of a FIN behind data that does not fit nothing is taken: the reader would be told that
        // all of the stream arrived.
        let room = limit.wrapping_sub(start) as usize;
        let truncated = data.len() > room;
        data = &data[..data.len().min(room)];
        let fin = fin && !truncated;
        match start == next && self.out_of_order.is_none() {
            true => {
                self.push(data);
                self.rcv_nxt = self.rcv_nxt.wrapping_add(u32::from(fin));
                match truncated {
                    true => Text::Truncated,
                    false => Text::InOrder { fin },
                }
            }
            false => self.insert(start, data, fin, truncated),
        }
    }

    /// Takes in data at RCV.NXT if there is no gap and all of the data fits the window.
    pub(crate) fn append_predicted(&mut self, data: &[u8]) -> bool {
        let end = self.rcv_nxt.wrapping_add(data.len() as u32);
        let Some(ring) = &mut self.ring else {
            return false;
        };
        if data.is_empty()
            || self.out_of_order.is_some()
            || after(end, self.window.right_edge())
            || ring.room() < data.len()
        {
            return false;
        }
        ring.append(data);
        self.rcv_nxt = end;
        self.received += data.len() as u64;
        true
    }

    /// The fast path: data at RCV.NXT, and no gap.
    fn push(&mut self, data: &[u8]) {
        if let Some(ring) = &mut self.ring {
            ring.append(data);
            self.rcv_nxt = self.rcv_nxt.wrapping_add(data.len() as u32);
            self.received += data.len() as u64;
        }
    }

    /// Takes in data while there are gaps, or that makes one. Of bytes that arrive twice the first
    /// copy is kept, so that a later one cannot change what was inspected.
    fn insert(&mut self, start: u32, data: &[u8], fin: bool, truncated: bool) -> Text {
        let next = self.rcv_nxt;
        let limit = match self.is_short_of_memory {
            true => LEAST_RANGES,
            false => self.window.max_ranges(),
        };
        let queue = self.out_of_order.get_or_insert_default();
        // Behind the peer's FIN there is nothing, whatever has arrived.
        let mut end = start.wrapping_add(data.len() as u32 + u32::from(fin));
        if let Some(known) = queue.fin() {
            end = earlier(end, known.wrapping_add(1));
        }
        if fin {
            queue.truncate(end);
        }
        if !after(end, start) {
            return Text::OutOfOrder;
        }
        let parts = match queue.insert(start, end, fin, limit) {
            Inserted::Full => return Text::Full,
            Inserted::Duplicate => {
                self.dsack = Some((start, end));
                return Text::OutOfOrder;
            }
            Inserted::New(parts) => parts,
        };
        if let Some(ring) = &mut self.ring {
            for (from, to) in parts {
                let offset = from.wrapping_sub(start) as usize;
                let upto = (to.wrapping_sub(start) as usize).min(data.len());
                if let Some(part) = data.get(offset..upto) {
                    ring.write_at(from, part);
                }
            }
        }
        if start != next {
            return Text::OutOfOrder;
        }
        let fin = queue.fin();
        let end = queue.take(next);
        if queue.is_empty() {
            self.out_of_order = None;
        }
        if let Some(ring) = &mut self.ring {
            let data_end = fin.map_or(end, |fin| earlier(fin, end));
            let advanced = data_end.wrapping_sub(next);
            ring.advance(advanced as usize);
            self.received += u64::from(advanced);
        }
        self.rcv_nxt = end;
        // A FIN that has arrived is the end of everything, so nothing lies behind it.
        let fin = fin.is_some_and(|fin| after(end, fin));
        match truncated && !fin {
            true => Text::Truncated,
            false => Text::InOrder { fin },
        }
    }

    /// The blocks of the SACK option of the next ACK.
    pub(crate) fn take_sack_blocks(&mut self) -> [Option<(u32, u32)>; 3] {
        let dsack = self.dsack.take();
        if !self.sack_permitted {
            return [None; 3];
        }
        match &self.out_of_order {
            Some(queue) => queue.sack_blocks(dsack),
            None => [dsack, None, None],
        }
    }

    /// Replaces the receive buffer by a larger one, if the budget has it.
    pub(crate) fn grow(&mut self, wanted: usize, claim: &Claim<F>) {
        let Some(ring) = &mut self.ring else { return };
        if let Some(buffer) = claim.grow(Side::Receive, ring.capacity(), wanted) {
            ring.grow(buffer);
            self.window.set_capacity(ring.capacity());
        }
    }

    /// The window field of a segment that is sent now, which acknowledges everything.
    pub(crate) fn advertise(&mut self) -> u16 {
        let waiting = self.len() as u32;
        self.window.advertise(self.rcv_nxt, waiting)
    }

    /// The window field of an ACK that is sent at once. An ACK that acknowledges nothing new
    /// repeats the window: with another one it would be no duplicate ACK (RFC 5681, 2).
    pub(crate) fn repeat_window(&mut self) -> u16 {
        match self.window.last_ack() == self.rcv_nxt {
            true => self.window.repeat(),
            false => self.advertise(),
        }
    }

    /// Whether the window has opened far enough for a segment that says so
    /// (RFC 9293, 3.8.6.2.2).
    pub(crate) fn should_update_window(&self) -> bool {
        let waiting = self.len() as u32;
        self.irs.is_some() && self.window.should_update(self.rcv_nxt, waiting)
    }
}
