//! The TCP engine alone, with the parse and the checksum before it, and the application behind it.

use super::{Path, Whole};
use brooklet_benches::MSS;
use brooklet_benches::rig::{BATCH, BLOCK, Rig, Still};
use brooklet_tcp::Config;
use std::cell::RefCell;
use std::time::Duration;

/// A batch of data packets of some connections in turn, read and acknowledged.
pub(super) fn data_in(flows: usize) -> Box<dyn Path> {
    let mut bench = Bench::new(flows);
    // The first window is not scaled and has no place for a batch.
    bench.packets.truncate(flows);
    bench.arrive(flows);
    bench.take_in(flows);
    bench.packets.resize_with(BATCH, Vec::new);
    bench.whole(
        move |bench| bench.arrive(flows),
        move |bench| bench.take_in(flows),
    )
}

/// A block that is written and cut into segments.
pub(super) fn segment_out() -> Box<dyn Path> {
    let mut acknowledged = true;
    Bench::sender().whole(
        move |bench| {
            if !std::mem::take(&mut acknowledged) {
                bench.acknowledge();
                bench.receive();
            }
        },
        |bench| bench.send(),
    )
}

/// The acknowledgements of such a block, one for two segments.
pub(super) fn ack_in() -> Box<dyn Path> {
    Bench::sender().whole(
        |bench| {
            bench.send();
            bench.acknowledge();
        },
        Bench::receive,
    )
}

struct Bench {
    rig: Rig,
    time: Still,
    packets: Vec<Vec<u8>>,
}

impl Bench {
    fn new(flows: usize) -> Self {
        let time = Still::default();
        let mut rig = Rig::new(Config::default(), time.clock());
        for _ in 0..flows {
            let n = rig.open();
            assert_eq!(rig.read(n), 0);
        }
        Self {
            rig,
            time,
            packets: vec![Vec::new(); BATCH],
        }
    }

    /// One connection whose congestion window has grown, by being used, until a block fits.
    fn sender() -> Self {
        let mut bench = Self::new(1);
        bench.packets.truncate(BATCH / 2);
        for _ in 0..30 {
            assert_eq!(bench.rig.write(0), BLOCK);
            loop {
                let (sent, _) = bench.rig.transmit();
                if sent == 0 {
                    break;
                }
                bench.time.pass(Duration::from_millis(1));
                let mut ack = Vec::new();
                bench.rig.clients.acknowledge(0, sent * MSS, &mut ack);
                bench.rig.take_in(&mut [ack]);
                bench.rig.flush();
            }
        }
        bench
    }

    fn whole(
        self,
        mut before: impl FnMut(&mut Self) + 'static,
        mut run: impl FnMut(&mut Self) + 'static,
    ) -> Box<dyn Path> {
        let bench = std::rc::Rc::new(RefCell::new(self));
        let same = bench.clone();
        Box::new(Whole {
            before: move || before(&mut same.borrow_mut()),
            run: move || run(&mut bench.borrow_mut()),
            done: true,
        })
    }

    fn arrive(&mut self, flows: usize) {
        self.time.pass(Duration::from_micros(500));
        for (i, packet) in self.packets.iter_mut().enumerate() {
            self.rig.clients.send(i % flows, packet);
        }
    }

    fn take_in(&mut self, flows: usize) {
        self.rig.take_in(&mut self.packets);
        let read: usize = (0..flows).map(|n| self.rig.read(n)).sum();
        assert_eq!(read, self.packets.len() * MSS);
        self.rig.flush();
        assert!(self.rig.transmit().0 >= flows);
    }

    fn send(&mut self) {
        assert_eq!(self.rig.write(0), BLOCK);
        assert_eq!(self.rig.transmit().0, BATCH);
    }

    fn acknowledge(&mut self) {
        self.time.pass(Duration::from_millis(1));
        for ack in &mut self.packets {
            self.rig.clients.acknowledge(0, 2 * MSS, ack);
        }
    }

    fn receive(&mut self) {
        self.rig.take_in(&mut self.packets);
        self.rig.flush();
        self.rig.transmit();
    }
}
