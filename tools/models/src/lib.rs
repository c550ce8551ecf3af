//! The stack under a scheduler that tries the orders in which threads may run.
//!
//! The code is the real one: the build has `--cfg shuttle`, under which the cells of
//! `brooklet-cell` lock with [shuttle](https://docs.rs/shuttle)'s mutex, so that it chooses at
//! every lock who goes on. A model is a program of a few tasks, run under thousands of orders.
//! The clock stands still, so nothing is ever mended by a timer: a wake-up that is lost leaves
//! everybody asleep, which shuttle reports as a deadlock.
//!
//! `scripts/check models` runs them; without the cfg this crate is empty.
#![cfg(shuttle)]
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test may panic"
)]

mod checked;
mod net;

pub use checked::Checked;
pub use net::{Drivers, Frozen, Net, Options, addr, net};

use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::thread::JoinHandle;

/// Orders to try of each kind. `BROOKLET_MODEL_ORDERS` sets another number.
const ORDERS: usize = 2000;

/// Changes of priority in an order of the PCT kind: it finds for certain, in the long run, what
/// needs up to so many threads to stop at the wrong moment.
const DEPTH: usize = 3;

/// The first order of every run. `SHUTTLE_RANDOM_SEED` sets another.
const SEED: u64 = 0x62_726f_6f6b_6c65;

/// Runs `model` under random orders and under those of PCT (Burckhardt et al., 2010).
///
/// # Panics
///
/// If the model panics or deadlocks in one of them. Shuttle then prints that order; with it in
/// `BROOKLET_MODEL_REPLAY` only that one is run; once the fault is mended, shuttle says of it that
/// the "schedule ended early".
pub fn check(model: impl Fn() + Send + Sync + 'static) {
    check_with(ORDERS, model);
}

/// Runs `model`, as [`check`] does, under so many orders of each kind: for a model that takes long.
///
/// # Panics
///
/// As [`check`].
pub fn check_with(orders: usize, model: impl Fn() + Send + Sync + 'static) {
    let model = std::sync::Arc::new(model);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let model = model.clone();
        shuttle::Runner::new(scheduler, config()).run(move || model());
    };
    if let Ok(order) = std::env::var("BROOKLET_MODEL_REPLAY") {
        return run(Box::new(ReplayScheduler::new_from_encoded(&order)));
    }
    let orders = match std::env::var("BROOKLET_MODEL_ORDERS") {
        Ok(number) => number.parse().expect("BROOKLET_MODEL_ORDERS is a number"),
        Err(_) => orders,
    };
    run(Box::new(RandomScheduler::new_from_seed(SEED, orders)));
    run(Box::new(PctScheduler::new_from_seed(SEED, DEPTH, orders)));
}

fn config() -> shuttle::Config {
    let mut config = shuttle::Config::new();
    config.stack_size = 256 * 1024;
    config
}

/// Runs a future on the calling thread, with wakers that look what is held when they are woken.
pub fn run<F: Future>(future: F) -> F::Output {
    shuttle::future::block_on(Checked::new(future))
}

/// Runs a future on a thread of its own.
pub fn task<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    shuttle::thread::spawn(move || run(future))
}

/// What the tasks return, once all have.
pub fn all<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    tasks.into_iter().map(|task| task.join().unwrap()).collect()
}

/// What `future` gives, unless it is given up while it waits.
pub async fn briefly<F: Future>(future: F) -> Option<F::Output> {
    let wait = async { Some(future.await) };
    let turn = async {
        shuttle::future::yield_now().await;
        None
    };
    futures_lite::future::or(wait, turn).await
}
