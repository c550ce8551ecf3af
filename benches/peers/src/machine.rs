//! Where and when: without this no figure says anything.

use crate::contender::MTU;
use crate::options::Options;
use crate::work::STALL;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::process::Command;
use std::{env, fs, io, thread};

/// Raises the limit of open files as far as this process may: a connection is a file.
pub(crate) fn raise_file_limit() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// What stands above the tables of the stacks.
pub(crate) fn describe(options: &Options) -> io::Result<String> {
    let written = written("")?;
    Ok(format!(
        "# brooklet beside others

{written}

Client and server are processes of one machine and share its cores; the client uses the kernel's TCP. \
Between them is a TUN device with an MTU of {MTU}, over IPv4. Every run has a server and a namespace of \
its own. In each round, of which there were {rounds} (fewer of the longest works), the contenders took \
turns, and each was measured for {span} s, after a warm-up (for {long} s where there are 200 connections). A \
figure is the median over the rounds, with the quartiles in brackets. A ratio is brooklet's figure divided \
by the other's in the same round. A run in which the client waits {stall} s for a connection or an \
answer has failed, and has no figures. For echoes over TCP a thread of the class SCHED_IDLE on each core \
keeps it from falling asleep. The server's CPU is user and system time of its process, the work of the \
kernel in its calls included; its memory is the peak of what is resident.
",
        stall = STALL.as_secs(),
        span = options.span.as_secs_f64(),
        long = 4.0 * options.span.as_secs_f64(),
        rounds = options.rounds,
    ))
}

/// By what, where and when the report was written. `program` is what cargo needs to know beside the
/// manifest, with a space before it.
pub(crate) fn written(program: &str) -> io::Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cpu = cpu.map_or("unknown processor", |name| {
        name.trim_start_matches(['\t', ' ', ':'])
    });
    let cores = thread::available_parallelism()?;
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let memory = memory.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    let memory = memory.unwrap_or(f64::NAN) / 1024.0 / 1024.0;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let date = said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?;
    // A tree without git has no revision.
    let revision = said(
        "git",
        &[
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "describe",
            "--always",
            "--dirty",
        ],
    )
    .unwrap_or_else(|_| "unknown".into());
    let args: String = env::args().skip(1).map(|arg| format!(" {arg}")).collect();
    let args = if args.is_empty() {
        args
    } else {
        format!(" --{args}")
    };
    Ok(format!(
        "Written by `cargo run --release --manifest-path benches/peers/Cargo.toml{program}{args}` as root, \
         {date}, revision {revision}: {cpu}, {cores} cores, {memory:.1} GiB, Linux {kernel}. Load of the \
         machine just before (one minute): {load}.",
        kernel = kernel.trim(),
    ))
}

pub(crate) fn said(program: &str, args: &[&str]) -> io::Result<String> {
    let output = Command::new(program).args(args).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("`{program}`: {}", output.status)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
