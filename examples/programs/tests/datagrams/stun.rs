//! STUN: the forwarder is a NAT with an endpoint-independent mapping and filtering (RFC 4787).

use crate::link::Link;
use crate::{LOOPBACK, client, in_time};
use brooklet::{Stack, UdpSocket};
use bytecodec::{DecodeExt, EncodeExt};
use futures_lite::future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use stun_codec::rfc5389::Attribute;
use stun_codec::rfc5389::attributes::XorMappedAddress;
use stun_codec::rfc5389::methods::BINDING;
use stun_codec::{Message, MessageClass, MessageDecoder, MessageEncoder, TransactionId};

/// The longest message here, in bytes.
const LONGEST: usize = 548;

#[test]
fn every_server_sees_the_same_address_of_a_client() {
    in_time(async {
        let stack = client(&Link::new(0, 1500));
        let servers = servers().await;
        let (first, second) = clients(&stack);
        let mut mapped = Vec::new();
        for socket in [&first, &second] {
            let address = mapped_address(socket, servers[0]).await;
            for server in &servers[1..] {
                assert_eq!(
                    mapped_address(socket, *server).await,
                    address,
                    "at {server}"
                );
            }
            mapped.push(address);
        }
        assert_ne!(mapped[0], mapped[1], "two clients");
    });
}

/// As in ICE (RFC 8445): each client knows the address of the other from a server, and checks
/// whether the other answers there.
#[test]
fn clients_reach_each_other_at_their_mapped_addresses() {
    in_time(async {
        let Some(outside) = own_address() else {
            eprintln!("not tested: this machine has no address except the loopback");
            return;
        };
        let stack = client(&Link::new(0, 1500));
        let servers = servers().await;
        let (first, second) = clients(&stack);
        let to_first = SocketAddr::new(outside, mapped_address(&first, servers[0]).await.port());
        let to_second = SocketAddr::new(outside, mapped_address(&second, servers[0]).await.port());
        // The first client has sent nothing to this address, and receives from it nevertheless.
        let (source, seen) = future::zip(answer(&first), mapped_address(&second, to_first)).await;
        assert_eq!((source, seen), (to_second, to_second));
        // And the other way round.
        let (source, seen) = future::zip(answer(&second), mapped_address(&first, to_second)).await;
        assert_eq!((source, seen), (to_first, to_first));
    });
}

/// Two clients behind the forwarder.
fn clients(stack: &Stack) -> (UdpSocket, UdpSocket) {
    let bind = |last| stack.bind_udp(SocketAddr::from(([10, 0, 0, last], 40_000)));
    let first = bind(1).expect("a free address");
    (first, bind(2).expect("a free address"))
}

/// Starts servers on two ports of two addresses of the loopback, and returns the addresses by which
/// the clients know them.
async fn servers() -> Vec<SocketAddr> {
    let mut servers = Vec::new();
    for (number, address) in (1..).zip(LOOPBACK) {
        for _ in 0..2 {
            let host = Ipv4Addr::new(127, 0, 0, number);
            let socket = smol::net::UdpSocket::bind((host, 0)).await;
            let socket = socket.expect("an address of the loopback");
            let port = socket.local_addr().expect("it is bound").port();
            servers.push(SocketAddr::from((address, port)));
            smol::spawn(serve(socket)).detach();
        }
    }
    servers
}

async fn serve(socket: smol::net::UdpSocket) {
    let mut buffer = [0; LONGEST];
    while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
        let response = response(&decode(&buffer[..len]), from);
        socket.send_to(&response, from).await.expect("it is sent");
    }
}

/// Answers one request, and returns where it came from.
async fn answer(socket: &UdpSocket) -> SocketAddr {
    let mut buffer = [0; LONGEST];
    let (len, from) = socket.recv_from(&mut buffer).await.expect("a request");
    let response = response(&decode(&buffer[..len]), from);
    socket.send_to(&response, from).await.expect("it is sent");
    from
}

/// Asks a server for the address that it sees.
async fn mapped_address(socket: &UdpSocket, server: SocketAddr) -> SocketAddr {
    let id = TransactionId::new(std::array::from_fn(|_| fastrand::u8(..)));
    let request = encode(Message::new(MessageClass::Request, BINDING, id));
    socket.send_to(&request, server).await.expect("it is sent");
    let mut buffer = [0; LONGEST];
    let (len, from) = socket.recv_from(&mut buffer).await.expect("a response");
    let response = decode(&buffer[..len]);
    assert_eq!((from, response.transaction_id()), (server, id));
    assert_eq!(response.class(), MessageClass::SuccessResponse);
    let mapped = response.get_attribute::<XorMappedAddress>();
    mapped.expect("a mapped address").address()
}

fn response(request: &Message<Attribute>, from: SocketAddr) -> Vec<u8> {
    assert_eq!(
        (request.class(), request.method()),
        (MessageClass::Request, BINDING)
    );
    let class = MessageClass::SuccessResponse;
    let mut response = Message::new(class, BINDING, request.transaction_id());
    response.add_attribute(XorMappedAddress::new(from));
    encode(response)
}

fn encode(message: Message<Attribute>) -> Vec<u8> {
    let bytes = MessageEncoder::new().encode_into_bytes(message);
    bytes.expect("attributes that fit")
}

fn decode(bytes: &[u8]) -> Message<Attribute> {
    let message = MessageDecoder::new().decode_from_bytes(bytes);
    message.expect("a STUN message").expect("known attributes")
}

/// Returns the address of this machine on its network.
fn own_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // No packet is sent.
    socket.connect((Ipv4Addr::new(203, 0, 113, 1), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
