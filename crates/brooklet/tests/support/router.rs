//! A router between two wires, whose links take shorter packets than the stacks at their ends know.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use brooklet::{Packet, PacketBuf, PacketIo, Pipe, Unreachable};
use brooklet_packet::icmp;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

/// The most packets that wait in one direction.
const QUEUE: usize = 64;

/// Forwards packets between two wires until one of them ends. A packet that is longer than `mtu` is
/// fragmented if it is IPv4 and allows that. The sender of any other is told by ICMP if `tells` is
/// set, and the packet is lost.
pub async fn route(mut wires: [Pipe; 2], mtu: usize, tells: bool) {
    let mut queues = [VecDeque::new(), VecDeque::new()];
    let mut packet = PacketBuf::default();
    poll_fn(|cx| {
        loop {
            let mut idle = true;
            for (at, other) in [(0, 1), (1, 0)] {
                let Poll::Ready(sent) = send(cx, &mut wires[at], &mut queues[at]) else {
                    return Poll::Ready(());
                };
                idle &= sent == 0;
                if queues[other].len() >= QUEUE {
                    continue;
                }
                match wires[at].poll_recv(cx, &mut packet) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => continue,
                }
                idle = false;
                if packet.len() <= mtu {
                    queues[other].push_back(packet.clone());
                } else if packet[0] >> 4 == 4 && packet[6] & 0x40 == 0 {
                    queues[other].extend(fragments(&packet, mtu));
                } else if tells {
                    let (mut error, mtu) = (Vec::new(), mtu as u32);
                    let offending = Packet::parse(&packet).unwrap();
                    if icmp::error(&mut error, &offending, Unreachable::PacketTooBig { mtu }) {
                        queues[at].push_back(error.into());
                    }
                }
            }
            if idle {
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// Sends what the wire takes, and returns how many packets that were; pending if the wire has ended.
fn send(cx: &mut Context<'_>, wire: &mut Pipe, queue: &mut VecDeque<PacketBuf>) -> Poll<usize> {
    let mut sent = 0;
    while let Some(packet) = queue.front() {
        match wire.poll_send(cx, packet) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Pending,
            Poll::Pending => break,
        }
        queue.pop_front();
        sent += 1;
    }
    Poll::Ready(sent)
}

/// The fragments of an IPv4 packet without options, which may be a fragment itself (RFC 791, 3.2).
fn fragments(packet: &[u8], mtu: usize) -> Vec<PacketBuf> {
    let (header, body) = packet.split_at(20);
    let field = u16::from_be_bytes([header[6], header[7]]);
    let (offset, more) = (usize::from(field & 0x1fff), field & 0x2000);
    let step = (mtu - 20) / 8 * 8;
    let parts = body.chunks(step).enumerate();
    parts
        .map(|(nth, part)| {
            let is_last = (nth + 1) * step >= body.len();
            let more = if is_last { more } else { 0x2000 };
            let field = more | (offset + nth * step / 8) as u16;
            let mut fragment = [header, part].concat();
            let length = fragment.len() as u16;
            fragment[2..4].copy_from_slice(&length.to_be_bytes());
            fragment[6..8].copy_from_slice(&field.to_be_bytes());
            super::packets::fix(&mut fragment);
            fragment.into()
        })
        .collect()
}
