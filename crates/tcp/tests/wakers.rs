//! Who is woken, when, and with what held.

mod support;

use brooklet_tcp::Config;
use futures_lite::{AsyncReadExt, AsyncWriteExt, Stream as _};
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use support::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Uses its stream when it is woken, as an executor that polls at once would.
struct Reenter(Stream, AtomicUsize);

impl Wake for Reenter {
    fn wake(self: Arc<Self>) {
        let _ = self.0.set_ttl(64);
        let _ = pends((&self.0).read(&mut [0; 1]));
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_task_polled_inside_its_wake_finds_nothing_locked() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let task = Arc::new(Reenter(stream.clone(), AtomicUsize::new(0)));
    let waker = Waker::from(task.clone());
    let mut buf = [0; 8];
    let mut reader = &stream;
    let mut read = pin!(reader.read(&mut buf));
    assert!(
        read.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    peer.send(&mut host, b"x");
    assert_eq!(task.1.load(Ordering::SeqCst), 1);
}

#[test]
fn of_two_tasks_that_read_at_once_none_is_forgotten() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let (mut a, mut b) = ([0; 1], [0; 1]);
    let (mut reader_a, mut reader_b) = (&stream, &stream);
    let mut read_a = pin!(reader_a.read(&mut a));
    let mut read_b = pin!(reader_b.read(&mut b));
    let wakers = (Waker::from(first.clone()), Waker::from(second.clone()));
    assert!(
        read_a
            .as_mut()
            .poll(&mut Context::from_waker(&wakers.0))
            .is_pending()
    );
    assert!(
        read_b
            .as_mut()
            .poll(&mut Context::from_waker(&wakers.1))
            .is_pending()
    );
    assert_eq!(
        first.get(),
        0,
        "put out of its place: they would wake each other for ever"
    );
    peer.send(&mut host, b"xy");
    assert_eq!((first.get(), second.get()), (1, 1));
    assert!(
        read_b
            .as_mut()
            .poll(&mut Context::from_waker(&wakers.1))
            .is_ready()
    );
    assert!(
        read_a
            .as_mut()
            .poll(&mut Context::from_waker(&wakers.0))
            .is_ready()
    );
}

/// Polls something once and returns whether it is pending.
type Poll<'a> = &'a mut dyn FnMut(&mut Context<'_>) -> bool;

/// The tasks that an executor has to poll, by number.
#[derive(Clone, Default)]
struct Woken(Arc<Mutex<BTreeSet<usize>>>);

impl Woken {
    fn insert(&self, task: usize) {
        self.0.lock().expect("no task panics").insert(task);
    }

    fn waker(&self, task: usize) -> Waker {
        Waker::from(Arc::new(Task(task, self.clone())))
    }

    /// Polls each woken task until no task is woken, or until `limit` polls. `waker` says which
    /// waker a task has this time. Returns how many polls there were.
    fn run(&self, limit: usize, waker: impl Fn(usize) -> Waker, poll: Poll<'_>) -> usize {
        for polls in 0..limit {
            let Some(task) = self.0.lock().expect("no task panics").pop_first() else {
                return polls;
            };
            assert!(poll(&mut Context::from_waker(&waker(task))), "not pending");
        }
        limit
    }
}

struct Task(usize, Woken);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.1.insert(self.0);
    }
}

#[test]
fn many_tasks_on_one_stream_or_listener_do_not_wake_each_other() {
    let polls_until_quiet = |tasks, poll: Poll<'_>| {
        let woken = Woken::default();
        let wakers: Vec<_> = (0..tasks).map(|task| woken.waker(task)).collect();
        (0..tasks).for_each(|task| woken.insert(task));
        woken.run(10 * tasks, |task| wakers[task].clone(), poll)
    };
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let mut read = |cx: &mut Context<'_>| pin!((&stream).read(&mut [0; 1])).poll(cx).is_pending();
    for tasks in [16, 17, 1_000] {
        assert_eq!(polls_until_quiet(tasks, &mut read), tasks);
        peer.send(&mut host, b"x"); // wakes all of them
        assert_eq!(support::read(&stream).unwrap(), b"x");
    }
    let listener = host.listener().clone();
    let mut incoming = |cx: &mut Context<'_>| listener.poll_request(cx).is_pending();
    for tasks in [64, 65, 500] {
        assert_eq!(polls_until_quiet(tasks, &mut incoming), tasks);
    }
}

#[test]
fn a_task_with_a_new_waker_at_each_poll_does_not_wake_itself_in_a_loop() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let listener = host.listener().clone();
    let mut read = |cx: &mut Context<'_>| pin!((&stream).read(&mut [0; 1])).poll(cx).is_pending();
    let mut incoming = |cx: &mut Context<'_>| listener.poll_request(cx).is_pending();
    let kinds: [(_, Poll<'_>); 2] = [("read", &mut read), ("incoming", &mut incoming)];
    for (kind, poll) in kinds {
        let woken = Woken::default();
        let mut polls = 0;
        for _ in 0..5_000 {
            woken.insert(0);
            polls += woken.run(10, |task| woken.waker(task), &mut *poll);
        }
        // Once in 1,024 polls the list of wakers is full, and the task is woken once.
        assert!((5_001..5_010).contains(&polls), "{kind}: {polls}");
    }
}

/// A task whose waker panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker panics");
    }
}

#[test]
fn a_waker_that_panics_leaves_no_other_task_asleep() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    let listener = host.listener().clone();
    let tasks = [Arc::new(Count::default()), Arc::new(Count::default())];
    for waker in [Arc::new(Panics).into(), tasks[0].clone().into()] {
        let cx = &mut Context::from_waker(&waker);
        assert!(pin!((&stream).read(&mut [0; 1])).poll(cx).is_pending());
    }
    for waker in [Arc::new(Panics).into(), tasks[1].clone().into()] {
        assert!(
            listener
                .poll_request(&mut Context::from_waker(&waker))
                .is_pending()
        );
    }
    // The panic does not reach the engine's caller either: the other connections of the batch go on.
    host.tx(peer.seg(ACK, b"x"));
    host.tx(Peer::new("10.0.0.2:1", SERVER).syn());
    assert_eq!(tasks.map(|task| task.get()), [1, 1]);
}

#[test]
fn all_who_wait_for_connections_are_woken_and_each_connection_goes_to_one() {
    let mut host = Host::new(Config::default());
    let listener = host.listener().clone();
    let tasks = [Arc::new(Count::default()), Arc::new(Count::default())];
    let mut accepts: Vec<_> = tasks
        .iter()
        .map(|task| {
            let mut accept = Box::pin(listener.accept());
            let waker = Waker::from(task.clone());
            assert!(
                accept
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
            accept
        })
        .collect();
    let mut peer = Peer::new(CLIENT, SERVER);
    host.tx(peer.syn());
    assert!(tasks.iter().all(|task| task.get() == 1));
    assert!(accepts.iter_mut().all(|accept| poll(accept).is_pending()));
    peer.establish(&mut host);
    let done = accepts.iter_mut().filter_map(|accept| match poll(accept) {
        std::task::Poll::Ready(accepted) => Some(accepted.unwrap().1),
        std::task::Poll::Pending => None,
    });
    assert_eq!(done.collect::<Vec<_>>(), [peer.from]);
}

#[test]
fn who_no_longer_waits_for_connections_leaves_nothing() {
    let mut host = Host::new(Config::default());
    let listener = host.listener().clone();
    let gone = Arc::new(Count::default());
    let waker = Waker::from(gone.clone());
    let held = || Arc::strong_count(&gone);
    let before = held();
    for _ in 0..100 {
        let cx = &mut Context::from_waker(&waker);
        assert!(pin!(listener.accept()).poll(cx).is_pending());
        assert!(
            Pin::new(&mut listener.requests())
                .poll_next(cx)
                .is_pending()
        );
    }
    assert_eq!(held(), before, "wakers of futures that are gone");
    // Who waits all the same is woken, also if its place was another's once.
    let task = Arc::new(Count::default());
    let task_waker = Waker::from(task.clone());
    let mut stale = Box::pin(listener.accept());
    assert!(
        stale
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    host.tx(Peer::new("10.0.0.2:1", SERVER).syn());
    assert_eq!(gone.get(), 1);
    let mut requests = listener.requests();
    drop(now(futures_lite::StreamExt::next(&mut requests)));
    let mut accept = Box::pin(listener.accept());
    assert!(
        accept
            .as_mut()
            .poll(&mut Context::from_waker(&task_waker))
            .is_pending()
    );
    drop(stale);
    host.tx(Peer::new("10.0.0.2:2", SERVER).syn());
    assert_eq!((task.get(), gone.get()), (1, 1));
    // Those who only poll are bounded.
    for _ in 0..10_000 {
        let waker = Waker::from(Arc::new(Holds(gone.clone())));
        let cx = &mut Context::from_waker(&waker);
        while listener.poll_request(cx).is_ready() {}
    }
    assert!(held() < before + 1_100, "{} wakers", held() - before);
}

/// A task that shows by a count whether it is still held.
struct Holds(Arc<Count>);

impl Wake for Holds {
    fn wake(self: Arc<Self>) {
        self.0.clone().wake();
    }
}

#[test]
fn the_driver_is_woken_once_for_what_a_handle_leaves_and_does_not_sleep_on_it() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    let stream = peer.open(&mut host);
    host.all();
    let driver = Arc::new(Count::default());
    let waker = Waker::from(driver.clone());
    let until = host.engine.poll_timeout(host.now());
    assert!(host.engine.sleep(&waker, until, false));
    now((&stream).write_all(b"a packet")).unwrap();
    now((&stream).write_all(b"another")).unwrap();
    assert_eq!(driver.get(), 1);
    let until = host.engine.poll_timeout(host.now());
    assert!(
        !host.engine.sleep(&waker, until, false),
        "asleep with packets to send"
    );
    assert!(
        host.engine.sleep(&waker, until, true),
        "a blocked device wakes the driver itself"
    );
    now((&stream).write_all(b"third")).unwrap();
    assert_eq!(driver.get(), 1, "woken in vain: the device takes nothing");
}

#[test]
fn a_deadline_that_a_handle_makes_wakes_a_driver_that_would_oversleep() {
    let mut host = Host::new(Config::default());
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.window = 0;
    let stream = peer.open(&mut host);
    host.pass(std::time::Duration::from_secs(60)); // earlier deadlines run out
    host.all();
    let driver = Arc::new(Count::default());
    let until = host.engine.poll_timeout(host.now());
    assert_eq!(until, None);
    assert!(
        host.engine
            .sleep(&Waker::from(driver.clone()), until, false)
    );
    // The peer's window is closed: no packet, but a probe to be sent later.
    now((&stream).write_all(b"waits for the window")).unwrap();
    assert_eq!(driver.get(), 1);
    assert!(host.engine.poll_timeout(host.now()).is_some());
    host.pass(std::time::Duration::from_secs(5));
    let probe = host.rx().expect("a window probe");
    assert_eq!((probe.seq, probe.data.len()), (peer.ack - 1, 0));
}

#[test]
fn a_full_outbound_queue_delays_and_loses_nothing() {
    let mut host = Host::new(Config::new().outbound_packets(4));
    let mut peers: Vec<_> = (1..=3)
        .map(|n| Peer::new(&format!("10.0.0.2:{n}"), SERVER))
        .collect();
    let streams: Vec<_> = peers.iter_mut().map(|peer| peer.open(&mut host)).collect();
    let data: Vec<u8> = (0..60_000u32).map(|n| (n / 3) as u8).collect();
    for stream in &streams {
        now((&*stream).write_all(&data)).unwrap();
    }
    drop(streams);
    let mut got = vec![Vec::new(); peers.len()];
    let mut turns = Vec::new();
    while let Some(seg) = host.rx() {
        let n = usize::from(seg.key.destination().port()) - 1;
        if !seg.data.is_empty() {
            turns.push(n);
        }
        assert_eq!(seg.seq, peers[n].ack, "out of order");
        peers[n].ack += seg.data.len() as u32;
        got[n].extend(seg.data);
        if seg.flags.fin() {
            peers[n].ack += 1;
        }
        let ack = peers[n].seg(ACK, &[]);
        host.tx(ack);
    }
    assert!(
        got.iter().all(|got| *got == data),
        "{:?}",
        got.iter().map(Vec::len).collect::<Vec<_>>()
    );
    let last_first = (0..3)
        .map(|n| turns.iter().position(|&turn| turn == n).unwrap())
        .max();
    assert!(
        last_first.unwrap() < turns.len() / 2,
        "one connection waited for the end of another"
    );
}

#[test]
fn a_fast_retransmission_that_finds_the_queue_full_is_not_forgotten() {
    let mut host = Host::new(Config::new().outbound_packets(2));
    let mut peer = Peer::new(CLIENT, SERVER);
    peer.sack = false;
    let stream = peer.open(&mut host);
    now((&stream).write_all(&[1; 8000])).unwrap();
    host.all();
    for n in 1..=2 {
        let mut unmatched = Peer::new(&format!("10.0.0.9:{n}"), SERVER);
        unmatched.ack = 1;
        host.tx(unmatched.seg(ACK, &[])); // a reset in the queue
    }
    for _ in 0..4 {
        host.tx(peer.seg(ACK, &[]));
    }
    let sent = host.all();
    assert!(sent[..2].iter().all(|seg| seg.flags.rst()));
    let again: Vec<u32> = sent[2..].iter().map(|seg| seg.seq).collect();
    assert_eq!(again, [peer.ack], "the first segment, before any timeout");
}

#[test]
fn deadlines_that_have_become_needless_wake_nobody() {
    let mut host = Host::new(Config::default());
    let streams: Vec<_> = (1..=20)
        .map(|n| {
            let mut peer = Peer::new(&format!("10.0.0.2:{n}"), SERVER);
            let stream = peer.open(&mut host);
            now((&stream).write_all(b"hello")).unwrap();
            peer.drain(&mut host);
            stream
        })
        .collect();
    // The deadlines of handshakes and of data that has been acknowledged are still in the heap.
    host.pass(std::time::Duration::from_secs(2));
    assert_eq!(host.engine.poll_timeout(host.now()), None);
    drop(streams);
}
