//! Several queues of one device.

use super::*;
use std::num::NonZeroU8;

both_flavors!(
    a_flow_keeps_to_its_queue_and_flows_are_spread,
    one_socket_receives_from_every_queue,
    a_session_knows_the_queue_that_its_first_datagram_came_on,
    a_full_queue_delays_no_other_queue,
    each_queue_wakes_its_own_driver,
    shutdown_of_one_engine_shuts_down_all,
);

const QUEUES: u8 = 3;

fn engines<F: Flavor>() -> (Vec<Engine<F>>, TransparentUdpSocket<F>) {
    let config = Config {
        outbound_packets: 2,
        ..Config::default()
    };
    Engine::with_queues(
        NonZeroU8::new(QUEUES).unwrap(),
        Interface::default(),
        config,
        Clock::new(time),
        [1, 2],
    )
}

fn client(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

/// Sends to the client with that port.
async fn send<F: Flavor>(socket: &TransparentUdpSocket<F>, port: u16) -> std::io::Result<usize> {
    let payload = port.to_be_bytes();
    socket.send_to(&payload, addr(SERVER), client(port)).await
}

/// The queue of the flow to that port.
fn queue_of<F: Flavor>(
    engines: &[Engine<F>],
    socket: &TransparentUdpSocket<F>,
    port: u16,
) -> usize {
    now(send(socket, port)).unwrap();
    let queues: Vec<usize> = (0..engines.len())
        .filter(|&n| !sent(&engines[n]).is_empty())
        .collect();
    assert_eq!(queues.len(), 1, "one packet");
    queues[0]
}

/// A port for each queue.
fn ports<F: Flavor>(engines: &[Engine<F>], socket: &TransparentUdpSocket<F>) -> Vec<u16> {
    let port = |queue| (1..100).find(|&port| queue_of(engines, socket, port) == queue);
    (0..engines.len()).map(|n| port(n).unwrap()).collect()
}

fn a_session_knows_the_queue_that_its_first_datagram_came_on<F: Flavor>() {
    let (engines, socket) = engines::<F>();
    let listener = socket.into_sessions(crate::SessionConfig::new());
    for (queue, engine) in engines.iter().enumerate() {
        let bytes = packet(b"question", &format!("10.0.0.1:{}", 100 + queue), SERVER);
        assert_eq!(handle(engine, &bytes, Arrival::new()), QUEUED);
        // A later one comes on another queue.
        assert_eq!(handle(&engines[0], &bytes, Arrival::new()), QUEUED);
        let session = now(listener.accept()).unwrap();
        assert_eq!(session.queue(), queue);
    }
}

fn a_flow_keeps_to_its_queue_and_flows_are_spread<F: Flavor>() {
    for queues in 2..=4 {
        let queues = NonZeroU8::new(queues).unwrap();
        let (engines, socket) = Engine::<F>::with_queues(
            queues,
            Interface::default(),
            Config::default(),
            Clock::new(time),
            [1, 2],
        );
        let mut flows = vec![0; engines.len()];
        for port in 1..=400 {
            let queue = queue_of(&engines, &socket, port);
            assert_eq!(queue_of(&engines, &socket, port), queue);
            flows[queue] += 1;
        }
        assert!(flows.iter().all(|&n| n > 60), "{flows:?}");
        let stats = engines[0].stats();
        assert_eq!((stats.datagrams_out, stats.bytes_out), (800, 1600));
    }
}

fn one_socket_receives_from_every_queue<F: Flavor>() {
    let (engines, socket) = engines::<F>();
    for (n, engine) in engines.iter().enumerate() {
        assert_eq!(arrive(engine, &[n as u8]), QUEUED);
    }
    for n in 0..QUEUES {
        assert_eq!(now(socket.recv_datagram()).unwrap().payload, [n]);
    }
    assert_eq!(engines[2].stats().datagrams_in, 3);
}

fn a_full_queue_delays_no_other_queue<F: Flavor>() {
    let (engines, socket) = engines::<F>();
    let ports = ports(&engines, &socket);
    for _ in 0..2 {
        now(send(&socket, ports[0])).unwrap();
    }
    let first = Task::new();
    let mut waits = pin!(send(&socket, ports[0]));
    assert!(first.poll(waits.as_mut()).is_pending());
    now(send(&socket, ports[1])).unwrap();
    // Room in one queue wakes no sender of another queue.
    sent(&engines[1]);
    assert_eq!(first.woken(), 0);
    sent(&engines[0]);
    assert_eq!(first.woken(), 1);
    assert!(first.poll(waits).is_ready());
}

fn each_queue_wakes_its_own_driver<F: Flavor>() {
    let (engines, socket) = engines::<F>();
    let ports = ports(&engines, &socket);
    let drivers: Vec<_> = engines.iter().map(|_| Task::new()).collect();
    for (engine, driver) in engines.iter().zip(&drivers) {
        assert!(!engine.register(&driver.waker()));
    }
    now(send(&socket, ports[1])).unwrap();
    let woken: Vec<_> = drivers.iter().map(|driver| driver.woken()).collect();
    assert_eq!(woken, [0, 1, 0]);
}

fn shutdown_of_one_engine_shuts_down_all<F: Flavor>() {
    let (mut engines, socket) = engines::<F>();
    let ports = ports(&engines, &socket);
    let drivers: Vec<_> = engines.iter().map(|_| Task::new()).collect();
    for (engine, driver) in engines.iter().zip(&drivers) {
        assert!(!engine.register(&driver.waker()));
    }
    for _ in 0..2 {
        now(send(&socket, ports[0])).unwrap();
    }
    assert_eq!(drivers[0].woken(), 1);
    let (sender, reader) = (Task::new(), Task::new());
    let (mut send, mut recv) = (pin!(send(&socket, ports[0])), pin!(socket.recv_datagram()));
    assert!(sender.poll(send.as_mut()).is_pending());
    assert!(reader.poll(recv.as_mut()).is_pending());
    drop(engines.pop());
    let woken: Vec<_> = drivers.iter().map(|driver| driver.woken()).collect();
    assert_eq!(woken, [0, 1, 0], "the first was woken, the last is gone");
    assert_eq!((sender.woken(), reader.woken()), (1, 1));
    assert!(matches!(sender.poll(send), Poll::Ready(Err(_))));
    assert!(matches!(reader.poll(recv), Poll::Ready(Err(_))));
    assert_eq!(arrive(&engines[0], b"late"), Received::Dropped);
    assert!(sent(&engines[0]).is_empty());
}
