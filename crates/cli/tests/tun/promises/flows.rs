//! `Stack::flows` beside what the kernel of the client says of the same connections (`ss -tin`).

use brooklet::{Builder, Flow, Parts, Stack, TcpFlow, TcpListener, TcpState, TcpStream};
use brooklet_testbed::{LIMIT, Process, in_namespace, ip, succeeded, wait_until};
use brooklet_tun::TunBuilder;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::stream::StreamExt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// A connection of the kernel.
#[derive(Debug)]
struct Socket {
    state: String,
    recv_queue: u64,
    local: SocketAddr,
    peer: SocketAddr,
    /// Sent, without what was sent again.
    bytes_sent: u64,
    bytes_received: u64,
    line: String,
}

fn sockets() -> Vec<Socket> {
    let mut ss = Command::new("ss");
    ss.args(["-tinHO", "state", "connected"]);
    let ended = succeeded(Process::start(&mut ss).finish(LIMIT));
    let lines = ended.out.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let value = |name: &str| {
            let value = words.iter().find_map(|word| word.strip_prefix(name));
            value.map_or(0, |value| value.parse().expect("a number"))
        };
        Socket {
            state: words[0].to_owned(),
            recv_queue: words[1].parse().expect("a number"),
            local: words[3].parse().expect("an address"),
            peer: words[4].parse().expect("an address"),
            bytes_sent: value("bytes_sent:") - value("bytes_retrans:"),
            bytes_received: value("bytes_received:"),
            line: line.to_owned(),
        }
    });
    lines.collect()
}

fn flows(stack: &Stack) -> Vec<TcpFlow> {
    let tcp = stack.flows().into_iter().filter_map(|flow| match flow {
        Flow::Tcp(flow) => Some(flow),
        _ => None,
    });
    tcp.collect()
}

/// The state of the other side when everything has arrived.
fn peer_state(state: TcpState) -> &'static str {
    match state {
        TcpState::Established => "ESTAB",
        TcpState::CloseWait => "FIN-WAIT-2",
        TcpState::FinWait2 => "CLOSE-WAIT",
        _ => "another",
    }
}

/// Compares every connection on both sides.
fn agree(stack: &Stack) -> Result<(), String> {
    let (flows, sockets) = (flows(stack), sockets());
    let said = || format!("{flows:#?}\n{sockets:#?}");
    if flows.len() != sockets.len() {
        return Err(said());
    }
    for flow in &flows {
        let ends = (flow.peer_addr, flow.local_addr);
        let socket = sockets
            .iter()
            .find(|socket| (socket.local, socket.peer) == ends);
        let socket = socket.ok_or_else(said)?;
        // Linux counts the FIN among the bytes received.
        let fin = u64::from(flow.state == TcpState::FinWait2);
        let is_same = socket.state == peer_state(flow.state)
            && flow.bytes_in == socket.bytes_sent
            && flow.bytes_out + fin == socket.bytes_received;
        if !is_same {
            return Err(format!("{flow}\n{}", socket.line));
        }
    }
    Ok(())
}

fn assert_agree(stack: &Stack) {
    let mut last = Ok(());
    // What is in flight is counted on one side only.
    wait_until(Duration::from_secs(5), || {
        last = agree(stack);
        last.is_ok()
    });
    last.expect("both sides agree");
}

const HOST: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 80);

/// The stack behind the device, and a connection of each client.
fn world() -> (Stack, TcpListener, smol::Task<()>) {
    let tun = TunBuilder::new("flows0").open().expect("a TUN device");
    ip("link set flows0 addrgenmode none
        address add 192.0.2.254/24 dev flows0
        link set flows0 up");
    let Parts {
        stack, tcp, driver, ..
    } = Builder::new().build(tun).expect("a stack");
    let driver = smol::spawn(async { driver.await.expect("a device that works") });
    (stack, tcp, driver)
}

fn connect(tcp: &TcpListener) -> (std::net::TcpStream, TcpStream) {
    thread::scope(|scope| {
        let connect = || std::net::TcpStream::connect_timeout(&HOST.into(), LIMIT);
        let client = scope.spawn(connect);
        let server = smol::block_on(async {
            let request = tcp.requests().next().await;
            let request = request.expect("a client").expect("a stack");
            request.accept().await.expect("a client")
        });
        let client = client.join().expect("a client");
        (client.expect("a connection"), server)
    })
}

#[test]
fn the_kernel_of_the_client_counts_the_same() {
    in_namespace(|| {
        let (stack, tcp, _driver) = world();
        assert_eq!(flows(&stack), []);
        let mut pairs: Vec<_> = (0..4).map(|_| connect(&tcp)).collect();
        assert_agree(&stack);
        for flow in flows(&stack) {
            assert_eq!(
                (flow.bytes_in, flow.bytes_out, flow.retransmits),
                (0, 0, 0),
                "{flow}"
            );
            assert!(flow.age < LIMIT, "{flow}");
        }

        // Nothing; a question and an answer; one direction closed; the other one closed.
        for (n, (client, server)) in pairs.iter_mut().enumerate().skip(1) {
            client.write_all(&vec![1; n * 10_000]).expect("open");
            smol::block_on(async {
                server
                    .read_exact(&mut vec![0; n * 10_000])
                    .await
                    .expect("open");
                server.write_all(&vec![2; n * 20_000]).await.expect("open");
            });
            client.read_exact(&mut vec![0; n * 20_000]).expect("open");
        }
        pairs[2].0.shutdown(Shutdown::Write).expect("open");
        pairs[3].1.shutdown(Shutdown::Write).expect("open");
        assert_agree(&stack);
        let flows_now = flows(&stack);
        let of = |n: usize| {
            let client = pairs[n].0.local_addr().expect("a socket");
            let flow = flows_now.iter().find(|flow| flow.peer_addr == client);
            *flow.expect("a flow")
        };
        assert_eq!(of(0).state, TcpState::Established);
        assert_eq!(of(2).state, TcpState::CloseWait);
        assert_eq!(of(3).state, TcpState::FinWait2);
        for n in 1..4 {
            let flow = of(n);
            let bytes = ((n * 10_000) as u64, (n * 20_000) as u64);
            assert_eq!((flow.bytes_in, flow.bytes_out), bytes, "{flow}");
            assert_eq!((flow.recv_queue, flow.send_queue), (0, 0), "{flow}");
            assert!(flow.cwnd >= 1460, "{flow}");
            assert!(
                flow.srtt.is_some_and(|srtt| srtt < Duration::from_secs(1)),
                "{flow}"
            );
        }

        // Those that have ended are gone on both sides, but for TIME-WAIT.
        drop(pairs.drain(..2));
        let left = || {
            flows(&stack)
                .iter()
                .filter(|f| f.state != TcpState::TimeWait)
                .count()
        };
        assert!(wait_until(LIMIT, || left() == 2), "{:#?}", flows(&stack));
    });
}

#[test]
fn what_waits_on_either_side_is_shown() {
    in_namespace(|| {
        let (stack, tcp, _driver) = world();
        let (mut client, mut server) = connect(&tcp);
        client.write_all(&[1; 5000]).expect("open");
        let waits = || flows(&stack)[0].recv_queue == 5000;
        assert!(wait_until(LIMIT, waits), "{}", flows(&stack)[0]);
        assert_agree(&stack);

        // The client does not read: the kernel's buffer is full, and then the stack's.
        let written = smol::block_on(async {
            let mut written = 0;
            loop {
                let write = async { server.write(&[2; 65_536]).await.ok() };
                let limit = async {
                    smol::Timer::after(Duration::from_secs(1)).await;
                    None
                };
                match smol::future::or(write, limit).await {
                    Some(n) => written += n as u64,
                    None => return written,
                }
            }
        });
        assert_agree(&stack);
        let flow = flows(&stack)[0];
        assert!(flow.send_queue > 0, "{flow}");
        assert_eq!(flow.bytes_out + flow.send_queue as u64, written, "{flow}");
        assert_eq!(flow.recv_queue, 5000, "{flow}");
        let sockets = sockets();
        assert_eq!(sockets[0].recv_queue, flow.bytes_out, "{}", sockets[0].line);
    });
}
