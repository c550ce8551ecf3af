//! brooklet in this process, in virtual time.

use crate::app::{Env, Log, Setup};
use crate::backend::Backend;
use crate::brooklet_app;
use brooklet::local::{Pipe, pipe};
use brooklet::{PacketBuf, PacketIo};
use brooklet_sim::Simulation;
use futures_lite::future;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub(crate) struct Sim {
    simulation: Rc<Simulation>,
    wire: Pipe,
    log: Rc<RefCell<Log>>,
}

impl Sim {
    pub(crate) fn new(setup: Setup) -> io::Result<Self> {
        let simulation = Rc::new(Simulation::new());
        let log = Rc::new(RefCell::new(Log::default()));
        let (clock, sleeper) = (simulation.time().clone(), simulation.time().clone());
        let env = Env {
            log: log.clone(),
            now: Rc::new(move || clock.elapsed()),
            sleep: Rc::new(move |time| Box::pin(sleeper.sleep(time))),
        };
        let tasks = Rc::downgrade(&simulation);
        let spawn: brooklet_app::Spawn = Rc::new(move |task| {
            if let Some(simulation) = tasks.upgrade() {
                simulation.spawn(task).detach();
            }
        });
        // More packets than any case has on the way, so that the wire is never full.
        let (wire, device) = pipe(1 << 20);
        brooklet_app::start(&env, &spawn, setup, device, simulation.time().timer())?;
        Ok(Self {
            simulation,
            wire,
            log,
        })
    }
}

impl Backend for Sim {
    fn tx(&mut self, packet: &[u8]) -> io::Result<()> {
        let packet = PacketBuf::from(packet.to_vec());
        match self
            .wire
            .poll_send(&mut Context::from_waker(Waker::noop()), &packet)
        {
            Poll::Ready(sent) => sent,
            Poll::Pending => Err(io::Error::other("the wire is full")),
        }
    }

    fn rx(&mut self, within: Duration) -> io::Result<Option<Vec<u8>>> {
        let sleep = self.simulation.time().sleep(within);
        let wire = &mut self.wire;
        let mut packet = PacketBuf::with_capacity(65_535);
        let received = async {
            poll_fn(|cx| wire.poll_recv(cx, &mut packet)).await?;
            Ok(true)
        };
        let late = async {
            sleep.await;
            Ok(false)
        };
        let came: io::Result<bool> = self
            .simulation
            .run(future::or(received, late))
            .map_err(io::Error::other)?;
        Ok(came?.then(|| packet.to_vec()))
    }

    fn now(&self) -> Duration {
        self.simulation.time().elapsed()
    }

    fn log(&self) -> &Rc<RefCell<Log>> {
        &self.log
    }
}
