//! The examples `inetd`, `smoltcp_dns` and `smoltcp_sockets` on a real TUN device, each test in a network
//! namespace of its own, and `unix_datagram` as the router of a virtual machine.
//!
//! Those that cannot run say `skipped:` and why, and with `CI=true` they fail instead.

#![cfg(target_os = "linux")]

mod answers;
mod faults;
mod hostile;
mod load;
mod process;
mod programs;
mod smoltcp_dns;
mod smoltcp_sockets;
mod support;
mod tcp;
mod udp;
mod vm;
