//! The ends of stacks, sessions and devices against the tasks that wait.
#![cfg(shuttle)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use brooklet::{Builder, PacketBuf, PacketIo, Parts, Pipe};
use brooklet_cell::wakers::SingleWaker;
use brooklet_cell::{Shared, Threaded};
use brooklet_models::{Checked, Frozen, Options, addr, all, briefly, check, net, run, task};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

fn is_down(error: io::Error) {
    assert_eq!(error.kind(), ErrorKind::NetworkDown);
}

#[test]
fn a_shutdown_ends_accepts_and_lets_connections_finish() {
    check(|| {
        let net = net(Options::default());
        // Two tasks accept until the listener says that the stack takes no more.
        let acceptors = [0, 1].map(|_| {
            let tcp = net.tcp.clone();
            task(async move {
                let mut accepted = Vec::new();
                loop {
                    match tcp.accept().await {
                        Ok((stream, _)) => accepted.push(stream),
                        Err(error) => {
                            is_down(error);
                            return accepted;
                        }
                    }
                }
            })
        });
        let here = net.here.clone();
        let client = task(async move {
            match here.connect_from(addr(1, 1), addr(2, 2)).await {
                Ok(mut stream) => {
                    // Reset if the shutdown came before the `accept`. The device ends with the far
                    // stack.
                    let sent = async {
                        stream.write_all(b"x").await?;
                        stream.close().await
                    };
                    if let Err(error) = sent.await {
                        let ends = [
                            ErrorKind::BrokenPipe,
                            ErrorKind::ConnectionReset,
                            ErrorKind::NetworkDown,
                        ];
                        assert!(ends.contains(&error.kind()), "{error}");
                    }
                    Some(stream)
                }
                Err(error) => {
                    let refused = [
                        ErrorKind::ConnectionRefused,
                        ErrorKind::ConnectionReset,
                        ErrorKind::NetworkDown,
                    ];
                    assert!(refused.contains(&error.kind()), "{error}");
                    None
                }
            }
        });
        let there = net.there.clone();
        let shutdown = task(async move { there.shutdown(Duration::MAX).await });
        let accepted: Vec<_> = all(acceptors).into_iter().flatten().collect();
        let connected = all([client]).remove(0);
        // What the client has reached was accepted, or is reset: nothing is left hanging.
        for mut stream in accepted {
            let mut got = Vec::new();
            match run(stream.read_to_end(&mut got)) {
                Ok(_) => assert_eq!(got, b"x"),
                Err(error) => {
                    // Aborted if the shutdown came between the handshake and the `accept`.
                    let ends = [
                        ErrorKind::ConnectionAborted,
                        ErrorKind::ConnectionReset,
                        ErrorKind::NetworkDown,
                    ];
                    assert!(ends.contains(&error.kind()), "{error}");
                }
            }
            let _ = run(stream.close());
        }
        if let Some(mut stream) = connected {
            let _ = run(stream.read(&mut [0]));
            drop(stream);
        }
        all([shutdown]);
        net.drivers.end();
    });
}

#[test]
fn a_shutdown_without_time_ends_every_call() {
    check(|| {
        let net = net(Options::default());
        let tcp = net.tcp.clone();
        let server = task(async move { tcp.accept().await.map(|(stream, _)| stream) });
        let stream = run(net.here.connect_from(addr(1, 1), addr(2, 2))).unwrap();
        let server = all([server]).remove(0).unwrap();
        let waiting = {
            let server = server.clone();
            task(async move { (&server).read(&mut [0]).await.unwrap_err().kind() })
        };
        let accept = {
            let tcp = net.tcp.clone();
            task(async move { is_down(tcp.accept().await.map(drop).unwrap_err()) })
        };
        let fickle = {
            let tcp = net.tcp.clone();
            task(async move {
                briefly(tcp.accept()).await;
            })
        };
        let receive = {
            let udp = net.there_udp.clone();
            task(async move { is_down(udp.recv_datagram().await.map(drop).unwrap_err()) })
        };
        let shutdowns = [0, 1].map(|_| {
            let there = net.there.clone();
            task(async move { there.shutdown(Duration::ZERO).await })
        });
        all(shutdowns);
        all([accept, fickle, receive]);
        let end = all([waiting]).remove(0);
        let ends = [ErrorKind::NetworkDown, ErrorKind::ConnectionAborted];
        assert!(ends.contains(&end), "{end:?}");
        // The peer is told, unless its own device ended first.
        let end = run((&stream).read(&mut [0])).unwrap_err().kind();
        let ends = [ErrorKind::ConnectionReset, ErrorKind::NetworkDown];
        assert!(ends.contains(&end), "{end:?}");
        net.drivers.end();
    });
}

/// A device whose outbound wire is its own. The inbound one goes on when the device is exchanged.
struct Exchanged {
    inward: Arc<Mutex<Pipe>>,
    outward: Pipe,
}

impl PacketIo for Exchanged {
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        // Only the task of the driver uses it: shuttle need not know.
        self.inward.lock().unwrap().poll_recv(cx, packet)
    }
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        self.outward.poll_send(cx, packet)
    }
}

/// The other end: it receives from both wires.
struct Both {
    inward: [Pipe; 2],
    outward: Pipe,
}

impl PacketIo for Both {
    fn poll_recv(&mut self, cx: &mut Context<'_>, packet: &mut PacketBuf) -> Poll<io::Result<()>> {
        let [first, second] = &mut self.inward;
        match first.poll_recv(cx, packet) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            _ => second.poll_recv(cx, packet),
        }
    }
    fn poll_send(&mut self, cx: &mut Context<'_>, packet: &PacketBuf) -> Poll<io::Result<()>> {
        self.outward.poll_send(cx, packet)
    }
}

#[test]
fn a_device_is_exchanged_while_tasks_write() {
    check(|| {
        let timer = Frozen::new();
        // The first wire takes one packet and is full then; its other end reads late.
        let ((out, far_in), (new_out, far_new_in)) = (brooklet::pipe(1), brooklet::pipe(2));
        let (near_in, far_out) = brooklet::pipe(2);
        let inward = Arc::new(Mutex::new(near_in));
        let device = |outward| Exchanged {
            inward: inward.clone(),
            outward,
        };
        let (first, second) = (device(out), device(new_out));
        let far = Both {
            inward: [far_in, far_new_in],
            outward: far_out,
        };
        let builder = || Builder::new().mtu(1280);
        let Parts {
            stack,
            mut driver,
            udp,
            ..
        } = builder().build_with_timer(first, timer).unwrap();
        let Parts {
            udp: far_udp,
            tcp: far_tcp,
            driver: far_driver,
            ..
        } = builder().build_with_timer(far, timer).unwrap();
        let far_driver = shuttle::future::spawn(Checked::new(far_driver));

        // The task of the driver is told of the new device, as a program tells it.
        let order = Shared::<Threaded, _>::new((None, SingleWaker::new()));
        let told = order.clone();
        let mut old = Vec::new();
        let driver = shuttle::future::spawn(Checked::new(poll_fn(move |cx| {
            let (device, replaced) = told.with(|(device, waker)| match device.take() {
                Some(device) => (Some(device), None),
                None => (None, waker.register(cx.waker())),
            });
            drop(replaced);
            if let Some(device) = device {
                // Kept: at the far end the drop of a pipe is the end of a device.
                old.push(driver.swap_device(device).unwrap());
            }
            Pin::new(&mut driver).poll(cx)
        })));
        let exchange = task(async move {
            let waker = order.with(|(device, waker)| {
                *device = Some(second);
                waker.take()
            });
            waker.into_iter().for_each(brooklet_cell::wakers::wake);
        });

        let sender = task(async move {
            for n in 0..3 {
                udp.send_to(&[n], addr(1, 1), addr(2, 2)).await.unwrap();
            }
            udp
        });
        let receiver = task(async move {
            for _ in 0..3 {
                far_udp.recv_datagram().await.unwrap();
            }
        });
        let server = task(async move {
            let (mut stream, _) = far_tcp.accept().await.unwrap();
            let mut got = Vec::new();
            stream.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, [7; 3000]);
            stream.close().await.unwrap();
        });
        let mut stream = run(stack.connect_from(addr(1, 2), addr(2, 3))).unwrap();
        run(stream.write_all(&[7; 3000])).unwrap();
        run(stream.close()).unwrap();
        let udp = all([sender]);
        all([receiver, server, exchange]);
        for driver in [driver, far_driver] {
            driver.abort();
            let _ = shuttle::future::block_on(driver);
        }
        drop((udp, stream));
    });
}
