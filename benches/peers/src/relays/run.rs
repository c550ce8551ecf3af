//! One relay at one work.

use super::calls::{self, Calls, Strace};
use super::contender::{Relay, Route};
use super::link::Link;
use super::options::Way;
use super::programs::Programs;
use crate::awake::Awake;
use crate::results::Run;
use crate::work::Work;
use std::time::Duration;
use std::{io, thread};

/// A run for each way. The relay stays the same from one to the next, unless the first has failed.
pub(crate) fn run(
    relay: &Relay,
    programs: &Programs,
    work: &dyn Work,
    span: Duration,
    ways: &[Way],
) -> Vec<Run> {
    if let Some(why) = missing(relay) {
        return vec![Run::LeftOut(why); ways.len()];
    }
    // A thread of its own, because it moves into the client's namespace.
    let runs = || {
        let mut link = None;
        let runs = ways.iter().map(|&way| {
            let figures = measure(&mut link, relay, programs, work, span, way);
            if figures.is_err() {
                link = None;
            }
            Run::from(figures)
        });
        runs.collect::<Vec<_>>()
    };
    let runs = thread::scope(|scope| scope.spawn(runs).join());
    runs.unwrap_or_else(|_| vec![Run::Failed("the client panicked".into()); ways.len()])
}

fn measure(
    link: &mut Option<Link>,
    relay: &Relay,
    programs: &Programs,
    work: &dyn Work,
    span: Duration,
    way: Way,
) -> io::Result<Vec<f64>> {
    let link = match link {
        Some(link) => link,
        None => link.insert(Link::start(relay, programs)?),
    };
    let awake = match way {
        Way::Awake => Some(Awake::start()?),
        Way::Halting => None,
    };
    let figures = work.run(span, link.relay());
    if let Some(awake) = awake {
        awake.stop()?;
    }
    link.check()?;
    figures
}

/// The system calls of a relay, by request.
pub(crate) fn count_calls(
    relay: &Relay,
    programs: &Programs,
    work: &dyn Work,
    span: Duration,
) -> io::Result<Calls> {
    if let Some(why) = missing(relay) {
        return Err(io::Error::other(why));
    }
    let count = || {
        let link = Link::start(relay, programs)?;
        let strace = Strace::attach(link.relay().pid())?;
        let done = work.run(span, link.relay());
        let summary = strace.stop()?;
        done?;
        calls::per_request(&summary, link.relay().requests())
    };
    let counted = thread::scope(|scope| scope.spawn(count).join());
    counted.map_err(|_| io::Error::other("the client panicked"))?
}

/// Why the relay cannot take part, if it cannot.
fn missing(relay: &Relay) -> Option<String> {
    let (program, package) = match relay.route {
        Route::Pasta(_) => ("pasta", "passt"),
        Route::Slirp4netns(_) => ("slirp4netns", "slirp4netns"),
        _ => return None,
    };
    let found = std::env::var_os("PATH").is_some_and(|path| {
        let mut folders = std::env::split_paths(&path);
        folders.any(|folder| folder.join(program).is_file())
    });
    (!found).then(|| format!("there is no `{program}`: apt-get install {package}"))
}
