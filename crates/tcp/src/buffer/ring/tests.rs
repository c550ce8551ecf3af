use super::super::memory::{Claim, Memory, Side};
use super::*;
use brooklet_cell::Threaded;
use proptest::prelude::*;

/// A claim whose receive buffer has `capacity` bytes and may grow.
fn claim(capacity: usize) -> Claim<Threaded> {
    Memory::new(64 << 20).claim(capacity, 1, 1 << 20, 1)
}

fn ring(capacity: usize, start: u32) -> Ring<Threaded> {
    Ring::new(claim(capacity).attach(Side::Receive), start)
}

fn content(ring: &Ring<Threaded>) -> Vec<u8> {
    let (first, second) = ring.slices(ring.start(), ring.len());
    [first, second].concat()
}

#[test]
fn a_ring_of_a_connection_is_smaller_than_128_bytes() {
    assert!(
        size_of::<Ring<Threaded>>() <= 128,
        "{}",
        size_of::<Ring<Threaded>>()
    );
}

#[test]
fn sequence_numbers_wrap_within_the_ring() {
    let mut ring = ring(10, u32::MAX - 2);
    assert_eq!(ring.append(b"abcdef"), 6);
    assert_eq!((ring.end(), ring.room()), (3, 4));
    assert_eq!(ring.slices(u32::MAX, 3), (&b"cde"[..], &b""[..]));
    ring.consume(4);
    assert_eq!((ring.start(), ring.len()), (1, 2));
    // The index wraps as well, and the ring takes no more than its capacity.
    assert_eq!(ring.append(b"ghijklmnop"), 8);
    assert_eq!(ring.slices(1, 10), (&b"efghij"[..], &b"klmn"[..]));
    let mut out = [0; 16];
    assert_eq!(ring.read(&mut out), 10);
    assert_eq!(&out[..10], b"efghijklmn");
}

#[test]
fn content_and_room_come_in_two_parts_where_the_ring_wraps() {
    let mut ring = ring(10, 0);
    let write = |ring: &mut Ring<Threaded>, bytes: &[u8]| {
        let (first, second) = ring.room_mut();
        let mut room = first.iter_mut().chain(second);
        for byte in bytes {
            *room.next().unwrap() = *byte;
        }
        ring.advance(bytes.len());
    };
    assert_eq!(ring.content(), (&b""[..], &b""[..]));
    assert_eq!(ring.room_mut().0.len(), 10);
    write(&mut ring, b"abcdefg");
    ring.consume(4);
    let (first, second) = ring.room_mut();
    assert_eq!((first.len(), second.len()), (3, 4));
    write(&mut ring, b"hijkl");
    assert_eq!(ring.content(), (&b"efghij"[..], &b"kl"[..]));
    let (first, second) = ring.room_mut();
    assert_eq!((first.len(), second.len()), (2, 0));
    write(&mut ring, b"mn");
    let (first, second) = ring.room_mut();
    assert!(first.is_empty() && second.is_empty());
    ring.consume(6);
    assert_eq!(ring.content(), (&b"klmn"[..], &b""[..]));
}

#[test]
fn a_ring_without_content_begins_again_at_its_first_page() {
    let mut ring = ring(10, 0);
    ring.append(b"abc");
    ring.consume(3);
    assert_eq!(ring.head, 0);
    // Out-of-order bytes stay where they are.
    ring.write_at(5, b"f");
    ring.append(b"de");
    ring.consume(2);
    assert_eq!(ring.head, 2);
    ring.advance(1);
    assert_eq!(content(&ring), b"f");
    ring.consume(1);
    assert_eq!(ring.head, 0);
}

#[test]
fn out_of_order_bytes_leave_bytes_in_order_alone() {
    let mut ring = ring(8, 100);
    ring.append(b"abc");
    assert_eq!(ring.write_at(100, b"xyz"), 0, "in order already");
    assert_eq!(ring.write_at(90, b"xxxxxxxxxxxxxde"), 2, "the part beyond");
    assert_eq!(
        ring.write_at(107, b"hxx"),
        1,
        "the part within the capacity"
    );
    assert_eq!(ring.write_at(108, b"x"), 0);
    assert_eq!(ring.write_at(100u32.wrapping_sub(1 << 31), b"x"), 0);
    assert_eq!(content(&ring), b"abc");
    ring.advance(2);
    assert_eq!(ring.append(b"fg"), 2);
    ring.advance(1);
    assert_eq!(content(&ring), b"abcdefgh");
}

#[test]
fn out_of_order_bytes_move_to_a_larger_buffer() {
    let claim = claim(8);
    let mut ring = Ring::new(claim.attach(Side::Receive), 0);
    ring.append(b"abcdef");
    ring.consume(5);
    ring.write_at(7, b"hij");
    ring.grow(claim.grow(Side::Receive, 8, 9).unwrap());
    assert_eq!(ring.capacity(), 16);
    ring.append(b"g");
    ring.advance(3);
    assert_eq!(content(&ring), b"fghij");
}

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<u8>),
    /// Written by the caller where the ring says that there is room.
    Lend(Vec<u8>),
    WriteAt(i32, Vec<u8>),
    Advance(usize),
    Consume(usize),
    Read(usize),
    Grow(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        bytes().prop_map(Op::Append),
        bytes().prop_map(Op::Lend),
        (-50..120i32, bytes()).prop_map(|(offset, bytes)| Op::WriteAt(offset, bytes)),
        (0..60usize).prop_map(Op::Advance),
        (0..60usize).prop_map(Op::Consume),
        (0..60usize).prop_map(Op::Read),
        (1..12usize).prop_map(Op::Grow),
    ]
}

/// What a ring must hold: the bytes from `start`, and of each whether it was written.
struct Model {
    start: u32,
    len: usize,
    bytes: Vec<Option<u8>>,
}

impl Model {
    fn contiguous(&self) -> usize {
        let beyond = self.bytes[self.len..].iter();
        beyond.take_while(|byte| byte.is_some()).count()
    }

    fn consume(&mut self, n: usize) {
        self.start = self.start.wrapping_add(n as u32);
        self.len -= n;
        self.bytes.rotate_left(n);
        let capacity = self.bytes.len();
        self.bytes[capacity - n..].fill(None);
    }

    fn content(&self) -> Vec<u8> {
        self.bytes[..self.len]
            .iter()
            .map(|byte| byte.unwrap())
            .collect()
    }
}

proptest! {
    #[test]
    fn a_ring_holds_what_a_vector_of_bytes_would(
        capacity in 1..90usize,
        start in prop_oneof![any::<u32>(), (u32::MAX - 150)..=u32::MAX],
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let claim = claim(capacity);
        let mut ring = Ring::new(claim.attach(Side::Receive), start);
        let mut model = Model { start, len: 0, bytes: vec![None; capacity] };
        for op in ops {
            match op {
                Op::Append(bytes) => {
                    let n = bytes.len().min(model.bytes.len() - model.len);
                    prop_assert_eq!(ring.append(&bytes), n);
                    for byte in &bytes[..n] {
                        model.bytes[model.len] = Some(*byte);
                        model.len += 1;
                    }
                }
                // No caller lends room in which out-of-order bytes lie.
                Op::Lend(_) if ring.ahead > 0 => {}
                Op::Lend(bytes) => {
                    let n = bytes.len().min(model.bytes.len() - model.len);
                    let (first, second) = ring.room_mut();
                    prop_assert_eq!(first.len() + second.len(), model.bytes.len() - model.len);
                    for (to, from) in first.iter_mut().chain(second).zip(&bytes) {
                        *to = *from;
                    }
                    ring.advance(n);
                    for byte in &bytes[..n] {
                        model.bytes[model.len] = Some(*byte);
                        model.len += 1;
                    }
                }
                Op::WriteAt(offset, bytes) => {
                    let written = ring.write_at(model.start.wrapping_add_signed(offset), &bytes);
                    let mut expected = 0;
                    for (n, byte) in bytes.iter().enumerate() {
                        let at = offset + n as i32;
                        if at >= model.len as i32 && at < model.bytes.len() as i32 {
                            model.bytes[at as usize] = Some(*byte);
                            expected += 1;
                        }
                    }
                    prop_assert_eq!(written, expected);
                }
                Op::Advance(n) => {
                    let n = n.min(model.contiguous());
                    ring.advance(n);
                    model.len += n;
                }
                Op::Consume(n) => {
                    let n = n.min(model.len);
                    ring.consume(n);
                    model.consume(n);
                }
                Op::Read(n) => {
                    let mut out = vec![0; n];
                    let expected = model.content();
                    let n = n.min(model.len);
                    prop_assert_eq!(ring.peek(&mut out), n);
                    prop_assert_eq!(&out[..n], &expected[..n]);
                    out.fill(0);
                    prop_assert_eq!(ring.read(&mut out), n);
                    prop_assert_eq!(&out[..n], &expected[..n]);
                    model.consume(n);
                }
                Op::Grow(by) => {
                    let wanted = ring.capacity() + by;
                    if let Some(buffer) = claim.grow(Side::Receive, ring.capacity(), wanted) {
                        model.bytes.resize(buffer.len(), None);
                        ring.grow(buffer);
                    }
                }
            }
            let (first, second) = ring.content();
            prop_assert_eq!([first, second].concat(), model.content());
            prop_assert_eq!(ring.start(), model.start);
            prop_assert_eq!(ring.end(), model.start.wrapping_add(model.len as u32));
            prop_assert_eq!((ring.len(), ring.is_empty()), (model.len, model.len == 0));
            prop_assert_eq!(ring.capacity(), model.bytes.len());
            prop_assert_eq!(ring.room(), model.bytes.len() - model.len);
            prop_assert_eq!(content(&ring), model.content());
            // Any part of the content, as a retransmission reads it.
            let (offset, n) = (model.len / 3, model.len / 2);
            let (first, second) = ring.slices(model.start.wrapping_add(offset as u32), n);
            prop_assert_eq!([first, second].concat(), &model.content()[offset..offset + n]);
        }
    }
}
