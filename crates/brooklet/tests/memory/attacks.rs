//! The attacks.

use crate::victim::{BUDGET, Victim, client, now, server};
use brooklet::{Builder, DropReason, SessionConfig, TcpOptions, TcpStream, UdpSession};
use brooklet_packet::icmp::{self, Echo};
use brooklet_packet::{IpFields, Packet, TcpFlags, udp};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smoltcp::wire::Ipv4Packet;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::{Context, Waker};

const ACK: TcpFlags = TcpFlags::ACK;

/// Opens a connection by a handshake and `accept`. Returns the sequence numbers of both ends behind
/// the SYNs.
fn open(victim: &mut Victim, n: usize, options: &[u8]) -> Option<(TcpStream, u32, u32)> {
    let sent = victim.sent();
    victim.segment(client(n), TcpFlags::SYN, (1000, 0), options, b"");
    let accepted = victim.program(|program| now(program.tcp?.accept()));
    assert!(accepted.is_none(), "the handshake is not done");
    victim.settle();
    if victim.sent() == sent {
        return None; // refused: the table is full
    }
    let theirs = victim.last()?.seq.wrapping_add(1);
    victim.segment(client(n), ACK, (1001, theirs), b"", b"");
    let (stream, _) = victim
        .program(|program| now(program.tcp?.accept()))?
        .unwrap();
    Some((stream, 1001, theirs))
}

pub(crate) fn syn_flood() {
    let mut victim = Victim::new(Builder::new());
    for n in 0..20_000 {
        victim.segment(client(n), TcpFlags::SYN, (1000, 0), b"", b"");
    }
    victim.check("20,000 SYNs");
    let stats = victim.stats();
    assert!(stats.tcp.requests > 200, "{stats}");
    assert!(stats.tcp.syn_cookies_sent > 0, "{stats}");
    victim.pass(200);
    assert_eq!(victim.stats().tcp.requests, 0);
    victim.check_gone();
}

pub(crate) fn accepted_syn_flood() {
    let mut victim = Victim::new(Builder::new());
    for n in 0..10_000 {
        victim.segment(client(n), TcpFlags::SYN, (1000, 0), b"", b"");
        victim.program(|program| assert!(now(program.tcp.unwrap().accept()).is_none()));
        if n % 16 == 0 {
            victim.settle();
        }
    }
    victim.settle();
    victim.check("10,000 SYNs that are answered");
    victim.pass(200);
    assert_eq!(victim.stats().tcp.connections, 0);
    victim.check_gone();
}

pub(crate) fn waiting_requests() {
    let mut victim = Victim::new(Builder::new());
    let mut requests = Vec::with_capacity(2000);
    for n in 0..2000 {
        victim.segment(client(n), TcpFlags::SYN, (1000, 0), b"", b"");
        let listener = victim.tcp.as_ref().unwrap();
        let request = victim
            .meter
            .run(|| now(poll_fn(|cx| listener.poll_request(cx))));
        requests.extend(request.map(Result::unwrap));
    }
    assert!(requests.len() > 200, "{} requests", requests.len());
    // What the tasks of the program are is the program's.
    let (mut tasks, own): (Vec<_>, _) = victim.meter.exclude(|| {
        let withdrawn = requests.iter().map(|request| Box::pin(request.withdrawn()));
        withdrawn.collect()
    });
    victim.meter.run(|| {
        let mut cx = Context::from_waker(Waker::noop());
        for task in &mut tasks {
            assert!(task.as_mut().poll(&mut cx).is_pending());
        }
    });
    victim.check("requests that wait for their answer");
    victim.meter.run(|| drop(tasks));
    victim.meter.include(own);
    victim.pass(200);
    victim.meter.run(|| requests.drain(..).for_each(drop));
    victim.check_gone();
}

pub(crate) fn early_data() {
    let mut victim = Victim::new(Builder::new());
    let mut streams = Vec::with_capacity(2000);
    for n in 0..1900 {
        let Some((stream, seq, ack)) = open(&mut victim, n, b"") else {
            continue;
        };
        streams.push(stream);
        for segment in 0..44 {
            let at = seq.wrapping_add(1460 * segment);
            victim.segment(client(n), ACK, (at, ack), b"", &[1; 1460]);
        }
        if n % 100 == 99 {
            victim.check(&format!("{} connections", streams.len()));
        }
    }
    assert!(streams.len() > 250, "{} connections", streams.len());
    assert!(victim.stats().dropped(DropReason::TcpTableFull) > 0);
    victim.pass(60);
    victim.check("a minute later");
    // A peer that resets the connection leaves nothing but what can be read.
    for n in 0..streams.len() / 2 {
        victim.segment(client(n), TcpFlags::RST, (1001, 0), b"", b"");
    }
    victim.check("half of them reset");
    for stream in &streams {
        victim.program(|_| stream.abort());
    }
    victim.settle();
    victim.program(|_| streams.drain(..).for_each(drop));
    victim.pass(60);
    assert_eq!(victim.stats().tcp.connections, 0);
    victim.check_gone();
}

pub(crate) fn out_of_order() {
    let mut victim = Victim::new(Builder::new());
    let sack_permitted = [4, 2, 1, 1];
    let mut streams = Vec::with_capacity(300);
    for n in 0..250 {
        let Some((stream, seq, ack)) = open(&mut victim, n, &sack_permitted) else {
            break;
        };
        streams.push(stream);
        for gap in 1..150 {
            let at = seq.wrapping_add(2 * gap);
            victim.segment(client(n), ACK, (at, ack), b"", b"x");
        }
    }
    victim.check("bytes beyond gaps");
    assert!(streams.len() > 200);
    victim.pass(10);
    victim.check("10 s later");
    for stream in &streams {
        victim.program(|_| stream.abort());
    }
    victim.program(|_| streams.drain(..).for_each(drop));
    victim.pass(60);
    victim.check_gone();
}

fn datagram(from: SocketAddr, payload: &[u8], out: &mut Vec<u8>) {
    udp::write(out, from, server(), 64, payload).unwrap();
}

pub(crate) fn udp_sources() {
    let mut victim = Victim::new(Builder::new());
    let socket = victim.udp.take().unwrap();
    let config = SessionConfig::new();
    let listener = victim.program(|_| socket.into_sessions(config));
    let mut sessions: Vec<UdpSession> = Vec::with_capacity(100_000);
    let mut packet = Vec::with_capacity(2048);
    for n in 0..100_000 {
        datagram(client(n), &[7; 100], &mut packet);
        victim.receive(&packet);
        victim.program(|_| {
            if let Some(Ok(session)) = now(listener.accept()) {
                sessions.push(session);
            }
        });
        if n % 1000 == 999 {
            // The program drops the sessions that have ended: the oldest.
            let ended = sessions.len() - victim.stats().udp.sessions as usize;
            victim.program(|_| sessions.drain(..ended).for_each(drop));
        }
        if n % 20_000 == 19_999 {
            victim.check(&format!("{} sources", n + 1));
        }
    }
    let stats = victim.stats();
    assert!(
        stats.udp.sessions > 500 && stats.udp.sessions_evicted > 50_000,
        "{stats}"
    );
    victim.program(|_| sessions.drain(..).for_each(drop));
    victim.program(|_| drop(listener));
    victim.pass(1);
    assert_eq!(victim.stats().udp.sessions, 0);
    victim.check_gone();
}

pub(crate) fn udp_backlog() {
    let mut victim = Victim::new(Builder::new());
    let socket = victim.udp.take().unwrap();
    let config = SessionConfig::new().backlog(100_000).sessions(100_000);
    let listener = victim.program(|_| socket.into_sessions(config));
    let mut packet = Vec::with_capacity(2048);
    for n in 0..10_000 {
        datagram(client(n), &[7; 1400], &mut packet);
        victim.receive(&packet);
    }
    victim.check("10,000 sessions that wait");
    victim.pass(130);
    assert_eq!(victim.stats().udp.sessions, 0);
    victim.program(|_| drop(listener));
    victim.check_gone();
}

pub(crate) fn fragments() {
    let mut victim = Victim::new(Builder::new());
    let mut whole = Vec::with_capacity(4096);
    for size in [1400, 8] {
        for n in 0..2000 {
            datagram(client(n / 8), &[7; 2000], &mut whole);
            whole.truncate(20 + size);
            whole[4..6].copy_from_slice(&(n as u16).to_be_bytes());
            let length = whole.len() as u16;
            whole[2..4].copy_from_slice(&length.to_be_bytes());
            // The first fragments of a packet, each behind the one before with a gap between them.
            for place in 0..16_u16 {
                let offset = place * (size as u16 / 8 + 1);
                whole[6..8].copy_from_slice(&(0x2000 | offset).to_be_bytes());
                Ipv4Packet::new_unchecked(&mut whole[..]).fill_checksum();
                assert!(Packet::parse(&whole).is_ok());
                victim.receive(&whole);
            }
        }
        victim.check(&format!("fragments of {size} bytes"));
    }
    assert!(victim.stats().reassembly.full > 0);
    victim.pass(20);
    victim.check_gone();
}

/// Connections whose peers read nothing of what is written.
fn unread(victim: &mut Victim, most: usize, options: &[u8]) -> Vec<(TcpStream, u32, u32)> {
    let mut streams = Vec::with_capacity(2000);
    for n in 0..most {
        let Some((stream, seq, ack)) = open(victim, n, options) else {
            break;
        };
        victim.program(|_| while let Some(Ok(_)) = now((&stream).write(&[5; 32_000])) {});
        victim.settle();
        streams.push((stream, seq, ack));
    }
    streams
}

pub(crate) fn slow_readers() {
    let mut victim = Victim::new(Builder::new());
    let mut streams = unread(&mut victim, 1500, b"");
    victim.check("slow readers");
    assert!(streams.len() > 250, "{} connections", streams.len());
    // They are reset after the user timeout of 5 minutes.
    victim.pass(400);
    victim.check("after the user timeout");
    assert_eq!(victim.stats().tcp.connections, 0);
    victim.program(|_| streams.drain(..).for_each(drop));
    victim.check_gone();
}

pub(crate) fn sack_holes() {
    let options = TcpOptions::new().send_buffer(128 << 10);
    let tcp = brooklet::TcpConfig::new().options(options);
    let mut victim = Victim::new(Builder::new().tcp_config(tcp));
    // MSS 48: many segments.
    let syn = [2, 4, 0, 48, 4, 2, 1, 1];
    let mut streams = unread(&mut victim, 64, &syn);
    for round in 0..20 {
        for (n, &(_, seq, ack)) in streams.iter().enumerate() {
            let mut options = [
                1, 1, 5, 26, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ];
            for block in 0..3 {
                let from = ack.wrapping_add(48 * (1 + 2 * (3 * round + block)));
                let at = 4 + 8 * block as usize;
                options[at..at + 4].copy_from_slice(&from.to_be_bytes());
                options[at + 4..at + 8].copy_from_slice(&from.wrapping_add(48).to_be_bytes());
            }
            victim.segment(client(n), ACK, (seq, ack), &options, b"");
        }
    }
    victim.check("alternate segments");
    for (stream, ..) in &streams {
        victim.program(|_| stream.abort());
    }
    victim.program(|_| streams.drain(..).for_each(drop));
    victim.pass(60);
    victim.check_gone();
}

pub(crate) fn stuck_device() {
    let mut victim = Victim::new(Builder::new());
    let mut streams = Vec::with_capacity(2000);
    for n in 0..100 {
        streams.extend(open(&mut victim, n, b""));
    }
    victim.set_stuck(true);
    for (stream, ..) in &streams {
        victim.program(|_| {
            while let Some(Ok(_)) = now(AsyncWriteExt::write(&mut &*stream, &[5; 9000])) {}
        });
    }
    let mut packet = Vec::with_capacity(2048);
    victim.program(|program| {
        let udp = program.udp.unwrap();
        for n in 0..2000 {
            let _ = now(udp.send_to(&[7; 1200], server(), client(n)));
            let _ = now(udp.send_to(&[7; 60_000], server(), client(n)));
        }
    });
    for n in 0..2000 {
        // Answers of the stack: RSTs, and echo replies.
        victim.segment(client(5000 + n), ACK, (5, 6), b"", b"");
        let echo = Echo {
            identifier: 7,
            sequence: n as u16,
        };
        let (from, to) = (client(n).ip(), server().ip());
        icmp::write_echo_request(&mut packet, from, to, IpFields::new(), echo, &[1; 1000]).unwrap();
        victim.receive(&packet);
    }
    victim.check("a device that takes nothing");
    victim.set_stuck(false);
    for (stream, ..) in &streams {
        victim.program(|_| stream.abort());
    }
    victim.settle();
    victim.program(|_| streams.drain(..).for_each(drop));
    victim.pass(60);
    victim.check_gone();
}

pub(crate) fn time_wait() {
    let mut victim = Victim::new(Builder::new());
    for n in 0..3000 {
        let (stream, seq, ack) = open(&mut victim, n, b"").unwrap();
        victim.program(|_| drop(stream));
        victim.settle();
        let ack = ack.wrapping_add(1); // the FIN
        victim.segment(client(n), ACK | TcpFlags::FIN, (seq, ack), b"", b"");
    }
    victim.check("3,000 connections that have ended");
    assert!(victim.stats().tcp.time_wait > 200, "{}", victim.stats());
    victim.pass(60);
    assert_eq!(victim.stats().tcp.time_wait, 0);
    victim.check_gone();
}

pub(crate) fn least_budget() {
    let mut victim = Victim::with_budget(Builder::new(), 3 << 20);
    assert!(victim.budget < BUDGET);
    let mut streams = Vec::with_capacity(2000);
    for n in 0..300 {
        streams.extend(open(&mut victim, n, b""));
    }
    assert!(streams.len() >= 50, "{} connections", streams.len());
    // Each of them goes on.
    let mut buf = vec![0; 4096];
    for (n, &(ref stream, seq, ack)) in streams.iter().enumerate() {
        for round in 0..10 {
            let at = seq.wrapping_add(1000 * round);
            victim.segment(client(n), ACK, (at, ack), b"", &[1; 1000]);
            let read = victim.program(|_| now((&mut &*stream).read(&mut buf)));
            assert_eq!(read.unwrap().unwrap(), 1000);
        }
    }
    victim.check("as many connections as there may be");
    victim.program(|_| streams.drain(..).for_each(drop));
}
