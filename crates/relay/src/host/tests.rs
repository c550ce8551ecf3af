//! The sockets of the host on the loopback.

use super::*;
use async_io::Timer;
use brooklet::{IcmpErrorKind, Unreachable};
use futures_lite::future::{block_on, or};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

pub(super) fn send(
    socket: &HostUdpSocket,
    to: SocketAddr,
    payload: &[u8],
    fields: Fields,
) -> io::Result<()> {
    let datagram = UdpTransmit {
        to,
        payload,
        fields,
        segment_size: None,
    };
    assert_eq!(socket.send_batch(&[datagram])?, 1);
    Ok(())
}

/// The only arrival.
async fn recv(socket: &HostUdpSocket) -> io::Result<UdpArrival> {
    let mut arrivals = Vec::new();
    socket.recv_batch(&mut arrivals).await?;
    assert_eq!(arrivals.len(), 1, "{arrivals:?}");
    Ok(arrivals.remove(0))
}

/// What arrives, with a limit to the time.
pub(super) fn soon<T>(arrival: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = async {
        Timer::after(Duration::from_secs(10)).await;
        Err(ErrorKind::TimedOut.into())
    };
    block_on(or(arrival, late))
}

pub(super) fn loopbacks() -> Vec<IpAddr> {
    let all = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let mut all = all.to_vec();
    // A system without IPv6 has no ::1.
    all.retain(|ip| UdpSocket::bind((*ip, 0)).is_ok());
    all
}

#[cfg(target_os = "linux")]
pub(super) fn closed_port(ip: IpAddr) -> SocketAddr {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.local_addr().unwrap()
}

#[test]
fn one_port_talks_to_every_host() {
    for ip in loopbacks() {
        let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let mut sources = Vec::new();
        for _ in 0..2 {
            let remote = UdpSocket::bind((ip, 0)).unwrap();
            let to = remote.local_addr().unwrap();
            send(&socket, to, b"question", Fields::default()).unwrap();
            let mut buffer = [0; 100];
            let (n, source) = remote.recv_from(&mut buffer).unwrap();
            remote.send_to(&buffer[..n], source).unwrap();
            sources.push(source);
            match soon(recv(&socket)).unwrap() {
                UdpArrival::Datagram { from, payload, .. } => {
                    assert_eq!((from, &payload[..]), (to, &b"question"[..]));
                }
                UdpArrival::Report(report) => panic!("{report:?}"),
            }
        }
        assert_eq!(sources[0], sources[1]);
        assert_eq!(socket.local_addr().unwrap().port(), sources[0].port());
    }
}

#[test]
fn the_longest_datagram_passes() {
    let longest = [65_507, 65_507]; // the loopback's MTU is 65,536, so no longer for IPv6
    for (ip, length) in loopbacks().into_iter().zip(longest) {
        let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let remote = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
        let to = SocketAddr::new(ip, remote.local_addr().unwrap().port());
        let sent: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
        send(&socket, to, &sent, Fields::default()).unwrap();
        match soon(recv(&remote)).unwrap() {
            UdpArrival::Datagram { payload, .. } => assert!(payload == sent),
            UdpArrival::Report(report) => panic!("{report:?}"),
        }
    }
}

#[test]
fn a_refused_connection_says_so() {
    for ip in loopbacks() {
        let listener = std::net::TcpListener::bind((ip, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        drop(listener);
        let refused = block_on(connect(to, Fields::default())).unwrap_err();
        assert_eq!(refused.error.kind(), ErrorKind::ConnectionRefused);
        assert!(refused.report.is_none(), "a RST is no ICMP error");
    }
}

#[test]
fn an_open_connection_has_the_hosts_hop_limit() {
    for ip in loopbacks() {
        let listener = std::net::TcpListener::bind((ip, 0)).unwrap();
        let to = listener.local_addr().unwrap();
        let fields = Fields {
            hop_limit: Some(3),
            ..Fields::default()
        };
        let near = block_on(connect(to, fields)).unwrap();
        let socket = socket2::SockRef::from(near.get_ref());
        let limit = match ip {
            IpAddr::V4(_) => socket.ttl_v4(),
            IpAddr::V6(_) => socket.unicast_hops_v6(),
        };
        assert!(limit.unwrap() > 3);
    }
}

/// What a system reports that has error queues.
#[cfg(target_os = "linux")]
mod queued {
    use super::*;
    use brooklet::TrafficClass;

    #[test]
    fn a_closed_port_is_reported_with_its_address() {
        for ip in loopbacks() {
            let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
            let to = closed_port(ip);
            send(&socket, to, b"question", Fields::default()).unwrap();
            let UdpArrival::Report(report) = soon(recv(&socket)).unwrap() else {
                panic!("a datagram from {to}");
            };
            assert_eq!(report.destination, to);
            assert_eq!(report.reporter, ip);
            assert_eq!(report.error.kind(), ErrorKind::ConnectionRefused);
            let port = IcmpErrorKind::Unreachable(Unreachable::Port);
            assert_eq!((report.kind, report.mtu()), (Some(port), None));
            assert_eq!(report.quoted, b"question");
        }
    }

    #[test]
    fn the_error_of_one_datagram_stops_no_other() {
        for ip in loopbacks() {
            let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
            let remote = UdpSocket::bind((ip, 0)).unwrap();
            let to = remote.local_addr().unwrap();
            for _ in 0..20 {
                let closed = closed_port(ip);
                send(&socket, closed, b"lost", Fields::default()).unwrap();
                send(&socket, to, b"sent", Fields::default()).unwrap();
                let mut buffer = [0; 100];
                assert_eq!(remote.recv(&mut buffer).unwrap(), 4);
            }
        }
    }

    #[test]
    fn the_fields_of_the_header_are_sent_and_received() {
        for ip in loopbacks() {
            let socket = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
            let remote = HostUdpSocket::bind(ip.is_ipv6()).unwrap();
            let to = SocketAddr::new(ip, remote.local_addr().unwrap().port());
            let sent = Fields {
                hop_limit: Some(17),
                traffic_class: TrafficClass::from_bits(0b1011_1010),
                dont_fragment: true,
            };
            send(&socket, to, b"marked", sent).unwrap();
            let UdpArrival::Datagram { fields, .. } = soon(recv(&remote)).unwrap() else {
                panic!("a report");
            };
            assert_eq!(fields.hop_limit, sent.hop_limit);
            assert_eq!(fields.traffic_class, sent.traffic_class);
        }
    }

    #[test]
    fn every_icmp_error_has_its_kind() {
        use super::super::icmp_kind::{kind_v4, kind_v6};
        use Unreachable::{Host, Network, PacketTooBig, Port, Prohibited, Protocol};
        for (icmp_type, code, v6, expected) in [
            (3, 0, false, Network),
            (3, 1, false, Host),
            (3, 2, false, Protocol),
            (3, 3, false, Port),
            (3, 4, false, PacketTooBig { mtu: 1280 }),
            (3, 13, false, Prohibited),
            (1, 0, true, Network),
            (1, 1, true, Prohibited),
            (1, 3, true, Host),
            (1, 4, true, Port),
            (2, 0, true, PacketTooBig { mtu: 1280 }),
        ] {
            let kind = if v6 { kind_v6 } else { kind_v4 };
            let kind = kind(icmp_type, code, 1280);
            assert_eq!(kind, Some(expected.into()), "{icmp_type} {code} {v6}");
        }
        let exceeded = Some(IcmpErrorKind::HopLimitExceeded);
        assert_eq!((kind_v4(11, 0, 0), kind_v6(3, 0, 0)), (exceeded, exceeded));
        // Redirects and information messages are no errors about a packet.
        assert_eq!((kind_v4(5, 1, 0), kind_v6(128, 0, 0)), (None, None));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn keepalive_is_set_on_the_socket() {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let mut stream = soon(async {
        let connected = connect(to, Fields::default()).await;
        connected.map_err(|failed| failed.error)
    })
    .unwrap();
    let keepalive = crate::Keepalive {
        idle: Duration::from_secs(60),
        timeout: Duration::from_secs(100),
    };
    crate::Upstream::set_keepalive(&mut stream, keepalive).unwrap();
    let socket = socket2::SockRef::from(stream.get_ref());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), keepalive.idle);
    let silence =
        socket.tcp_keepalive_interval().unwrap() * socket.tcp_keepalive_retries().unwrap();
    assert_eq!(silence, keepalive.timeout);
}
