//! Messages of ARP and neighbor discovery: the answers, the questions and the announcements.

use super::Link;
use crate::arp::Arp;
use crate::frame::Frame;
use crate::ndisc::{ALL_NODES, Ends, Message, Ndisc, solicited_node};
use crate::neighbors::Evidence;
use crate::{DropReason, MacAddr};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The time between two defences of an address (`DEFEND_INTERVAL` of RFC 5227, 1.1).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// The time between two router advertisements without a question: a third of `MaxRtrAdvInterval`
/// of RFC 4861, 6.2.1, and between two answers (`MIN_DELAY_BETWEEN_RAS`).
const ADVERTISEMENT_INTERVAL: Duration = Duration::from_secs(200);
const MIN_ADVERTISEMENT_INTERVAL: Duration = Duration::from_secs(3);

/// The capacity in which the adapter answers for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Owner,
    Proxy,
}

impl Link {
    /// Announces the addresses of the adapter, once: RFC 5227, 2.3, and RFC 4861, 7.2.6.
    pub(crate) fn start(&mut self, now: Instant) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let own: Vec<_> = self.config.addresses.iter().map(|own| own.ip).collect();
        for ip in own {
            self.announce(ip);
        }
        if self.config.advertised_prefix.is_some() {
            self.advertise(now);
        }
    }

    pub(super) fn handle_arp(
        &mut self,
        now: Instant,
        frame: &Frame,
        payload: &[u8],
    ) -> Result<(), DropReason> {
        let arp = Arp::parse(payload).ok_or(DropReason::Malformed)?;
        let ((sender, mac), (target, _)) = (arp.sender, arp.target);
        // RFC 5227, 2.1.1: a probe tells nothing of its sender, and asks for the sender's own
        // address. Only the owner of the address answers.
        let probe = sender.is_unspecified();
        if !probe && self.is_own(sender.into()) {
            return Err(self.defend(now, sender.into(), mac));
        }
        let role = match arp.request {
            true => self.role(sender.into(), target.into(), mac, probe),
            false => None,
        };
        if !probe {
            let evidence = match role {
                Some(_) => Evidence::Request,
                None => Evidence::Overheard,
            };
            self.learn(now, sender.into(), mac, evidence);
        }
        if role.is_none() {
            // A reply has done its work.
            return match arp.request {
                true => Err(DropReason::Unanswered),
                false => Ok(()),
            };
        }
        let reply = Arp {
            request: false,
            sender: (target, self.config.mac),
            target: (sender, mac),
        };
        self.send_control(reply.frame(frame.source));
        Ok(())
    }

    pub(super) fn handle_ndisc(
        &mut self,
        now: Instant,
        frame: &Frame,
        packet: &[u8],
    ) -> Result<(), DropReason> {
        let ndisc = Ndisc::parse(packet).ok_or(DropReason::Malformed)?;
        let probe = ndisc.source.is_unspecified();
        let mac = ndisc.mac.unwrap_or(frame.source);
        if !probe && self.is_own(ndisc.source.into()) {
            return Err(self.defend(now, ndisc.source.into(), mac));
        }
        match ndisc.message {
            Message::NeighborSolicitation { target } => {
                let role = self.role(ndisc.source.into(), target.into(), mac, probe);
                if let Some(mac) = ndisc.mac {
                    let evidence = match role {
                        Some(_) => Evidence::Request,
                        None => Evidence::Overheard,
                    };
                    self.learn(now, ndisc.source.into(), mac, evidence);
                }
                let role = role.ok_or(DropReason::Unanswered)?;
                // RFC 4861, 7.2.4: everybody hears the answer to a host without an address.
                let (to_mac, destination) = match probe {
                    true => (MacAddr::of_group(ALL_NODES.into()), ALL_NODES),
                    false => (mac, ndisc.source),
                };
                // RFC 4861, 7.2.8: the owner of an address overrides its proxy.
                let ends = self.ends(to_mac, target, destination);
                self.send_control(ends.advertisement(target, !probe, role == Role::Owner));
                Ok(())
            }
            Message::NeighborAdvertisement {
                target, overrides, ..
            } => {
                if self.is_own(target.into()) {
                    return Err(self.defend(now, target.into(), mac));
                }
                let known = self.neighbors.mac(target.into());
                if ndisc.mac.is_none() && known != Some(frame.source) {
                    return Err(DropReason::Unanswered); // RFC 4861, 7.2.5
                }
                let evidence = match overrides {
                    true => Evidence::Overheard,
                    false => Evidence::Weak,
                };
                self.learn(now, target.into(), mac, evidence);
                Ok(())
            }
            Message::RouterSolicitation if self.config.advertised_prefix.is_some() => {
                if let Some(mac) = ndisc.mac {
                    self.learn(now, ndisc.source.into(), mac, Evidence::Request);
                }
                let soonest = self.advertised.map(|at| at + MIN_ADVERTISEMENT_INTERVAL);
                match soonest {
                    Some(at) if at > now => self.advertise_at = Some(at),
                    _ => self.advertise(now),
                }
                Ok(())
            }
            Message::RouterSolicitation | Message::FromRouter => Err(DropReason::Unanswered),
        }
    }

    /// Returns the role in which the adapter answers a host that asks for `target`, if any.
    fn role(&self, sender: IpAddr, target: IpAddr, mac: MacAddr, probe: bool) -> Option<Role> {
        if self.is_own(target) {
            return Some(Role::Owner);
        }
        // A probe, and an announcement, are about the host's own address. A known neighbor answers
        // itself.
        let other = self.neighbors.mac(target).is_none_or(|known| known == mac);
        let foreign = !brooklet_packet::is_martian(target, target) && target != sender;
        let directed = matches!(target, IpAddr::V4(ip) if self.config.is_broadcast(ip));
        let usable = brooklet_packet::is_unicast(target) && !directed;
        (self.config.proxy && !probe && foreign && usable && other).then_some(Role::Proxy)
    }

    /// Asks for the MAC address of a neighbor: the neighbor at `mac`, or everybody. `source` is
    /// that of the packet that waits.
    pub(super) fn ask(&mut self, ip: IpAddr, mac: Option<MacAddr>, source: IpAddr) {
        let frame = match ip {
            IpAddr::V4(target) => {
                let request = Arp {
                    request: true,
                    sender: (self.arp_sender(target, source), self.config.mac),
                    target: (target, MacAddr::new([0; 6])),
                };
                request.frame(mac.unwrap_or(MacAddr::BROADCAST))
            }
            IpAddr::V6(target) => {
                let group = solicited_node(target);
                let (to_mac, to) = match mac {
                    Some(mac) => (mac, target),
                    None => (MacAddr::of_group(group.into()), group),
                };
                self.ends(to_mac, self.link_local, to).solicitation(target)
            }
        };
        self.send_control(frame);
    }

    /// Returns the address from which to ask for `target`: that of the adapter in the same network,
    /// else any of the adapter, else that of the packet, for which the adapter is a proxy.
    fn arp_sender(&self, target: Ipv4Addr, source: IpAddr) -> Ipv4Addr {
        let own = || {
            let addresses = self.config.addresses.iter();
            addresses.filter_map(|own| match own.ip {
                IpAddr::V4(ip) => Some((ip, own)),
                IpAddr::V6(_) => None,
            })
        };
        let near = own().find(|(_, own)| own.contains(target));
        match near.or_else(|| own().next()) {
            Some((ip, _)) => ip,
            None => match source {
                IpAddr::V4(source) if self.config.proxy => source,
                _ => Ipv4Addr::UNSPECIFIED,
            },
        }
    }

    /// Counts a claim on an address of the adapter, and repeats the adapter's own claim at most
    /// every 10 s (RFC 5227, 2.4).
    fn defend(&mut self, now: Instant, ip: IpAddr, mac: MacAddr) -> DropReason {
        let quiet = self
            .defended
            .is_none_or(|at| now.saturating_duration_since(at) >= DEFEND_INTERVAL);
        if mac != self.config.mac && quiet {
            self.defended = Some(now);
            self.announce(ip);
        }
        DropReason::Conflict
    }

    /// Tells everybody the MAC address of an address of the adapter.
    fn announce(&mut self, ip: IpAddr) {
        let frame = match ip {
            IpAddr::V4(ip) => {
                let announcement = Arp {
                    request: true,
                    sender: (ip, self.config.mac),
                    target: (ip, MacAddr::new([0; 6])),
                };
                announcement.frame(MacAddr::BROADCAST)
            }
            IpAddr::V6(ip) => {
                let everybody = MacAddr::of_group(ALL_NODES.into());
                self.ends(everybody, ip, ALL_NODES)
                    .advertisement(ip, false, true)
            }
        };
        self.send_control(frame);
    }

    /// Sends a router advertisement, and sets the time of the next one.
    pub(super) fn advertise(&mut self, now: Instant) {
        let Some(prefix) = self.config.advertised_prefix else {
            return;
        };
        let everybody = MacAddr::of_group(ALL_NODES.into());
        let ends = self.ends(everybody, self.link_local, ALL_NODES);
        let frame = ends.router_advertisement(prefix, self.mtu);
        self.send_control(frame);
        self.advertised = Some(now);
        self.advertise_at = Some(now + ADVERTISEMENT_INTERVAL);
    }

    fn ends(&self, to_mac: MacAddr, source: Ipv6Addr, destination: Ipv6Addr) -> Ends {
        Ends {
            mac: self.config.mac,
            to_mac,
            source,
            destination,
        }
    }
}
