//! Servers in a stack in memory, and clients on the loopback.

use crate::{Limits, Map, Relay, Router, Spawner};
use async_io::Timer;
use brooklet::{Builder, Stack};
use futures_lite::future::{block_on, or, zip};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const SERVER6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);
const LIMIT: Duration = Duration::from_secs(10);

/// The stack of the servers, and the relay in front of it.
fn world(limits: Limits) -> (Stack, Relay) {
    let (near, far) = brooklet::pipe(256);
    let servers = Builder::new().build(near).unwrap();
    let relay = Builder::new().build(far).unwrap();
    smol::spawn(servers.driver).detach();
    smol::spawn(relay.driver).detach();
    let spawner = Spawner::new(|task| smol::spawn(task).detach());
    let (map, router) = (Map::transparent(), Router::default());
    let relay = Relay::new(relay.stack, map, router, limits, spawner);
    (servers.stack, relay)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    let late = async {
        Timer::after(LIMIT).await;
        panic!("not in {LIMIT:?}");
    };
    or(future, late).await
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_client_of_the_host_reaches_a_server_behind_the_stack() {
    block_on(soon(async {
        let (servers, relay) = world(Limits::default());
        let web = servers.bind((SERVER, 80).into()).unwrap();
        let (listener, address) = listener();
        relay.publish_tcp(listener, &[(SERVER, 80).into()]).unwrap();
        let near = async {
            let mut near = async_net::TcpStream::connect(address).await.unwrap();
            near.write_all(b"question").await.unwrap();
            near.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            near.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let far = async {
            let (mut far, _) = web.accept().await.unwrap();
            let router = IpAddr::V4(Router::default().ipv4);
            assert_eq!(far.peer_addr().unwrap().ip(), router);
            let mut question = String::new();
            far.read_to_string(&mut question).await.unwrap();
            far.write_all(format!("{question} and answer").as_bytes())
                .await
                .unwrap();
            far.close().await.unwrap();
        };
        assert_eq!(zip(near, far).await.0, "question and answer");
    }));
}

#[test]
fn the_server_of_the_other_family_answers_where_the_first_refuses() {
    block_on(soon(async {
        let (servers, relay) = world(Limits::default());
        let web = servers.bind((SERVER6, 80).into()).unwrap();
        // Nobody accepts for any other address: the stack refuses.
        let (listener, address) = listener();
        let both = [(SERVER, 80).into(), (SERVER6, 80).into()];
        relay.publish_tcp(listener, &both).unwrap();
        let near = async_net::TcpStream::connect(address);
        let (near, far) = zip(near, web.accept()).await;
        assert!(far.unwrap().0.peer_addr().unwrap().is_ipv6());
        drop(near);
    }));
}

#[test]
fn a_client_whose_server_refuses_is_reset() {
    block_on(soon(async {
        let (servers, relay) = world(Limits::default());
        let web = servers.bind((SERVER, 80).into()).unwrap();
        drop(web);
        let (listener, address) = listener();
        relay.publish_tcp(listener, &[(SERVER, 80).into()]).unwrap();
        let outcome = async {
            // The reset may come before the connect has returned.
            let mut near = async_net::TcpStream::connect(address).await?;
            near.read(&mut [0; 10]).await
        };
        assert_eq!(
            outcome.await.unwrap_err().kind(),
            ErrorKind::ConnectionReset
        );
        assert_eq!(relay.stats().uploads, 0);
    }));
}

#[test]
fn listeners_without_clients_leave_the_places_to_others() {
    block_on(soon(async {
        let (servers, relay) = world(Limits::default().connections(1));
        let web = servers.bind((SERVER, 80).into()).unwrap();
        let mut addresses = Vec::new();
        for _ in 0..3 {
            let (listener, address) = listener();
            relay.publish_tcp(listener, &[(SERVER, 80).into()]).unwrap();
            addresses.push(address);
        }
        for address in addresses {
            let near = async_net::TcpStream::connect(address);
            let (near, far) = zip(near, web.accept()).await;
            drop((near.unwrap(), far.unwrap()));
        }
    }));
}

#[test]
fn clients_beyond_the_limit_wait_in_the_backlog() {
    block_on(soon(async {
        let (servers, relay) = world(Limits {
            connections: 1,
            ..Limits::default()
        });
        let web = servers.bind((SERVER, 80).into()).unwrap();
        let (listener, address) = listener();
        relay.publish_tcp(listener, &[(SERVER, 80).into()]).unwrap();
        let first = async_net::TcpStream::connect(address).await.unwrap();
        let accepted = web.accept().await.unwrap();
        let _second = async_net::TcpStream::connect(address).await.unwrap();
        let early = or(async { Some(web.accept().await) }, async {
            Timer::after(Duration::from_millis(200)).await;
            None
        });
        assert!(early.await.is_none(), "beyond the limit");
        drop((first, accepted));
        web.accept().await.unwrap();
    }));
}

#[test]
fn each_client_of_a_datagram_socket_gets_its_own_answers() {
    block_on(soon(async {
        let (servers, relay) = world(Limits::default());
        let server = servers.bind_udp((SERVER, 53).into()).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        relay.publish_udp(socket, &[(SERVER, 53).into()]).unwrap();
        let mut clients = Vec::new();
        for n in 0..3_u8 {
            let client = async_net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .unwrap();
            client.send_to(&[n], address).await.unwrap();
            clients.push(client);
        }
        let mut sources = Vec::new();
        for _ in &clients {
            let question = server.recv_datagram().await.unwrap();
            sources.push(question.from);
            let answer = [question.payload[0], b'!'];
            server.send_to(&answer, question.from).await.unwrap();
        }
        sources.dedup();
        assert_eq!(sources.len(), 3, "{sources:?}");
        for (n, client) in clients.iter().enumerate() {
            let mut answer = [0; 10];
            let (len, from) = client.recv_from(&mut answer).await.unwrap();
            assert_eq!((&answer[..len], from), (&[n as u8, b'!'][..], address));
        }
        assert_eq!(relay.stats().udp_sessions, 3);
    }));
}

#[test]
fn datagram_sessions_are_bounded_and_end_when_idle() {
    block_on(soon(async {
        let (servers, relay) = world(Limits {
            sessions: 2,
            idle: Duration::from_millis(200),
            ..Limits::default()
        });
        let server = servers.bind_udp((SERVER, 53).into()).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        relay.publish_udp(socket, &[(SERVER, 53).into()]).unwrap();
        for _ in 0..10 {
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            client.send_to(b"question", address).unwrap();
            server.recv_datagram().await.unwrap();
            assert!(relay.stats().udp_sessions <= 3, "one of them is ending");
        }
        while relay.stats().udp_sessions > 0 {
            Timer::after(Duration::from_millis(20)).await;
        }
        assert_eq!(relay.stats().udp_sessions_total, 10);
    }));
}

#[test]
fn the_sockets_share_the_places_of_sessions() {
    block_on(soon(async {
        let (servers, relay) = world(Limits {
            sessions: 2,
            ..Limits::default()
        });
        let server = servers.bind_udp((SERVER, 53).into()).unwrap();
        let mut addresses = Vec::new();
        for _ in 0..2 {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            addresses.push(socket.local_addr().unwrap());
            relay.publish_udp(socket, &[(SERVER, 53).into()]).unwrap();
        }
        let client = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..2 {
            client().send_to(b"question", addresses[0]).unwrap();
            server.recv_datagram().await.unwrap();
        }
        // The other socket has no session to end.
        client().send_to(b"question", addresses[1]).unwrap();
        while relay.stats().datagrams_dropped == 0 {
            Timer::after(Duration::from_millis(5)).await;
        }
        assert_eq!(relay.stats().udp_sessions_total, 2);
        // A new client of the first socket replaces one of its own.
        client().send_to(b"another", addresses[0]).unwrap();
        let question = server.recv_datagram().await.unwrap();
        assert_eq!(question.payload, b"another");
    }));
}

#[test]
fn a_session_outlives_a_server_that_is_not_there() {
    block_on(soon(async {
        let (servers, relay) = world(Limits::default());
        // A first server, so that the stack answers for the address at all.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        relay.publish_udp(socket, &[(SERVER, 53).into()]).unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.send_to(b"early", address).unwrap();
        Timer::after(Duration::from_millis(100)).await;
        let server = servers.bind_udp((SERVER, 53).into()).unwrap();
        client.send_to(b"question", address).unwrap();
        let question = server.recv_datagram().await.unwrap();
        assert_eq!(question.payload, b"question");
        assert_eq!(relay.stats().udp_sessions_total, 1);
    }));
}

#[test]
fn a_datagram_that_one_server_refuses_reaches_the_other() {
    block_on(soon(async {
        let (servers, relay) = world(Limits::default());
        let server = servers.bind_udp((SERVER, 53).into()).unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let both = [(SERVER6, 53).into(), (SERVER, 53).into()];
        relay.publish_udp(socket, &both).unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..2 {
            client.send_to(b"question", address).unwrap();
            let question = server.recv_datagram().await.unwrap();
            server.send_to(b"answer", question.from).await.unwrap();
            let mut answer = [0; 10];
            client.set_read_timeout(Some(LIMIT)).unwrap();
            assert_eq!(client.recv_from(&mut answer).unwrap(), (6, address));
        }
        assert_eq!(relay.stats().udp_sessions_total, 1);
    }));
}
