//! What a DNS server may answer to the resolver of `smoltcp_dns`: smoltcp's DNS socket over a
//! [`PacketDevice`].

use crate::targets::named;
use brooklet_device::PacketDevice;
use brooklet_io::{PacketBuf, PacketIo};
use brooklet_packet::{Packet, udp};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::dns;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{DnsQueryType, HardwareAddress, IpAddress, IpCidr};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const MTU: usize = 1500;
/// The steps after which an unanswered question has to have an end.
const STEPS: usize = 100;

/// Reads `data` as answers to a question: each a byte with its length, and one that says what of it is
/// as the resolver wants it (the identifier, the question). Returns the number of addresses found.
///
/// # Panics
///
/// When the resolver panics, does not end, sends a packet with a wrong checksum, or takes an answer
/// with another identifier.
pub fn dns(data: &[u8]) -> usize {
    let link = Link::default();
    let mut device = PacketDevice::new(link.clone(), MTU);
    let mut config = Config::new(HardwareAddress::Ip);
    config.random_seed = 7;
    let mut interface = Interface::new(config, &mut device, Instant::ZERO);
    interface.update_ip_addrs(|addresses| {
        // There is room for the first address.
        let _ = addresses.push(IpCidr::new(OWN.into(), 24));
    });
    let mut sockets = SocketSet::new(Vec::new());
    let servers = [IpAddress::from(SERVER)];
    let handle = sockets.add(dns::Socket::new(&servers, vec![None]));
    let query = sockets
        .get_mut::<dns::Socket<'_>>(handle)
        .start_query(interface.context(), "www.example", DnsQueryType::A)
        .expect("the first question has room");
    let mut rest = data;
    let mut now = Instant::ZERO;
    let mut wrong_only = true;
    for _ in 0..STEPS {
        interface.poll(now, &mut device, &mut sockets);
        // Nothing on the link waits for ever.
        let moved = device.wait(None, |_| std::future::pending::<()>());
        let _ = pin!(moved).poll(&mut Context::from_waker(Waker::noop()));
        while let Some(sent) = link.sent() {
            let packet = Packet::parse(&sent).expect("a question is a packet");
            assert!(packet.verify_checksum());
            let (answers, others) = split(rest, packet.payload());
            rest = others;
            for (is_right, answer) in answers {
                wrong_only &= !is_right;
                let mut bytes = Vec::new();
                let key = packet.key();
                udp::write(&mut bytes, key.destination(), key.source(), 64, &answer)
                    .expect("it is short");
                link.0.borrow_mut().arriving.push_back(bytes);
            }
        }
        let socket = sockets.get_mut::<dns::Socket<'_>>(handle);
        match socket.get_query_result(query) {
            Ok(addresses) => {
                assert!(!wrong_only, "an answer to another question was taken");
                assert!(!addresses.is_empty());
                return addresses.len();
            }
            Err(dns::GetQueryResultError::Pending) => {}
            Err(dns::GetQueryResultError::Failed) => return 0,
        }
        let delay = interface.poll_delay(now, &sockets);
        now += delay
            .unwrap_or(Duration::from_secs(1))
            .max(Duration::from_millis(1));
    }
    panic!("the question has no end");
}

/// The answers in the bytes before one of 0, each with whether it has the right identifier, and what
/// is behind them.
fn split<'a>(mut data: &'a [u8], question: &[u8]) -> (Vec<(bool, Vec<u8>)>, &'a [u8]) {
    let mut answers = Vec::new();
    while let [len, how, rest @ ..] = data
        && *len > 0
    {
        let (body, behind) = rest.split_at(rest.len().min(usize::from(*len)));
        data = behind;
        let mut answer = Vec::new();
        if how & 1 == 0 {
            answer.extend(&question[..2]);
        }
        if how & 2 == 0 {
            // RFC 1035, 4.1: a response without an error to one question.
            answer.extend([0x81, 0x80, 0, 1, 0, how >> 4, 0, 0, 0, 0]);
        }
        if how & 4 == 0 {
            answer.extend(&question[12..]);
        }
        answer.extend(body);
        let is_right = answer.get(..2) == Some(&question[..2]);
        answers.push((is_right, answer));
    }
    let behind = data.get(1..).unwrap_or_default();
    (answers, behind)
}

/// The link between the resolver and the server, which both have.
#[derive(Clone, Debug, Default)]
struct Link(Rc<RefCell<Packets>>);

#[derive(Debug, Default)]
struct Packets {
    sent: VecDeque<Vec<u8>>,
    arriving: VecDeque<Vec<u8>>,
}

impl Link {
    /// The oldest packet of the resolver.
    fn sent(&self) -> Option<Vec<u8>> {
        self.0.borrow_mut().sent.pop_front()
    }
}

impl PacketIo for Link {
    fn poll_recv(
        &mut self,
        _: &mut Context<'_>,
        packet: &mut PacketBuf,
    ) -> Poll<std::io::Result<()>> {
        let arriving = self.0.borrow_mut().arriving.pop_front();
        match arriving {
            Some(bytes) => {
                packet.copy_from_slice(&bytes);
                Poll::Ready(Ok(()))
            }
            None => Poll::Pending,
        }
    }

    fn poll_send(&mut self, _: &mut Context<'_>, packet: &PacketBuf) -> Poll<std::io::Result<()>> {
        self.0.borrow_mut().sent.push_back(packet.to_vec());
        Poll::Ready(Ok(()))
    }
}

pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let a = [
        &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..],
        &[192, 0, 2, 80],
    ]
    .concat();
    let alias = b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x04\x01a\xc0\x10";
    let answer = |how: u8, body: &[u8]| [&[body.len() as u8, how][..], body, &[0]].concat();
    let mut both = alias.to_vec();
    both.extend(b"\x01a\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x50");
    named([
        ("one-address", answer(0x10, &a)),
        (
            "two-addresses",
            answer(0x20, &[a.clone(), a.clone()].concat()),
        ),
        ("an-alias", answer(0x20, &both)),
        ("another-identifier", answer(0x11, &a)),
        (
            "a-pointer-to-itself",
            answer(0x14, b"\xc0\x0c\0\x01\0\x01\xc0\x0c\0\x01\0\x01"),
        ),
        (
            "silence-then-an-answer",
            [vec![0], answer(0x10, &a)].concat(),
        ),
    ])
}
