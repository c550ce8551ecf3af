use crate::fault::truncated;
use crate::vnet;
use brooklet_io::{Meta, Offload, PacketBuf};
use rustix::net::AddressFamily;
use std::io;

/// The header in front of each packet of a descriptor.
///
/// [`Tun::from_fd_with`](crate::Tun::from_fd_with) takes the framing of an adopted descriptor;
/// [`Tun::framing`](crate::Tun::framing) returns it for those who read the descriptor themselves.
///
/// ```
/// use brooklet_tun::{Framing, Tun};
/// use std::os::unix::net::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// let (ours, _theirs) = UnixDatagram::pair()?;
/// let tun = Tun::from_fd_with(ours.into(), Framing::FamilyHeader)?;
/// assert_eq!(tun.framing(), Framing::FamilyHeader);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Framing {
    /// One IP packet per read and per write, without a header: Linux with `IFF_NO_PI`, Android.
    #[default]
    Plain,
    /// Four bytes in front of each packet, the address family as a number in network byte order:
    /// the utun sockets of macOS and iOS, and the TUN devices of the BSDs.
    FamilyHeader,
    /// Four bytes in front of each packet, a `struct tun_pi`: flags, and the EtherType of IPv4 or
    /// IPv6 in network byte order. A TUN of Linux and Android without `IFF_NO_PI` and
    /// `IFF_VNET_HDR`.
    ///
    /// The flags tell of a packet that was longer than the buffer: the packet is dropped and
    /// [counted](crate::DropCounter::truncated).
    PacketInfo,
    /// A `struct virtio_net_hdr` in front of each packet: Linux and Android with `IFF_NO_PI` and
    /// `IFF_VNET_HDR`. Of a TAP, only the builder opens such a device: an adopted descriptor
    /// carries IP packets.
    VirtioNet {
        /// The length of the header in bytes, 10 to 64: 10, unless `TUNSETVNETHDRSZ` has set
        /// another length. Bytes after the first 10 are written as zeros and ignored when read.
        header_len: usize,
        /// The offloads that the kernel does for packets sent to it: checksum and TCP on every
        /// kernel, UDP from Linux 6.2 on. `TUNSETOFFLOAD` has set those of the packets that the
        /// kernel delivers, and each of these describes itself.
        offload: Offload,
    },
}

/// `AF_INET6` is another number on every system; `AF_INET` is 2 on all of them.
const AF_INET: u32 = AddressFamily::INET.as_raw() as u32;
const AF_INET6: u32 = AddressFamily::INET6.as_raw() as u32;

// linux/if_ether.h and linux/if_tun.h.
const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;
const TUN_PKT_STRIP: u16 = 1;

/// The longest header in front of a packet, in bytes.
pub(crate) const LONGEST: usize = 64;

impl Framing {
    /// Returns the length of the header in bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for a virtio-net header that is shorter than
    /// 10 bytes or longer than 64.
    pub(crate) fn header_len(self) -> io::Result<usize> {
        match self {
            Self::Plain => Ok(0),
            Self::FamilyHeader | Self::PacketInfo => Ok(4),
            Self::VirtioNet { header_len, .. } => {
                if (vnet::HEADER..=LONGEST).contains(&header_len) {
                    return Ok(header_len);
                }
                Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!(
                        "a virtio-net header of {header_len} bytes: use 10, or up to {LONGEST} \
                         after TUNSETVNETHDRSZ"
                    ),
                ))
            }
        }
    }

    pub(crate) fn offload(self) -> Offload {
        match self {
            Self::VirtioNet { offload, .. } => offload,
            Self::Plain | Self::FamilyHeader | Self::PacketInfo => Offload::default(),
        }
    }

    /// Returns the metadata of an IP packet that was read behind `header`.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a header that makes no sense, and for one
    /// that tells of a truncated packet.
    pub(crate) fn read_header(self, header: &[u8; LONGEST], packet: &[u8]) -> io::Result<Meta> {
        match self {
            Self::Plain | Self::FamilyHeader => Ok(Meta::default()),
            Self::PacketInfo => {
                let [flags_0, flags_1, proto_0, proto_1, ..] = *header;
                if u16::from_ne_bytes([flags_0, flags_1]) & TUN_PKT_STRIP != 0 {
                    return Err(truncated());
                }
                match u16::from_be_bytes([proto_0, proto_1]) {
                    ETH_P_IP | ETH_P_IPV6 => Ok(Meta::default()),
                    _ => Err(io::ErrorKind::InvalidData.into()),
                }
            }
            Self::VirtioNet { .. } => header
                .first_chunk()
                .and_then(|header| vnet::decode(header, packet))
                .ok_or_else(|| io::ErrorKind::InvalidData.into()),
        }
    }

    /// Writes the header for `packet`, whose IP header begins behind `link_len` bytes; the rest of
    /// `header` must be zeros.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if the header cannot tell of the packet, which
    /// is neither IPv4 nor IPv6: Linux would take the packet and drop it silently.
    pub(crate) fn write_header(
        self,
        header: &mut [u8; LONGEST],
        packet: &PacketBuf,
        link_len: usize,
    ) -> io::Result<()> {
        match self {
            Self::Plain => {}
            Self::PacketInfo => {
                let proto = match packet.first().map(|byte| byte >> 4) {
                    Some(4) => ETH_P_IP,
                    Some(6) => ETH_P_IPV6,
                    _ => return Err(io::ErrorKind::InvalidInput.into()),
                };
                header[2..4].copy_from_slice(&proto.to_be_bytes());
            }
            Self::FamilyHeader => {
                let v6 = packet.first().is_some_and(|byte| byte >> 4 == 6);
                let family = if v6 { AF_INET6 } else { AF_INET };
                header[..4].copy_from_slice(&family.to_be_bytes());
            }
            Self::VirtioNet { .. } => {
                let written = vnet::encode(packet.meta(), packet, link_len);
                header[..vnet::HEADER].copy_from_slice(&written);
            }
        }
        Ok(())
    }
}
