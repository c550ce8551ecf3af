//! Runs a command in a network namespace whose whole network is brooklet.
//!
//! ```sh
//! cargo run --release --example run -- curl http://example.com/
//! ```
//!
//! The command sends its packets into a TUN device, and the stack forwards connections and
//! datagrams through the host's own sockets. The gateway (10.77.0.1, fd77::1) is the host: its
//! ports are those of the host's loopback, and its port 53 is the host's name server.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    brooklet_examples::shared::run::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("run: network namespaces are Linux's; use the example `forward` here");
    std::process::ExitCode::from(125)
}
