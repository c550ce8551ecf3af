//! What rtnetlink (RFC 3549) says of a TUN device that is there already.
//!
//! `/sys/class/net` says it as well, but of the network namespace in which `/sys` was mounted.

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
use std::fs::File;
use std::io::{Read, Write};

/// A TUN or TAP device of the calling thread's network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// It was made for several queues.
    pub(super) multi_queue: bool,
    /// Those who are attached have virtio-net headers, or the last who was had them.
    pub(super) vnet_hdr: bool,
    /// Queues that are open, of a device for several.
    pub(super) queues: u32,
}

// linux/netlink.h, linux/rtnetlink.h, linux/if_link.h
const NLM_F_REQUEST: u16 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_TUN_VNET_HDR: u16 = 5;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
const IFLA_TUN_NUM_QUEUES: u16 = 8;

/// The length of `struct nlmsghdr`, and that of `struct ifinfomsg`.
const HEADER: usize = 16;

/// `None` when there is none, and where the kernel does not say (before Linux 4.17).
pub(super) fn find(name: &str) -> Option<Link> {
    let index = if_nametoindex(name).ok()?;
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    );
    let mut socket = File::from(socket.ok()?);

    // struct nlmsghdr: length, type, flags, sequence number, port (0 is the kernel's).
    let mut request = Vec::with_capacity(2 * HEADER);
    request.extend((2 * HEADER as u32).to_ne_bytes());
    request.extend(RTM_GETLINK.to_ne_bytes());
    request.extend(NLM_F_REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    // struct ifinfomsg: family, type, index, flags, and which flags to change.
    request.extend([0; 4]);
    request.extend(index.to_ne_bytes());
    request.extend([0; 8]);
    socket.write_all(&request).ok()?;

    let mut answer = vec![0; 32 * 1024];
    let len = socket.read(&mut answer).ok()?;
    parse(&answer[..len])
}

fn parse(message: &[u8]) -> Option<Link> {
    if message.get(4..6)? != RTM_NEWLINK.to_ne_bytes() {
        return None; // an error
    }
    let info = attribute(message.get(2 * HEADER..)?, IFLA_LINKINFO)?;
    let data = attribute(info, IFLA_INFO_DATA)?;
    let flag = |kind| Some(*attribute(data, kind)?.first()? != 0);
    let queues = attribute(data, IFLA_TUN_NUM_QUEUES).and_then(|value| value.first_chunk());
    Some(Link {
        multi_queue: flag(IFLA_TUN_MULTI_QUEUE)?,
        vnet_hdr: flag(IFLA_TUN_VNET_HDR)?,
        queues: queues.map_or(0, |value| u32::from_ne_bytes(*value)),
    })
}

/// The value of the first attribute of that kind: each is a length, a kind and the value, and
/// begins at a multiple of four.
fn attribute(mut rest: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let [l0, l1, k0, k1] = *rest.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..len)?;
        // Two bits of the kind say how the value is to be read.
        if u16::from_ne_bytes([k0, k1]) & 0x3fff == wanted {
            return Some(value);
        }
        rest = rest.get(len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute_of(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn message(info: &[u8]) -> Vec<u8> {
        let mut message = vec![0; 2 * HEADER];
        message[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        message.extend(attribute_of(3, b"tun0\0"));
        message.extend(attribute_of(IFLA_LINKINFO | 0x8000, info));
        message
    }

    #[test]
    fn a_device_is_read_and_anything_less_is_none() {
        let data = [
            attribute_of(IFLA_TUN_VNET_HDR, &[1]),
            attribute_of(IFLA_TUN_MULTI_QUEUE, &[1]),
            attribute_of(IFLA_TUN_NUM_QUEUES, &3u32.to_ne_bytes()),
        ];
        let info = [
            attribute_of(1, b"tun\0"),
            attribute_of(IFLA_INFO_DATA, &data.concat()),
        ];
        let whole = message(&info.concat());
        let link = Link {
            multi_queue: true,
            vnet_hdr: true,
            queues: 3,
        };
        assert_eq!(parse(&whole), Some(link));
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len]), None, "{len} bytes");
        }
        assert_eq!(parse(&message(&attribute_of(1, b"bridge\0"))), None);
    }

    #[test]
    fn an_interface_of_another_kind_is_none() {
        assert_eq!(find("lo"), None);
        assert_eq!(find("no such thing"), None);
    }
}
