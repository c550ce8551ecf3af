//! Each way in which a stack ends, and each call that waits then.

use crate::world::{SECOND, World, addr, now};
use brooklet::{
    Builder, IcmpSocketConfig, Protocol, RawConfig, SessionConfig, TcpConfig, TcpStream,
    TransparentUdpSocket,
};
use futures_lite::future;
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

type Call = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// A name, the call, and the error with which it ends; `None` if it ends without one.
struct Pending {
    name: &'static str,
    call: Call,
    ends_with: Option<ErrorKind>,
    woken: Arc<crate::world::Flag>,
}

struct Calls(Vec<Pending>);

impl Calls {
    fn add<T>(&mut self, name: &'static str, call: impl Future<Output = io::Result<T>> + 'static) {
        let call = Box::pin(async move { call.await.map(drop) });
        self.push(name, call, Some(ErrorKind::NetworkDown));
    }

    fn push(&mut self, name: &'static str, call: Call, ends_with: Option<ErrorKind>) {
        self.0.push(Pending {
            name,
            call,
            ends_with,
            woken: Arc::default(),
        });
    }

    /// Polls every call once: none is ready.
    fn wait(&mut self) {
        for Pending {
            name, call, woken, ..
        } in &mut self.0
        {
            let waker = Waker::from(woken.clone());
            let poll = call.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(poll.is_pending(), "{name}: {poll:?}");
            woken.take();
        }
    }

    /// Every call has been woken, and ends with its error.
    fn end(self, fault: &str) {
        let mut cx = Context::from_waker(Waker::noop());
        for pending in self.0 {
            let (mut call, name) = (pending.call, pending.name);
            assert!(pending.woken.take(), "{fault}: {name} is not woken");
            match call.as_mut().poll(&mut cx) {
                Poll::Ready(result) => {
                    let error = result.err().map(|error| error.kind());
                    assert_eq!(error, pending.ends_with, "{fault}: {name}");
                }
                Poll::Pending => panic!("{fault}: {name} waits"),
            }
        }
    }
}

/// Writes until the stream takes no more.
fn fill(mut stream: &TcpStream) {
    while let Some(written) = now(stream.write(&[7; 100_000])) {
        written.unwrap();
    }
}

fn add_tcp(world: &mut World, calls: &mut Calls) {
    let mut ports = 1000..;
    let mut connect = |world: &mut World| {
        let (near, far) = world.connect(ports.next().unwrap());
        std::mem::forget(far); // the far end neither reads nor closes
        near
    };
    let mut reader = connect(world);
    calls.add(
        "TcpStream::read",
        async move { reader.read(&mut [0; 8]).await },
    );
    let stream = connect(world);
    calls.add(
        "TcpStream::peek",
        async move { stream.peek(&mut [0; 8]).await },
    );
    let stream = connect(world);
    calls.add("TcpStream::read_with", async move {
        stream.read_with(|_| Ok(1)).await
    });
    let stream = connect(world);
    calls.add("TcpStream::closed", async move { stream.closed().await });
    let (mut read, write) = connect(world).split();
    calls.add("ReadHalf::read", async move {
        let _write = write;
        read.read(&mut [0; 8]).await
    });
    let mut blocked = Vec::new();
    for _ in 0..5 {
        blocked.push(connect(world));
    }
    world.near.script().room = Some(0); // from here on nothing is sent
    blocked.iter().for_each(fill);
    let mut blocked = blocked.into_iter();
    let mut next = || blocked.next().unwrap();
    let mut stream = next();
    calls.add(
        "TcpStream::write",
        async move { stream.write(&[0; 8]).await },
    );
    let stream = next();
    calls.add("TcpStream::write_with", async move {
        stream.write_with(|_| Ok(1)).await
    });
    let mut stream = next();
    calls.add("TcpStream::close", async move { stream.close().await });
    let stream = next();
    calls.add(
        "TcpStream::wait_acked",
        async move { stream.wait_acked().await },
    );
    let (read, mut write) = next().split();
    calls.add("WriteHalf::write", async move {
        let _read = read;
        write.write(&[0; 8]).await
    });
}

fn add_handshakes(world: &mut World, calls: &mut Calls) {
    let (near, to) = (world.near.stack.clone(), addr("192.0.2.1:81"));
    let bind = |port| near.bind(SocketAddr::new(to.ip(), port)).unwrap();
    let [accepting, incoming, requests, requested] = [82, 83, 84, 85].map(bind);
    calls.add(
        "TcpListener::accept",
        async move { accepting.accept().await },
    );
    calls.add("TcpListener::incoming", async move {
        incoming
            .incoming()
            .next()
            .await
            .expect("an error comes first")
    });
    calls.add("TcpListener::requests", async move {
        requests
            .requests()
            .next()
            .await
            .expect("an error comes first")
    });
    // A client whose SYN has arrived, and whose SYN-ACK does not leave.
    let far = world.far.stack.clone();
    let client = async move {
        let from = addr("10.0.0.9:2000");
        far.connect_from(from, addr("192.0.2.1:85")).await
    };
    let mut client = Box::pin(client);
    assert!(now(client.as_mut()).is_none());
    std::mem::forget(client); // waits on
    let request = world
        .run(SECOND, async { requested.requests().next().await })
        .unwrap()
        .unwrap();
    world.near.script().room = Some(0);
    let accept = request.accept();
    calls.add("TcpRequest::accept", async move {
        let _listener = requested;
        accept.await
    });
    let connect = near.clone();
    calls.add("Stack::connect_from", async move {
        connect
            .connect_from(addr("10.0.0.2:3000"), addr("192.0.2.9:80"))
            .await
    });
}

fn add_udp(world: &World, calls: &mut Calls) {
    let stack = world.near.stack.clone();
    let transparent = || -> TransparentUdpSocket { world.near.udp.clone() };
    let udp = transparent();
    calls.add("TransparentUdpSocket::recv_from", async move {
        udp.recv_from(&mut [0; 8]).await
    });
    let udp = transparent();
    calls.add("TransparentUdpSocket::recv_datagram", async move {
        udp.recv_datagram().await
    });
    let (read, write) = transparent().split();
    calls.add("UdpReadHalf::recv_from", async move {
        let _write = write;
        read.recv_from(&mut [0; 8]).await
    });
    let socket = stack.bind_udp(addr("192.0.2.1:1000")).unwrap();
    calls.add("UdpSocket::recv_from", async move {
        socket.recv_from(&mut [0; 8]).await
    });
    let socket = stack.bind_udp(addr("192.0.2.1:1001")).unwrap();
    now(socket.connect(addr("10.0.0.2:1"))).unwrap().unwrap();
    calls.add(
        "UdpSocket::recv",
        async move { socket.recv(&mut [0; 8]).await },
    );
    // The outbound queue is full.
    let (from, to) = (addr("192.0.2.1:53"), addr("10.0.0.2:5000"));
    let udp = transparent();
    while now(udp.send_to(&[0; 1000], from, to)).is_some() {}
    calls.add("TransparentUdpSocket::send_to", async move {
        udp.send_to(b"x", from, to).await
    });
    let socket = stack.bind_udp(addr("192.0.2.1:1002")).unwrap();
    calls.add("UdpSocket::send_to", async move {
        socket.send_to(b"x", to).await
    });
}

fn add_sessions(world: &mut World, calls: &mut Calls) {
    let listener = world.near.udp.clone().into_sessions(SessionConfig::new());
    let (from, to) = (addr("10.0.0.2:5000"), addr("192.0.2.1:53"));
    let far = world.far.udp.clone();
    let session = world.run(SECOND, async {
        far.send_to(b"question", from, to).await.unwrap();
        let session = listener.accept().await.unwrap();
        session.recv_datagram().await.unwrap();
        session
    });
    calls.add("UdpSession::recv", async move {
        session.recv(&mut [0; 8]).await
    });
    calls.add(
        "UdpListener::accept",
        async move { listener.accept().await },
    );
}

fn add_icmp(world: &World, calls: &mut Calls) {
    let stack = &world.near.stack;
    let icmp = stack.bind_icmp().unwrap();
    calls.add("IcmpSocket::recv", async move { icmp.recv().await });
    let config = IcmpSocketConfig::new().echo_requests(false);
    let icmp = stack.bind_icmp_with(config).unwrap();
    calls.add(
        "IcmpSocket::recv, of replies",
        async move { icmp.recv().await },
    );
    let raw = stack
        .bind_raw(RawConfig::new().protocol(Protocol::Other(47)))
        .unwrap();
    calls.add(
        "RawSocket::recv",
        async move { raw.recv(&mut [0; 8]).await },
    );
}

fn pending(sessions: bool) -> (World, Calls) {
    // Longer than any fault takes.
    let tcp = TcpConfig::new().handshake_timeout(600 * SECOND);
    let mut world = World::with(Builder::new().tcp_config(tcp));
    let mut calls = Calls(Vec::new());
    if sessions {
        add_sessions(&mut world, &mut calls);
    }
    add_handshakes(&mut world, &mut calls);
    world.near.script().room = None;
    add_tcp(&mut world, &mut calls);
    if !sessions {
        add_udp(&world, &mut calls);
    }
    add_icmp(&world, &mut calls);
    #[cfg(feature = "capture")]
    {
        let mut capture = world.near.stack.capture(brooklet::CaptureConfig::new());
        let write = async move { capture.write_to(futures_lite::io::sink()).await };
        calls.push("Capture::write_to", Box::pin(write), None);
    }
    calls.wait();
    (world, calls)
}

/// A way in which a stack ends: its name, and what happens to the near stack.
type Fault = (&'static str, fn(&mut World));

const FAULTS: &[Fault] = &[
    ("the driver is dropped", |world| {
        drop(world.near.driver.take())
    }),
    ("the device is gone, for receiving", |world| {
        world.near.script().always_recv = Some(ErrorKind::UnexpectedEof);
        world.near.run();
        world.near.error();
    }),
    ("the device is gone, for sending", |world| {
        world.near.script().always_send = Some(ErrorKind::BrokenPipe);
        world.near.run();
        world.near.error();
    }),
    ("the device fails for a minute", |world| {
        world.near.script().always_recv = Some(ErrorKind::OutOfMemory);
        world.near.pass(61 * SECOND);
        world.near.error();
    }),
    ("the driver panics", |world| {
        world.near.script().panics = true;
        let driver = world.near.driver.take();
        let panics = std::panic::AssertUnwindSafe(move || {
            let mut driver = driver.unwrap();
            let _ = Pin::new(&mut driver).poll(&mut Context::from_waker(Waker::noop()));
        });
        assert!(std::panic::catch_unwind(panics).is_err());
    }),
    ("the program shuts the stack down", |world| {
        let stack = world.near.stack.clone();
        assert!(now(stack.shutdown(Duration::ZERO)).is_none());
        world.near.pass(Duration::from_millis(100)); // the device takes no packet
        world.near.ended.take().unwrap().unwrap();
        assert!(now(stack.shutdown(Duration::ZERO)).is_some());
    }),
];

#[test]
fn every_call_that_waits_ends_with_its_error_after_every_fault() {
    for (fault, inject) in FAULTS {
        for sessions in [false, true] {
            let (mut world, calls) = pending(sessions);
            let number = calls.0.len();
            assert!(number > 18, "{number} calls");
            inject(&mut world);
            let start = Instant::now();
            calls.end(fault);
            let passed = start.elapsed();
            assert!(passed < Duration::from_millis(100), "{fault}: {passed:?}");
            let stats = world.near.stack.stats();
            assert_eq!(stats.tcp.connections, 0, "{fault}");
            assert_eq!(stats.tcp.requests, 0, "{fault}");
            assert_eq!(stats.udp.sessions, 0, "{fault}");
            assert_eq!(stats.tcp.buffers, 0, "{fault}: bytes in buffers");
        }
    }
}

#[test]
fn a_shutdown_with_a_thousand_flows_ends_every_call_and_resets_what_is_left() {
    const FLOWS: usize = 1000;
    let mut world = World::new();
    let flows: Vec<_> = (0..FLOWS).map(|n| world.connect(1000 + n as u16)).collect();
    let (near, mut far): (Vec<_>, Vec<_>) = flows.into_iter().unzip();
    let mut calls = Calls(Vec::new());
    for (n, mut stream) in near.into_iter().enumerate() {
        match n % 4 {
            // Comes to its end before the deadline.
            0 => drop(stream),
            1 => calls.add("read", async move { stream.read(&mut [0; 8]).await }),
            2 => {
                fill(&stream);
                calls.add("write", async move { stream.write(&[0; 8]).await });
            }
            _ => calls.add("closed", async move { stream.closed().await }),
        }
    }
    calls.wait();
    let stack = world.near.stack.clone();
    let start = world.near.timer.now();
    // The far ends of the dropped streams close; the others do nothing.
    let closes = far.iter_mut().step_by(4).map(|stream| async {
        stream.read(&mut [0; 8]).await.unwrap();
        stream.close().await
    });
    let closes = closes.collect::<Vec<_>>();
    let both = future::zip(stack.shutdown(5 * SECOND), async {
        for close in closes {
            close.await.unwrap();
        }
    });
    world.run(6 * SECOND, both);
    let passed = world.near.timer.now() - start;
    assert!(
        (5 * SECOND..5 * SECOND + SECOND / 10).contains(&passed),
        "{passed:?}"
    );
    world.near.ended.take().unwrap().unwrap();
    calls.end("shutdown");
    let stats = stack.stats();
    assert_eq!((stats.tcp.connections, stats.tcp.buffers), (0, 0));
    // Every peer learns of it, although the wire has room for 64 packets.
    world.pass(SECOND);
    assert!(world.far.ended.is_none());
    assert_eq!(world.far.stack.stats().tcp.connections, 0);
    drop(far);
}
