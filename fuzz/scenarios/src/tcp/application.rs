//! The application: it accepts, connects, reads, writes and lets go, and checks what it is told.

use super::peers::{PORTS, Peers};
use super::{MS, SECOND};
use crate::host::{Host, Task};
use crate::input::Input;
use brooklet::{FlowKey, TcpListener, TcpRequest, TcpStream, Unreachable};
use futures_io::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::Poll;

type Pending<T> = Pin<Box<dyn Future<Output = io::Result<T>>>>;

/// A listener, and how the application uses it.
struct Listening {
    listener: TcpListener,
    task: Task,
    by_request: bool,
}

/// A stream that the application holds.
struct Held {
    stream: TcpStream,
    flow: usize,
    /// The connections of the peer that it can be.
    candidates: u64,
    read: usize,
    wrote: usize,
    reader: Task,
    writer: Task,
    /// A call of `closed`.
    watch: Option<(Pending<()>, Task)>,
    /// The end of the stream was read.
    ended: bool,
    aborted: bool,
    read_shut: bool,
    write_shut: bool,
}

/// What the application holds.
pub(super) struct Application {
    listening: Vec<Listening>,
    requests: Vec<TcpRequest>,
    /// Streams that are not connected yet, with their flows.
    connecting: Vec<(Pending<TcpStream>, Task, usize)>,
    held: Vec<Held>,
    /// Whether tasks run only when they are woken.
    by_wakes: bool,
    buffer: Vec<u8>,
}

impl Application {
    pub(super) fn new(input: &mut Input<'_>, host: &Host, listener: TcpListener) -> Self {
        let mut listening = vec![listener];
        for port in PORTS.into_iter().filter(|port| *port != 0) {
            if input.chance(128) {
                let address = SocketAddr::from(([0, 0, 0, 0], port));
                listening.push(
                    host.stack
                        .bind(address)
                        .expect("nobody else is bound to it"),
                );
            }
        }
        let listening = listening.into_iter().map(|listener| Listening {
            listener,
            task: Task::new(),
            by_request: input.chance(128),
        });
        Self {
            listening: listening.collect(),
            requests: Vec::new(),
            connecting: Vec::new(),
            held: Vec::new(),
            by_wakes: input.chance(160),
            buffer: Vec::new(),
        }
    }

    /// The application does one thing.
    pub(super) fn act(&mut self, input: &mut Input<'_>, host: &mut Host, peers: &mut Peers) {
        peers.allow(4);
        let what = input.byte();
        match what {
            0..40 => return self.accept(input, peers),
            40..64 => return self.answer(input, peers),
            64..76 => return self.await_connections(peers),
            76..80 => return self.connect(input, host, peers),
            80 => return self.listen(input, host, peers),
            _ => {}
        }
        if self.held.is_empty() {
            return self.accept(input, peers);
        }
        let recent = self.held.len().min(8);
        let number = self.held.len() - 1 - input.below(recent);
        let (held, buffer) = (&mut self.held[number], &mut self.buffer);
        match what {
            81..160 => {
                let len = input.pick([1, 100, 1400, 5000, 65_536, 200_000]);
                if !self.by_wakes || held.reader.is_awake() {
                    held.read(input, peers, buffer, len);
                }
            }
            160..216 => {
                let len = input.pick([1, 1, 100, 1400, 5000, 65_536]);
                if !self.by_wakes || held.writer.is_awake() {
                    held.write(peers, buffer, len);
                }
            }
            216..222 => held.shut(peers, Shutdown::Write),
            222 => held.shut(peers, Shutdown::Read),
            223 => held.shut(peers, Shutdown::Both),
            224 => held.abort(),
            225..230 => {
                let held = self.held.swap_remove(number);
                peers.flow_of(held.flow).closes();
                peers.allow(4);
            }
            230..232 => {
                let held = self.held.swap_remove(number);
                self.held.extend(held.split(input, peers));
            }
            232..236 => held.watch(),
            236..250 => held.set(input),
            _ => {
                let _flows = host.stack.flows();
                let _info = held.stream.info();
                let len = held.stream.buffer_sizes().0;
                assert!(len > 0, "no receive buffer");
            }
        }
    }

    /// Takes what the listeners have, each time or when they wake the application.
    fn accept(&mut self, input: &mut Input<'_>, peers: &mut Peers) {
        for n in 0..self.listening.len() {
            let listening = &mut self.listening[n];
            if self.by_wakes && !listening.task.is_awake() {
                continue;
            }
            for _ in 0..1 + input.below(4) {
                peers.allow(4);
                let Listening {
                    listener,
                    task,
                    by_request,
                } = &mut self.listening[n];
                if *by_request {
                    match task.poll("a request", |cx| listener.poll_request(cx)) {
                        Poll::Ready(request) => {
                            self.requests.push(request.expect("the stack runs"));
                        }
                        Poll::Pending => break,
                    }
                } else {
                    // A place for a half-open connection comes with the time.
                    let (accepted, _) = task.poll_unchecked(|cx| listener.poll_accept(cx));
                    match accepted {
                        Poll::Ready(accepted) => {
                            let (stream, _) = accepted.expect("the stack runs");
                            self.hold(peers, stream);
                        }
                        Poll::Pending => break,
                    }
                }
            }
        }
    }

    fn hold(&mut self, peers: &mut Peers, stream: TcpStream) {
        let peer = stream.peer_addr().expect("a stream has addresses");
        let local = stream.local_addr().expect("a stream has addresses");
        let (number, flow) = peers.flow(peer, local);
        flow.hands_out();
        self.held.push(Held {
            stream,
            flow: number,
            candidates: u64::MAX,
            read: 0,
            wrote: 0,
            reader: Task::new(),
            writer: Task::new(),
            watch: None,
            ended: false,
            aborted: false,
            read_shut: false,
            write_shut: false,
        });
    }

    /// Answers a request, or lets go of one that is being answered.
    fn answer(&mut self, input: &mut Input<'_>, peers: &mut Peers) {
        if self.requests.is_empty() {
            return self.accept(input, peers);
        }
        let number = input.below(self.requests.len());
        let request = self.requests.swap_remove(number);
        let (flow, _) = peers.flow(request.peer_addr(), request.local_addr());
        let connecting: Pending<TcpStream> = match input.below(16) {
            0 => return request.refuse(),
            1 => return request.drop_silently(),
            2 => return request.reject(Unreachable::Host),
            3 => {
                if !self.connecting.is_empty() {
                    let number = input.below(self.connecting.len());
                    let (_, _, flow) = self.connecting.swap_remove(number);
                    peers.flow_of(flow).closes();
                }
                Box::pin(request.accept())
            }
            4 => Box::pin(request.accept_with(super::options(input))),
            _ => Box::pin(request.accept()),
        };
        self.connecting.push((connecting, Task::new(), flow));
        self.await_connections(peers);
    }

    /// Goes on with the connections whose handshake is not done.
    fn await_connections(&mut self, peers: &mut Peers) {
        for (mut connecting, mut task, flow) in std::mem::take(&mut self.connecting) {
            if self.by_wakes && !task.is_awake() {
                self.connecting.push((connecting, task, flow));
                continue;
            }
            peers.allow(4);
            match task.poll("a handshake", |cx| connecting.as_mut().poll(cx)) {
                Poll::Pending => self.connecting.push((connecting, task, flow)),
                Poll::Ready(Ok(stream)) => self.hold(peers, stream),
                Poll::Ready(Err(error)) => {
                    peers.flow_of(flow).closes();
                    assert!(
                        matches!(
                            error.kind(),
                            ErrorKind::ConnectionAborted
                                | ErrorKind::ConnectionReset
                                | ErrorKind::ConnectionRefused
                                | ErrorKind::HostUnreachable
                                | ErrorKind::NetworkUnreachable
                                | ErrorKind::AddrInUse
                                | ErrorKind::Unsupported
                                | ErrorKind::ResourceBusy
                                | ErrorKind::QuotaExceeded
                                | ErrorKind::TimedOut
                        ),
                        "{error}"
                    );
                }
            }
        }
    }

    /// Opens a connection to a peer.
    fn connect(&mut self, input: &mut Input<'_>, host: &Host, peers: &mut Peers) {
        let from = SocketAddr::from(([192, 0, 2, 1], 2000 + input.below(50) as u16));
        let to = SocketAddr::from(([10, 0, 0, 2], 7));
        let key = FlowKey::new(to, from).expect("one family");
        let number = peers.peer(input, key);
        peers.flow_of(number).connects = true;
        let stack = host.stack.clone();
        let connect = async move { stack.connect_from(from, to).await };
        self.connecting
            .push((Box::pin(connect), Task::new(), number));
        self.await_connections(peers);
    }

    /// Drops a listener, or binds it again.
    fn listen(&mut self, input: &mut Input<'_>, host: &Host, peers: &mut Peers) {
        peers.allow(10_000); // it may have refused thousands of requests
        if self.listening.len() > 1 {
            drop(self.listening.pop());
            return peers.close_all();
        }
        let port = PORTS[input.below(3)];
        if let Ok(listener) = host.stack.bind(SocketAddr::from(([0, 0, 0, 0], port))) {
            self.listening.push(Listening {
                listener,
                task: Task::new(),
                by_request: input.chance(128),
            });
        }
    }

    /// Reads all that there is, as each reader is woken.
    pub(super) fn read_all(&mut self, peers: &mut Peers) {
        let mut none = Input::new(&[]);
        for held in &mut self.held {
            while held.reader.is_awake() && !held.ended {
                held.read(&mut none, peers, &mut self.buffer, 65_536);
            }
        }
    }

    /// The stack has ended: every call that waits is woken, and fails.
    pub(super) fn find_the_end(&mut self, peers: &mut Peers) {
        peers.end_all();
        self.read_all(peers);
        for held in &mut self.held {
            assert!(held.ended, "a reader waits for a stack that has ended");
            let stream = &held.stream;
            let (written, lost) = held
                .writer
                .poll_unchecked(|cx| Pin::new(&mut &*stream).poll_write(cx, &[1]));
            assert!(!lost, "a lost wake-up: a writer and the end of the stack");
            assert!(matches!(written, Poll::Ready(Err(_))), "{written:?}");
            if let Some((watch, task)) = &mut held.watch {
                let closed = task.poll("the end of the stack", |cx| watch.as_mut().poll(cx));
                assert!(
                    closed.is_ready(),
                    "`closed` waits for a stack that has ended"
                );
            }
        }
        for (mut connecting, mut task, _) in self.connecting.drain(..) {
            let connected = task.poll("the end of the stack", |cx| connecting.as_mut().poll(cx));
            assert!(
                connected.is_ready(),
                "a handshake waits for a stack that has ended"
            );
        }
        for Listening { listener, task, .. } in &mut self.listening {
            let accepted = task.poll("the end of the stack", |cx| listener.poll_accept(cx));
            assert!(matches!(accepted, Poll::Ready(Err(_))), "{accepted:?}");
        }
    }

    /// Lets go of everything.
    pub(super) fn close(&mut self, peers: &mut Peers) {
        peers.allow(1 << 32);
        peers.close_all();
        self.held.clear();
        self.listening.clear();
        self.requests.clear();
        self.connecting.clear();
    }
}

impl Held {
    /// Reads once, and checks what was read.
    fn read(&mut self, input: &mut Input<'_>, peers: &mut Peers, buffer: &mut Vec<u8>, len: usize) {
        buffer.clear();
        let stream = &self.stream;
        let lending = input.chance(64);
        let result = self.reader.poll("data to read", |cx| {
            if lending {
                stream.poll_read_with(cx, |slices| {
                    for slice in slices {
                        let room = len - buffer.len();
                        buffer.extend_from_slice(&slice[..slice.len().min(room)]);
                    }
                    Ok(buffer.len())
                })
            } else {
                buffer.resize(len, 0);
                Pin::new(&mut &*stream).poll_read(cx, buffer)
            }
        });
        let flow = peers.flow_of(self.flow);
        match result {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) => {
                if !self.read_shut {
                    self.candidates = flow.ended(self.candidates, self.read);
                    assert!(
                        self.candidates != 0,
                        "a false end at {}: {flow:?}",
                        self.read
                    );
                }
                self.ended = true;
            }
            Poll::Ready(Ok(count)) => {
                assert!(!self.ended && !self.read_shut, "data after the end");
                self.candidates = flow.readable(self.candidates, self.read, &buffer[..count]);
                assert!(
                    self.candidates != 0,
                    "{count} bytes at {} that nobody sent: {flow:?}",
                    self.read
                );
                self.read += count;
            }
            Poll::Ready(Err(error)) => {
                self.ended = true;
                self.fails(peers, &error);
            }
        }
    }

    fn write(&mut self, peers: &mut Peers, buffer: &mut Vec<u8>, len: usize) {
        let flow = peers.flow_of(self.flow);
        buffer.clear();
        flow.append_written(buffer, self.wrote, len);
        let stream = &self.stream;
        // A writer is woken for a good part of the buffer, and surely for all of it.
        let empty = stream.info().send_queue == 0;
        let (result, lost) = self
            .writer
            .poll_unchecked(|cx| Pin::new(&mut &*stream).poll_write(cx, buffer));
        assert!(!(lost && empty), "a lost wake-up: room to write");
        match result {
            Poll::Pending => {}
            Poll::Ready(Ok(count)) => {
                assert!(!self.write_shut && count > 0, "written after the end");
                self.wrote += count;
                flow.wrote(self.wrote);
            }
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::BrokenPipe => {
                assert!(self.write_shut, "{error}");
            }
            Poll::Ready(Err(error)) => self.fails(peers, &error),
        }
    }

    /// Checks that the stream may fail in this way.
    fn fails(&self, peers: &mut Peers, error: &io::Error) {
        let flow = peers.flow_of(self.flow);
        let may = match error.kind() {
            ErrorKind::ConnectionReset => flow.may_be_reset(),
            ErrorKind::ConnectionAborted => self.aborted,
            ErrorKind::TimedOut => true,
            // After the end of the stack.
            ErrorKind::NetworkDown => flow.is_over(),
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => flow.may_be_unreachable(),
            _ => false,
        };
        assert!(may, "{error}: {flow:?}");
    }

    /// What the application itself does wakes or does not wake its tasks.
    fn disturb(&mut self) {
        self.reader.disturb();
        self.writer.disturb();
        if let Some((_, task)) = &mut self.watch {
            task.disturb();
        }
    }

    fn shut(&mut self, peers: &mut Peers, how: Shutdown) {
        // It fails, and shuts nothing, if the connection has failed.
        if self.stream.shutdown(how).is_ok() {
            self.read_shut |= how != Shutdown::Write;
            self.write_shut |= how != Shutdown::Read;
        }
        peers.flow_of(self.flow).closes();
        self.disturb();
    }

    fn abort(&mut self) {
        self.aborted = true;
        self.stream.abort();
        self.disturb();
    }

    /// Takes the stream apart, and puts it together or closes the half that writes.
    fn split(self, input: &mut Input<'_>, peers: &mut Peers) -> Option<Self> {
        let (reading, writing) = self.stream.clone().split();
        let clone = match input.below(2) {
            0 => Some(reading.reunite(writing).expect("halves of one stream")),
            _ => {
                // The half that writes closes the stream for writing.
                peers.flow_of(self.flow).closes();
                None
            }
        };
        let write_shut = self.write_shut || clone.is_none();
        drop(clone);
        let mut held = Self { write_shut, ..self };
        held.disturb();
        Some(held)
    }

    /// Waits for the end of the connection, whatever it is.
    fn watch(&mut self) {
        let stream = self.stream.clone();
        let (watch, task) = self.watch.get_or_insert_with(|| {
            let closed = async move { stream.closed().await };
            (Box::pin(closed), Task::new())
        });
        if task
            .poll("the end", |cx| watch.as_mut().poll(cx))
            .is_ready()
        {
            self.watch = None;
        }
    }

    /// Changes an option.
    fn set(&mut self, input: &mut Input<'_>) {
        let stream = &self.stream;
        let time = input.pick([None, Some(SECOND), Some(30 * SECOND), Some(MS)]);
        match input.below(6) {
            0 => stream.set_keepalive(time),
            1 => stream.set_user_timeout(Some(time.unwrap_or(300 * SECOND))),
            2 => stream.set_linger(time),
            3 => stream.set_delayed_ack(time),
            4 => drop(stream.set_nodelay(input.chance(128))),
            _ => drop(stream.set_ttl(input.below(256) as u32)),
        }
    }
}
