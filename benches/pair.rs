//! Two whole stacks joined in memory, run by hand and in a time that passes by hand too.
//!
//! There is no executor and no system timer, whose own work would be counted as well.

use crate::rig::{BATCH, Still, poll};
use brooklet::generic::{
    Builder, Driver, Parts, Pipe, Stack, TcpListener, TcpStream, TransparentUdpSocket,
};
use brooklet::{Offload, Threaded, Timer};
use brooklet_filter::UnicastOnly;
use brooklet_tcp::Clock;
use futures_lite::{AsyncRead, AsyncWrite, future};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Packets on the wire, in each direction.
const WIRE: usize = 256;

/// Data in a full segment, at an MTU of 1,500: both stacks send timestamps.
pub const SEGMENT: usize = 1448;

/// What an application reads or writes at a time.
pub const BLOCK: usize = BATCH * SEGMENT;

/// One of the two stacks.
#[derive(Debug)]
pub struct Side {
    /// Its handle.
    pub stack: Stack<Threaded>,
    /// Its UDP.
    pub udp: TransparentUdpSocket<Threaded>,
    tcp: TcpListener<Threaded>,
    driver: Driver<Threaded, Pipe<Threaded>, Alarm, UnicastOnly>,
    block: Vec<u8>,
}

/// Both of them.
#[derive(Debug)]
pub struct Pair {
    /// The one that connects.
    pub here: Side,
    /// The one that accepts.
    pub there: Side,
    time: Still,
}

/// Where the two ends of [`Pair::connect`] are.
pub fn addresses() -> (SocketAddr, SocketAddr) {
    (
        ([10, 0, 0, 2], 40_000).into(),
        ([93, 184, 216, 34], 7).into(),
    )
}

impl Pair {
    /// Joins two stacks with the defaults for everything else.
    ///
    /// # Panics
    ///
    /// If the MTU is out of range.
    pub fn new(mtu: usize, offload: Offload) -> Self {
        let time = Still::default();
        let side = |pipe: Pipe<Threaded>| {
            let alarm = Alarm(time.clock());
            let parts = Builder::<Threaded>::new()
                .mtu(mtu)
                .build_with_timer(pipe.with_offload(offload), alarm);
            let Parts {
                stack,
                tcp,
                udp,
                driver,
                ..
            } = parts.expect("the MTU is in range");
            Side {
                stack,
                udp,
                tcp,
                driver,
                block: vec![0x5a; BLOCK],
            }
        };
        let (here, there) = Pipe::pair(WIRE);
        let (here, there) = (side(here), side(there));
        Self { here, there, time }
    }

    /// A connection: its end here, and its end there.
    ///
    /// # Panics
    ///
    /// If there is none within 100 turns.
    pub fn connect(&mut self) -> [TcpStream<Threaded>; 2] {
        let (from, to) = addresses();
        let (stack, tcp) = (self.here.stack.clone(), self.there.tcp.clone());
        let accept = async { Ok(tcp.accept().await?.0) };
        let mut both = pin!(future::try_zip(stack.connect_from(from, to), accept));
        for _ in 0..100 {
            if let Poll::Ready(streams) = poll(both.as_mut()) {
                return streams.expect("nothing is lost in memory").into();
            }
            self.turn();
        }
        panic!("no connection after 100 turns");
    }

    /// Lets both drivers run once, and 50 us pass.
    pub fn turn(&mut self) {
        self.pass(Duration::from_micros(50));
        self.here.drive();
        self.there.drive();
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.time.pass(time);
    }
}

impl Side {
    /// Lets the driver run once.
    ///
    /// # Panics
    ///
    /// If it ends.
    pub fn drive(&mut self) {
        assert!(poll(&mut self.driver).is_pending(), "the driver has ended");
    }

    /// Writes up to [`BLOCK`] bytes. Says how many were taken.
    ///
    /// # Panics
    ///
    /// If the connection has ended.
    pub fn write(&mut self, mut stream: &TcpStream<Threaded>) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        match Pin::new(&mut stream).poll_write(&mut cx, &self.block) {
            Poll::Ready(written) => written.expect("no error"),
            Poll::Pending => 0,
        }
    }

    /// Reads until there is nothing left, and waits for more. Says how much it was.
    ///
    /// # Panics
    ///
    /// If the connection has ended.
    pub fn read(&mut self, mut stream: &TcpStream<Threaded>) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let mut all = 0;
        while let Poll::Ready(read) = Pin::new(&mut stream).poll_read(&mut cx, &mut self.block) {
            let read = read.expect("no error");
            assert_ne!(read, 0, "the connection has ended");
            all += read;
        }
        all
    }
}

/// A clock, and an alarm that never goes off by itself: whoever has let time pass lets the driver
/// run.
#[derive(Debug)]
struct Alarm(Clock);

impl Timer for Alarm {
    fn clock(&self) -> Clock {
        self.0.clone()
    }

    fn poll_deadline(&mut self, _: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        match deadline {
            Some(at) if at <= self.0.now() => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}
