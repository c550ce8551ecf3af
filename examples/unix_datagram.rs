//! A stack on a Unix datagram socket: each datagram is one IP packet or one Ethernet frame.
//!
//! ```sh
//! cargo run --release --example unix_datagram -- --listen /run/net.sock --peer /run/vm.sock
//! ```
//!
//! The peer is a program that sends and receives IP packets: a virtual machine whose network device
//! has no Ethernet header, a tunnel, a simulator. The stack serves an echo on every address and
//! port.
//!
//! The network card of a usual virtual machine sends Ethernet frames instead. With `--ethernet` the
//! stack is the router of such a machine, by the adapter of the crate brooklet-ethernet. QEMU first:
//!
//! ```sh
//! qemu-system-x86_64 ... -device virtio-net-pci,netdev=net0 -netdev dgram,id=net0,\
//! local.type=unix,local.path=/tmp/vm.sock,remote.type=unix,remote.path=/tmp/net.sock &
//! cargo run --release --example unix_datagram -- \
//!     --listen /tmp/net.sock --peer /tmp/vm.sock --ethernet
//! ```
//!
//! The machine configures IPv6 by itself. For IPv4 give it an address of 10.0.2.0/24 and the router
//! 10.0.2.2. `tests/vm-image` makes a small machine that does all this.

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    brooklet_examples::shared::unix_datagram::main()
}

#[cfg(not(unix))]
fn main() -> std::process::ExitCode {
    eprintln!("unix_datagram: this system has no Unix datagram sockets");
    std::process::ExitCode::FAILURE
}
