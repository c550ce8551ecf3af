//! Servers that answer before they have read the upload, and close: their kernel sends a RST.

use super::Way;
use brooklet_testbed::network::{Namespace, Network};
use brooklet_testbed::{Folder, LIMIT, Process, in_namespace, program, require, wait_until};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

const RUNS: usize = 50;
/// Within the initial congestion window of 10 segments: a kernel that sends a RST sends nothing after it.
const ANSWER: usize = 8 * 1024;
const UPLOAD: usize = 2 * 1024 * 1024;

/// How a client goes about it.
#[derive(Clone, Copy, Debug)]
enum Client {
    /// It reads while it sends.
    Both,
    /// It reads when everything is sent, or cannot be sent.
    OneAfterTheOther,
}

/// The ports of the servers that answer at once, and while the upload is in full flow.
const SERVERS: [(u16, usize); 2] = [(81, 1), (82, 1_000_000)];

/// A server that reads the first bytes of each upload only.
fn server(namespace: &Namespace, port: u16, reads: usize) {
    let listen = || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a port");
    let listener = namespace.run(listen);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            stream.read_exact(&mut vec![0; reads]).expect("an upload");
            stream.write_all(&[b'a'; ANSWER]).expect("a reader");
            // Something is there that nobody reads, and the close sends a RST.
            while stream.peek(&mut [0]).is_ok_and(|n| n == 0) {}
        }
    });
}

/// Returns the length of the answer.
fn upload(clients: &Namespace, to: SocketAddr, client: Client) -> usize {
    let stream = clients.run(|| TcpStream::connect_timeout(&to, LIMIT));
    let stream = stream.expect("a connection");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    let send = || (&stream).write_all(&vec![b'q'; UPLOAD]);
    let read = || {
        let mut answer = Vec::new();
        match (&stream).read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{} bytes, and then {error}", answer.len()),
        }
        answer.len()
    };
    match client {
        Client::Both => thread::scope(|scope| {
            scope.spawn(send);
            read()
        }),
        Client::OneAfterTheOther => {
            let _ = send();
            read()
        }
    }
}

/// Every one of the clients has the whole answer of the servers at this address.
fn all_have_the_answer(clients: &Namespace, servers: IpAddr) {
    for (port, _) in SERVERS {
        let to = SocketAddr::from((servers, port));
        for client in [Client::Both, Client::OneAfterTheOther] {
            let answers = (0..RUNS).map(|_| upload(clients, to, client));
            let short: Vec<usize> = answers.filter(|length| *length != ANSWER).collect();
            assert!(short.is_empty(), "{to} {client:?}: {short:?} of {RUNS}");
        }
    }
}

fn all_answers_arrive(way: impl FnOnce() -> Way + Send) {
    in_namespace(|| {
        let network = Network::new(1500);
        for (port, reads) in SERVERS {
            server(network.far(), port, reads);
        }
        all_have_the_answer(way().clients(), Network::FAR[0]);
    });
}

#[test]
fn directly_all_early_answers_arrive() {
    all_answers_arrive(Way::direct);
}

#[test]
fn all_early_answers_arrive_through_forward() {
    all_answers_arrive(|| Way::forward(&[]));
}

#[test]
fn all_early_answers_arrive_through_forward_with_offload() {
    all_answers_arrive(|| Way::forward(&["--offload"]));
}

#[test]
fn all_early_answers_arrive_through_forward_with_two_queues() {
    all_answers_arrive(|| Way::forward(&["--queues", "2"]));
}

#[test]
fn all_early_answers_arrive_through_run() {
    all_answers_arrive(|| Way::run(&[]));
}

#[test]
fn all_early_answers_arrive_through_run_without_offload() {
    all_answers_arrive(|| Way::run(&["--no-offload"]));
}

#[test]
fn all_early_answers_arrive_through_published_ports() {
    in_namespace(|| {
        let published = SERVERS.map(|(port, _)| format!("{port}:{port}"));
        let way = Way::run(&["-p", &published[0], "-p", &published[1]]);
        for (port, reads) in SERVERS {
            server(way.clients(), port, reads);
        }
        let here = Namespace::of_this_thread();
        all_have_the_answer(&here, Ipv4Addr::LOCALHOST.into());
    });
}

/// A web server that takes bodies of 1 KiB.
fn nginx(network: &Network, folder: &Folder) -> Process {
    let root = folder.path("");
    let configuration = format!(
        "daemon off; master_process off; pid {root}/pid; error_log stderr;
         events {{ }}
         http {{
             access_log off; client_max_body_size 1k; lingering_close off;
             client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;
             fastcgi_temp_path {root}/fastcgi; uwsgi_temp_path {root}/uwsgi;
             scgi_temp_path {root}/scgi;
             server {{ listen 80; root {root}; dav_methods PUT; }}
         }}"
    );
    let file = folder.path("nginx.conf");
    fs::write(&file, configuration).expect("a file");
    let nginx = program("nginx").expect("looked for before");
    let mut command = Command::new(nginx);
    command.args(["-p", &root, "-e", "stderr", "-c", &file]);
    let server = network.far().run(|| Process::start(&mut command));
    let to = SocketAddr::from((Network::FAR[0], 80));
    let open = wait_until(LIMIT, || TcpStream::connect(to).is_ok());
    assert!(open, "nobody serves: {server:?}");
    server
}

/// What curl says about an upload that is too large.
#[test]
fn curl_has_the_413_of_nginx() {
    const RUNS: usize = 20;
    let programs = program("curl").and_then(|_| program("nginx"));
    let Some(_) = require(programs) else {
        return;
    };
    in_namespace(|| {
        let network = Network::new(1500);
        let folder = Folder::new("early-413");
        let body = folder.path("body-of-curl");
        fs::write(&body, vec![b'q'; 5 * UPLOAD]).expect("a file");
        let _nginx = nginx(&network, &folder);
        let url = format!("http://{}/upload", Network::FAR[0]);
        for way in [Way::direct(), Way::forward(&[]), Way::run(&[])] {
            let codes = (0..RUNS).map(|_| {
                let mut curl = Command::new("curl");
                // Without a pause for "100 Continue".
                curl.args([
                    "-s",
                    "-o",
                    "/dev/null",
                    "-w",
                    "%{http_code}",
                    "-H",
                    "Expect:",
                ]);
                curl.args(["-T", &body, &url]);
                let started = way.clients().run(|| Process::start(&mut curl));
                started.finish(LIMIT).out
            });
            let other: Vec<String> = codes.filter(|code| code != "413").collect();
            assert!(other.is_empty(), "{way:?}: {other:?} of {RUNS}");
        }
    });
}
