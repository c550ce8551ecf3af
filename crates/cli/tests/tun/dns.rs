//! Questions to a name server behind the forwarder.

use crate::support::BROOKLET;
use crate::support::Forward;
use brooklet_testbed::network::Network;
use brooklet_testbed::{LIMIT, Process, in_namespace, program, require, wait_until};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::thread;

/// A name server that runs until the test ends: `answer` makes the answer of a question.
fn serve(network: &Network, address: IpAddr, answer: fn(&[u8]) -> Vec<u8>) {
    let socket = network
        .far()
        .run(|| UdpSocket::bind((address, 53)).expect("port 53"));
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            if socket.send_to(&answer(&buffer[..n]), from).is_err() {
                return;
            }
        }
    });
}

/// The header and the question as they came, marked as an answer.
fn empty_answer(question: &[u8]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2] |= 0x80;
    answer
}

/// A question for the address of `name.test` (RFC 1035, section 4).
fn question(id: u16) -> Vec<u8> {
    let mut question = id.to_be_bytes().to_vec();
    question.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]); // recursion desired, one question
    question.extend(b"\x04name\x04test\0\0\x01\0\x01");
    question
}

const SOURCES: u8 = 100;
const QUESTIONS: usize = 1000;

#[test]
fn a_hundred_thousand_questions_are_answered_and_leave_nothing() {
    in_namespace(|| {
        let network = Network::new(1500);
        let [far, _] = Network::FAR;
        serve(&network, far, empty_answer);
        let forward = Forward::start(&[]);
        let server = SocketAddr::new(far, 53);
        let idle = forward.files();
        let sessions = || forward.files().saturating_sub(idle);
        let end = || {
            let gone = wait_until(LIMIT, || sessions() == 0);
            assert!(gone, "{} sessions are left", sessions());
        };
        // The same load as later: the allocator keeps the pages that were in use once, and as many
        // sessions at a time need as many pages.
        ask(&forward, server, QUESTIONS);
        end();
        let before = forward.memory();

        ask(&forward, server, QUESTIONS);
        assert!(
            sessions() > 1000,
            "{}: each question has its port",
            sessions()
        );
        end();
        let after = forward.memory();
        assert!(
            after <= before + before / 10,
            "{after} bytes of memory, and {before} before"
        );
        // Counters that are 0 are not printed.
        let counters = forward.stop().err;
        let open = counters
            .lines()
            .any(|line| line.starts_with("UDP sessions: "));
        assert!(!open, "{counters}");
    });
}

/// Asks as many questions from each source, each from a port of its own, as name servers do.
fn ask(forward: &Forward, server: SocketAddr, questions: usize) {
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                forward.clients().run(|| {
                    let sources = (1..=SOURCES).filter(|n| n % 4 == thread);
                    let sources: Vec<Ipv4Addr> =
                        sources.map(|n| Ipv4Addr::new(10, 78, 0, n)).collect();
                    for number in 0..questions {
                        ask_once(&sources, server, number as u16);
                    }
                });
            });
        }
    });
}

fn ask_once(sources: &[Ipv4Addr], server: SocketAddr, id: u16) {
    let question = question(id);
    let ask = |source: &Ipv4Addr| {
        let socket = UdpSocket::bind((*source, 0)).expect("a port");
        socket.set_read_timeout(Some(LIMIT)).expect("a limit");
        socket.send_to(&question, server).expect("sent");
        socket
    };
    let sockets: Vec<UdpSocket> = sources.iter().map(ask).collect();
    for socket in sockets {
        let mut buffer = [0; 100];
        let answered = socket.recv_from(&mut buffer);
        let (n, from) = answered.unwrap_or_else(|why| panic!("no answer to question {id}: {why}"));
        assert_eq!((from, &buffer[..n]), (server, &empty_answer(&question)[..]));
    }
}

/// The length of a text record of 16 strings.
const TEXT: usize = 16 * 250;

/// An answer with a text record of 4,000 bytes (RFC 1035, section 3.3.14).
fn long_answer(question: &[u8]) -> Vec<u8> {
    // The question ends 4 bytes behind its name, and the extensions of DNS (RFC 6891) follow.
    let name = question[12..].iter().position(|byte| *byte == 0);
    let end = 12 + name.expect("a name") + 1 + 4;
    let mut answer = question[..end].to_vec();
    answer[2] |= 0x80;
    answer[4..12].copy_from_slice(&[0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]); // the name, TXT, IN, a minute
    answer.extend(((TEXT + 16) as u16).to_be_bytes());
    for letter in b'a'..b'a' + 16 {
        answer.push(250);
        answer.extend([letter; 250]);
    }
    answer
}

#[test]
fn an_answer_of_4000_bytes_by_udp() {
    let Some(dig) = require(program("dig")) else {
        return;
    };
    in_namespace(|| {
        let network = Network::new(1500);
        for far in Network::FAR {
            serve(&network, far, long_answer);
            let mut run = Command::new(BROOKLET);
            run.args(["run", "--mtu", "1500", "--"]).arg(&dig).args([
                "+short",
                "+notcp",
                "+ignore",
                "+tries=1",
                "+bufsize=8192",
                "long.test",
                "TXT",
                &format!("@{far}"),
            ]);
            let ended = Process::start(&mut run).finish(LIMIT);
            let text: String = ended
                .out
                .chars()
                .filter(char::is_ascii_alphabetic)
                .collect();
            assert_eq!(text.len(), TEXT, "{far}: {} {}", ended.out, ended.err);
        }
    });
}
