//! The cases of the loss table between two real kernels, in real time, over the same link.
//!
//! ```text
//! cargo build --release -p brooklet-benches && sudo target/release/kernel
//! ```
//!
//! Two network namespaces have a TUN device each, and this program carries the packets from one
//! to the other through the link of `brooklet-sim`. With `--brooklet` a brooklet stands in the
//! place of the second. With `--beside` only the tables with a column for each stack are measured.
//! With `--write` the tables go into `benches/LOSS.md` as well.

#[cfg(target_os = "linux")]
mod carry;
#[cfg(target_os = "linux")]
mod namespace;
#[cfg(target_os = "linux")]
mod run;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match run::main() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kernel: nothing was measured: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("kernel: nothing was measured: network namespaces are Linux's");
    std::process::ExitCode::FAILURE
}
