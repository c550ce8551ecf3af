//! Programs that nobody here wrote, on the services of `inetd`.

use crate::support::{each_mode, on_inetd};
use brooklet_testbed::{Finished, LIMIT, Process, program, require, succeeded};
use std::path::Path;
use std::process::Command;

each_mode! {
    ping,
    ping6,
    nc,
    nc_udp,
    curl,
}

const SOMEWHERE: &str = "192.0.2.7";
const SOMEWHERE6: &str = "2001:db8::7";

fn ping(mode: &[&str]) {
    let Some(ping) = require(program("ping")) else {
        return;
    };
    // The kernel cuts the long ones into fragments, and puts the answers together.
    on_inetd(mode, |_| {
        for size in ["1400", "4000", "60000"] {
            pings(&ping, &["-4", "-s", size, SOMEWHERE]);
        }
    });
}

fn ping6(mode: &[&str]) {
    let Some(ping) = require(program("ping")) else {
        return;
    };
    on_inetd(mode, |_| {
        for size in ["1400", "4000", "60000"] {
            pings(&ping, &["-6", "-s", size, SOMEWHERE6]);
        }
    });
}

fn pings(ping: &Path, flags: &[&str]) {
    let flags = [&["-n", "-c", "3", "-i", "0.2", "-W", "5"], flags].concat();
    let pinged = run(ping, &flags);
    assert!(
        pinged.out.contains(" 3 received, 0% packet loss"),
        "{}",
        pinged.out
    );
    // What came back is what was sent, or ping says "wrong data byte".
    assert!(!pinged.out.contains("wrong"), "{}", pinged.out);
}

fn nc(mode: &[&str]) {
    let Some(nc) = require(program("nc")) else {
        return;
    };
    on_inetd(mode, |_| {
        for to in [SOMEWHERE, SOMEWHERE6] {
            let mut command = Command::new(&nc);
            let echoed = Process::start_with(command.args(["-N", to, "7"]), b"Hello\nyou\n");
            let echoed = succeeded(echoed.finish(LIMIT));
            assert_eq!(echoed.out, "Hello\nyou\n", "{to}");
        }
    });
}

fn nc_udp(mode: &[&str]) {
    let Some(nc) = require(program("nc")) else {
        return;
    };
    on_inetd(mode, |_| {
        for to in [SOMEWHERE, SOMEWHERE6] {
            let mut command = Command::new(&nc);
            let echoed = Process::start_with(command.args(["-u", "-w", "1", to, "7"]), b"Hello\n");
            let echoed = succeeded(echoed.finish(LIMIT));
            assert_eq!(echoed.out, "Hello\n", "{to}");
        }
    });
}

fn curl(mode: &[&str]) {
    let Some(curl) = require(program("curl")) else {
        return;
    };
    on_inetd(mode, |_| {
        for host in [SOMEWHERE, "[2001:db8::7]"] {
            let got = run(&curl, &["-sS", &format!("http://{host}/")]);
            assert_eq!(got.out, "Hello, from inetd.\n", "{host}");
            let mut command = Command::new(&curl);
            let refused = Process::start(command.args(["-sS", &format!("http://{host}:81/")]));
            // "Failed to connect to host", in curl's list of exit codes.
            let refused = refused.finish(LIMIT);
            assert_eq!(refused.status.code(), Some(7), "{}", refused.err);
        }
    });
}

fn run(program: &Path, flags: &[&str]) -> Finished {
    succeeded(Process::start(Command::new(program).args(flags)).finish(LIMIT))
}
