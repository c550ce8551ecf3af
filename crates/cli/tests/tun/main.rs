//! The program `brooklet` on real TUN devices, each test in a network namespace of its own.
//!
//! Tests that cannot run print `skipped:` and the reason, and with `CI=true` they fail instead.

#![cfg(target_os = "linux")]

mod capture;
mod command;
mod connections;
mod datagrams;
mod dns;
mod mistakes;
mod mtu;
mod netns;
mod observe;
mod ping;
mod promises;
mod publish;
mod rules;
mod stun;
mod support;
mod terminal;
mod through_run;
mod traceroute;
mod users;
