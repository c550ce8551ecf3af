//! What a capture has: packets, directions, comments, times and losses, read here and by `tshark`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/host.rs"]
mod host;
#[path = "support/packets.rs"]
mod packets;
#[path = "support/pcapng.rs"]
mod pcapng;
mod support;

use brooklet::filter::{Direction, Reject, Verdict};
use brooklet::generic::{Builder, Capture, Parts, Pipe};
use brooklet::{CaptureConfig, Flavor, Offload, Packet, SingleThread, Threaded};
use futures_lite::future::{self, block_on, poll_once};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt, io};
use host::{Host, host};
use packets::{fragments, ping, syn, udp};
use pcapng::{Frame, read};
use std::fs;
use std::io::Write;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use support::addr;

const CLIENT: &str = "10.0.0.2:40000";
const SERVER: &str = "192.0.2.1:53";

/// Everything that waits in the capture.
fn drain<F: Flavor>(capture: &mut Capture<F>) -> Vec<u8> {
    let mut file = Vec::new();
    while let Some(Some(blocks)) = block_on(poll_once(capture.next())) {
        file.extend(blocks);
    }
    file
}

/// What a host says of each kind of packet that it receives.
fn judge(packet: &Packet<'_>, direction: Direction) -> Verdict {
    match (direction, packet.key().destination().port()) {
        (Direction::Inbound, 1) => Verdict::Drop,
        (Direction::Inbound, 2) => Verdict::Reject(Reject::TcpReset),
        (Direction::Inbound, 3) => Verdict::Divert,
        (Direction::Outbound, 4) => Verdict::Drop,
        _ => Verdict::Pass,
    }
}

fn judging() -> Host<impl brooklet::filter::Filter> {
    Host::new(brooklet::Builder::new().filter(judge))
}

fn comments(frames: &[Frame]) -> Vec<(&'static str, Option<&str>)> {
    let of = |frame: &Frame| match frame.direction {
        1 => "in",
        2 => "out",
        _ => "?",
    };
    frames
        .iter()
        .map(|frame| (of(frame), frame.comment.as_deref()))
        .collect()
}

#[test]
fn each_packet_has_its_direction_and_what_became_of_it() {
    let mut host = judging();
    let mut capture = host.stack.capture(CaptureConfig::new());
    let (client, server) = (addr(CLIENT), addr(SERVER));
    let mut damaged = udp(client, server, b"damaged");
    *damaged.last_mut().unwrap() ^= 1;
    let to = |port| addr(&format!("192.0.2.1:{port}"));
    let received = [
        udp(client, server, b"question"),
        damaged,
        vec![0x45; 7],
        udp(client, to(1), b"dropped"),
        syn(client, to(2), 7),
        udp(client, to(3), b"diverted"),
        ping(client.ip(), server.ip(), b"data"),
        udp(addr("127.0.0.1:5"), server, b"martian"),
    ];
    let sent = host.give(&received);
    let frames = read(&drain(&mut capture));
    let in_order: Vec<_> = frames.iter().filter(|frame| frame.direction == 1).collect();
    assert!(in_order.iter().map(|frame| &frame.bytes).eq(&received));
    let out = frames.iter().filter(|frame| frame.direction == 2);
    assert!(out.map(|frame| &frame.bytes).eq(&sent));
    assert_eq!(
        comments(&frames),
        [
            ("in", None),
            ("in", Some("dropped: wrong TCP, UDP or ICMP checksum")),
            ("in", Some("dropped: malformed: the packet is cut short")),
            ("in", Some("dropped by the filter")),
            ("in", Some("rejected by the filter")),
            ("out", None), // the RST
            ("in", Some("diverted by the filter")),
            ("in", None),
            ("out", None), // the echo reply
            ("in", Some("dropped: martian address")),
        ]
    );
}

#[test]
fn a_packet_that_an_engine_drops_has_the_reason() {
    let mut host = host();
    let mut capture = host.stack.capture(CaptureConfig::new());
    let (client, server) = (addr(CLIENT), addr(SERVER));
    let request = syn(client, server, 7);
    let whole = ping(client.ip(), server.ip(), &[1; 2000]);
    let pieces = fragments(&whole, &[1000]);
    let mut twice = vec![pieces[0].clone(), pieces[0].clone(), pieces[1].clone()];
    let mut received = vec![request.clone(), request, udp(client, server, b"question")];
    received.append(&mut twice);
    host.give(&received);
    host.udp = None;
    let error = host.give([udp(client, server, b"nobody listens")]);
    assert_eq!(error.len(), 1, "port unreachable");
    // The reason of a TCP segment does not stay for the packets after it.
    let frames = read(&drain(&mut capture));
    let inbound: Vec<_> = frames.into_iter().filter(|f| f.direction == 1).collect();
    assert_eq!(
        comments(&inbound),
        [
            ("in", None),
            ("in", Some("dropped: repeated TCP SYN")),
            ("in", None),
            ("in", None),
            ("in", Some("dropped: duplicate fragment")),
            ("in", None),
            ("in", Some("dropped: UDP without a socket that reads")),
        ]
    );
}

#[test]
fn a_sent_packet_that_the_filter_stops_is_captured_with_the_verdict() {
    let mut host = judging();
    let mut capture = host.stack.capture(CaptureConfig::new());
    let socket = host.udp.take().unwrap();
    block_on(socket.send_to(b"stopped", addr(SERVER), addr("10.0.0.2:4"))).unwrap();
    block_on(socket.send_to(b"passes", addr(SERVER), addr(CLIENT))).unwrap();
    assert_eq!(host.run().len(), 1);
    let frames = read(&drain(&mut capture));
    let expected = [("out", Some("dropped by the filter")), ("out", None)];
    assert_eq!(comments(&frames), expected);
    assert!(frames[0].bytes.ends_with(b"stopped"));
}

#[test]
fn a_packet_that_waits_for_the_device_is_captured_once_it_is_taken() {
    let (here, mut wire) = brooklet::pipe(1);
    let parts = brooklet::Builder::new().build(here).unwrap();
    let (mut driver, mut cx) = (parts.driver, Context::from_waker(std::task::Waker::noop()));
    let mut capture = parts.stack.capture(CaptureConfig::new());
    for payload in [b"one", b"two"] {
        block_on(parts.udp.send_to(payload, addr(SERVER), addr(CLIENT))).unwrap();
    }
    let mut captured = Vec::new();
    for count in [1, 2] {
        for _ in 0..3 {
            assert!(Pin::new(&mut driver).poll(&mut cx).is_pending());
        }
        captured.extend(drain(&mut capture));
        assert_eq!(read(&captured).len(), count);
        let mut packet = brooklet::PacketBuf::default();
        let received = brooklet::PacketIo::poll_recv(&mut wire, &mut cx, &mut packet);
        assert!(received.is_ready());
    }
}

#[test]
fn the_snap_length_cuts_the_bytes_and_keeps_the_length() {
    let mut host = host();
    let mut capture = host.stack.capture(CaptureConfig::new().snap_len(30));
    let packet = udp(addr(CLIENT), addr(SERVER), &[7; 500]);
    host.give([&packet]);
    let file = drain(&mut capture);
    let [frame] = &read(&file)[..] else {
        panic!("one packet");
    };
    assert_eq!((&frame.bytes[..], frame.len), (&packet[..30], 528));
}

#[test]
fn times_are_those_of_the_stacks_clock_from_the_systems_time_on() {
    let mut host = host();
    let start = SystemTime::now();
    let mut capture = host.stack.capture(CaptureConfig::new());
    host.give([udp(addr(CLIENT), addr(SERVER), b"one")]);
    host.advance(Duration::from_nanos(1_500_000_001));
    host.give([udp(addr(CLIENT), addr(SERVER), b"two")]);
    let frames = read(&drain(&mut capture));
    let since = frames[0].time - start.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert!(since < Duration::from_secs(10), "{since:?}");
    assert_eq!(
        frames[1].time - frames[0].time,
        Duration::from_nanos(1_500_000_001)
    );
}

#[test]
fn packets_beyond_the_buffer_are_counted_and_the_stack_goes_on() {
    let mut host = host();
    host.udp = None;
    let mut capture = host.stack.capture(CaptureConfig::new().buffer(0));
    let packet = udp(addr(CLIENT), addr(SERVER), &[7; 1000]);
    let mut file = Vec::new();
    for _ in 0..200 {
        host.give([&packet]);
    }
    assert_eq!(host.stack.stats().packets_in, 200);
    let lost = capture.lost();
    file.extend(drain(&mut capture));
    assert!(file.len() <= 1 << 17, "{} bytes", file.len());
    assert!(file.len() > (1 << 17) - 1200, "{} bytes", file.len());
    host.give([&packet]);
    file.extend(drain(&mut capture));
    let frames = read(&file);
    let told: u64 = frames.iter().map(|frame| frame.lost).sum();
    assert_eq!((told, capture.lost()), (lost, lost));
    let inbound = frames.iter().filter(|frame| frame.direction == 1).count() as u64;
    let outbound = frames.iter().filter(|frame| frame.direction == 2).count() as u64;
    let stats = host.stack.stats();
    assert_eq!(
        inbound + outbound + lost,
        stats.packets_in + stats.packets_out
    );
}

#[test]
fn a_capture_begins_and_ends_while_the_stack_runs_and_two_are_independent() {
    let mut host = host();
    let packet = |payload: &[u8]| udp(addr(CLIENT), addr(SERVER), payload);
    host.give([packet(b"before")]);
    let mut first = host.stack.capture(CaptureConfig::new());
    host.give([packet(b"one")]);
    let mut second = host.stack.capture(CaptureConfig::new());
    host.give([packet(b"two")]);
    first.stop();
    host.give([packet(b"three")]);
    let payloads = |capture: &mut brooklet::Capture| {
        let frames = read(&drain(capture));
        let payloads = frames.iter().map(|frame| frame.bytes[28..].to_vec());
        payloads.collect::<Vec<_>>()
    };
    assert_eq!(payloads(&mut first), [&b"one"[..], b"two"]);
    assert_eq!(block_on(first.next()), None, "it was stopped");
    drop(first);
    assert_eq!(payloads(&mut second), [&b"two"[..], b"three"]);
    host.give([packet(b"four")]);
    drop(second);
    host.give([packet(b"five")]);
    let mut third = host.stack.capture(CaptureConfig::new());
    assert!(payloads(&mut third).is_empty());
}

#[test]
fn a_reader_that_waits_is_woken_by_a_packet_by_stop_and_by_the_end_of_the_stack() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count::default());
    let waker = count.clone().into();
    let mut cx = Context::from_waker(&waker);
    let wakes = || count.0.swap(0, Ordering::Relaxed);
    let mut host = host();
    let mut waiting = |host: &mut Host<_>| {
        let mut capture = host.stack.capture(CaptureConfig::new());
        drain(&mut capture);
        assert!(Pin::new(&mut capture).poll_next(&mut cx).is_pending());
        capture
    };
    let _capture = waiting(&mut host);
    host.give([udp(addr(CLIENT), addr(SERVER), b"question")]);
    assert_eq!(wakes(), 1);
    let mut stopped = waiting(&mut host);
    stopped.stop();
    assert_eq!(wakes(), 1);
    assert_eq!(block_on(stopped.next()), None);
    let mut ended = waiting(&mut host);
    let stack = host.stack.clone();
    drop(host);
    assert_eq!(wakes(), 1);
    assert_eq!(block_on(ended.next()), None);
    // After the end a capture is an empty file.
    let mut file = Vec::new();
    block_on(stack.capture(CaptureConfig::new()).write_to(&mut file)).unwrap();
    assert!(read(&file).is_empty());
}

/// A writer that takes a few bytes at a time, and is not ready every other time.
#[derive(Default)]
struct Slow {
    taken: Vec<u8>,
    calls: usize,
    flushed: usize,
}

impl io::AsyncWrite for Slow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.calls += 1;
        if self.calls.is_multiple_of(2) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = bytes.len().min(11);
        self.taken.extend(&bytes[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = self.taken.len();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_write_that_is_dropped_goes_on_where_it_was() {
    let mut host = host();
    let mut capture = host.stack.capture(CaptureConfig::new());
    for n in 0..20 {
        host.give([udp(addr(CLIENT), addr(SERVER), &[n; 100])]);
    }
    let mut writer = Slow::default();
    for _ in 0..10 {
        assert!(block_on(poll_once(capture.write_to(&mut writer))).is_none());
    }
    capture.stop();
    block_on(capture.write_to(&mut writer)).unwrap();
    assert_eq!(writer.flushed, writer.taken.len());
    assert_eq!(read(&writer.taken).len(), 20);
}

#[test]
fn what_a_dropped_write_has_left_is_the_first_piece_of_the_stream() {
    let mut host = host();
    let mut capture = host.stack.capture(CaptureConfig::new());
    host.give([udp(addr(CLIENT), addr(SERVER), b"question")]);
    let mut writer = Slow::default();
    assert!(block_on(poll_once(capture.write_to(&mut writer))).is_none());
    let mut file = writer.taken;
    assert!(!file.is_empty());
    host.give([udp(addr(CLIENT), addr(SERVER), b"question")]);
    file.extend(drain(&mut capture));
    assert_eq!(read(&file).len(), 2);
}

/// Two stacks exchange data, with super-packets on one side and segments on the other, and both are
/// captured.
fn an_exchange<F: Flavor>() -> (Vec<u8>, Vec<u8>) {
    let (a, b) = Pipe::<F>::pair(64);
    let offload = Offload::default().checksum(true).tso4(true);
    let Parts { stack, driver, .. } = Builder::<F>::new().build(a.with_offload(offload)).unwrap();
    let far = Builder::<F>::new().build(b).unwrap();
    let mut captures = [
        stack.capture(CaptureConfig::new()),
        far.stack.capture(CaptureConfig::new().snap_len(100)),
    ];
    let talk = async {
        let connect = stack.connect_from(addr("10.0.0.1:4000"), addr("192.0.2.1:80"));
        let (mut stream, (peer, _)) = future::try_zip(connect, far.tcp.accept()).await?;
        let write = async {
            stream.write_all(&[7; 200_000]).await?;
            stream.close().await
        };
        let mut got = Vec::new();
        let mut peer = peer;
        future::try_zip(write, peer.read_to_end(&mut got)).await?;
        assert_eq!(got.len(), 200_000);
        Ok(())
    };
    block_on(future::or(talk, future::or(driver, far.driver))).unwrap();
    let [near, far] = &mut captures;
    (drain(near), drain(far))
}

fn a_transfer_is_captured_at_both_ends<F: Flavor>() {
    let (near, far) = an_exchange::<F>();
    let (near, far) = (read(&near), read(&far));
    // The end of the stream, in numbers from that of the SYN on: a segment may have been sent twice.
    let tcp = |frame: &Frame| Packet::parse(&frame.bytes).unwrap().tcp().unwrap();
    let outbound = || near.iter().filter(|frame| frame.direction == 2);
    let first = tcp(outbound().next().unwrap()).seq;
    let ends = outbound().map(|frame| {
        let len = Packet::parse(&frame.bytes).unwrap().payload().len() as u32;
        tcp(frame).seq.wrapping_sub(first) + len
    });
    assert_eq!(ends.max(), Some(1 + 200_000), "the SYN and the data");
    assert!(
        near.iter().any(|frame| frame.len > 10_000),
        "a super-packet"
    );
    let received: usize = far.iter().filter(|f| f.direction == 1).map(|f| f.len).sum();
    assert!(received > 200_000);
    assert!(far.iter().all(|frame| frame.bytes.len() <= 100));
    assert!(near.is_sorted_by_key(|frame| frame.time));
}

#[test]
fn a_transfer_in_the_flavor_for_threads_is_captured_at_both_ends() {
    a_transfer_is_captured_at_both_ends::<Threaded>();
}

#[test]
fn a_transfer_in_the_flavor_for_one_thread_is_captured_at_both_ends() {
    a_transfer_is_captured_at_both_ends::<SingleThread>();
}

#[test]
fn each_queue_is_an_interface() {
    let pipes: [_; 2] = std::array::from_fn(|_| brooklet::pipe(64));
    let [(a, mut wire_a), (b, mut wire_b)] = pipes;
    let parts = brooklet::Builder::new().build_queues([a, b]).unwrap();
    let mut capture = parts.stack.capture(CaptureConfig::new());
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let packet = brooklet::PacketBuf::from(udp(addr(CLIENT), addr(SERVER), b"question"));
    let mut drivers = parts.drivers;
    for (wire, driver) in [&mut wire_a, &mut wire_b].into_iter().zip(&mut drivers) {
        assert!(brooklet::PacketIo::poll_send(wire, &mut cx, &packet).is_ready());
        assert!(Pin::new(driver).poll(&mut cx).is_pending());
    }
    let frames = read(&drain(&mut capture));
    let interfaces: Vec<_> = frames.iter().map(|frame| frame.interface).collect();
    assert_eq!(interfaces, [0, 1]);
}

/// Whether `tshark` is there. If not, the test is skipped, which `CI=true` does not allow.
fn has_tshark() -> bool {
    let found = Command::new("tshark").arg("--version").output().is_ok();
    if !found {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(
            !ci,
            "CI=true skips nothing: there is no tshark; apt-get install tshark"
        );
        // Not by `eprintln`, which the test harness keeps to itself.
        let why = "skipped: there is no tshark; apt-get install tshark";
        let _ = writeln!(std::io::stderr(), "{why}");
    }
    found
}

/// The fields of each packet of the file, as `tshark` reads them.
fn tshark(name: &str, file: &[u8], fields: &[&str]) -> Vec<Vec<String>> {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, file).unwrap();
    let mut command = Command::new("tshark");
    command
        .args(["-n", "-T", "fields", "-E", "separator=|", "-r"])
        .arg(&path);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    for complaint in ["cut short", "damaged", "corrupt"] {
        assert!(!errors.contains(complaint), "{errors}");
    }
    let lines = String::from_utf8(output.stdout).unwrap();
    let of = |line: &str| line.split('|').map(String::from).collect();
    lines.lines().map(of).collect()
}

#[test]
fn tshark_reads_packets_directions_comments_and_losses() {
    if !has_tshark() {
        return;
    }
    let mut host = judging();
    host.udp = None;
    let mut capture = host.stack.capture(CaptureConfig::new().buffer(0));
    let (client, server) = (addr(CLIENT), addr(SERVER));
    host.give([
        syn(client, addr("192.0.2.1:80"), 7),
        udp(client, addr("192.0.2.1:1"), b"dropped"),
        ping(client.ip(), server.ip(), b"data"),
    ]);
    let mut file = drain(&mut capture);
    let big = udp(client, addr("192.0.2.1:9"), &[0; 60_000]);
    host.give([&big, &big, &big, &big]);
    file.extend(drain(&mut capture));
    let lost = capture.lost();
    assert!(lost > 0);
    host.give([ping(client.ip(), server.ip(), b"more")]);
    file.extend(drain(&mut capture));
    let rows = tshark(
        "comments.pcapng",
        &file,
        &[
            "frame.packet_flags_direction",
            "frame.comment",
            "_ws.col.Protocol",
            "ip.src",
            "frame.drop_count",
            "frame.interface_name",
            "_ws.malformed",
        ],
    );
    assert_eq!(rows.len(), read(&file).len());
    let first: Vec<Vec<&str>> = rows[..4]
        .iter()
        .map(|row| row[..4].iter().map(String::as_str).collect())
        .collect();
    assert_eq!(
        first,
        [
            ["0x00000001", "", "TCP", "10.0.0.2"],
            ["0x00000001", "dropped by the filter", "UDP", "10.0.0.2"],
            ["0x00000001", "", "ICMP", "10.0.0.2"],
            ["0x00000002", "", "ICMP", "192.0.2.1"],
        ]
    );
    let told: u64 = rows
        .iter()
        .filter_map(|row| row[4].parse::<u64>().ok())
        .sum();
    assert_eq!(told, lost);
    assert!(rows.iter().all(|row| row[5] == "queue 0"), "{rows:?}");
    assert!(rows.iter().all(|row| row[6].is_empty()), "{rows:?}");
}

#[test]
fn tshark_follows_the_stream_of_a_capture() {
    if !has_tshark() {
        return;
    }
    let (near, far) = an_exchange::<Threaded>();
    for (name, file) in [("near.pcapng", near), ("far.pcapng", far)] {
        let fields = [
            "tcp.len",
            "frame.packet_flags_direction",
            "_ws.malformed",
            "frame.time_epoch",
            "tcp.seq",
        ];
        let rows = tshark(name, &file, &fields);
        assert_eq!(rows.len(), read(&file).len());
        let direction = if name.starts_with("near") {
            "0x00000002"
        } else {
            "0x00000001"
        };
        let data = rows.iter().filter(|row| row[1] == direction);
        let number = |text: &str| text.parse::<usize>().unwrap();
        let end = data.map(|row| number(&row[0]) + number(&row[4])).max();
        assert_eq!(end, Some(1 + 200_000), "{name}: the SYN and the data");
        assert!(rows.iter().all(|row| row[2].is_empty()), "{name}");
        let decimals = rows[0][3].split('.').nth(1).unwrap();
        assert_eq!(decimals.len(), 9, "nanoseconds");
    }
}
