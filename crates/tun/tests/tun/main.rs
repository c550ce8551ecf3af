//! A real TUN, each test in a network namespace of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod descriptor;
mod device;
mod namespace;
mod offload;
mod packet_info;
mod queues;
mod settings;
mod support;
mod tap;
