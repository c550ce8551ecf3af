//! Hours of mixed traffic through the stack, with the real clock.
//!
//! ```text
//! brooklet-soak [--minutes 180] [--tun] [--seed 1]
//! ```
//!
//! Three places carry the same traffic at once: two stacks joined by a pipe, two stacks joined by a
//! lossy link, and with `--tun` a stack on a TUN device in a network namespace, with the kernel at the
//! other end, as the client and as the server. Every byte is checked.
//!
//! Each minute is 50 s of traffic and a rest. In the rest nothing is in flight and the long
//! connections are idle: the drivers must not wake, the flows must be those that are known to be
//! open, and the descriptors must be as many as in the first rest. One line a minute says what was
//! found. The last line is the verdict, and the exit status is 1 if anything was wrong.

#[cfg(target_os = "linux")]
mod arguments;
#[cfg(target_os = "linux")]
mod gate;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod places;
#[cfg(target_os = "linux")]
mod random;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod tally;
#[cfg(target_os = "linux")]
mod traffic;
#[cfg(target_os = "linux")]
mod verdict;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;
    let arguments = match arguments::Arguments::parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("brooklet-soak: {error}");
            return ExitCode::from(2);
        }
    };
    match run::run(arguments) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("brooklet-soak: reads /proc, so it runs on Linux only");
    std::process::exit(2);
}
