//! What the program promises, measured: the ways through it are compared with the network alone, and
//! with what the kernels on both sides see.

mod early_answers;
mod endings;
mod figures;
mod files;
mod flows;

use crate::support::{BROOKLET, Forward};
use brooklet_testbed::network::Namespace;
use brooklet_testbed::{LIMIT, Process, succeeded};
use std::process::Command;

/// A way from clients to the hosts of the network of this thread.
#[derive(Debug)]
enum Way {
    /// Without brooklet, for comparison.
    Direct(Namespace),
    Forward(Forward),
    /// `run --netns`, with the namespace.
    Run(Process, Namespace),
}

impl Way {
    fn direct() -> Self {
        Self::Direct(Namespace::of_this_thread())
    }

    fn forward(flags: &[&str]) -> Self {
        Self::Forward(Forward::start(flags))
    }

    fn run(flags: &[&str]) -> Self {
        let clients = Namespace::new();
        let mut command = Command::new(BROOKLET);
        command
            .args(["run", "--netns", &clients.path()])
            .args(flags);
        let mut process = Process::start(&mut command);
        process.wait_for_start("run: serving --netns", LIMIT);
        Self::Run(process, clients)
    }

    /// The namespace of the clients.
    fn clients(&self) -> &Namespace {
        match self {
            Self::Direct(clients) | Self::Run(_, clients) => clients,
            Self::Forward(forward) => forward.clients(),
        }
    }
}

/// The TCP connections of a namespace that `ss` shows for this filter, without the heading.
fn connections(of: &Namespace, filter: &[&str]) -> Vec<String> {
    let list = || {
        let mut ss = Command::new("ss");
        ss.args(["-Htn"]).args(filter);
        succeeded(Process::start(&mut ss).finish(LIMIT)).out
    };
    of.run(list).lines().map(str::to_owned).collect()
}
