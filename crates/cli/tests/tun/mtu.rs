//! The namespace of `brooklet run` has a larger MTU than the links of the host.

use crate::support::BROOKLET;
use brooklet_testbed::data::random;
use brooklet_testbed::network::Network;
use brooklet_testbed::{Folder, LIMIT, Process, in_namespace, program, require, succeeded};
use std::fs;
use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;

/// Longer than a packet of the far link.
const LENGTH: usize = 4000;

/// A program that fragments nothing by itself loses nothing, and has its answer in one piece.
#[test]
fn datagrams_longer_than_the_far_link() {
    let Some(_) = require(program("nc")) else {
        return;
    };
    in_namespace(|| {
        let network = Network::new(1500);
        let folder = Folder::new("mtu");
        let (question, answer) = (folder.path("question"), folder.path("answer"));
        let sent = random(LENGTH, 5);
        fs::write(&question, &sent).expect("a file");
        for far in Network::FAR {
            let server = network
                .far()
                .run(|| UdpSocket::bind((far, 7)).expect("a port"));
            server.set_read_timeout(Some(LIMIT)).expect("a limit");
            let script = format!("nc -u -w 2 {far} 7 <{question} >{answer}");
            let mut command = Command::new(BROOKLET);
            let run = Process::start(command.args(["run", "sh", "-c", &script]));
            let mut buffer = [0; 2 * LENGTH];
            let (len, from) = server.recv_from(&mut buffer).expect("a datagram");
            assert!(buffer[..len] == sent, "{far}: {len} bytes");
            server.send_to(&buffer[..len], from).expect("sent");
            succeeded(run.finish(LIMIT));
            assert_eq!(fs::read(&answer).expect("a file").len(), LENGTH, "{far}");
        }
    });
}

#[test]
fn the_kernel_knows_which_packets_may_be_long() {
    in_namespace(|| {
        // An MTU of 1,500 bytes is that of the device, and no route has another.
        for (flags, shorter) in [
            (&[][..], true),
            (&["--mtu", "1500"], false),
            (&["--mtu", "9000"], true),
        ] {
            for to in ["192.0.2.1", "2001:db8::1"] {
                for (protocol, expected) in [("udp", shorter), ("tcp", false)] {
                    let mut command = Command::new(BROOKLET);
                    command.arg("run").args(flags);
                    command.args(["ip", "route", "get", to, "ipproto", protocol]);
                    let ended = succeeded(Process::start(&mut command).finish(LIMIT));
                    let found = ended.out.contains("mtu 1500");
                    assert_eq!(found, expected, "{flags:?} {protocol}: {}", ended.out);
                }
            }
        }
    });
}

#[test]
fn connections_over_the_far_link() {
    let Some(_) = require(program("nc")) else {
        return;
    };
    in_namespace(|| {
        let network = Network::new(1280);
        let folder = Folder::new("mtu-tcp");
        let file = folder.path("file");
        let sent = random(3_000_000, 6);
        fs::write(&file, &sent).expect("a file");
        for far in Network::FAR {
            let server = network
                .far()
                .run(|| TcpListener::bind((far, 7)).expect("a port"));
            let script = format!("nc -N {far} 7 <{file}");
            let mut command = Command::new(BROOKLET);
            let run = Process::start(command.args(["run", "sh", "-c", &script]));
            let (mut stream, _) = server.accept().expect("a client");
            let mut received = Vec::new();
            stream.read_to_end(&mut received).expect("the end");
            assert!(received == sent, "{far}: {} bytes", received.len());
            drop(stream);
            succeeded(run.finish(LIMIT));
        }
    });
}
