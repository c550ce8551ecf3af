//! The command of `brooklet run`: its terminal, the signals for it, and its orphans.

use crate::support::BROOKLET;
use crate::terminal::Terminal;
use brooklet_testbed::{
    Folder, LIMIT, Process, in_namespace, program, require, succeeded, wait_until,
};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

#[test]
fn ctrl_c_reaches_the_command_once() {
    let Some(_) = require(program("script")) else {
        return;
    };
    in_namespace(|| {
        let folder = Folder::new("ctrl-c");
        let command =
            "trap \"echo interrupted; exit 7\" INT; echo ready; while :; do sleep 0.05; done";
        let file = folder.path("command.sh");
        fs::write(&file, command).expect("a script");
        let line = format!("{BROOKLET} run sh {file}");
        let mut terminal = Terminal::start(&folder, &line);
        terminal.wait_for("ready");
        terminal.press(b"\x03");
        let ended = terminal.finish();
        assert_eq!(ended.status, 7, "{}", ended.out);
        assert_eq!(ended.out.matches("interrupted").count(), 1, "{}", ended.out);
    });
}

#[test]
fn the_command_has_the_terminal_and_its_modes_stay() {
    let Some(_) = require(program("script")) else {
        return;
    };
    in_namespace(|| {
        let folder = Folder::new("terminal");
        // In the foreground the command may read, and tcsetattr does not stop it.
        let command = "stty -g; read word; echo \"read $word\"; stty -g";
        let file = folder.path("command.sh");
        fs::write(&file, command).expect("a script");
        let line = format!("stty -g; {BROOKLET} run sh {file}; stty -g");
        let mut terminal = Terminal::start(&folder, &line);
        terminal.press(b"word\n");
        let ended = terminal.finish();
        assert_eq!(ended.status, 0, "{}", ended.out);
        let modes: Vec<&str> = ended
            .out
            .lines()
            .filter(|line| line.contains(':'))
            .collect();
        assert_eq!(modes.len(), 4, "{}", ended.out);
        assert!(modes.iter().all(|mode| *mode == modes[0]), "{}", ended.out);
        assert!(ended.out.contains("read word"), "{}", ended.out);
    });
}

/// The state of a process, such as `S` or `T`.
fn state(pid: Pid) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim().chars().next()
}

/// As ctrl-Z and `fg` do it.
#[test]
fn a_group_that_stops_and_continues() {
    in_namespace(|| {
        let folder = Folder::new("stop");
        let file = folder.path("pid");
        let script = format!("echo $$ >{file}; while test -e {file}; do :; done; exit 5");
        let mut command = Command::new(BROOKLET);
        command.args(["run", "sh", "-c", &script]).process_group(0);
        let run = Process::start(&mut command);
        let mut inside = None;
        let started = wait_until(LIMIT, || {
            let text = fs::read_to_string(&file).unwrap_or_default();
            inside = text.trim().parse().ok().map(Pid::from_raw);
            inside.is_some()
        });
        assert!(started, "{run:?}");
        let both = [run.pid(), inside.expect("a number")];
        killpg(run.pid(), Signal::SIGTSTP).expect("a group");
        let stopped = wait_until(LIMIT, || both.iter().all(|pid| state(*pid) == Some('T')));
        assert!(stopped, "{:?}", both.map(state));
        killpg(run.pid(), Signal::SIGCONT).expect("a group");
        fs::remove_file(&file).expect("a file");
        assert_eq!(run.finish(LIMIT).status.code(), Some(5));
    });
}

#[test]
fn signals_are_passed_on() {
    in_namespace(|| {
        for (signal, name) in [
            (Signal::SIGTERM, "TERM"),
            (Signal::SIGHUP, "HUP"),
            // There is no terminal here that would send them.
            (Signal::SIGINT, "INT"),
            (Signal::SIGQUIT, "QUIT"),
        ] {
            let script = format!("trap 'exit 9' {name}; echo ready; while :; do sleep 0.05; done");
            let mut command = Command::new(BROOKLET);
            command.args(["run", "sh", "-c", &script]).process_group(0);
            let mut run = Process::start(&mut command);
            run.wait_for("ready", LIMIT);
            run.signal(signal);
            assert_eq!(run.finish(LIMIT).status.code(), Some(9), "{name}");
        }
    });
}

/// As the first process of a container, `run` has the orphans of the command.
#[test]
fn process_1_leaves_no_zombies() {
    let Some(_) = require(program("unshare")) else {
        return;
    };
    in_namespace(|| {
        let script = "
            for n in 1 2 3; do (sleep 0.05 & echo $! >/dev/null); done
            n=0
            while test $n -lt 100 && test $(ls -d /proc/[0-9]* | wc -l) -gt 5; do
                sleep 0.1; n=$((n + 1))
            done
            grep -h State /proc/[0-9]*/status
            exit 3";
        let mut command = Command::new("unshare");
        command.args([
            "--pid",
            "--fork",
            "--mount-proc",
            BROOKLET,
            "run",
            "sh",
            "-c",
            script,
        ]);
        let ended = Process::start(&mut command).finish(LIMIT);
        assert_eq!(ended.status.code(), Some(3), "{}", ended.err);
        assert!(!ended.out.contains("zombie"), "{}", ended.out);
    });
}

#[test]
fn rules_filter_the_packets_of_the_command() {
    let Some(_) = require(program("nc")) else {
        return;
    };
    in_namespace(|| {
        let folder = Folder::new("run-rules");
        let rules = folder.path("rules");
        fs::write(&rules, "tcp dport 81 reject\n").expect("a file");
        let _server = std::net::TcpListener::bind("127.0.0.1:81").expect("a port");
        let mut command = Command::new(BROOKLET);
        command.args([
            "run",
            "--rules",
            &rules,
            "--stats",
            "nc",
            "-zvw5",
            "10.77.0.1",
            "81",
        ]);
        let ended = Process::start(&mut command).finish(LIMIT);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
        assert!(ended.err.contains("refused"), "{}", ended.err);
        assert!(
            ended.err.contains("tcp dport 81 reject: 1 packets"),
            "{}",
            ended.err
        );
        let mut command = Command::new(BROOKLET);
        command.args(["run", "nc", "-zw5", "10.77.0.1", "81"]);
        succeeded(Process::start(&mut command).finish(LIMIT));
    });
}

#[test]
fn a_system_without_a_device_says_what_to_do() {
    let Some(_) = require(program("unshare")) else {
        return;
    };
    in_namespace(|| {
        let script = format!("mount -t tmpfs none /dev/net && exec {BROOKLET} run true");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]);
        let ended = Process::start(&mut command).finish(LIMIT);
        assert_eq!(ended.status.code(), Some(125));
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(ended.err.contains("modprobe tun"), "{}", ended.err);
    });
}
