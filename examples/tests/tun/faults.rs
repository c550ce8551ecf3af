//! Faults of the device under the flows of the kernel: it is swapped, down, left alone and deleted.

use brooklet::{Builder, Driver, QueueParts, Stack, TcpListener, TransparentUdpSocket};
use brooklet_testbed::{LIMIT, in_namespace, ip, wait_until};
use brooklet_tun::{Tun, TunBuilder};
use futures_lite::AsyncWriteExt;
use futures_lite::future::{self, block_on, or};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const ECHO: &str = "192.0.2.1:7";

/// The kernel's own address, which no device takes with it.
const OWN: &str = "10.77.0.1";

/// Runs `test` in a namespace whose kernel has an address.
fn with_an_address(test: impl FnOnce() + Send) {
    in_namespace(|| {
        ip(&format!("address add {OWN}/32 dev lo"));
        test();
    });
}

/// Opens a device with the route to the stack. The routes of the devices before it are replaced.
fn open(name: &str, mtu: u16, offload: bool, queues: usize) -> Vec<Tun> {
    let tun = TunBuilder::new(name).mtu(mtu).offload(offload);
    let tuns = match queues {
        1 => vec![tun.open().expect("a TUN device")],
        _ => tun.queues(queues).open_queues().expect("a TUN device"),
    };
    ip(&format!(
        "link set {name} up
         route replace default dev {name} src {OWN}"
    ));
    tuns
}

/// A stack that echoes, with the drivers on threads of their own.
struct Running {
    stack: Stack,
    /// Takes the next device of each driver.
    devices: Vec<async_channel::Sender<Tun>>,
    drivers: Vec<JoinHandle<io::Result<()>>>,
}

impl Running {
    fn start(tuns: Vec<Tun>) -> Self {
        let QueueParts {
            stack,
            tcp,
            udp,
            drivers,
            ..
        } = Builder::new().build_queues(tuns).expect("a stack");
        thread::spawn(move || block_on(or(echo(tcp), echo_datagrams(udp))));
        let (mut devices, mut threads) = (Vec::new(), Vec::new());
        for driver in drivers {
            let (sender, receiver) = async_channel::bounded(1);
            devices.push(sender);
            threads.push(thread::spawn(move || {
                async_io::block_on(run(driver, receiver))
            }));
        }
        Self {
            stack,
            devices,
            drivers: threads,
        }
    }

    fn swap(&self, tuns: Vec<Tun>) {
        for (sender, tun) in self.devices.iter().zip(tuns) {
            sender.send_blocking(tun).expect("the driver runs");
        }
    }

    /// The results of the drivers.
    fn ended(self) -> Vec<io::Result<()>> {
        let ended = self.drivers.into_iter();
        ended
            .map(|driver| driver.join().expect("no panic"))
            .collect()
    }
}

/// Runs a driver, and gives it each device that comes.
async fn run(mut driver: Driver<Tun>, devices: async_channel::Receiver<Tun>) -> io::Result<()> {
    loop {
        let ended = async { Err((&mut driver).await) };
        match or(async { Ok(devices.recv().await) }, ended).await {
            Ok(Ok(tun)) => drop(driver.swap_device(tun)?),
            Ok(Err(_)) => return driver.await,
            Err(result) => return result,
        }
    }
}

async fn echo(tcp: TcpListener) {
    let executor = async_executor::Executor::new();
    let accept = async {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let task = async move {
                let copied = futures_lite::io::copy(stream.clone(), &mut stream).await;
                drop(copied);
                let _ = stream.close().await;
            };
            executor.spawn(task).detach();
        }
    };
    executor.run(accept).await;
}

async fn echo_datagrams(udp: TransparentUdpSocket) {
    let mut buf = vec![0; 65_535];
    while let Ok((len, from, to)) = udp.recv_from(&mut buf).await {
        let _ = udp.send_to(&buf[..len], to, from).await;
    }
    future::pending::<()>().await;
}

fn connect() -> TcpStream {
    let stream = TcpStream::connect(ECHO).expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a socket");
    stream.set_write_timeout(Some(LIMIT)).expect("a socket");
    stream
}

/// Sends this many bytes, and compares what comes back.
fn exchange(stream: &TcpStream, len: usize) {
    let data: Vec<u8> = (0..len).map(|n| (n / 3) as u8).collect();
    thread::scope(|scope| {
        scope.spawn(|| (&*stream).write_all(&data).expect("a stack that reads"));
        let mut got = vec![0; len];
        (&*stream)
            .read_exact(&mut got)
            .expect("a stack that echoes");
        assert!(got == data);
    });
}

/// Sends a datagram until it comes back.
fn ask(socket: &UdpSocket) {
    let to: SocketAddr = ECHO.parse().expect("an address");
    let answered = (0..50).any(|_| {
        // The device may be down for a moment.
        let sent = socket.send_to(&[7; 1000], to);
        sent.is_ok() && matches!(socket.recv(&mut [0; 2000]), Ok(1000))
    });
    assert!(answered, "no answer");
}

fn datagrams() -> UdpSocket {
    let socket = UdpSocket::bind((OWN, 5000)).expect("a socket");
    let timeout = Some(Duration::from_millis(200));
    socket.set_read_timeout(timeout).expect("a socket");
    socket
}

fn flows_go_on_over_swapped_devices(queues: usize) {
    with_an_address(|| {
        let running = Running::start(open("tun0", 1500, false, queues));
        let (stream, idle, socket) = (connect(), connect(), datagrams());
        ask(&socket);
        thread::scope(|scope| {
            let transfer = scope.spawn(|| (0..40).for_each(|_| exchange(&stream, 500_000)));
            let kinds = [
                (1280, true),
                (1400, false),
                (9000, true),
                (1500, true),
                (1280, false),
            ];
            for (n, (mtu, offload)) in (1..).zip(kinds) {
                thread::sleep(Duration::from_millis(100));
                running.swap(open(&format!("tun{n}"), mtu, offload, queues));
                ask(&socket);
            }
            transfer.join().expect("every byte");
        });
        exchange(&idle, 100_000);
        exchange(&connect(), 100_000);
        assert_eq!(running.stack.path_mtu([10, 77, 0, 1].into()), 1280);
        // The old devices are closed.
        let gone = wait_until(LIMIT, || !ip("link").contains("tun0"));
        assert!(gone, "{}", ip("link"));
        ip("link del tun5");
        for result in running.ended() {
            let kind = result.expect_err("the device is gone").kind();
            assert!(matches!(
                kind,
                ErrorKind::UnexpectedEof | ErrorKind::NetworkDown
            ));
        }
    });
}

#[test]
fn flows_of_the_kernel_go_on_when_the_device_is_swapped() {
    flows_go_on_over_swapped_devices(1);
}

#[test]
fn flows_of_the_kernel_go_on_when_each_queue_of_the_device_is_swapped() {
    flows_go_on_over_swapped_devices(2);
}

#[test]
fn flows_survive_a_device_that_is_down_for_a_while() {
    with_an_address(|| {
        let running = Running::start(open("tun0", 1500, true, 1));
        let (stream, socket) = (connect(), datagrams());
        exchange(&stream, 100_000);
        for _ in 0..3 {
            ip("link set tun0 down");
            thread::sleep(Duration::from_millis(300));
            ip(&format!(
                "link set tun0 up
                 route replace default dev tun0 src {OWN}"
            ));
            ask(&socket);
            exchange(&stream, 100_000);
        }
        assert_eq!(running.stack.stats().tcp.connections, 1);
        assert!(!running.drivers[0].is_finished());
    });
}

#[test]
fn a_deleted_device_ends_the_driver_and_every_call() {
    with_an_address(|| {
        let running = Running::start(open("tun0", 1500, true, 1));
        let stream = connect();
        exchange(&stream, 1000);
        let stack = running.stack.clone();
        let listener = stack.bind("192.0.2.1:80".parse().expect("an address"));
        let listener = listener.expect("a listener");
        let accept = thread::spawn(move || block_on(listener.accept()).map(drop));
        ip("link del tun0");
        let ended = running.ended().remove(0).expect_err("the device is gone");
        assert_eq!(ended.kind(), ErrorKind::UnexpectedEof);
        let error = accept
            .join()
            .expect("no panic")
            .expect_err("the stack is gone");
        assert_eq!(error.kind(), ErrorKind::NetworkDown);
        assert_eq!(stack.stats().tcp.connections, 0);
    });
}

#[test]
fn flows_survive_a_driver_that_stands_still_while_the_queue_of_the_device_overflows() {
    with_an_address(|| {
        let tun = open("tun0", 1500, false, 1).remove(0);
        let brooklet::Parts {
            stack,
            tcp,
            udp,
            mut driver,
            ..
        } = Builder::new().build(tun).expect("a stack");
        thread::spawn(move || block_on(or(echo(tcp), echo_datagrams(udp))));
        let (pause, pauses) = async_channel::bounded::<()>(1);
        thread::spawn(move || {
            async_io::block_on(async {
                loop {
                    let ended = async { (&mut driver).await.is_ok() };
                    let paused = or(async { pauses.recv().await.is_ok() }, ended).await;
                    assert!(paused, "the driver has ended");
                    thread::sleep(Duration::from_secs(1));
                }
            })
        });
        let (stream, socket) = (connect(), datagrams());
        ask(&socket);
        pause.send_blocking(()).expect("the driver runs");
        // More than the 500 packets of the queue.
        let to: SocketAddr = ECHO.parse().expect("an address");
        for _ in 0..2000 {
            let _ = socket.send_to(&[1; 1200], to);
        }
        exchange(&stream, 2_000_000);
        while socket.recv(&mut [0; 2000]).is_ok() {}
        ask(&socket);
        assert_eq!(stack.stats().tcp.connections, 1);
    });
}
