use super::{Fields, Report};
use std::net::IpAddr;

/// What arrives at a [`PingSocket`](super::PingSocket).
#[derive(Debug)]
pub enum PingArrival {
    /// An echo reply.
    Reply {
        /// The host that answered.
        from: IpAddr,
        /// The sequence number of the request.
        sequence: u16,
        /// The data.
        payload: Vec<u8>,
        /// The fields of the IP header.
        fields: Fields,
    },
    /// An error about an echo request that this socket sent.
    Report {
        /// The sequence number of the request.
        sequence: u16,
        /// What happened.
        report: Report,
    },
}
