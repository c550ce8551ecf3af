//! brooklet with the application on it, over any device and timer.

use crate::app::{self, Env, Received, Setup, TCP_PORTS, UDP_PORTS, Udp};
use crate::backend::{CLIENT, CLIENT6, SERVER, SERVER6};
use crate::sessions;
#[cfg(target_os = "linux")]
use async_executor::LocalExecutor;
use brooklet::filter::{Filter as _, UnicastOnly, Verdict};
use brooklet::local::{Builder, Parts, TcpRequest, TransparentUdpSocket, UdpSocket};
use brooklet::{PacketIo, ReassemblyConfig, SessionConfig, TcpConfig, Timer};
use futures_lite::StreamExt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;

/// Runs a task beside the others.
pub(crate) type Spawn = Rc<dyn Fn(Pin<Box<dyn Future<Output = ()>>>)>;

/// For an executor that outlives what it spawns.
#[cfg(target_os = "linux")]
pub(crate) fn spawner(executor: &Rc<LocalExecutor<'static>>) -> Spawn {
    // Weak, because the tasks hold the spawner and the executor the tasks.
    let executor = Rc::downgrade(executor);
    Rc::new(move |task| {
        if let Some(executor) = executor.upgrade() {
            executor.spawn(task).detach();
        }
    })
}

/// Starts stack and application.
pub(crate) fn start<D, T>(
    env: &Env,
    spawn: &Spawn,
    setup: Setup,
    device: D,
    timer: T,
) -> io::Result<()>
where
    D: PacketIo + 'static,
    T: Timer + 'static,
{
    let mut config = TcpConfig::default();
    config.options.keepalive = setup.keepalive;
    if setup.user_timeout.is_some() {
        config.options.user_timeout = setup.user_timeout;
    }
    if let Some(orphan) = setup.orphan {
        config.orphan_timeout = orphan;
    }
    let mut reassembly = ReassemblyConfig::default();
    if let Some(lifetime) = setup.reassembly {
        reassembly.lifetime = lifetime;
    }
    let Parts {
        stack,
        tcp,
        udp,
        driver,
        ..
    } = Builder::new()
        .filter_fn(move |packet, direction| match setup.unicast_only {
            true => UnicastOnly.verdict(packet, direction),
            false => Verdict::Pass,
        })
        .address(SERVER)
        .address(SERVER6)
        .tcp_config(config)
        .reassembly(Some(reassembly))
        .build_with_timer(device, timer)?;

    let fault = env.clone();
    spawn(Box::pin(async move {
        let end = driver.await;
        fault.fault(format!("the driver ended: {end:?}"));
    }));
    if setup.server_mtu.is_some() {
        stack.set_path_mtu(SERVER.into(), setup.server_mtu);
        stack.set_path_mtu(SERVER6.into(), setup.server_mtu);
    }
    match setup.udp {
        Udp::Nobody => drop(udp),
        Udp::Sockets => spawn(Box::pin(datagrams(env.clone(), udp))),
        Udp::Bound => {
            drop(udp);
            for port in UDP_PORTS {
                for host in [IpAddr::V4(SERVER), IpAddr::V6(SERVER6)] {
                    let socket = stack.bind_udp(SocketAddr::new(host, port))?;
                    spawn(Box::pin(bound(env.clone(), socket)));
                }
            }
        }
        Udp::Connected => {
            drop(udp);
            for peer in [IpAddr::V4(CLIENT), IpAddr::V6(CLIENT6)] {
                let (local, peer) = app::connected_ends(peer);
                let socket = stack.bind_udp(local)?;
                spawn(Box::pin(connected(env.clone(), socket, local, peer)));
            }
        }
        Udp::Sessions(mapping, filtering) => {
            let config = SessionConfig::new().mapping(mapping).filtering(filtering);
            let listener = udp.into_sessions(config);
            spawn(Box::pin(sessions::serve(
                env.clone(),
                spawn.clone(),
                listener,
            )));
        }
    }
    if setup.connect {
        let env = env.clone();
        spawn(Box::pin(async move {
            let (from, to) = ((SERVER, 50_000).into(), (CLIENT, app::OUTWARD).into());
            let stream = stack.connect_from(from, to).await;
            app::connect(env, stream.map(|stream| (stream, from)), to).await;
        }));
    }
    let (env, tasks) = (env.clone(), spawn.clone());
    spawn(Box::pin(async move {
        let mut requests = tcp.requests();
        while let Some(request) = requests.next().await {
            match request {
                Ok(request) if TCP_PORTS.contains(&request.local_addr().port()) => {
                    tasks(Box::pin(connection(env.clone(), request)));
                }
                Ok(request) => request.refuse(),
                Err(error) => return env.fault(format!("the listener ended: {error}")),
            }
        }
        env.fault("the listener ended".into());
    }));
    Ok(())
}

async fn connection(env: Env, request: TcpRequest) {
    let (peer, local) = (request.peer_addr(), request.local_addr());
    // A handshake that fails is no connection; the kernel reports none either.
    if let Ok(stream) = request.accept().await {
        app::serve(env, stream, peer, local).await;
    }
}

async fn datagrams(env: Env, socket: TransparentUdpSocket) {
    loop {
        let datagram = match socket.recv_datagram().await {
            Ok(datagram) => datagram,
            Err(error) => return env.fault(format!("the UDP socket ended: {error}")),
        };
        let port = datagram.to.port();
        if !UDP_PORTS.contains(&port) {
            continue;
        }
        let answer = match app::answer(port, &datagram.payload) {
            Some(answer) => {
                let sent = socket.send_to(&answer, datagram.to, datagram.from).await;
                Some(sent.map(drop).map_err(|error| error.kind()))
            }
            None => None,
        };
        env.log.borrow_mut().datagrams.push(Received {
            from: datagram.from,
            to: datagram.to,
            data: datagram.payload,
            answer,
        });
    }
}

/// A socket that is bound to one port.
async fn bound(env: Env, socket: UdpSocket) {
    let to = match socket.local_addr() {
        Ok(to) => to,
        Err(error) => return env.fault(format!("the UDP socket has no address: {error}")),
    };
    loop {
        let datagram = match socket.recv_datagram().await {
            Ok(datagram) => datagram,
            // An ICMP error about an answer is told here once, and is nobody's fault.
            Err(error) if error.kind() != io::ErrorKind::NetworkDown => continue,
            Err(error) => return env.fault(format!("the UDP socket ended: {error}")),
        };
        let answer = match app::answer(to.port(), &datagram.payload) {
            Some(answer) => {
                let sent = socket.send_to(&answer, datagram.from).await;
                Some(sent.map(drop).map_err(|error| error.kind()))
            }
            None => None,
        };
        env.log.borrow_mut().datagrams.push(Received {
            from: datagram.from,
            to,
            data: datagram.payload,
            answer,
        });
        if to.port() == app::ECHO_ONCE {
            return;
        }
    }
}

/// A socket that is connected to `peer`.
async fn connected(env: Env, socket: UdpSocket, local: SocketAddr, peer: SocketAddr) {
    if let Err(error) = socket.connect(peer).await {
        return env.fault(format!("a UDP socket does not connect: {error}"));
    }
    loop {
        if let Err(error) = socket.send(app::GREETING).await {
            return env.fault(format!("a UDP socket does not send: {error}"));
        }
        let mut buf = vec![0; 2000];
        let received = socket.recv(&mut buf).await;
        app::received(&env, local, received.map(|len| buf[..len].to_vec()));
    }
}
