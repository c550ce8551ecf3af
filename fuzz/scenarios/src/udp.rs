//! The UDP engine, its sockets and sessions: datagrams, ICMP errors, calls and time in any order.

mod datagrams;
mod handles;
mod scenario;

use crate::targets::named;
use scenario::Scenario;

/// What came of a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpTally {
    /// Datagrams that a handle has read.
    pub read: u64,
    /// Datagrams that left in a packet.
    pub sent: u64,
    /// Sessions opened.
    pub sessions: u64,
    /// ICMP errors about a datagram of a socket or session.
    pub icmp_errors: u64,
    /// Datagrams dropped for want of room.
    pub dropped: u64,
}

/// Reads `data` as settings and then as steps: arrivals, calls of the application, time.
///
/// # Panics
///
/// When a datagram comes to the wrong handle, twice, changed, or out of order; when a packet is sent
/// that the application did not ask for, with a wrong checksum, or longer than its path allows; when a
/// queue holds more than its limit; when a task that waits for a datagram or for a packet is not
/// woken; when a counter is wrong; and when anything is left at the end.
pub fn udp(data: &[u8]) -> UdpTally {
    let mut scenario = Scenario::new(data);
    while scenario.step() {}
    scenario.finish()
}

pub(crate) fn corpus() -> Vec<(String, Vec<u8>)> {
    let settings = |bytes: [u8; 8]| bytes.to_vec();
    let steps = |settings: Vec<u8>, steps: &[&[u8]]| [settings, steps.concat()].concat();
    let plain = settings([0, 255, 255, 255, 255, 0, 0, 0]);
    named([
        // An arrival: addresses, length, not a batch; then a read of every handle.
        (
            "question-and-answer",
            steps(
                plain.clone(),
                &[
                    &[0, 0x11, 10, 0],
                    &[80, 0],
                    &[110, 0, 0x11, 10, 0, 0],
                    &[150],
                ],
            ),
        ),
        (
            "a-bound-socket",
            steps(
                plain.clone(),
                &[
                    &[170, 0x11, 0],
                    &[0, 0x11, 10, 0],
                    &[80, 0],
                    &[110, 60, 0x11, 10, 0, 0],
                    &[150],
                ],
            ),
        ),
        (
            "sessions",
            steps(
                settings([1, 255, 255, 255, 255, 0, 2, 2]),
                &[
                    &[190, 0],
                    &[0, 0x11, 10, 0],
                    &[200],
                    &[80, 0],
                    &[110, 255, 0, 0, 0],
                    &[240, 255],
                ],
            ),
        ),
        (
            "full-queues",
            steps(
                settings([2, 0, 0, 0, 0, 1, 0, 0]),
                &[&[0, 0x21, 200, 255][..]; 24],
            ),
        ),
        (
            "an-icmp-error",
            steps(
                plain,
                &[
                    &[110, 0, 0x11, 10, 0, 0],
                    &[150],
                    &[220, 0, 3, 0, 0],
                    &[80, 0],
                ],
            ),
        ),
    ])
}
