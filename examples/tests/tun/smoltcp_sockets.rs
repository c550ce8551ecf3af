//! smoltcp's ICMP, UDP and TCP sockets on brooklet's devices.

use crate::support::example;
use brooklet_testbed::succeeded;
use brooklet_testbed::{LIMIT, Process, in_namespace};
use std::process::Command;

fn all_sockets_succeed(flags: &[&str]) {
    let mut command = Command::new(example("smoltcp_sockets"));
    let out = succeeded(Process::start(command.args(flags)).finish(3 * LIMIT)).out;
    let lines = ["icmp: 5 echo replies", "udp: 5 datagrams", "tcp: 1024 KiB"];
    for line in lines {
        assert!(out.contains(line), "no {line:?} in {out:?}");
    }
}

#[test]
fn smoltcp_sockets_talk_to_a_stack_over_a_pipe() {
    all_sockets_succeed(&[]);
}

#[test]
fn smoltcp_sockets_talk_to_the_kernel_over_a_tun() {
    in_namespace(|| all_sockets_succeed(&["--tun", "brooklet0"]));
}

#[test]
fn smoltcp_sockets_talk_to_the_kernel_over_a_tun_with_offload() {
    in_namespace(|| all_sockets_succeed(&["--tun", "brooklet0", "--offload"]));
}
