//! A stack in virtual time between hostile peers that learn its sequence numbers and an
//! application that does everything.
//!
//! All of it is drawn from bytes. See [`flow`] for what the peers and the application check.

mod application;
mod flow;
mod peers;
mod segments;

use self::application::Application;
use self::peers::Peers;
use crate::host::{Host, Task};
use crate::input::Input;
use crate::run::Run;
use brooklet::{
    Builder, Congestion, Offload, ReassemblyConfig, TcpConfig, TcpListener, TcpOptions,
};
use brooklet_sim::VirtualTime;
use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A scenario ends after this many packets, however many bytes are left.
const MAX_PACKETS: u64 = 20_000;

/// Runs the scenario that `data` describes, and panics when something does not hold.
pub fn tcp(data: &[u8]) -> Run {
    let mut input = Input::new(data);
    let time = VirtualTime::new();
    let cookies = input.chance(128);
    let (host, listener, memory) = build(&mut input, &time, cookies);
    let application = Application::new(&mut input, &host, listener);
    let ending = match input.below(8) {
        0..6 => Ending::Close,
        6 => Ending::Shutdown(input.pick([Duration::ZERO, MS, 5 * SECOND])),
        _ => Ending::Drop,
    };
    let mut scenario = Scenario {
        peers: Peers::new(&mut input, &time, cookies),
        input,
        time,
        host,
        application,
        memory,
        ending,
        wakes: 0,
    };
    while !scenario.input.is_over() && scenario.packets() < MAX_PACKETS {
        scenario.step();
    }
    scenario.finish()
}

/// Draws a stack. Returns it with its listener and its memory budget.
fn build(
    input: &mut Input<'_>,
    time: &VirtualTime,
    cookies: bool,
) -> (Host, TcpListener, Option<u64>) {
    let ipv6 = input.chance(192);
    let mtu = match ipv6 {
        true => input.pick([1280, 1281, 1420, 1500, 9000, 65_535]),
        false => input.pick([576, 577, 1006, 1280, 1500, 65_535]),
    };
    let offload = match input.below(4) {
        0 | 1 => Offload::new(),
        2 => Offload::new().checksum(true),
        _ => Offload::new()
            .checksum(true)
            .tso4(input.chance(200))
            .tso6(input.chance(200)),
    };
    let config = TcpConfig::new()
        .options(options(input))
        .memory(input.pick([1 << 30, 1 << 30, 1 << 20, 1 << 16, 0]))
        .max_connections(input.pick([65_536, 300, 20, 1]))
        .backlog(input.pick([4096, 40, 4, 1]))
        .backlog_per_source(input.pick([None, None, Some(10), Some(1)]))
        .max_half_open(input.pick([1024, 20, 2, 1]))
        .idle_buffer_timeout(input.pick([SECOND, MS, Duration::ZERO]))
        .handshake_timeout(input.pick([15 * SECOND, 3 * SECOND, SECOND]))
        .request_timeout(input.pick([120 * SECOND, 10 * SECOND]))
        .orphan_timeout(input.pick([60 * SECOND, 10 * SECOND, SECOND]))
        .time_wait(input.pick([30 * SECOND, SECOND, Duration::ZERO]))
        .max_time_wait(input.pick([65_536, 3, 1, 0]))
        .rfc1337(input.chance(64))
        .syn_cookies(cookies)
        .resets_per_second(input.pick([1000, 10, 1]))
        .outbound_packets(input.pick([512, 512, 64, 16, 2, 1]));
    let reassembly = match input.below(4) {
        0 => None,
        1 => {
            let mut config = ReassemblyConfig::default();
            (config.packets, config.bytes) = (2, 80_000);
            Some(config)
        }
        _ => Some(ReassemblyConfig::default()),
    };
    let mut builder = Builder::new()
        .ipv6(ipv6)
        .tcp_config(config)
        .reassembly(reassembly)
        .seed(input.u16().into());
    let queues = input.pick([1, 1, 2, 3]);
    // The last is the least that works.
    let memory = input.pick([
        None,
        Some(64 << 20),
        Some(8 << 20),
        Some((2 + queues) << 20),
    ]);
    if let Some(memory) = memory {
        builder = builder.memory(memory);
    }
    let (host, listener) = Host::new(builder, time, (queues, mtu, offload));
    (host, listener, memory.map(|memory| memory as u64))
}

/// Draws the options of connections.
fn options(input: &mut Input<'_>) -> TcpOptions {
    // A window of 1 GiB is advertised in units that need a large buffer.
    let (recv_buffer, recv_buffer_max) = input.pick([
        (128 * 1024, 4 << 20),
        (128 * 1024, 1 << 30),
        (2048, 4 << 20),
        (3001, 65_536),
        (8192, 1),
        (70_000, 1),
    ]);
    TcpOptions::new()
        .recv_buffer(recv_buffer)
        .recv_buffer_max(recv_buffer_max)
        .send_buffer(input.pick([128 * 1024, 128 * 1024, 2048, 5003, 20_000]))
        .send_buffer_max(input.pick([4 << 20, 65_536, 1]))
        .nodelay(input.chance(160))
        .delayed_ack(input.pick([None, None, Some(40 * MS), Some(MS), Some(500 * MS)]))
        .keepalive(input.pick([None, None, Some(SECOND), Some(30 * SECOND)]))
        .user_timeout(input.pick([Some(300 * SECOND), Some(SECOND), Some(20 * SECOND)]))
        .linger(input.pick([None, None, None, Some(Duration::ZERO), Some(SECOND)]))
        .congestion(input.pick([Congestion::Cubic, Congestion::None]))
}

struct Scenario<'a> {
    input: Input<'a>,
    time: VirtualTime,
    host: Host,
    peers: Peers,
    application: Application,
    /// The budget of the whole stack, in bytes.
    memory: Option<u64>,
    ending: Ending,
    /// How often a deadline was due.
    wakes: u64,
}

impl Scenario<'_> {
    fn packets(&self) -> u64 {
        self.host.received() + self.host.sent()
    }

    /// The peers, the application or the time do one thing.
    fn step(&mut self) {
        // No two connections of a 4-tuple begin within one tick of the clock (RFC 6528).
        self.pass(Duration::from_micros(10));
        let Self {
            input, host, peers, ..
        } = self;
        match input.byte() {
            0..130 => {
                peers.act(input, host);
                // Mostly a batch of one packet.
                if input.chance(200) {
                    self.run();
                }
            }
            130..230 => {
                self.application.act(input, host, peers);
                if input.chance(200) {
                    self.run();
                }
            }
            230..236 => {
                host.run_needlessly();
                self.run();
            }
            236 => {
                let kind = input.pick([
                    ErrorKind::OutOfMemory,
                    ErrorKind::Interrupted,
                    ErrorKind::WouldBlock,
                    ErrorKind::InvalidInput,
                ]);
                let calls = input.pick([1, 1, 2, 5, 40]);
                host.fail(input.below(host.queues()), calls, kind);
            }
            237..240 => {
                let room = input.pick([usize::MAX, 0, 1, 5, usize::MAX]);
                host.set_room(input.below(host.queues()), room);
            }
            240.. => {
                let time = match input.below(16) {
                    0..6 => MS,
                    6..9 => 20 * MS,
                    9..11 => 200 * MS,
                    11..13 => SECOND,
                    13 => 5 * SECOND,
                    14 => input.below(100) as u32 * SECOND,
                    _ => Duration::from_micros(10),
                };
                self.pass(time);
            }
        }
        if let Some(budget) = self.memory {
            let memory = self.host.stack.stats().memory;
            let total = memory.total();
            assert!(total <= budget, "{total} bytes of {budget}: {memory}");
        }
    }

    /// Runs the drivers, and lets the peers see and answer what they send.
    fn run(&mut self) {
        // Each round the peers answer what the last one brought.
        for _ in 0..50 {
            let before = self.host.sent();
            self.host.run();
            self.peers.take_output(&mut self.input, &mut self.host);
            if self.host.sent() == before {
                break;
            }
        }
    }

    /// Time passes, and every deadline is met.
    fn pass(&mut self, time: Duration) {
        let end = self.time.now() + time;
        loop {
            match self.host.next_deadline() {
                Some(next) if next <= end => self.time.advance_to(next),
                _ => break,
            }
            self.wakes += 1;
            self.peers.allow(4 + self.peers.len());
            self.run();
        }
        self.time.advance_to(end);
    }

    /// Everybody lets go, or the stack ends, and nothing is left.
    fn finish(mut self) -> Run {
        let packets = self.packets();
        for queue in 0..self.host.queues() {
            self.host.set_room(queue, usize::MAX);
        }
        self.run();
        self.application.read_all(&mut self.peers);
        match self.ending {
            Ending::Close => self.close(),
            Ending::Shutdown(timeout) => {
                self.shut_down(timeout);
                self.application.find_the_end(&mut self.peers);
            }
            Ending::Drop => {
                self.host.drop_drivers();
                self.application.find_the_end(&mut self.peers);
            }
        }
        Run {
            packets: packets.max(self.packets()),
            hash: self.peers.hash(),
        }
    }

    /// The drivers end in time, also if peers say nothing more.
    fn shut_down(&mut self, timeout: Duration) {
        let stack = self.host.stack.clone();
        let mut shutdown = Box::pin(async move { stack.shutdown(timeout).await });
        let mut task = Task::new();
        self.host.may_end = true;
        self.peers.allow(1 << 32);
        self.peers.close_all();
        let waits = task
            .poll_unchecked(|cx| shutdown.as_mut().poll(cx))
            .0
            .is_pending();
        self.run();
        // A second more for the RSTs.
        self.pass(timeout + 2 * SECOND);
        assert_eq!(self.host.queues(), 0, "a shutdown in time");
        let ended = task.poll("a shutdown", |cx| shutdown.as_mut().poll(cx));
        assert!(!waits || ended.is_ready());
    }

    fn close(&mut self) {
        self.application.close(&mut self.peers);
        self.peers.fall_silent();
        self.run();
        // The longest timeout is the user timeout of 300 s.
        let before = self.wakes;
        for _ in 0..2 {
            self.pass(400 * SECOND);
        }
        let wakes = self.wakes - before;
        let flows = self.peers.len() as u64;
        assert!(
            wakes <= 1000 + 1000 * flows,
            "{wakes} deadlines of {flows} flows"
        );
        assert_eq!(
            self.host.next_deadline(),
            None,
            "nothing is left to wait for"
        );
        let stats = self.host.stack.stats();
        assert_eq!(
            (
                stats.tcp.connections,
                stats.tcp.requests,
                stats.tcp.time_wait
            ),
            (0, 0, 0),
            "{stats}"
        );
        assert_eq!((stats.tcp.buffers, stats.tcp.buffered), (0, 0), "{stats}");
        assert_eq!(stats.reassembly.queued_bytes, 0, "{stats}");
        assert_eq!(stats.packets_in, self.host.received(), "{stats}");
        self.peers.add_up(&stats);
    }
}

/// How a scenario ends.
#[derive(Clone, Copy, Debug)]
enum Ending {
    /// The application lets go of everything.
    Close,
    /// The program shuts the stack down.
    Shutdown(Duration),
    /// The program drops the drivers.
    Drop,
}
