//! What shows a stack that runs: `--metrics`, `--stats=SECONDS`, SIGUSR1 and `--top`.

use crate::support::{BROOKLET, Forward};
use crate::terminal::{Ended, Terminal};
use brooklet_testbed::network::Network;
use brooklet_testbed::{Folder, LIMIT, Process, in_namespace, program, require};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Connects to a port where nobody listens.
fn is_refused(forward: &Forward) {
    let [far, _] = Network::FAR;
    let connected = forward.clients().run(|| TcpStream::connect((far, 9)));
    let error = connected.expect_err("nobody listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a listener");
    stream.set_read_timeout(Some(LIMIT)).expect("a limit");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn metrics_are_those_of_the_moment() {
    in_namespace(|| {
        let _network = Network::new(1500);
        let forward = Forward::start(&["--metrics", "127.0.0.1:0"]);
        let printed = |text: &str| text.ends_with("/metrics\n");
        let line = forward.process().errors_after(0, LIMIT, printed);
        let line = line.expect("the address of the metrics");
        let (_, url) = line.split_once("http://").expect("a URL");
        let address = url.trim_end_matches("/metrics\n").parse();
        let address = address.expect("an address with a port");
        for requests in 0..3 {
            let text = get(address, "/metrics");
            assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
            let sample = format!("\nbrooklet_relay_requests_total {requests}\n");
            assert!(text.contains(&sample), "no {sample} in {text}");
            assert!(text.ends_with("\n# EOF\n"), "{text}");
            is_refused(&forward);
        }
        let text = get(address, "/");
        assert!(text.starts_with("HTTP/1.1 404 Not Found\r\n"), "{text}");
        forward.stop();
    });
}

#[test]
fn a_metrics_port_in_use_ends_the_program_before_it_has_a_device() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    for (args, status) in [
        (["forward", "--tun", "t0", "--metrics", &address], 1),
        (["run", "--metrics", &address, "--", "true"], 125),
    ] {
        let ended = Process::start(Command::new(BROOKLET).args(args)).finish(LIMIT);
        assert_eq!(ended.status.code(), Some(status), "{}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        for part in [args[0], "--metrics", &address, "choose another port"] {
            assert!(ended.err.contains(part), "no {part} in {}", ended.err);
        }
    }
}

#[test]
fn sigusr1_prints_the_counters_and_the_program_goes_on() {
    in_namespace(|| {
        let _network = Network::new(1500);
        let forward = Forward::start(&[]);
        for count in 1..3 {
            is_refused(&forward);
            let seen = forward.process().errors_seen();
            forward.process().signal(Signal::SIGUSR1);
            let line = format!("\nconnection requests: {count}\n");
            let end = "packets the device did not take: 0\n";
            let printed = |text: &str| text.contains(&line) && text.ends_with(end);
            let text = forward.process().errors_after(seen, LIMIT, printed);
            assert!(text.is_some(), "no {line}");
        }
        forward.stop();
    });
}

#[test]
fn a_line_of_figures_is_printed_every_second() {
    in_namespace(|| {
        let _network = Network::new(1500);
        let forward = Forward::start(&["--stats=1"]);
        let lines = |text: &str| {
            text.lines()
                .filter(|line| line.contains("UDP sessions"))
                .count()
        };
        let text = forward
            .process()
            .errors_after(0, LIMIT, |text| lines(text) >= 2);
        let text = text.expect("two lines");
        let line = text.lines().next().expect("a line");
        let start = "brooklet forward brooklet1: TCP connections: 0, UDP sessions: 0, up: ";
        assert!(line.starts_with(start), "{line}");
        forward.stop();
    });
}

#[test]
fn the_start_and_the_end_of_a_connection_are_lines_of_a_log() {
    in_namespace(|| {
        let network = Network::new(1500);
        let forward = Forward::start(&["--log"]);
        let [far, _] = Network::FAR;
        let listener = network.far().run(|| TcpListener::bind((far, 7)));
        let listener = listener.expect("a port");
        let client = forward.clients().run(|| TcpStream::connect((far, 7)));
        let client = client.expect("a connection");
        let addresses = format!("{far}:7 {}", client.local_addr().expect("an address"));
        drop((listener.accept().expect("a client"), client));
        let opened = format!("brooklet: TCP {addresses} opened\n");
        let ended = format!("brooklet: TCP {addresses} ended: ");
        let logged = |text: &str| text.contains(&opened) && text.contains(&ended);
        let text = forward.process().errors_after(0, LIMIT, logged);
        assert!(text.is_some(), "not {opened} or not {ended}");
        forward.stop();
    });
}

#[test]
fn every_queue_of_a_device_is_served() {
    in_namespace(|| {
        let _network = Network::new(1500);
        let forward = Forward::start(&["--queues", "4"]);
        // The kernel spreads the flows.
        for _ in 0..32 {
            is_refused(&forward);
        }
        let ended = forward.stop();
        assert!(
            ended.err.contains("\nconnection requests: 32\n"),
            "{}",
            ended.err
        );
    });
}

#[test]
fn nobody_has_to_read_what_is_printed() {
    in_namespace(|| {
        let mut command = Command::new(BROOKLET);
        command.args(["forward", "--tun", "t0", "--stats=1"]);
        let mut forward = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut line = [0; 5];
        let mut errors = forward.stderr.take().expect("piped");
        errors.read_exact(&mut line).expect("a line after a second");
        drop((errors, forward.stdout.take()));
        std::thread::sleep(Duration::from_millis(1500));
        assert_eq!(forward.try_wait().expect("a child"), None, "it has ended");
        let pid = Pid::from_raw(forward.id().cast_signed());
        kill(pid, Signal::SIGTERM).expect("a child");
        assert!(forward.wait().expect("a child").success());
    });
}

/// Runs a command line on a terminal of its own, whose files are in a folder with this name.
fn on_a_terminal(name: &str, line: &str) -> Option<Ended> {
    require(program("script"))?;
    Some(Terminal::start(&Folder::new(name), line).finish())
}

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

#[test]
fn the_view_has_the_terminal_while_the_output_of_the_command_goes_elsewhere() {
    in_namespace(|| {
        let folder = Folder::new("top");
        let out = folder.path("out");
        let line =
            format!("{BROOKLET} run --top -- sh -c 'sleep 1.5; echo done; exit 3' >{out} 2>&1");
        let Some(ended) = on_a_terminal("view", &line) else {
            return;
        };
        assert_eq!(ended.status, 3, "{}", ended.out);
        let out = std::fs::read_to_string(&out).expect("the output of the command");
        assert_eq!(out, "done\n");
        let shown = ended.out;
        let view = shown.strip_prefix(ENTER).expect("another screen");
        let view = view.strip_suffix(LEAVE).expect("the screen as before");
        for part in [
            "brooklet run sh, 0s: up ",
            "brooklet run sh, 1s: up ",
            "Memory: ",
        ] {
            assert!(view.contains(part), "no {part} in {view:?}");
        }
        assert!(!view.contains("done"), "{view:?}");
    });
}

#[test]
fn an_interrupt_gives_the_terminal_back() {
    in_namespace(|| {
        let line = format!(
            "timeout --foreground --preserve-status -s INT 2 {BROOKLET} forward --tun t0 --top"
        );
        let Some(ended) = on_a_terminal("interrupt", &line) else {
            return;
        };
        assert_eq!(ended.status, 0, "{}", ended.out);
        let (_, view) = ended.out.split_once(ENTER).expect("another screen");
        let (view, after) = view.split_once(LEAVE).expect("the screen as before");
        assert!(view.contains("brooklet forward t0, 1s: up "), "{view:?}");
        let counters = "packets the device did not take: 0\r\n";
        assert!(after.ends_with(counters), "{after:?}");
    });
}

#[test]
fn the_view_needs_a_terminal_that_no_command_prints_to() {
    in_namespace(|| {
        let Some(ended) = on_a_terminal("no-terminal", &format!("{BROOKLET} run --top true"))
        else {
            return;
        };
        assert_eq!(ended.status, 125, "{}", ended.out);
        assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
        assert!(
            ended.out.contains("--top needs the terminal"),
            "{}",
            ended.out
        );
        let line = format!("{BROOKLET} forward --tun t0 --top --log");
        let ended = on_a_terminal("log-on-terminal", &line).expect("as above");
        assert_eq!(ended.status, 1, "{}", ended.out);
        assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
        assert!(ended.out.contains("leave out --log"), "{}", ended.out);
        // setsid takes the terminal away, where the test has one.
        let mut command = Command::new("setsid");
        command.args(["--wait", BROOKLET, "forward", "--tun", "t0", "--top"]);
        let ended = Process::start(&mut command).finish(LIMIT);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(ended.err.contains("--stats=1"), "{}", ended.err);
    });
}
