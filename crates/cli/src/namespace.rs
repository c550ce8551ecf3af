//! A network namespace whose whole network is one TUN device.

use crate::netlink::{self, Table};
use crate::output;
use brooklet_tun::{Tun, TunBuilder};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// The TUN device of a namespace.
pub(crate) const DEVICE: &str = "tun0";

/// The addresses of the programs inside.
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const INSIDE6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2);

/// The gateway of the programs inside.
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The gateway for IPv6.
pub(crate) const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);

/// The MTU of Ethernet, in bytes.
const LINK_MTU: u16 = 1500;

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Puts the process into a user namespace in which the calling user is root.
///
/// # Errors
///
/// If the system does not allow user namespaces, or the process has more than one thread.
pub(crate) fn become_root() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(io::Error::from)
        // Without this, the kernel accepts no gid_map from an unprivileged user (CVE-2014-8989).
        .and_then(|()| fs::write("/proc/self/setgroups", "deny"))
        .and_then(|()| fs::write("/proc/self/uid_map", format!("0 {uid} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("0 {gid} 1")))
        .map_err(|error| {
            let help = "no user namespaces for users here: run as root, or allow them \
                        (user.max_user_namespaces, kernel.unprivileged_userns_clone, \
                        kernel.apparmor_restrict_unprivileged_userns)";
            io::Error::new(error.kind(), format!("{help}: {error}"))
        })
}

/// The network of a namespace: one TUN device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network {
    /// The MTU of the device in bytes. With less than 1,280, the kernel speaks no IPv6 on the device.
    pub(crate) mtu: u16,
    /// Whether the device has segmentation offload.
    pub(crate) offload: bool,
    /// Whether the namespace has an IPv6 address, if the kernel has IPv6.
    pub(crate) ipv6: bool,
}

/// The device of a namespace, and the addresses of the programs inside.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) tun: Tun,
    pub(crate) addresses: Vec<IpAddr>,
}

/// Moves the calling thread into a network namespace of its own, and sets up its network. The gateway
/// is its name server.
///
/// Processes that the thread starts are inside, too. The other threads stay outside.
///
/// # Errors
///
/// One line that names the missing right or device.
pub(crate) fn enter(network: Network) -> io::Result<Inside> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).map_err(|error| {
        let help = match error {
            Errno::EPERM => "run as root; a container takes --cap-add=SYS_ADMIN",
            Errno::ENOSPC => "raise user.max_net_namespaces and user.max_mnt_namespaces",
            _ => "the kernel has none",
        };
        failed(&format!("no network namespace: {help}"), error.into())
    })?;
    let inside = set_up(network)?;
    replace_resolv_conf().map_err(|error| failed("cannot replace /etc/resolv.conf", error))?;
    Ok(inside)
}

/// Makes a TUN device in the calling thread's network namespace and routes everything to it.
///
/// # Errors
///
/// One line that names the missing right or device.
pub(crate) fn set_up(network: Network) -> io::Result<Inside> {
    netlink::set_up("lo").map_err(|error| {
        failed(
            "cannot bring lo up: it takes root with CAP_NET_ADMIN",
            error,
        )
    })?;
    let mut builder = TunBuilder::new(DEVICE)
        .mtu(network.mtu)
        .ipv4(INSIDE, 24)
        .offload(network.offload);
    // A system without IPv6 has no ::1 either.
    let ipv6 = network.ipv6 && UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if ipv6 {
        builder = builder.ipv6(INSIDE6, 64);
    }
    let tun = builder.open()?;
    let gateways = [
        Some(IpAddr::V4(GATEWAY)),
        ipv6.then_some(IpAddr::V6(GATEWAY6)),
    ];
    for gateway in gateways.into_iter().flatten() {
        let result = route_to(gateway, network.mtu);
        result.map_err(|error| {
            let help = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    "the namespace has a default route already: remove it (`ip route del default`)"
                }
                _ => "it takes root with CAP_NET_ADMIN",
            };
            failed(&format!("cannot route to {gateway}: {help}"), error)
        })?;
    }
    let mut addresses = vec![IpAddr::V4(INSIDE)];
    if ipv6 {
        wait_for_inside6();
        addresses.push(IpAddr::V6(INSIDE6));
    }
    Ok(Inside { tun, addresses })
}

/// Routes everything to `gateway`: TCP with the MTU of the device, and the rest with that of the host's
/// links.
///
/// The host ends every TCP connection, and so the links of the host do not limit the segments of the
/// programs inside. Datagrams pass through. With the MTU of the device, the kernel would send them in one
/// piece and with "don't fragment", and the first one of a destination would be too long for the host.
fn route_to(gateway: IpAddr, mtu: u16) -> io::Result<()> {
    let mut others = None;
    if mtu > LINK_MTU {
        let tcp = netlink::use_tcp_table(gateway)
            .and_then(|()| netlink::add_default_route(DEVICE, gateway, Table::Tcp, None));
        // Without it, the programs inside learn the path MTU by ICMP.
        others = tcp.is_ok().then_some(LINK_MTU);
    }
    netlink::add_default_route(DEVICE, gateway, Table::Main, others)
}

/// Waits until the IPv6 address is usable, a moment after it was set. A connection that begins
/// earlier has `::1` as its source and gets no answer.
fn wait_for_inside6() {
    let end = Instant::now() + Duration::from_secs(3);
    while UdpSocket::bind((INSIDE6, 0)).is_err() && Instant::now() < end {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Returns the first name server in the calling thread's `/etc/resolv.conf`.
pub(crate) fn name_server() -> IpAddr {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    first_server(&text).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn first_server(text: &str) -> Option<IpAddr> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok())?
    })
}

/// Returns the file with the gateway as the only name server.
fn with_gateway(text: &str) -> String {
    let kept = text
        .lines()
        .filter(|line| line.split_whitespace().next() != Some("nameserver"));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    format!("nameserver {GATEWAY}\n{kept}")
}

/// Mounts a new file over `/etc/resolv.conf`, in the calling thread's mount namespace.
fn replace_resolv_conf() -> io::Result<()> {
    let none = None::<&str>;
    // Without this, the mount is visible outside, too.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    if !Path::new(RESOLV_CONF).exists() {
        output::eprint(format_args!(
            "brooklet run: names will not resolve: there is no {RESOLV_CONF} to put a server into\n"
        ));
        return Ok(());
    }
    let text = with_gateway(&fs::read_to_string(RESOLV_CONF).unwrap_or_default());
    let name = format!("brooklet-resolv-{}.conf", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)?;
    // The command may change its user, and every user reads the file.
    let written = file
        .set_permissions(Permissions::from_mode(0o644))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| {
            Ok(mount(
                Some(&path),
                RESOLV_CONF,
                none,
                MsFlags::MS_BIND,
                none,
            )?)
        });
    // The mount keeps the file without its name.
    fs::remove_file(&path)?;
    written
}

fn failed(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_server_that_is_an_address_counts() {
        let text = "# nameserver 9.9.9.9\nsearch test\n nameserver fe80::1%eth0\n\
                    nameserver\t2001:db8::1 \nnameserver 192.0.2.1\n";
        assert_eq!(first_server(text), Some("2001:db8::1".parse().unwrap()));
        assert_eq!(first_server("nameserver\nnameservers 1.1.1.1\n"), None);
    }

    #[test]
    fn the_rest_of_resolv_conf_is_kept() {
        let text = "search a.test\nnameserver 192.0.2.1\noptions ndots:2";
        assert_eq!(
            with_gateway(text),
            "nameserver 10.77.0.1\nsearch a.test\noptions ndots:2\n"
        );
    }
}
