//! A scripted TCP peer.

use crate::{Segment, VirtualTime, VirtualTimer};
use brooklet::Timer;
use brooklet_io::{PacketBuf, PacketIo};
use brooklet_packet::TcpFlags;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A scripted end of a TCP connection: sends exactly the segments that the test asks for, valid or
/// not, and returns the segments that arrive.
///
/// A peer does not retransmit, and acknowledges only where a method says so. The device is an end of
/// a [`Link`](crate::Link), of a `brooklet::pipe`, or any other.
///
/// ```
/// use brooklet::{Builder, Parts};
/// use brooklet_sim::{Peer, Simulation};
/// use futures_lite::AsyncReadExt;
///
/// let sim = Simulation::new();
/// let (device, wire) = brooklet::pipe(64);
/// let Parts { tcp, driver, .. } = Builder::new().build_with_timer(device, sim.time().timer())?;
/// sim.spawn(driver).detach();
/// let reader = sim.spawn(async move {
///     let (mut stream, _) = tcp.accept().await?;
///     let mut text = String::new();
///     stream.read_to_string(&mut text).await.map(|_| text)
/// });
///
/// let (from, to) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
/// let mut peer = Peer::new(wire, sim.time(), from, to);
/// let text = sim.run(async {
///     peer.connect().await?;
///     // The second half arrives first, so the stack repeats its ACK.
///     let mut late = peer.segment("PA", b"world");
///     late.seq = late.seq.wrapping_add(6);
///     peer.send(&late).await?;
///     assert_eq!(peer.receive().await?.ack, peer.seq);
///     peer.write(b"hello ").await?;
///     assert_eq!(peer.receive().await?.ack, peer.seq.wrapping_add(5));
///     peer.seq = peer.seq.wrapping_add(5);
///     peer.close().await?;
///     reader.await
/// })??;
/// assert_eq!(text, "hello world");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Every method that sends or receives returns the errors of the device. A receive is
/// [`TimedOut`](io::ErrorKind::TimedOut) after [`timeout`](Self::timeout), and
/// [`InvalidData`](io::ErrorKind::InvalidData) if the segment has a wrong checksum or is not the
/// segment that the method waits for; the text shows the segment.
///
/// # Cancel safety
///
/// Dropping the future of a receive loses no segment that is still in the device; segments that a
/// method has taken before stay taken. A send is done at the first poll at which the device has
/// room.
pub struct Peer<D> {
    /// The next sequence number that this end sends. Initially 1000.
    pub seq: u32,
    /// The next sequence number that this end expects. Initially 0.
    pub ack: u32,
    /// The window field of the segments that this end makes. Initially 65,535.
    pub window: u16,
    /// The options of the SYN or SYN-ACK that this end sends. Initially an MSS of 1,460.
    pub syn_options: Vec<u8>,
    /// How long a receive waits for a segment. Initially 60 s.
    pub timeout: Duration,
    from: SocketAddr,
    to: SocketAddr,
    device: D,
    timer: VirtualTimer,
    inbound: PacketBuf,
}

impl<D> fmt::Debug for Peer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("seq", &self.seq)
            .field("ack", &self.ack)
            .finish_non_exhaustive()
    }
}

impl<D: PacketIo> Peer<D> {
    /// Returns an end at `from` of a connection with `to`. Sends nothing yet.
    ///
    /// # Panics
    ///
    /// If the addresses are of different families.
    ///
    /// ```
    /// use brooklet_sim::{Peer, Simulation};
    ///
    /// let sim = Simulation::new();
    /// let (_device, wire) = brooklet::pipe(64);
    /// let (from, to) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// let peer = Peer::new(wire, sim.time(), from, to);
    /// assert_eq!((peer.seq, peer.ack), (1000, 0));
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn new(device: D, time: &VirtualTime, from: SocketAddr, to: SocketAddr) -> Self {
        assert_eq!(from.is_ipv4(), to.is_ipv4(), "{from} and {to}");
        Self {
            seq: 1000,
            ack: 0,
            window: u16::MAX,
            syn_options: vec![2, 4, 0x05, 0xb4], // RFC 9293, 3.7.1
            timeout: Duration::from_secs(60),
            from,
            to,
            device,
            timer: time.timer(),
            inbound: PacketBuf::with_capacity(65_535),
        }
    }

    /// Returns a segment with the present numbers, for the test to change and to
    /// [send](Self::send). The acknowledgment number is 0 without ACK.
    ///
    /// `flags` are letters as [`TcpFlags`] reads them: `F`, `S`, `R`, `P`, `A` or `.`, `U`, `E`, `W`.
    ///
    /// # Panics
    ///
    /// With another letter.
    ///
    /// ```
    /// # use brooklet_sim::{Peer, Segment, Simulation};
    /// # use std::io;
    /// # let sim = Simulation::new();
    /// # let (device, wire) = brooklet::pipe(64);
    /// # let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// # let mut a = Peer::new(device, sim.time(), client, server);
    /// # let mut b = Peer::new(wire, sim.time(), server, client);
    /// # let run = sim.run(async {
    /// let mut rst = a.segment("R", b"");
    /// rst.seq += 1;
    /// a.send(&rst).await?;
    /// assert_eq!(b.receive().await?, rst);
    /// # io::Result::Ok(())
    /// # });
    /// # run??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn segment(&self, flags: &str, data: &[u8]) -> Segment {
        let flags = flags
            .parse()
            .unwrap_or_else(|error| panic!("{flags:?}: {error}"));
        self.with_flags(flags, data)
    }

    /// Sends a segment as it is. The numbers of this end do not change.
    ///
    /// # Panics
    ///
    /// If the options are not a multiple of 4 bytes up to 40, or the packet would be longer than
    /// 65,535 bytes.
    ///
    /// ```
    /// # use brooklet_sim::{Peer, Segment, Simulation};
    /// # use std::io;
    /// # let sim = Simulation::new();
    /// # let (device, wire) = brooklet::pipe(64);
    /// # let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// # let mut a = Peer::new(device, sim.time(), client, server);
    /// # let mut b = Peer::new(wire, sim.time(), server, client);
    /// # let run = sim.run(async {
    /// a.send(&a.segment("S", b"")).await?;
    /// assert_eq!(a.seq, 1000);
    /// # io::Result::Ok(())
    /// # });
    /// # run??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send(&mut self, segment: &Segment) -> io::Result<()> {
        let packet = segment.packet(self.from, self.to).into();
        poll_fn(|cx| self.device.poll_send(cx, &packet)).await
    }

    /// Sends data in one segment and advances [`seq`](Self::seq).
    ///
    /// ```
    /// # use brooklet_sim::{Peer, Segment, Simulation};
    /// # use std::io;
    /// # let sim = Simulation::new();
    /// # let (device, wire) = brooklet::pipe(64);
    /// # let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// # let mut a = Peer::new(device, sim.time(), client, server);
    /// # let mut b = Peer::new(wire, sim.time(), server, client);
    /// # let run = sim.run(async {
    /// a.write(b"hello").await?;
    /// assert_eq!(a.seq, 1005);
    /// assert_eq!(b.receive().await?.data, b"hello");
    /// # io::Result::Ok(())
    /// # });
    /// # run??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.send_next(TcpFlags::PSH | TcpFlags::ACK, data).await
    }

    /// Sends a FIN and advances [`seq`](Self::seq).
    ///
    /// ```
    /// # use brooklet_sim::{Peer, Segment, Simulation};
    /// # use std::io;
    /// # let sim = Simulation::new();
    /// # let (device, wire) = brooklet::pipe(64);
    /// # let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// # let mut a = Peer::new(device, sim.time(), client, server);
    /// # let mut b = Peer::new(wire, sim.time(), server, client);
    /// # let run = sim.run(async {
    /// a.close().await?;
    /// assert!(b.receive().await?.flags.fin());
    /// # io::Result::Ok(())
    /// # });
    /// # run??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn close(&mut self) -> io::Result<()> {
        self.send_next(TcpFlags::FIN | TcpFlags::ACK, &[]).await
    }

    /// Sends an ACK of everything up to [`ack`](Self::ack).
    ///
    /// ```
    /// # use brooklet_sim::{Peer, Segment, Simulation};
    /// # use std::io;
    /// # let sim = Simulation::new();
    /// # let (device, wire) = brooklet::pipe(64);
    /// # let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// # let mut a = Peer::new(device, sim.time(), client, server);
    /// # let mut b = Peer::new(wire, sim.time(), server, client);
    /// # let run = sim.run(async {
    /// a.ack = 7000;
    /// a.acknowledge().await?;
    /// assert_eq!(b.receive().await?.ack, 7000);
    /// # io::Result::Ok(())
    /// # });
    /// # run??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn acknowledge(&mut self) -> io::Result<()> {
        self.send_next(TcpFlags::ACK, &[]).await
    }

    /// Opens the connection as the client: SYN, SYN-ACK, ACK. Returns the SYN-ACK.
    ///
    /// ```
    /// use brooklet_sim::{Peer, Simulation};
    /// use futures_lite::future::try_zip;
    ///
    /// let sim = Simulation::new();
    /// let (device, wire) = brooklet::pipe(64);
    /// let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// let mut a = Peer::new(device, sim.time(), client, server);
    /// let mut b = Peer::new(wire, sim.time(), server, client);
    /// let (syn_ack, syn) = sim.run(try_zip(a.connect(), b.accept()))??;
    /// assert_eq!(syn_ack.ack, syn.seq + 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn connect(&mut self) -> io::Result<Segment> {
        self.send_next(TcpFlags::SYN, &[]).await?;
        let syn_ack = self.receive().await?;
        if syn_ack.flags != TcpFlags::SYN | TcpFlags::ACK || syn_ack.ack != self.seq {
            return Err(unexpected("a SYN-ACK", &syn_ack));
        }
        self.ack = syn_ack.seq.wrapping_add(1);
        self.acknowledge().await?;
        Ok(syn_ack)
    }

    /// Accepts the connection as the server: SYN, SYN-ACK, ACK. Returns the SYN.
    ///
    /// ```
    /// use brooklet_sim::{Peer, Simulation, TcpFlags};
    /// use futures_lite::future::try_zip;
    ///
    /// let sim = Simulation::new();
    /// let (device, wire) = brooklet::pipe(64);
    /// let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// let mut a = Peer::new(device, sim.time(), client, server);
    /// let mut b = Peer::new(wire, sim.time(), server, client);
    /// let (syn, _) = sim.run(try_zip(b.accept(), a.connect()))??;
    /// assert_eq!(syn.flags, TcpFlags::SYN);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn accept(&mut self) -> io::Result<Segment> {
        let syn = self.receive().await?;
        if syn.flags != TcpFlags::SYN {
            return Err(unexpected("a SYN", &syn));
        }
        self.ack = syn.seq.wrapping_add(1);
        self.send_next(TcpFlags::SYN | TcpFlags::ACK, &[]).await?;
        let ack = self.receive().await?;
        if ack.flags.syn() || !ack.flags.ack() || ack.ack != self.seq {
            return Err(unexpected("an ACK of the SYN-ACK", &ack));
        }
        Ok(syn)
    }

    /// Waits for the next segment of this connection. Ignores other packets.
    ///
    /// ```
    /// # use brooklet_sim::{Peer, Segment, Simulation};
    /// # use std::io;
    /// # let sim = Simulation::new();
    /// # let (device, wire) = brooklet::pipe(64);
    /// # let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// # let mut a = Peer::new(device, sim.time(), client, server);
    /// # let mut b = Peer::new(wire, sim.time(), server, client);
    /// # let run = sim.run(async {
    /// a.window = 100;
    /// a.write(b"hello").await?;
    /// let segment = b.receive().await?;
    /// assert_eq!((segment.seq, segment.window), (1000, 100));
    /// # io::Result::Ok(())
    /// # });
    /// # run??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn receive(&mut self) -> io::Result<Segment> {
        let until = self.timer.clock().now() + self.timeout;
        let segment = poll_fn(|cx| self.poll_segment(cx, until)).await?;
        segment.ok_or_else(|| {
            let text = format!("no segment from {} in {:?}", self.to, self.timeout);
            io::Error::new(io::ErrorKind::TimedOut, text)
        })
    }

    /// Waits for `time`, and fails if a segment of this connection arrives meanwhile.
    ///
    /// ```
    /// # use brooklet_sim::{Peer, Segment, Simulation};
    /// # use std::io;
    /// # let sim = Simulation::new();
    /// # let (device, wire) = brooklet::pipe(64);
    /// # let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// # let mut a = Peer::new(device, sim.time(), client, server);
    /// # let mut b = Peer::new(wire, sim.time(), server, client);
    /// # let run = sim.run(async {
    /// let second = std::time::Duration::from_secs(1);
    /// b.expect_silence(second).await?;
    /// a.write(b"hello").await?;
    /// assert!(b.expect_silence(second).await.is_err());
    /// # io::Result::Ok(())
    /// # });
    /// # run??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn expect_silence(&mut self, time: Duration) -> io::Result<()> {
        let until = self.timer.clock().now() + time;
        match poll_fn(|cx| self.poll_segment(cx, until)).await? {
            None => Ok(()),
            Some(segment) => Err(unexpected("silence", &segment)),
        }
    }

    /// Receives and acknowledges data until there are at least `len` bytes, or the FIN arrives.
    ///
    /// Acknowledges a segment that is out of order like a receiver without an out-of-order queue: as
    /// lost.
    ///
    /// ```
    /// # use brooklet_sim::{Peer, Segment, Simulation};
    /// # use std::io;
    /// # let sim = Simulation::new();
    /// # let (device, wire) = brooklet::pipe(64);
    /// # let (client, server) = ("10.0.0.2:40000".parse()?, "192.0.2.1:80".parse()?);
    /// # let mut a = Peer::new(device, sim.time(), client, server);
    /// # let mut b = Peer::new(wire, sim.time(), server, client);
    /// # let run = sim.run(async {
    /// b.ack = a.seq;
    /// a.write(b"hello").await?;
    /// a.close().await?;
    /// assert_eq!(b.read(100).await?, b"hello");
    /// # io::Result::Ok(())
    /// # });
    /// # run??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn read(&mut self, len: usize) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        while data.len() < len {
            let segment = self.receive().await?;
            if segment.flags.rst() || segment.flags.syn() {
                return Err(unexpected("data", &segment));
            }
            let fin = segment.flags.fin();
            if segment.data.is_empty() && !fin {
                continue;
            }
            let next = segment.seq == self.ack;
            if next {
                let length = segment.data.len() as u32 + u32::from(fin);
                self.ack = self.ack.wrapping_add(length);
                data.extend(segment.data);
            }
            self.acknowledge().await?;
            if next && fin {
                break;
            }
        }
        Ok(data)
    }

    fn with_flags(&self, flags: TcpFlags, data: &[u8]) -> Segment {
        Segment {
            seq: self.seq,
            ack: if flags.ack() { self.ack } else { 0 },
            flags,
            window: self.window,
            options: Vec::new(),
            data: data.to_vec(),
        }
    }

    /// Sends a segment and advances `seq` by its length in sequence numbers.
    async fn send_next(&mut self, flags: TcpFlags, data: &[u8]) -> io::Result<()> {
        let mut segment = self.with_flags(flags, data);
        if flags.syn() {
            segment.options.clone_from(&self.syn_options);
        }
        self.send(&segment).await?;
        let length = data.len() + usize::from(flags.syn()) + usize::from(flags.fin());
        self.seq = self.seq.wrapping_add(length as u32);
        Ok(())
    }

    /// Returns the next segment of this connection, or `None` at `until`.
    fn poll_segment(
        &mut self,
        cx: &mut Context<'_>,
        until: Instant,
    ) -> Poll<io::Result<Option<Segment>>> {
        while let Poll::Ready(received) = self.device.poll_recv(cx, &mut self.inbound) {
            received?;
            if let Some(segment) = Segment::parse(&self.inbound, self.to, self.from)? {
                return Poll::Ready(Ok(Some(segment)));
            }
        }
        self.timer.poll_deadline(cx, Some(until)).map(|()| Ok(None))
    }
}

fn unexpected(wanted: &str, got: &Segment) -> io::Error {
    let text = format!("expected {wanted}, received {got:?}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}
