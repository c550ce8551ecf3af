//! Linux: `/dev/net/tun`.

use super::TunBuilder;
use super::link::{self, Link};
use crate::file::FileIo;
use crate::framing::Framing;
use crate::tun::Tun;
use crate::vnet;
use brooklet_io::Offload;
use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use tun_rs::{DeviceBuilder, SyncDevice};

pub(super) fn open(wanted: &TunBuilder) -> io::Result<Vec<Tun>> {
    let name = wanted.name.as_str();
    if let Some(fault) = name_fault(name) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("cannot open TUN `{name}`: {fault}"),
        ));
    }
    // tun-rs would make the node, which is not what somebody asks for who opens a device.
    if !std::fs::exists("/dev/net/tun").unwrap_or(true) {
        return Err(explain(wanted, &Errno::ENOENT.into()));
    }
    let present = Interface::find(name)?;
    let plan = Plan::new(wanted, link::find(name))?;
    let (device, note) = plan.carry_out(|offload| {
        let mut builder = DeviceBuilder::new()
            .name(name)
            .inherit_enable_state()
            .multi_queue(plan.multi_queue)
            .offload(offload);
        if let Some((address, prefix)) = wanted.ipv4
            && !present.has(address.into())
        {
            builder = builder.ipv4(address, prefix, None);
        }
        builder.build_sync()
    });
    let device = device.map_err(|error| explain(wanted, &error))?;
    configure(wanted, &device, &present)?;

    let uso = device.udp_gso();
    let framing = match device.tcp_gso() {
        false => Framing::Plain,
        true => Framing::VirtioNet {
            header_len: vnet::HEADER,
            offload: Offload::new().checksum(true).tso4(true).tso6(true).uso(uso),
        },
    };
    if let Some(note) = note {
        log::warn!("TUN `{name}` goes without segmentation offload: {note}");
    } else if framing != Framing::Plain && !uso {
        log::info!("TUN `{name}` goes without segmentation offload of UDP: it takes Linux 6.2");
    }

    // Asked for now: later calls might come from a thread in another network namespace.
    let (name, mtu) = (device.name()?, device.mtu()?);
    let adopt = |queue: &SyncDevice| -> io::Result<Tun> {
        // tun-rs keeps no more than the descriptor.
        let io = FileIo::new(queue.as_fd().try_clone_to_owned()?, framing)?;
        Ok(Tun::new(io, Some(name.clone()), Some(mtu)))
    };
    let mut tuns = vec![adopt(&device)?];
    for _ in 1..wanted.queues {
        let queue = device
            .try_clone()
            .map_err(|error| explain(wanted, &error))?;
        tuns.push(adopt(&queue)?);
    }
    Ok(tuns)
}

/// How to attach to what is there, or to make it.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    multi_queue: bool,
    offload: bool,
    note: Option<&'static str>,
}

impl Plan {
    fn new(wanted: &TunBuilder, present: Option<Link>) -> io::Result<Self> {
        // A device says at each attachment whether there are virtio-net headers, and for good
        // whether there are several queues. Those who attach while others are keep to the headers
        // that these have.
        let shared = present.filter(|link| link.multi_queue && link.queues > 0);
        let plan = Self {
            multi_queue: wanted.queues > 1 || present.is_some_and(|link| link.multi_queue),
            offload: shared.map_or(wanted.offload, |link| link.vnet_hdr),
            note: None,
        };
        match (wanted.offload, plan.offload) {
            (true, false) => Ok(Self {
                note: Some("other queues of it are open without"),
                ..plan
            }),
            (false, true) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!(
                    "cannot open TUN `{}`: other queues of it are open with segmentation offload: \
                     open this one with offload as well, or close those",
                    wanted.name
                ),
            )),
            _ => Ok(plan),
        }
    }

    /// Opens with offload, and without if that is what the kernel objects to. Says why it is
    /// without though it was wanted.
    fn carry_out<T>(
        &self,
        open: impl Fn(bool) -> io::Result<T>,
    ) -> (io::Result<T>, Option<&'static str>) {
        let first = open(self.offload);
        match first {
            Err(error) if self.offload && may_be_about_offload(&error) => {
                (open(false), Some("the kernel has none for TUN devices"))
            }
            first => (first, self.note),
        }
    }
}

fn may_be_about_offload(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(
        code,
        Some(Errno::EINVAL | Errno::EOPNOTSUPP | Errno::ENOTTY | Errno::ENOSYS)
    )
}

/// Gives the interface what it does not have yet.
fn configure(wanted: &TunBuilder, device: &SyncDevice, present: &Interface) -> io::Result<()> {
    let failed = |what: &str, error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("cannot {what} of TUN `{}`: {error}", wanted.name),
        )
    };
    if let Some(mtu) = wanted.mtu
        && device.mtu().ok() != Some(mtu)
    {
        device
            .set_mtu(mtu)
            .map_err(|e| failed(&format!("set the MTU ({mtu} bytes)"), e))?;
    }
    if let Some((address, prefix)) = wanted.ipv6
        && !present.has(address.into())
    {
        device
            .add_address_v6(address, prefix)
            .map_err(|e| failed(&format!("set the address ({address}/{prefix})"), e))?;
    }
    if !present.up {
        device
            .enabled(true)
            .map_err(|e| failed("change the state (up)", e))?;
    }
    Ok(())
}

/// What an interface of this name has before it is opened.
#[derive(Default)]
struct Interface {
    up: bool,
    addresses: Vec<IpAddr>,
}

impl Interface {
    fn find(name: &str) -> io::Result<Self> {
        let mut found = Self::default();
        for entry in getifaddrs()?.filter(|entry| entry.interface_name == name) {
            found.up |= entry.flags.contains(InterfaceFlags::IFF_UP);
            found.addresses.extend(address(&entry));
        }
        Ok(found)
    }

    fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }
}

fn address(entry: &InterfaceAddress) -> Option<IpAddr> {
    let address = entry.address.as_ref()?;
    let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

/// What the kernel (`dev_valid_name`) would say no to.
fn name_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("the name is empty: give one, such as tun0")
    } else if name.len() > 15 {
        Some("the name is too long: use at most 15 bytes")
    } else if name == "." || name == ".." || name.contains(['/', ':', '\0']) {
        Some("the name is not one of an interface: use letters and digits")
    } else if name.contains(char::is_whitespace) {
        Some("the name has white space: use letters and digits")
    } else {
        None
    }
}

/// One line for the error of opening, with what to do about it.
fn explain(wanted: &TunBuilder, error: &io::Error) -> io::Error {
    let name = wanted.name.as_str();
    let help = match error
        .raw_os_error()
        .map_or(Errno::UnknownErrno, Errno::from_raw)
    {
        Errno::ENOENT => {
            "/dev/net/tun is missing: run `modprobe tun`, or `mkdir -p /dev/net && mknod \
             /dev/net/tun c 10 200`; give a container --device=/dev/net/tun"
        }
        Errno::ENODEV | Errno::ENXIO => {
            "the kernel has no TUN driver: run `modprobe tun`, on the host if this is a \
             container"
        }
        Errno::EACCES => {
            "no permission to open /dev/net/tun: run as root, or `chmod 666 /dev/net/tun` \
             (making a device takes CAP_NET_ADMIN all the same)"
        }
        Errno::EPERM => {
            "not permitted: run as root or with CAP_NET_ADMIN (`setcap cap_net_admin+ep \
             PROGRAM`; a container: --cap-add=NET_ADMIN --device=/dev/net/tun), or attach to \
             a persistent device of your own (`ip tuntap add NAME mode tun user YOU`)"
        }
        Errno::EBUSY => {
            "the device is in use by another process: stop that one or choose another name"
        }
        Errno::EINVAL if wanted.queues > 1 => {
            "an interface of this name exists that is not a TUN with several queues: make it with \
             `ip tuntap add NAME mode tun multi_queue`, open one queue, or choose another name"
        }
        Errno::E2BIG => "the device has no more queues: open fewer (Linux has 256 of each device)",
        Errno::EINVAL => {
            "an interface of this name exists that is not a plain TUN: choose another name"
        }
        _ => {
            return io::Error::new(error.kind(), format!("cannot open TUN `{name}`: {error}"));
        }
    };
    io::Error::new(error.kind(), format!("cannot open TUN `{name}`: {help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_kernel() {
        for good in ["t", "tun0", "exactly-fifteen", "tün"] {
            assert_eq!(name_fault(good), None, "{good}");
        }
        for bad in [
            "",
            "sixteen-bytes-xx",
            "a b",
            "a/b",
            "a:b",
            ".",
            "..",
            "a\0",
            "a\n",
        ] {
            assert!(name_fault(bad).is_some(), "{bad:?}");
        }
        let error = TunBuilder::new("sixteen-bytes-xx").open().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("at most 15 bytes"), "{error}");
    }

    #[test]
    fn errors_say_in_one_line_what_to_do() {
        for (code, queues, word) in [
            (Errno::ENOENT, 1, "modprobe tun"),
            (Errno::ENODEV, 1, "modprobe tun"),
            (Errno::EACCES, 1, "/dev/net/tun"),
            (Errno::EPERM, 1, "CAP_NET_ADMIN"),
            (Errno::EBUSY, 1, "another name"),
            (Errno::EINVAL, 1, "another name"),
            (Errno::EINVAL, 2, "multi_queue"),
            (Errno::E2BIG, 2, "open fewer"),
            (Errno::EMFILE, 1, "open files"),
        ] {
            let system = io::Error::from(code);
            let error = explain(&TunBuilder::new("tun3").queues(queues), &system);
            let text = error.to_string();
            assert_eq!(error.kind(), system.kind());
            assert!(text.contains("tun3") && text.contains(word), "{text}");
            assert!(!text.contains('\n') && !text.contains("  "), "{text}");
        }
    }

    const OTHERS: Link = Link {
        multi_queue: true,
        vnet_hdr: true,
        queues: 1,
    };

    fn plan(offload: bool, queues: usize, present: Option<Link>) -> io::Result<Plan> {
        let wanted = TunBuilder::new("tun3").offload(offload).queues(queues);
        Plan::new(&wanted, present)
    }

    #[test]
    fn a_device_is_attached_to_as_it_was_made() {
        let plain = Link {
            multi_queue: false,
            queues: 0,
            ..OTHERS
        };
        let idle = Link {
            queues: 0,
            ..OTHERS
        };
        for (present, queues, wanted) in [
            (None, 1, false),
            (None, 2, true),
            (Some(plain), 1, false),
            (Some(idle), 1, true),
            (Some(idle), 2, true),
        ] {
            for offload in [false, true] {
                let wanted = Plan {
                    multi_queue: wanted,
                    offload,
                    note: None,
                };
                let got = plan(offload, queues, present).unwrap();
                assert_eq!(got, wanted, "{queues} of {present:?}");
            }
        }
    }

    #[test]
    fn who_comes_later_keeps_to_what_the_others_have() {
        let without = Link {
            vnet_hdr: false,
            ..OTHERS
        };
        assert!(plan(true, 1, Some(OTHERS)).unwrap().offload);
        assert!(!plan(false, 1, Some(without)).unwrap().offload);
        let plain = plan(true, 1, Some(without)).unwrap();
        assert!(!plain.offload && plain.note.is_some_and(|note| note.contains("other queues")));
        let error = plan(false, 1, Some(OTHERS)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(error.to_string().contains("with offload"), "{error}");
    }

    #[test]
    fn a_kernel_without_offload_is_asked_again_without() {
        let plan = plan(true, 1, None).unwrap();
        let without = |offload| match offload {
            true => Err(Errno::EINVAL.into()),
            false => Ok(()),
        };
        let (opened, note) = plan.carry_out(without);
        opened.unwrap();
        assert!(note.unwrap().contains("kernel"));
        let (opened, note) = plan.carry_out(|_| Ok(()));
        opened.unwrap();
        assert_eq!(note, None);

        let calls = std::cell::Cell::new(0);
        let (opened, _) = plan.carry_out(|_| {
            calls.set(calls.get() + 1);
            io::Result::<()>::Err(Errno::EPERM.into())
        });
        assert_eq!(
            opened.unwrap_err().raw_os_error(),
            Some(Errno::EPERM as i32)
        );
        assert_eq!(calls.get(), 1, "offload is not what it lacks");
    }
}
