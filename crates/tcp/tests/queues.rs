//! Several engines over one table, one for each queue of a device.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use brooklet_cell::Threaded;
use brooklet_packet::Headers;
use brooklet_tcp::{Clock, Config, Connector, Engine, Interface, TcpListener};
use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use std::net::Shutdown;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};
use support::{CLIENT, Host, SECOND, SERVER, Stream, addr, host, now, pends, poll};

const QUEUES: usize = 3;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A stack over several queues, whose clock is that of the client.
struct Many {
    engines: Vec<Engine<Threaded>>,
    listener: TcpListener<Threaded>,
    connector: Connector<Threaded>,
    drivers: Vec<Arc<Count>>,
}

fn many(client: &Host, config: Config) -> Many {
    let start = client.now();
    let queues = NonZeroU8::new(QUEUES as u8).unwrap();
    let (interface, clock) = (Interface::default(), Clock::new(move || start));
    let (engines, listener, connector) =
        Engine::with_queues(queues, interface, config, clock, [3, 4]);
    Many {
        engines,
        listener,
        connector,
        drivers: (0..QUEUES).map(|_| Arc::default()).collect(),
    }
}

impl Many {
    /// Takes in what the client has sent, on one queue.
    fn receive(&mut self, client: &mut Host, queue: usize) {
        let at = client.now();
        while let Some(packets) = client.transmit() {
            for packet in packets {
                let headers = Headers::parse(&packet).unwrap();
                self.engines[queue].handle_packet(at, &packet, &headers);
            }
        }
        self.engines[queue].flush(at);
    }

    /// Gives the client what was sent. Returns how many packets each queue had.
    fn send(&mut self, client: &mut Host) -> Vec<usize> {
        let mut sent = vec![0; QUEUES];
        for (engine, sent) in self.engines.iter_mut().zip(&mut sent) {
            while let Some(packet) = engine.poll_transmit() {
                *sent += 1;
                client.tx(packet.to_vec());
                engine.recycle(packet);
            }
        }
        sent
    }

    /// Accepts a connection that comes on `queue`.
    fn accept(&mut self, client: &mut Host, queue: usize) -> (Stream, Stream) {
        let connector = client.connector.clone();
        let mut connect = Box::pin(connector.connect_from(addr(CLIENT), addr(SERVER)));
        assert!(poll(&mut connect).is_pending());
        self.receive(client, queue);
        assert!(pends(self.listener.accept()));
        assert_eq!(self.send(client)[queue], 1, "the SYN-ACK");
        self.receive(client, queue);
        let Poll::Ready(Ok(stream)) = poll(&mut connect) else {
            panic!("not connected");
        };
        (stream, now(self.listener.accept()).unwrap().0)
    }

    /// Puts the drivers to sleep; `None` for one that may not.
    fn sleep(&mut self, at: Instant, blocked: bool) -> Vec<Option<Option<Instant>>> {
        let mut until = Vec::new();
        for (engine, driver) in self.engines.iter_mut().zip(&self.drivers) {
            driver.0.store(0, Ordering::SeqCst);
            let deadline = engine.poll_timeout(at);
            let sleeps = engine.sleep(&Waker::from(driver.clone()), deadline, blocked);
            until.push(sleeps.then_some(deadline));
        }
        until
    }

    fn woken(&self) -> Vec<usize> {
        let woken = |n: &usize| self.drivers[*n].0.load(Ordering::SeqCst) > 0;
        (0..QUEUES).filter(woken).collect()
    }
}

#[test]
fn each_driver_sleeps_until_the_deadlines_of_its_own_queue() {
    let mut client = host();
    let mut server = many(&client, Config::default());
    let at = client.now();
    assert_eq!(server.sleep(at, false), [Some(None); QUEUES]);
    // A request: its driver is up, and sees when it expires.
    let connector = client.connector.clone();
    let mut connect = Box::pin(connector.connect_from(addr(CLIENT), addr(SERVER)));
    assert!(poll(&mut connect).is_pending());
    server.receive(&mut client, 1);
    assert_eq!(server.woken(), [0; 0]);
    let expiry = server.engines[1]
        .poll_timeout(at)
        .expect("the request expires");
    assert!(expiry > at + 14 * SECOND && expiry < at + 17 * SECOND);
    // It is accepted, by a task: the driver of its queue is woken for the SYN-ACK, which is to be
    // sent again.
    server.sleep(at, false);
    assert!(pends(server.listener.accept()));
    assert_eq!(server.woken(), [1]);
    while server.engines[1].poll_transmit().is_some() {}
    let until = server.sleep(at, false);
    let again = until[1].flatten().expect("a deadline");
    assert!(again < at + 2 * SECOND);
    assert_eq!([until[0], until[2]], [Some(None); 2]);
    server.engines[1].handle_timeout(again);
    assert!(server.engines[1].poll_transmit().is_some(), "again");
}

#[test]
fn a_request_expires_though_only_one_driver_knows_of_it() {
    let mut client = host();
    let mut server = many(&client, Config::default());
    let connector = client.connector.clone();
    let mut connect = Box::pin(connector.connect_from(addr(CLIENT), addr(SERVER)));
    assert!(poll(&mut connect).is_pending());
    server.receive(&mut client, 2);
    let expiry = server.engines[2].poll_timeout(client.now()).unwrap();
    assert_eq!(server.listener.stats().requests, 1);
    server.engines[2].handle_timeout(expiry);
    assert_eq!(server.listener.stats().requests, 0);
}

#[test]
fn time_wait_ends_whichever_queue_the_last_packet_came_on() {
    let mut client = host();
    let mut server = many(&client, Config::default());
    let (near, far) = server.accept(&mut client, 1);
    far.shutdown(Shutdown::Write).unwrap();
    server.send(&mut client);
    near.shutdown(Shutdown::Write).unwrap();
    let at = client.now();
    while server.sleep(at, false).contains(&None) {
        server
            .engines
            .iter_mut()
            .for_each(|engine| engine.flush(at));
    }
    server.receive(&mut client, 0);
    assert_eq!(server.listener.stats().time_wait, 1);
    // The driver of its queue sleeps, has nothing to send but an acknowledgement, and must see
    // the new deadline.
    assert_eq!(server.woken(), [1]);
    // It is that engine alone which is ever asked.
    let mut ends = at;
    while let Some(next) = server.engines[1].poll_timeout(ends) {
        assert!(next < at + 40 * SECOND);
        ends = next;
        server.engines[1].handle_timeout(ends);
    }
    assert!(ends >= at + 30 * SECOND);
    assert_eq!(server.listener.stats().time_wait, 0);
}

#[test]
fn a_full_queue_holds_up_no_connection_of_another() {
    let mut client = host();
    let config = Config::new().outbound_packets(2);
    let mut server = many(&client, config);
    let (_near, mut far) = server.accept(&mut client, 1);
    server.send(&mut client);
    now(far.write_all(&[7; 20_000])).unwrap();
    // It has filled its queue and waits; others go on.
    for n in 1..=20 {
        let to = ([10, 0, 9, n], 80).into();
        let connector = server.connector.clone();
        let mut connect = Box::pin(connector.connect_from(addr(SERVER), to));
        assert!(poll(&mut connect).is_pending());
        let mut sent = [0, 2].map(|n| server.engines[n].poll_transmit());
        let syns = sent.iter_mut().filter_map(Option::take).count();
        std::mem::forget(connect); // its reset would be in the way
        if syns == 1 {
            let held = server.engines[1].poll_transmit();
            assert!(held.is_some(), "what waits is still there");
            return;
        }
    }
    panic!("twenty connections and none on another queue");
}

#[test]
fn the_end_of_one_engine_wakes_the_drivers_of_all_and_silences_them() {
    for blocked in [false, true] {
        let mut client = host();
        let mut server = many(&client, Config::default());
        let (mut near, far) = server.accept(&mut client, 0);
        server.send(&mut client);
        let at = client.now();
        while server.sleep(at, blocked).contains(&None) {
            server
                .engines
                .iter_mut()
                .for_each(|engine| engine.flush(at));
        }
        drop(server.engines.pop());
        assert_eq!(server.woken(), [0, 1], "blocked: {blocked}");
        // Packets that come before the driver has had its turn are not answered.
        now(near.write_all(b"x")).unwrap();
        server.receive(&mut client, 0);
        let connector = client.connector.clone();
        let mut connect = Box::pin(connector.connect_from(addr("10.0.0.2:9"), addr(SERVER)));
        assert!(poll(&mut connect).is_pending());
        server.receive(&mut client, 1);
        assert_eq!(server.send(&mut client), [0; QUEUES]);
        assert_eq!(server.sleep(at, blocked)[..2], [None, None]);
        assert!(server.engines.iter_mut().all(|engine| !engine.awake()));
        let error = far.shutdown(Shutdown::Both).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::NetworkDown);
        assert_eq!(server.listener.stats().requests, 0);
    }
}

#[test]
fn engines_that_take_turns_with_one_flow_lose_nothing() {
    let mut client = host();
    let mut server = many(&client, Config::default());
    let (mut near, mut far) = server.accept(&mut client, 2);
    let data: Vec<u8> = (0..60_000).map(|n| (n / 100) as u8).collect();
    let (mut written, mut got) = (0, Vec::<u8>::new());
    for queue in [0, 1, 2].into_iter().cycle().take(600) {
        if written < data.len()
            && let Poll::Ready(n) = poll(&mut near.write(&data[written..]))
        {
            written += n.unwrap();
        }
        // Each packet on another queue, and the batch ended later: all may have touched it.
        for n in [queue, (queue + 1) % QUEUES] {
            let at = client.now();
            for packet in client.transmit().into_iter().flatten() {
                let headers = Headers::parse(&packet).unwrap();
                server.engines[n].handle_packet(at, &packet, &headers);
            }
        }
        let at = client.now();
        server
            .engines
            .iter_mut()
            .rev()
            .for_each(|engine| engine.flush(at));
        let mut buf = [0; 4096];
        while let Poll::Ready(n) = poll(&mut far.read(&mut buf)) {
            got.extend(&buf[..n.unwrap()]);
        }
        let sent = server.send(&mut client);
        assert_eq!([sent[0], sent[1]], [0, 0], "its queue is 2");
        if got.len() == data.len() {
            break;
        }
        client.pass(Duration::from_millis(1));
    }
    assert!(got == data, "{} of {} bytes", got.len(), data.len());
}

#[test]
fn requests_and_streams_name_the_device_queue_of_their_flow() {
    for queue in 0..QUEUES {
        let mut client = host();
        let mut server = many(&client, Config::default());
        let connector = client.connector.clone();
        let mut connect = Box::pin(connector.connect_from(addr(CLIENT), addr(SERVER)));
        assert!(poll(&mut connect).is_pending());
        server.receive(&mut client, queue);
        let request = now(server.listener.requests().next()).unwrap().unwrap();
        assert_eq!(request.queue(), queue);
        let mut accept = Box::pin(request.accept());
        assert!(poll(&mut accept).is_pending());
        server.send(&mut client);
        // Another queue completes the handshake; the stream stays where it is.
        server.receive(&mut client, (queue + 1) % QUEUES);
        let stream = now(accept).unwrap();
        assert_eq!(stream.queue(), queue);
        assert_eq!(now(connect).unwrap().queue(), 0, "the client has one queue");
    }
}

#[test]
fn a_stream_that_the_program_opens_names_the_queue_that_it_sends_through() {
    let client = host();
    let mut server = many(&client, Config::default());
    let mut seen = [false; QUEUES];
    for port in 1000..1050 {
        let from = addr(&format!("192.0.2.1:{port}"));
        let connector = server.connector.clone();
        let mut connect = Box::pin(connector.connect_from(from, addr(CLIENT)));
        assert!(poll(&mut connect).is_pending());
        let mut sent = Vec::new();
        for (n, engine) in server.engines.iter_mut().enumerate() {
            sent.extend(engine.poll_transmit().map(|syn| (n, syn)));
        }
        let [(queue, syn)] = &sent[..] else {
            panic!("{} packets", sent.len());
        };
        let mut peer = host();
        peer.tx(syn.to_vec());
        assert!(pends(peer.listener().accept()));
        let at = client.now();
        for packet in peer.transmit().unwrap() {
            let headers = Headers::parse(&packet).unwrap();
            server.engines[0].handle_packet(at, &packet, &headers);
        }
        server.engines[0].flush(at);
        let stream = now(connect).unwrap();
        assert_eq!(stream.queue(), *queue);
        seen[*queue] = true;
        stream.abort();
        server.send(&mut peer);
    }
    assert_eq!(seen, [true; QUEUES]);
}
