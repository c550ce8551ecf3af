//! A TCP peer that does what it is told.

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

const FIN: u8 = 1;
const SYN: u8 = 2;
const PSH: u8 = 8;
const ACK: u8 = 16;

/// One end of one TCP connection that sends exactly the segments that it is told to, right or
/// wrong, and shows what comes back.
///
/// It retransmits nothing, acknowledges nothing by itself and keeps no rule. The device is an end
/// of a [`Link`](crate::Link), of a `brooklet::pipe`, or any other.
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
///     // The second half comes first, and is asked for again.
///     let mut late = peer.segment("PA", b"world");
///     late.seq = late.seq.wrapping_add(6);
///     peer.send(&late).await?;
///     assert_eq!(peer.receive().await?.ack, peer.seq);
///     peer.write(b"hello ").await?;
///     assert_eq!(peer.receive().await?.ack, peer.seq.wrapping_add(5));
///     peer.seq = peer.seq.wrapping_add(5);
///     peer.finish().await?;
///     reader.await
/// })??;
/// assert_eq!(text, "hello world");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Every method that sends or receives gives the errors of the device. To receive is
/// [`TimedOut`](io::ErrorKind::TimedOut) when nothing comes in time, and
/// [`InvalidData`](io::ErrorKind::InvalidData) when what comes has a wrong checksum or is not
/// what the method is for; the text says what it was.
///
/// # Cancel safety
///
/// Dropping the future of a method that receives loses no segment, except that those it has
/// taken stay taken. To send is done at the first poll where the device has room.
pub struct Peer<D> {
    /// The next sequence number that this end sends.
    pub seq: u32,
    /// The next sequence number that this end expects.
    pub ack: u32,
    /// The window in the segments that this end makes, as it stands in the header. 65,535 at first.
    pub window: u16,
    /// The options of the SYN or SYN-ACK that this end sends. An MSS of 1,460 at first.
    pub syn_options: Vec<u8>,
    /// How long to wait for a segment. 60 s at first.
    pub patience: Duration,
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
    /// Makes an end at `from` of a connection with `to`. Nothing is sent yet.
    ///
    /// # Panics
    ///
    /// If the addresses are of different families.
    pub fn new(device: D, time: &VirtualTime, from: SocketAddr, to: SocketAddr) -> Self {
        assert_eq!(from.is_ipv4(), to.is_ipv4(), "{from} and {to}");
        Self {
            seq: 1000,
            ack: 0,
            window: u16::MAX,
            syn_options: vec![2, 4, 0x05, 0xb4], // RFC 9293, 3.7.1
            patience: Duration::from_secs(60),
            from,
            to,
            device,
            timer: time.timer(),
            inbound: PacketBuf::with_capacity(65_535),
        }
    }

    /// Makes a segment with the present numbers: to be changed as wanted, and sent.
    ///
    /// The flags are letters: `F`, `S`, `R`, `P`, `A`, `U`.
    ///
    /// # Panics
    ///
    /// With another letter.
    pub fn segment(&self, flags: &str, data: &[u8]) -> Segment {
        let bits = flags.chars().map(|letter| {
            let bit = "FSRPAU".find(letter);
            1 << bit.unwrap_or_else(|| panic!("{letter} is not the letter of a flag"))
        });
        self.with_bits(bits.sum(), data)
    }

    /// Sends a segment as it is. The numbers of this end stay what they are.
    ///
    /// # Panics
    ///
    /// If the packet would be longer than 65,535 bytes, or the options not of a multiple of 4
    /// bytes up to 40.
    pub async fn send(&mut self, segment: &Segment) -> io::Result<()> {
        let packet = segment.packet(self.from, self.to).into();
        poll_fn(|cx| self.device.poll_send(cx, &packet)).await
    }

    /// Sends data in one segment, and counts it.
    pub async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.count(PSH | ACK, data).await
    }

    /// Sends a FIN, and counts it.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.count(FIN | ACK, &[]).await
    }

    /// Sends an acknowledgement of everything up to [`ack`](Self::ack).
    pub async fn acknowledge(&mut self) -> io::Result<()> {
        self.count(ACK, &[]).await
    }

    /// Opens the connection: SYN, SYN-ACK, ACK. Answers with the SYN-ACK.
    pub async fn connect(&mut self) -> io::Result<Segment> {
        self.count(SYN, &[]).await?;
        let syn_ack = self.receive().await?;
        if syn_ack.flags.bits() != SYN | ACK || syn_ack.ack != self.seq {
            return Err(unexpected("a SYN-ACK", &syn_ack));
        }
        self.ack = syn_ack.seq.wrapping_add(1);
        self.acknowledge().await?;
        Ok(syn_ack)
    }

    /// Takes the connection: SYN, SYN-ACK, ACK. Answers with the SYN.
    pub async fn accept(&mut self) -> io::Result<Segment> {
        let syn = self.receive().await?;
        if syn.flags.bits() != SYN {
            return Err(unexpected("a SYN", &syn));
        }
        self.ack = syn.seq.wrapping_add(1);
        self.count(SYN | ACK, &[]).await?;
        let ack = self.receive().await?;
        if ack.flags.bits() & (SYN | ACK) != ACK || ack.ack != self.seq {
            return Err(unexpected("an acknowledgement of the SYN-ACK", &ack));
        }
        Ok(syn)
    }

    /// Waits for the next segment of this connection. Other packets are passed over.
    pub async fn receive(&mut self) -> io::Result<Segment> {
        let until = self.timer.clock().now() + self.patience;
        let segment = poll_fn(|cx| self.poll_segment(cx, until)).await?;
        segment.ok_or_else(|| {
            let text = format!("no segment from {} in {:?}", self.to, self.patience);
            io::Error::new(io::ErrorKind::TimedOut, text)
        })
    }

    /// Waits so long, and fails if a segment of this connection comes meanwhile.
    pub async fn silence(&mut self, time: Duration) -> io::Result<()> {
        let until = self.timer.clock().now() + time;
        match poll_fn(|cx| self.poll_segment(cx, until)).await? {
            None => Ok(()),
            Some(segment) => Err(unexpected("silence", &segment)),
        }
    }

    /// Receives and acknowledges data until there are at least `len` bytes, or the FIN has come.
    ///
    /// What is not next in order is acknowledged as a receiver without a queue would: as lost.
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

    fn with_bits(&self, bits: u8, data: &[u8]) -> Segment {
        Segment {
            seq: self.seq,
            ack: if bits & ACK == 0 { 0 } else { self.ack },
            flags: TcpFlags::from_bits(bits),
            window: self.window,
            options: Vec::new(),
            data: data.to_vec(),
        }
    }

    /// Sends a segment, and moves on by what it takes of the sequence numbers.
    async fn count(&mut self, bits: u8, data: &[u8]) -> io::Result<()> {
        let mut segment = self.with_bits(bits, data);
        if segment.flags.syn() {
            segment.options.clone_from(&self.syn_options);
        }
        self.send(&segment).await?;
        let length = data.len() + usize::from(bits & SYN != 0) + usize::from(bits & FIN != 0);
        self.seq = self.seq.wrapping_add(length as u32);
        Ok(())
    }

    /// The next segment of this connection; `None` at `until`.
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
    let text = format!("{wanted} was expected, and this came: {got:?}");
    io::Error::new(io::ErrorKind::InvalidData, text)
}
