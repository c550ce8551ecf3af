//! Data that has come before what precedes it.

use crate::seq::{after, earlier, later};
use std::collections::VecDeque;

/// Segments beyond a gap, in order, and what is reported of them (RFC 2018).
///
/// smoltcp has room for 32 gaps and reports one; here it is shown no gap at all.
#[derive(Debug, Default)]
pub(super) struct Held {
    pieces: VecDeque<Piece>,
    /// In the pieces.
    bytes: usize,
    /// Stretches without a gap, the latest first.
    blocks: Vec<(u32, u32)>,
}

#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) start: u32,
    pub(crate) data: Box<[u8]>,
    pub(crate) fin: bool,
}

impl Piece {
    pub(super) fn end(&self) -> u32 {
        self.start
            .wrapping_add(self.data.len() as u32)
            .wrapping_add(u32::from(self.fin))
    }

    /// Takes away what lies beyond `edge`.
    pub(super) fn cut(&mut self, edge: u32) {
        let room = match after(edge, self.start) {
            true => edge.wrapping_sub(self.start) as usize,
            false => 0,
        };
        self.fin &= self.data.len() < room;
        self.data = self.data[..room.min(self.data.len())].into();
    }
}

/// For what is taken out again at once.
pub(super) const UNLIMITED: (usize, usize) = (usize::MAX, usize::MAX);

/// Whether there is room for another piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Yes,
    /// There is nothing to keep.
    Nothing,
    /// It was there already.
    Twice,
    Full,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Keeps a piece, unless there are too many already. `most` is how many there may be, and how
    /// many bytes: those of pieces that overlap count twice.
    pub(super) fn keep(
        &mut self,
        start: u32,
        data: &[u8],
        fin: bool,
        most: (usize, usize),
    ) -> Kept {
        let end = start
            .wrapping_add(data.len() as u32)
            .wrapping_add(u32::from(fin));
        if start == end {
            return Kept::Nothing;
        }
        let known = |&(a, b): &(u32, u32)| !after(a, start) && !after(end, b);
        if self.blocks.iter().any(known) {
            return Kept::Twice;
        }
        if self.pieces.len() >= most.0 || self.bytes + data.len() > most.1 {
            return Kept::Full;
        }
        let piece = Piece {
            start,
            data: data.into(),
            fin,
        };
        self.bytes += data.len();
        let at = self
            .pieces
            .partition_point(|other| !after(other.start, start));
        self.pieces.insert(at, piece);
        let mut block = (start, end);
        self.blocks.retain(|&(a, b)| {
            let apart = after(a, block.1) || after(block.0, b);
            if !apart {
                block = (earlier(a, block.0), later(b, block.1));
            }
            apart
        });
        self.blocks.insert(0, block);
        Kept::Yes
    }

    /// The next piece that joins what has been received up to `next`.
    pub(super) fn take(&mut self, next: u32) -> Option<Piece> {
        while let Some(first) = self.pieces.front() {
            if after(first.start, next) {
                return None;
            }
            let piece = self.pieces.pop_front()?;
            self.bytes -= piece.data.len();
            if after(piece.end(), next) {
                return Some(piece);
            }
        }
        None
    }

    /// Everything up to `next` has been received.
    pub(super) fn received(&mut self, next: u32) {
        if !self.blocks.is_empty() {
            self.blocks.retain(|&(_, end)| after(end, next));
        }
    }

    /// What to report: `twice` first, if something came twice (RFC 2883, 4), then the latest.
    pub(super) fn report(&self, twice: Option<(u32, u32)>) -> [Option<(u32, u32)>; 3] {
        let mut blocks = twice.into_iter().chain(self.blocks.iter().copied());
        [blocks.next(), blocks.next(), blocks.next()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: (usize, usize) = (9, 100);

    #[test]
    fn blocks_join_and_the_latest_comes_first() {
        let mut held = Held::default();
        assert_eq!(held.keep(10, b"aaaaa", false, MOST), Kept::Yes);
        assert_eq!(held.keep(30, b"bbbbb", false, MOST), Kept::Yes);
        assert_eq!(held.report(None), [Some((30, 35)), Some((10, 15)), None]);
        assert_eq!(held.keep(15, b"ccccc", false, MOST), Kept::Yes);
        assert_eq!(held.report(None), [Some((10, 20)), Some((30, 35)), None]);
        assert_eq!(held.keep(20, b"dddddddddd", false, MOST), Kept::Yes);
        assert_eq!(held.report(None), [Some((10, 35)), None, None]);
        assert_eq!(held.keep(12, b"x", false, MOST), Kept::Twice);
        assert_eq!(held.report(Some((12, 13)))[0], Some((12, 13)));
    }

    #[test]
    fn pieces_come_out_in_order_once_the_gap_is_closed() {
        let mut held = Held::default();
        let near = u32::MAX - 3;
        held.keep(near.wrapping_add(8), b"second", true, MOST);
        held.keep(near.wrapping_add(4), b"firs", false, MOST);
        assert!(held.take(near).is_none());
        let first = held.take(near.wrapping_add(4)).unwrap();
        assert_eq!((&first.data[..], first.fin), (&b"firs"[..], false));
        let second = held.take(near.wrapping_add(8)).unwrap();
        assert_eq!((&second.data[..], second.fin), (&b"second"[..], true));
        held.received(near.wrapping_add(15));
        assert!(held.is_empty() && held.report(None) == [None; 3]);
    }

    #[test]
    fn it_is_bounded() {
        let mut held = Held::default();
        for n in 0..10 {
            held.keep(10 * n, b"a", false, (4, 100));
        }
        assert_eq!(held.pieces.len(), 4);
        assert_eq!(held.keep(1000, b"a", false, (4, 100)), Kept::Full);
        let mut held = Held::default();
        let kept = (0..40).filter(|&n| held.keep(n, &[0; 30], false, (40, 100)) == Kept::Yes);
        assert_eq!(kept.count(), 3, "each overlaps the one before");
        while held.take(99).is_some() {}
        assert_eq!(held.keep(200, &[0; 100], false, (40, 100)), Kept::Yes);
    }
}
