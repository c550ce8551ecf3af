//! ICMP messages for sockets.

mod echo;
mod outstanding;
mod socket;

pub use echo::{EchoReply, EchoRequest};
pub use socket::{IcmpMessage, IcmpSocket};

use crate::ledger::Ledger;
use crate::{
    config::IcmpSocketConfig,
    queue::{Bounds, Queue},
};
use brooklet_cell::{Flavor, Shared};
use brooklet_packet::icmp::IcmpError;
use std::time::Duration;

pub(crate) use echo::EchoPacket;
pub(crate) use outstanding::Outstanding;

/// A message in the queue of a socket.
pub(crate) enum Message {
    Request(EchoPacket),
    Reply(EchoPacket, Duration),
    Error(IcmpError),
}

/// The state of a socket, which its clones share.
pub(crate) struct IcmpEntry<F: Flavor> {
    pub(crate) queue: Shared<F, Queue<Message>>,
    pub(crate) outstanding: Shared<F, Outstanding>,
}

impl<F: Flavor> IcmpEntry<F> {
    pub(crate) fn new(config: IcmpSocketConfig, ledger: &Ledger) -> Self {
        let bounds = Bounds {
            packets: config.inbound_packets,
            bytes: config.inbound_bytes,
        };
        Self {
            queue: Shared::new(Queue::new(bounds, ledger)),
            outstanding: Shared::new(Outstanding::new(config.outstanding, config.reply_timeout)),
        }
    }
}

impl<F: Flavor> Clone for IcmpEntry<F> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            outstanding: self.outstanding.clone(),
        }
    }
}
