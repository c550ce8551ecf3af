//! A stack on a Unix datagram socket: each datagram is one IP packet.
//!
//! ```sh
//! cargo run --release --example unix_datagram -- --listen /run/net.sock --peer /run/vm.sock
//! ```
//!
//! The peer is a program that sends and receives IP packets: a virtual machine whose network device
//! has no Ethernet header, a tunnel, a simulator. The stack serves an echo on every address and
//! port. The network card of a usual virtual machine sends Ethernet frames instead; for that, strip
//! the 14 bytes of the header and answer ARP and neighbor solicitations in `poll_recv`.

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    brooklet_examples::shared::unix_datagram::main()
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    eprintln!("unix_datagram: this system has no Unix datagram sockets");
    std::process::ExitCode::FAILURE
}
