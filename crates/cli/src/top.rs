//! `--top` and `--stats=SECONDS`: what the stack does, as time goes by.

mod sample;
mod screen;
mod view;

pub(crate) use screen::Screen;

use crate::output;
use brooklet::Stack;
use brooklet_reactor::Timer;
use brooklet_relay::Relay;
use sample::Sample;
use std::io;
use std::time::{Duration, Instant};

/// The time between two views.
const REFRESH: Duration = Duration::from_secs(1);

/// The stack to show.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// What the program does, such as `brooklet run curl`.
    pub(crate) title: String,
    pub(crate) stack: Stack,
    pub(crate) relay: Relay,
}

/// Shows the view on the terminal until the terminal fails.
pub(crate) async fn show(source: &Source, mut screen: Screen) -> io::Result<()> {
    let start = Instant::now();
    let mut last = Sample::zero();
    loop {
        let now = Sample::take(&source.stack, &source.relay, start, true);
        let lines = view::lines(&source.title, &now, &last, screen.size()?);
        screen.show(&lines).await?;
        last = now;
        Timer::after(REFRESH).await;
    }
}

/// Prints a line to standard error every so often.
pub(crate) async fn log(source: &Source, interval: Duration) {
    let start = Instant::now();
    let mut last = Sample::zero();
    loop {
        Timer::after(interval).await;
        let now = Sample::take(&source.stack, &source.relay, start, false);
        let line = view::log_line(&now, &last);
        output::eprint(format_args!("{}: {line}\n", source.title));
        last = now;
    }
}
