//! Helpers shared by the benches.

pub mod loss;
pub mod pair;

pub mod rig;

use brooklet_packet::Headers;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    IpAddress, IpProtocol, IpRepr, Ipv4Address, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

/// Data in a full segment: an MTU of 1,500 without TCP options.
pub const MSS: usize = 1460;

/// Where all scripted clients connect to.
pub const SERVER: (Ipv4Address, u16) = (Ipv4Address::new(192, 0, 2, 1), 80);

/// A seeded source of numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next number; every one of them is as likely.
    pub fn draw(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 32) as u32
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u64::from(self.draw()) * limit as u64) >> 32) as usize
    }
}

/// Scripted TCP clients, one connection each.
///
/// They keep sequence numbers and nothing else: what comes back is not looked at once the
/// handshake is done, and acknowledged when they are told to.
#[derive(Debug, Default)]
pub struct Clients(Vec<Client>);

#[derive(Debug)]
struct Client {
    seq: u32,
    ack: Option<u32>,
}

impl Clients {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Adds a client and returns its number and its SYN.
    pub fn connect(&mut self) -> (usize, Vec<u8>) {
        let n = self.0.len();
        self.0.push(Client { seq: 0, ack: None });
        let mut syn = Vec::new();
        self.write(n, &mut syn, TcpControl::Syn, &[]);
        self.0[n].seq = 1;
        (n, syn)
    }

    /// Takes the SYN-ACK for client `n` and returns the acknowledgement that ends the handshake.
    ///
    /// # Panics
    ///
    /// If it is not that.
    pub fn establish(&mut self, n: usize, syn_ack: &[u8]) -> Vec<u8> {
        let headers = Headers::parse(syn_ack).expect("an IP packet");
        let tcp = headers.tcp().expect("a TCP segment");
        assert!(tcp.flags.syn() && tcp.flags.ack() && tcp.ack == 1);
        assert_eq!(headers.key().destination(), address(n).into());
        self.0[n].ack = Some(tcp.seq.wrapping_add(1));
        let mut ack = Vec::new();
        self.write(n, &mut ack, TcpControl::None, &[]);
        ack
    }

    /// Takes data for client `n` and returns the acknowledgement.
    ///
    /// # Panics
    ///
    /// If it is not the next.
    pub fn receive(&mut self, n: usize, packet: &[u8]) -> Vec<u8> {
        let headers = Headers::parse(packet).expect("an IP packet");
        let tcp = headers.tcp().expect("a TCP segment");
        assert_eq!(self.0[n].ack, Some(tcp.seq));
        let next = tcp.seq.wrapping_add(headers.payload_range().len() as u32);
        self.0[n].ack = Some(next);
        let mut ack = Vec::new();
        self.write(n, &mut ack, TcpControl::None, &[]);
        ack
    }

    /// Writes the next [`MSS`] bytes of client `n` as a packet in the place of what was in `out`.
    pub fn send(&mut self, n: usize, out: &mut Vec<u8>) {
        self.write(n, out, TcpControl::Psh, &[0x5a; MSS]);
        self.0[n].seq = self.0[n].seq.wrapping_add(MSS as u32);
    }

    /// Has client `n` acknowledge the next `bytes`, in a packet in the place of what was in `out`.
    pub fn acknowledge(&mut self, n: usize, bytes: usize, out: &mut Vec<u8>) {
        let ack = &mut self.0[n].ack;
        *ack = ack.map(|ack| ack.wrapping_add(bytes as u32));
        self.write(n, out, TcpControl::None, &[]);
    }

    /// Has client `n` end its direction, in a packet in the place of what was in `out`.
    pub fn finish(&mut self, n: usize, out: &mut Vec<u8>) {
        self.write(n, out, TcpControl::Fin, &[]);
        self.0[n].seq = self.0[n].seq.wrapping_add(1);
    }

    fn write(&self, n: usize, out: &mut Vec<u8>, control: TcpControl, payload: &[u8]) {
        let Client { seq, ack } = self.0[n];
        let (from, port) = address(n);
        let tcp = TcpRepr {
            src_port: port,
            dst_port: SERVER.1,
            control,
            seq_number: TcpSeqNumber(seq as i32),
            ack_number: ack.map(|ack| TcpSeqNumber(ack as i32)),
            window_len: u16::MAX,
            window_scale: (control == TcpControl::Syn).then_some(7),
            max_seg_size: (control == TcpControl::Syn).then_some(MSS as u16),
            sack_permitted: control == TcpControl::Syn,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let (from, to) = (IpAddress::Ipv4(from), IpAddress::Ipv4(SERVER.0));
        let ip = IpRepr::new(from, to, IpProtocol::Tcp, tcp.buffer_len(), 64);
        let checksums = ChecksumCapabilities::default();
        out.clear();
        out.resize(ip.buffer_len(), 0);
        ip.emit(&mut out[..], &checksums);
        let mut segment = TcpPacket::new_unchecked(&mut out[ip.header_len()..]);
        tcp.emit(&mut segment, &from, &to, &checksums);
    }
}

/// A few hosts with many ports each, as behind a TUN device.
fn address(n: usize) -> (Ipv4Address, u16) {
    const PORTS: usize = 50_000;
    let host = (n / PORTS) as u8 + 2;
    (
        Ipv4Address::new(10, 0, 0, host),
        10_000 + (n % PORTS) as u16,
    )
}
