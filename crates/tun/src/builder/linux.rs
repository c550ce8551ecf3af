//! Linux: `/dev/net/tun`, and rtnetlink for the interface.

use super::settings::Settings;
use crate::file::{ETHERNET_HEADER, FileIo};
use crate::framing::Framing;
use crate::tun::Tun;
use crate::vnet;
use brooklet_io::Offload;
use interface::Interface;
use netns::in_namespace;
use plan::Plan;
use std::io;
use std::os::fd::AsFd;
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

mod explain;
mod interface;
mod netlink;
mod netns;
mod owner;
mod plan;

pub(super) fn open(wanted: &Settings) -> io::Result<Vec<Tun>> {
    if let Some(fault) = explain::name_fault(&wanted.name) {
        return Err(wanted.unfit(fault));
    }
    match &wanted.netns {
        None => open_here(wanted),
        Some(namespace) => in_namespace(wanted, namespace, || open_here(wanted))?,
    }
}

/// Opens the device in the network namespace of the calling thread.
fn open_here(wanted: &Settings) -> io::Result<Vec<Tun>> {
    let name = wanted.name.as_str();
    // tun-rs would make the node, which is more than opening a device should do.
    if !std::fs::exists("/dev/net/tun").unwrap_or(true) {
        return Err(explain::opening(wanted, &io::ErrorKind::NotFound.into()));
    }
    let mut interface = Interface::find(name)?;
    let plan = Plan::new(wanted, interface.attached())?;
    let (device, note) = plan.carry_out(|offload| {
        DeviceBuilder::new()
            .name(name)
            .inherit_enable_state()
            .layer(if wanted.tap { Layer::L2 } else { Layer::L3 })
            .packet_information(wanted.packet_info)
            .multi_queue(plan.multi_queue)
            .offload(offload)
            .build_sync()
    });
    let device = device.map_err(|error| explain::opening(wanted, &error))?;

    let uso = device.udp_gso();
    let framing = match device.tcp_gso() {
        false if wanted.packet_info => Framing::PacketInfo,
        false => Framing::Plain,
        true => Framing::VirtioNet {
            header_len: vnet::HEADER,
            offload: Offload::new().checksum(true).tso4(true).tso6(true).uso(uso),
        },
    };
    if let Some(note) = note {
        log::warn!("TUN `{name}` goes without segmentation offload: {note}");
    } else if device.tcp_gso() && !uso {
        log::info!("TUN `{name}` goes without segmentation offload of UDP: it takes Linux 6.2");
    }

    interface.configure(wanted, device.if_index()?)?;
    // The device keeps its name and MTU of now: a later call might come from a thread in another
    // network namespace.
    let (name, mut mtu) = (device.name()?, device.mtu()?);
    if wanted.tap {
        mtu = mtu.saturating_add(ETHERNET_HEADER as u16);
    }
    let adopt = |queue: &SyncDevice| -> io::Result<Tun> {
        // tun-rs keeps no more than the descriptor.
        let mut io = FileIo::new(queue.as_fd().try_clone_to_owned()?, framing)?;
        if wanted.tap {
            io = io.with_frames();
        }
        Ok(Tun::new(io, Some(name.clone()), Some(mtu)))
    };
    let mut tuns = vec![adopt(&device)?];
    for _ in 1..wanted.queues {
        let queue = device
            .try_clone()
            .map_err(|error| explain::opening(wanted, &error))?;
        tuns.push(adopt(&queue)?);
    }
    if wanted.owner.is_some() || wanted.group.is_some() {
        owner::set(device.as_fd(), wanted.owner, wanted.group)
            .map_err(|error| explain::owner(wanted, &error))?;
    }
    // Last, so that an interface which could not be set up does not stay.
    if wanted.persist {
        device
            .persist()
            .map_err(|error| explain::setting(wanted, "persistence", &error))?;
    }
    Ok(tuns)
}
