//! The packets of a scenario, one a line, for whoever looks into a seed that fails.

use brooklet::Packet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static ON: AtomicBool = AtomicBool::new(false);

/// Has every scenario print its packets from now on.
pub fn trace() {
    ON.store(true, Ordering::Relaxed);
}

/// Prints a packet, which comes from `from`.
pub(crate) fn packet(time: Duration, from: &str, bytes: &[u8]) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    let Ok(packet) = Packet::parse(bytes) else {
        println!("{time:?} {from}: {} bytes, malformed", bytes.len());
        return;
    };
    let (key, len) = (packet.key(), packet.payload().len());
    let sound = if packet.verify_checksum() {
        ""
    } else {
        ", damaged"
    };
    match packet.tcp() {
        Some(tcp) => println!(
            "{time:?} {from}: {key} {} seq={} ack={} win={} len={len}{sound}",
            tcp.flags, tcp.seq, tcp.ack, tcp.window
        ),
        None => println!(
            "{time:?} {from}: {key} {} len={len}{sound}",
            packet.protocol()
        ),
    }
}
