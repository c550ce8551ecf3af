use brooklet_io::PacketBuf;
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// Where the packets go that smoltcp makes.
///
/// A [`TxQueue`](brooklet_io::TxQueue) behind a cell, usually; whoever implements it may look at each
/// packet, and change it, on its way.
pub trait Outbound {
    /// Promises a place for the next packet, if there is one; it must be there when the packet
    /// has been built. smoltcp keeps what it has to send when this says no, except that it forgets
    /// a fast retransmission: reserve before you call it.
    fn reserve(&mut self) -> bool;
    /// A buffer to build the next packet in, which will have `len` bytes.
    fn buffer(&mut self, len: usize) -> PacketBuf;
    /// Takes a packet that smoltcp made: in the place promised, or, as an answer to a packet that
    /// came in, without a promise.
    fn push(&mut self, packet: PacketBuf);
}

/// What smoltcp is told of the device. It never verifies a checksum, because the caller has done
/// so already, and always writes that of the IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The longest IP packet, in bytes.
    pub mtu: usize,
    /// smoltcp writes the TCP checksum.
    pub checksums: bool,
}

impl Shape {
    /// The same in smoltcp's terms.
    pub fn capabilities(self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities.checksum.ipv4 = Checksum::Tx;
        capabilities.checksum.tcp = match self.checksums {
            true => Checksum::Tx,
            false => Checksum::None,
        };
        capabilities
    }
}

/// smoltcp's [`Device`] for the length of one call: at most one packet in, any number out.
///
/// It costs nothing to make, so that no device, and no interface, is kept per flow.
#[derive(Debug)]
pub struct OnePacket<'p, O> {
    inbound: Option<&'p [u8]>,
    outbound: O,
    shape: Shape,
}

impl<'p, O: Outbound> OnePacket<'p, O> {
    /// Makes a device that delivers `inbound` once and hands what smoltcp sends to `outbound`.
    pub fn new(shape: Shape, inbound: Option<&'p [u8]>, outbound: O) -> Self {
        Self {
            inbound,
            outbound,
            shape,
        }
    }

    /// Where the packets go.
    pub fn outbound(&mut self) -> &mut O {
        &mut self.outbound
    }
}

impl<O: Outbound> Device for OnePacket<'_, O> {
    type RxToken<'a>
        = Received<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Slot<'a, O>
    where
        Self: 'a;

    // The answer to a packet has its slot without regard to room: smoltcp would not look at the
    // packet otherwise. `push` refuses and counts an answer that does not fit.
    fn receive(&mut self, _: Instant) -> Option<(Received<'_>, Slot<'_, O>)> {
        let packet = self.inbound.take()?;
        Some((Received(packet), Slot(&mut self.outbound)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Slot<'_, O>> {
        if self.outbound.reserve() {
            Some(Slot(&mut self.outbound))
        } else {
            None
        }
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.shape.capabilities()
    }
}

/// The packet that came in.
#[derive(Debug)]
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for one packet that goes out.
#[derive(Debug)]
pub struct Slot<'a, O>(&'a mut O);

impl<O: Outbound> TxToken for Slot<'_, O> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = self.0.buffer(len);
        packet.resize(len);
        let result = f(&mut packet);
        self.0.push(packet);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brooklet_io::TxQueue;

    const SHAPE: Shape = Shape {
        mtu: 1500,
        checksums: true,
    };

    impl Outbound for &mut TxQueue<()> {
        fn reserve(&mut self) -> bool {
            TxQueue::has_room(self)
        }
        fn buffer(&mut self, len: usize) -> PacketBuf {
            TxQueue::buffer(self, len)
        }
        fn push(&mut self, packet: PacketBuf) {
            let _ = TxQueue::push(self, packet);
        }
    }

    #[test]
    fn delivers_one_packet_once() {
        let mut queue = TxQueue::new(4, 6000);
        let mut device = OnePacket::new(SHAPE, Some(b"in"), &mut queue);
        let (rx, tx) = device.receive(Instant::ZERO).unwrap();
        assert_eq!(rx.consume(<[u8]>::to_vec), b"in");
        tx.consume(3, |bytes| bytes.copy_from_slice(b"out"));
        assert!(device.receive(Instant::ZERO).is_none());
        assert_eq!(&queue.pop().unwrap()[..], b"out");
    }

    #[test]
    fn a_full_queue_stops_smoltcp_before_it_makes_a_packet() {
        let mut queue = TxQueue::new(2, 3000);
        let mut device = OnePacket::new(SHAPE, None, &mut queue);
        for _ in 0..2 {
            device
                .transmit(Instant::ZERO)
                .unwrap()
                .consume(1, |b| b[0] = 1);
        }
        assert!(device.transmit(Instant::ZERO).is_none());
        assert_eq!(queue.refused(), 0);
    }
}
