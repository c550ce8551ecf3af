//! A stack in a process that may have 15 or 50 MiB in all, as a network extension of iOS, and what it
//! carries there.
//!
//! ```sh
//! cargo run --release --example memory_profile
//! ```
//!
//! For each profile the program starts itself anew. The new process runs a stack within
//! [`Builder::memory`] over a socket pair, and this process attacks it from the other end: bulk
//! transfers in both directions, many connections whose data nobody reads, a SYN flood, and UDP from
//! many sources. On Linux with a memory cgroup that the user may make (as root, most often), the
//! kernel limits the new process to the profile.

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    brooklet_examples::shared::memory_profile::main()
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    eprintln!("memory_profile: this system has no Unix datagram sockets");
    std::process::ExitCode::FAILURE
}
