//! Two stacks with connections between them, over a link that does every kind of harm.
//!
//! The bytes are a list of operations: calls of the two applications, changes of the link, and
//! time. When the list is over, the link does no more harm, and everything that was written has
//! to arrive by wake-ups alone, except where one of the applications has let go.

mod end;
mod link;

use self::end::End;
use self::link::Link;
use crate::host::{Host, Task};
use crate::input::Input;
use crate::run::Run;
use brooklet::{Builder, Congestion, Offload, TcpConfig, TcpListener, TcpOptions, TcpStream};
use brooklet_sim::VirtualTime;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A connection that nobody lets go of takes less time than this, whatever the link did before.
const LIMIT: Duration = Duration::from_secs(3600);

/// The packets of a scenario.
const MAX_PACKETS: u64 = 200_000;

/// Runs the scenario that `data` describes, and panics when something does not hold.
pub fn pair(data: &[u8]) -> Run {
    let mut input = Input::new(data);
    let time = VirtualTime::new();
    let ipv6 = input.chance(100);
    let sides = [(); 2].map(|()| build(&mut input, &time));
    let mut pair = Pair {
        link: Link::new(&mut input, &time),
        input,
        start: time.now(),
        time,
        sides,
        connections: Vec::new(),
        ipv6,
    };
    pair.connect();
    while !pair.input.is_over() && pair.packets() < MAX_PACKETS / 10 {
        pair.step();
    }
    pair.finish()
}

struct Side {
    host: Host,
    listener: TcpListener,
    acceptor: Task,
}

fn build(input: &mut Input<'_>, time: &VirtualTime) -> Side {
    let options = TcpOptions::new()
        .recv_buffer(input.pick([128 * 1024, 2048, 3001, 9000, 65_536]))
        .recv_buffer_max(input.pick([4 << 20, 1, 65_536]))
        .send_buffer(input.pick([128 * 1024, 2048, 5003, 65_536]))
        .send_buffer_max(input.pick([4 << 20, 1]))
        .nodelay(input.chance(128))
        .delayed_ack(input.pick([None, Some(40 * MS)]))
        .keepalive(input.pick([None, Some(SECOND), Some(10 * SECOND)]))
        .user_timeout(None)
        .congestion(input.pick([Congestion::Cubic, Congestion::None]));
    let config = TcpConfig::new()
        .options(options)
        .memory(input.pick([1 << 30, 1 << 30, 1 << 20, 1 << 18]))
        .idle_buffer_timeout(input.pick([SECOND, MS, Duration::ZERO]))
        .handshake_timeout(LIMIT)
        .request_timeout(LIMIT)
        .orphan_timeout(60 * SECOND)
        .outbound_packets(input.pick([512, 16, 3, 2]));
    let all = Offload::new().checksum(true).tso4(true).tso6(true);
    let offload = input.pick([Offload::new(), all]);
    let mtu = input.pick([1500, 1280, 1400, 9000]);
    let builder = Builder::new().tcp_config(config).seed(input.u16().into());
    let queues = input.pick([1, 1, 1, 2]);
    let (host, listener) = Host::new(builder, time, (queues, mtu, offload));
    Side {
        host,
        listener,
        acceptor: Task::new(),
    }
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// A connection from the first stack to the second.
struct Connection {
    connecting: Option<(Connecting, Task)>,
    ends: [End; 2],
    /// One of the applications has let go: calls may fail and data may be lost.
    violent: bool,
}

struct Pair<'a> {
    input: Input<'a>,
    time: VirtualTime,
    start: Instant,
    sides: [Side; 2],
    link: Link,
    connections: Vec<Connection>,
    ipv6: bool,
}

impl Pair<'_> {
    fn packets(&self) -> u64 {
        let of = |side: &Side| side.host.received() + side.host.sent();
        self.sides.iter().map(of).sum()
    }

    /// Begins one more connection.
    fn connect(&mut self) {
        let number = self.connections.len();
        let (from, to) = match self.ipv6 {
            true => ("fd00::2", "2001:db8::1"),
            false => ("10.0.0.2", "192.0.2.1"),
        };
        let address = |ip: &str, port| -> SocketAddr {
            SocketAddr::new(ip.parse().expect("written above"), port)
        };
        let (from, to) = (address(from, 1024 + number as u16), address(to, 80));
        let stack = self.sides[0].host.stack.clone();
        let connect = async move { stack.connect_from(from, to).await };
        let totals = [(); 2].map(|()| self.input.pick([0, 1, 900, 5000, 30_000, 100_000]));
        let pieces = [(); 2].map(|()| self.input.pick([4096, 1001, 50_000, 100]));
        let end = |side: usize| {
            let stream = 2 * number as u64 + side as u64;
            End::new(stream, (totals[side], totals[1 - side]), pieces[side])
        };
        self.connections.push(Connection {
            connecting: Some((Box::pin(connect), Task::new())),
            ends: [end(0), end(1)],
            violent: false,
        });
    }

    /// One operation.
    fn step(&mut self) {
        let what = self.input.byte();
        let number = self.input.below(self.connections.len());
        let side = self.input.below(2);
        match what {
            0..8 if self.connections.len() < 6 => self.connect(),
            0..120 => {
                let connection = &mut self.connections[number];
                connection.ends[side].act(connection.violent);
            }
            120..124 => {
                let connection = &mut self.connections[number];
                connection.violent = true;
                let ending = self.input.below(4);
                connection.ends[side].let_go(ending);
            }
            124..132 => {
                let room = self.input.pick([usize::MAX, 0, 1, 3]);
                let host = &mut self.sides[side].host;
                host.set_room(self.input.below(host.queues()), room);
            }
            132..152 => self.link.change(&mut self.input),
            152..156 => self.sides[side].host.run_needlessly(),
            _ => {
                let time = self.input.pick([
                    MS,
                    MS,
                    20 * MS,
                    20 * MS,
                    200 * MS,
                    SECOND,
                    10 * SECOND,
                    60 * SECOND,
                ]);
                // A handshake times out after LIMIT, which no link may make it wait for.
                if self.time.now() - self.start < LIMIT / 2 {
                    self.pass(time, false);
                }
            }
        }
        self.establish();
        self.exchange();
    }

    /// Goes on with the handshakes that have been woken.
    fn establish(&mut self) {
        for connection in &mut self.connections {
            let Some((connecting, task)) = &mut connection.connecting else {
                continue;
            };
            if !task.is_awake() {
                continue;
            }
            let connected = task.poll("a handshake", |cx| connecting.as_mut().poll(cx));
            if let Poll::Ready(stream) = connected {
                connection.connecting = None;
                connection.ends[0].begin(stream.expect("a handshake takes the time it needs"));
            }
        }
        let Side {
            listener, acceptor, ..
        } = &mut self.sides[1];
        while acceptor.is_awake()
            && let Poll::Ready(accepted) =
                acceptor.poll("a connection", |cx| listener.poll_accept(cx))
        {
            let (stream, from) = accepted.expect("the stack runs");
            let number = usize::from(from.port() - 1024);
            self.connections[number].ends[1].begin(stream);
        }
    }

    /// Moves packets until the drivers sleep and the link takes no more at this moment.
    fn exchange(&mut self) {
        for number in 0..2 {
            let [near, far] = &mut self.sides;
            let (side, other) = if number == 0 {
                (near, far)
            } else {
                (far, near)
            };
            side.host.run();
            let link = &mut self.link;
            side.host.take_output(|packet| link.send(number, packet));
            link.deliver(1 - number, &mut other.host);
            link.deliver(number, &mut side.host);
        }
        assert!(
            self.packets() < MAX_PACKETS,
            "packets without end: {:?}",
            self.states()
        );
    }

    /// Time passes. With `to_the_end` the applications run whenever they are woken, until nobody
    /// waits for anything.
    fn pass(&mut self, time: Duration, to_the_end: bool) {
        let end = self.time.now() + time;
        loop {
            self.exchange();
            if to_the_end {
                self.establish();
                for connection in &mut self.connections {
                    let violent = connection.violent;
                    connection.ends.iter_mut().for_each(|end| end.run(violent));
                }
            }
            let busy = self.sides.iter().any(|side| side.host.is_awake());
            if busy {
                continue;
            }
            let deadlines = self
                .sides
                .iter()
                .filter_map(|side| side.host.next_deadline());
            let next = deadlines.chain(self.link.next_arrival()).min();
            match next {
                Some(next) if next <= end => self.time.advance_to(next),
                None if to_the_end => return,
                _ => break,
            }
        }
        self.time.advance_to(end);
    }

    /// The link does no more harm, and everything arrives.
    fn finish(mut self) -> Run {
        for side in &mut self.sides {
            for queue in 0..side.host.queues() {
                side.host.set_room(queue, usize::MAX);
            }
        }
        self.link.calm();
        self.pass(LIMIT, true);
        for connection in &self.connections {
            let done = connection.ends.iter().all(End::is_done);
            assert!(
                done || connection.violent,
                "somebody waits: {:?}",
                self.states()
            );
        }
        self.connections.clear();
        // What an application has let go of is found out by keepalive probes or by nothing.
        self.pass(2 * LIMIT, true);
        for side in &self.sides {
            let stats = side.host.stack.stats();
            assert_eq!(stats.tcp.connections, 0, "{stats}");
            assert_eq!((stats.tcp.buffers, stats.tcp.buffered), (0, 0), "{stats}");
            assert_eq!(stats.packets_in, side.host.received(), "{stats}");
        }
        Run {
            packets: self.packets(),
            hash: self.link.hash(),
        }
    }

    fn states(&self) -> Vec<String> {
        let ends = self
            .connections
            .iter()
            .flat_map(|connection| &connection.ends);
        ends.map(|end| format!("{end:?}")).collect()
    }
}
