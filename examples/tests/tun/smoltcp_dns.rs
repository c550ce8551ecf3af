//! smoltcp's DNS socket and brooklet's own sockets, on one device.

use crate::support::example;
use brooklet_testbed::succeeded;
use brooklet_testbed::{LIMIT, Process, in_namespace, ip, program, require, wait_until};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

#[test]
fn smoltcp_resolves_a_name_beside_a_stack_over_a_pipe() {
    let mut command = Command::new(example("smoltcp_dns"));
    let out = succeeded(Process::start(command.arg("name.test")).finish(LIMIT)).out;
    for line in [
        "dns: name.test is [192.0.2.80]",
        "tcp: 192.0.2.80:7 echoes \"hello\"",
    ] {
        assert!(out.contains(line), "no {line:?} in {out:?}");
    }
}

#[test]
fn smoltcp_resolves_a_name_beside_a_stack_over_a_tun() {
    let Some(dnsmasq) = require(program("dnsmasq")) else {
        return;
    };
    in_namespace(|| {
        let mut example = Process::start(Command::new(example("smoltcp_dns")).args([
            "--tun",
            "brooklet0",
            "--server",
            "10.9.0.1",
            "name.test",
        ]));
        let up = wait_until(LIMIT, || ip("addr show").contains("10.9.0.1/24"));
        assert!(up, "the example makes no device: {example:?}");
        // The route of the host to brooklet's addresses.
        ip("route add 192.0.2.0/24 dev brooklet0");
        let _dnsmasq = Process::start(Command::new(dnsmasq).args([
            // It stays in the foreground, and who it is: a user namespace may have nobody else.
            "--no-daemon",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--listen-address=10.9.0.1",
            "--bind-interfaces",
            "--address=/name.test/192.0.2.55",
        ]));
        example.wait_for("dns: name.test is [192.0.2.55]", LIMIT);

        let mut stream = TcpStream::connect(("192.0.2.80", 7)).expect("brooklet's address");
        stream.write_all(b"hello").expect("a connection");
        stream.shutdown(Shutdown::Write).expect("a connection");
        let mut echo = String::new();
        stream.read_to_string(&mut echo).expect("an echo");
        assert_eq!(echo, "hello");
        example.signal(Signal::SIGTERM);
        succeeded(example.finish(LIMIT));
    });
}
