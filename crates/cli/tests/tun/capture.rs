//! `--capture`, and what `tshark` reads in the file.

use crate::support::{BROOKLET, Forward};
use brooklet_testbed::network::Network;
use brooklet_testbed::{
    Folder, LIMIT, Process, in_namespace, program, require, succeeded, wait_until,
};
use nix::sys::signal::Signal;
use std::fs;
use std::net::TcpStream;
use std::process::Command;

/// Sends a SYN to a port.
fn connect(forward: &Forward, port: u16) {
    let [far, _] = Network::FAR;
    let connected = forward.clients().run(|| TcpStream::connect((far, port)));
    connected.expect_err("nobody listens, or a rule refuses");
}

/// Returns a field of each packet in the file for which the filter holds.
fn packets(file: &str, filter: &str, field: &str) -> Option<Vec<String>> {
    require(program("tshark"))?;
    let mut command = Command::new("tshark");
    command.args(["-r", file, "-Y", filter, "-T", "fields", "-e", field]);
    let ended = succeeded(Process::start(&mut command).finish(LIMIT));
    Some(ended.out.lines().map(str::to_owned).collect())
}

#[test]
fn the_file_has_the_packets_with_their_verdicts() {
    in_namespace(|| {
        let _network = Network::new(1500);
        let folder = Folder::new("capture");
        let (rules, file) = (folder.path("rules"), folder.path("packets.pcapng"));
        fs::write(&rules, "tcp dport 25 reject\n").expect("a file");
        let forward = Forward::start(&["--rules", &rules, "--capture", &file]);
        connect(&forward, 25);
        connect(&forward, 9);
        forward.stop();
        let Some(comments) = packets(&file, "tcp.dstport == 25", "frame.comment") else {
            return;
        };
        assert_eq!(comments, ["rejected by the filter"]);
        let syns = "tcp.dstport == 9 && tcp.flags.syn == 1";
        assert_eq!(packets(&file, syns, "frame.comment").expect("tshark"), [""]);
        let resets = packets(&file, "tcp.flags.reset == 1", "tcp.srcport").expect("tshark");
        assert_eq!(resets, ["25", "9"]);
    });
}

#[test]
fn a_signal_pauses_the_capture_and_lets_it_go_on() {
    in_namespace(|| {
        let _network = Network::new(1500);
        let folder = Folder::new("capture-paused");
        let file = folder.path("packets.pcapng");
        let forward = Forward::start(&["--capture", &file, "--capture-paused"]);
        let length = || fs::metadata(&file).map_or(0, |file| file.len());
        let toggle = |says: &str| {
            let seen = forward.process().errors_seen();
            forward.process().signal(Signal::SIGUSR2);
            let said = |text: &str| text.ends_with(&format!("{says}\n"));
            let said = forward.process().errors_after(seen, LIMIT, said);
            assert!(said.is_some(), "not {says}");
        };
        connect(&forward, 1001);
        assert_eq!(length(), 0, "paused from the start");
        toggle("goes on");
        connect(&forward, 1002);
        toggle("paused");
        connect(&forward, 1003);
        toggle("goes on");
        connect(&forward, 1004);
        assert!(wait_until(LIMIT, || length() > 0));
        forward.stop();
        let syns = packets(&file, "tcp.flags.syn == 1", "tcp.dstport");
        let Some(syns) = syns else {
            return;
        };
        assert_eq!(syns, ["1002", "1004"]);
    });
}

#[test]
fn a_file_that_cannot_be_written_ends_the_program() {
    let mut command = Command::new(BROOKLET);
    command.args([
        "forward",
        "--tun",
        "t0",
        "--capture",
        "/no/such/folder/file",
    ]);
    let ended = Process::start(&mut command).finish(LIMIT);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    let part = "--capture /no/such/folder/file: ";
    assert!(ended.err.contains(part), "{}", ended.err);
}
