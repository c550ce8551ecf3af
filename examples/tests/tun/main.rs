//! The `inetd`, `forward`, `run`, `smoltcp_dns` and `smoltcp_sockets` examples on a real TUN device,
//! each test in a network namespace of its own, and `unix_datagram` as the router of a virtual
//! machine.
//!
//! Those that cannot run say `skipped:` and why, and with `CI=true` they fail instead.

#![cfg(target_os = "linux")]

mod answers;
mod datagrams;
mod dns;
mod host_sockets;
mod hostile;
mod load;
mod ping;
mod process;
mod programs;
mod rules;
mod smoltcp_dns;
mod smoltcp_sockets;
mod stun;
mod support;
mod tcp;
mod through_run;
mod traceroute;
mod udp;
mod vm;
