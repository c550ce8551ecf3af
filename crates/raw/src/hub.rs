//! The state that the engines and the sockets of one stack share.

use crate::config::Config;
use crate::echo_policy::EchoPolicy;
use crate::error::SendError;
use crate::inbound::{Inbound, Limits};
use crate::interface::Interface;
use crate::outbound::Outbound;
use crate::outstanding::Outstanding;
use crate::raw_socket::{RawConfig, RawPacket};
use crate::stats::Stats;
use crate::token_bucket::TokenBucket;
use brooklet_cell::wakers::WakeList;
use brooklet_cell::{Flavor, Shared};
use brooklet_io::{Clock, StackClosed};
use brooklet_packet::icmp::{self, Echo, IcmpError, IcmpErrorKind};
use brooklet_packet::{Headers, Packet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A message in the queue of the ICMP socket. A packet is whole: an ICMP error quotes it.
#[derive(Debug)]
pub(crate) enum Message {
    Request(Vec<u8>, Headers, Echo),
    Reply(Vec<u8>, Headers, Echo),
    Error(IcmpError),
}

/// A raw socket that is bound.
#[derive(Debug)]
pub(crate) struct BoundRaw<F: Flavor> {
    pub(crate) config: RawConfig,
    pub(crate) queue: Shared<F, Inbound<RawPacket>>,
}

/// The cells are taken in this order: the outbound queue, the state, the queue of a socket.
#[derive(Debug)]
pub(crate) struct State<F: Flavor> {
    /// The queue of the ICMP socket, if there is one.
    pub(crate) icmp: Option<Shared<F, Inbound<Message>>>,
    pub(crate) raw: Vec<BoundRaw<F>>,
    pub(crate) outstanding: Outstanding,
    pub(crate) bucket: TokenBucket,
    pub(crate) stats: Stats,
    pub(crate) closed: bool,
}

impl std::fmt::Debug for EchoPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EchoPolicy")
    }
}

/// Clones share the state.
pub(crate) struct Hub<F: Flavor> {
    pub(crate) state: Shared<F, State<F>>,
    /// A cell of its own, out of which the policy is cloned before it is called.
    pub(crate) policy: Shared<F, Option<EchoPolicy>>,
    pub(crate) outbound: Shared<F, Outbound>,
    /// Whether the outbound queue has packets.
    pub(crate) has_packets: Arc<AtomicBool>,
    pub(crate) interface: Interface,
    pub(crate) config: Config,
    pub(crate) clock: Clock,
}

impl<F: Flavor> Hub<F> {
    pub(crate) fn new(interface: Interface, config: Config, clock: Clock) -> Self {
        let config = config.usable();
        let outbound = Outbound::new(config);
        let has_packets = outbound.has_packets();
        Self {
            state: Shared::new(State {
                icmp: None,
                raw: Vec::new(),
                outstanding: Outstanding::default(),
                bucket: TokenBucket::default(),
                stats: Stats::default(),
                closed: false,
            }),
            policy: Shared::new(None),
            outbound: Shared::new(outbound),
            has_packets,
            interface,
            config,
            clock,
        }
    }

    /// The limits of the queue of a socket.
    pub(crate) fn limits(&self, per_source: usize) -> Limits {
        Limits {
            items: self.config.inbound_packets,
            bytes: self.config.inbound_bytes,
            per_source,
        }
    }

    pub(crate) fn check_family(&self, to: IpAddr) -> Result<(), SendError> {
        match to.is_ipv6() && !self.interface.ipv6 {
            true => Err(SendError::NoIpv6 { to }),
            false => Ok(()),
        }
    }

    /// Sends a packet that waits for nothing.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when the outbound queue is full.
    pub(crate) fn send_now(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let (sent, driver) = self.outbound.with(|outbound| {
            let sent = outbound.send(false, write);
            let driver = matches!(sent, Ok(true)).then(|| outbound.take_driver());
            (sent, driver.flatten())
        });
        if let Some(driver) = driver {
            driver.wake();
        }
        self.state.with(|state| match sent {
            Ok(true) => {
                state.stats.packets_out += 1;
                Ok(())
            }
            Ok(false) => {
                state.stats.outbound_full += 1;
                Err(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    "the outbound queue is full",
                ))
            }
            Err(error) => Err(error),
        })
    }

    /// Sends an ICMP error about `packet`, in the name of `from` or of the packet's destination.
    pub(crate) fn send_error(
        &self,
        packet: &Packet<'_>,
        kind: IcmpErrorKind,
        from: Option<IpAddr>,
    ) -> io::Result<()> {
        let now = self.clock.now();
        self.send_now(|out| {
            let written = match from {
                Some(from) => icmp::error_from(out, from, packet, kind),
                None => icmp::error(out, packet, kind),
            };
            if !written {
                return Err(SendError::NoError.into());
            }
            // An error that may not be sent takes no token.
            self.state.with(|state| match state.bucket.take(now) {
                true => Ok(()),
                false => {
                    state.stats.errors_limited += 1;
                    Err(io::Error::new(
                        io::ErrorKind::WouldBlock,
                        "the rate limit of ICMP errors is reached",
                    ))
                }
            })
        })
    }

    /// Binds the ICMP socket, which has one handle then.
    pub(crate) fn bind_icmp(&self) -> io::Result<Shared<F, Inbound<Message>>> {
        let limits = self.limits(self.config.per_source);
        self.state.with(|state| {
            if state.closed {
                return Err(StackClosed.into());
            }
            if state.icmp.is_some() {
                return Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "the stack has an ICMP socket already; clone the socket",
                ));
            }
            let queue = Shared::new(Inbound::new(limits));
            state.icmp = Some(queue.clone());
            Ok(queue)
        })
    }

    /// Binds a raw socket, which has one handle then.
    pub(crate) fn bind_raw(&self, config: RawConfig) -> io::Result<Shared<F, Inbound<RawPacket>>> {
        let limits = self.limits(usize::MAX);
        self.state.with(|state| {
            if state.closed {
                return Err(StackClosed.into());
            }
            if state.raw.len() >= self.config.raw_sockets {
                return Err(io::Error::new(
                    io::ErrorKind::QuotaExceeded,
                    format!("the stack has {} raw sockets already", state.raw.len()),
                ));
            }
            let queue = Shared::new(Inbound::new(limits));
            state.raw.push(BoundRaw {
                config,
                queue: queue.clone(),
            });
            Ok(queue)
        })
    }

    /// Ends everything. All queues end before a task is woken: a waker that panics stops nothing.
    pub(crate) fn shutdown(&self) {
        let mut wakes = WakeList::new();
        let _packets = self.outbound.with(|outbound| outbound.end(&mut wakes));
        self.state.with(|state| {
            state.closed = true;
            if let Some(queue) = &state.icmp {
                queue.with(|queue| queue.end(&mut wakes));
            }
            for raw in &state.raw {
                raw.queue.with(|queue| queue.end(&mut wakes));
            }
        });
        wakes.wake_all();
    }
}

impl<F: Flavor> Clone for Hub<F> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            policy: self.policy.clone(),
            outbound: self.outbound.clone(),
            has_packets: self.has_packets.clone(),
            interface: self.interface,
            config: self.config,
            clock: self.clock.clone(),
        }
    }
}
