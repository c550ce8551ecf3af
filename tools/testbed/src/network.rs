//! Hosts behind a router: network namespaces with virtual Ethernet links between them.

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::thread;

/// This namespace, a router, and a far host behind the router.
///
/// ```text
/// this namespace            router                              far
/// 198.51.100.1/24 --------- 198.51.100.254  203.0.113.254 ----- 203.0.113.1/24
/// 2001:db8:1::1/64          2001:db8:1::fe  2001:db8:2::fe      2001:db8:2::1/64
/// ```
#[derive(Debug)]
pub struct Network {
    /// Gone without a handle.
    _router: Namespace,
    far: Namespace,
}

/// Both addresses of a host.
pub type Addresses = [IpAddr; 2];

impl Network {
    /// The router, on the near side.
    pub const ROUTER: Addresses = [
        IpAddr::V4(Ipv4Addr::new(198, 51, 100, 254)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0xfe)),
    ];
    /// The far host.
    pub const FAR: Addresses = [
        IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1)),
    ];
    /// An address of the far network that nobody has.
    pub const NOBODY: Addresses = [
        IpAddr::V4(Ipv4Addr::new(203, 0, 113, 99)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 0x99)),
    ];

    /// Makes the network around the namespace of this thread. The link to the far host has the MTU
    /// `far_mtu`.
    pub fn new(far_mtu: u16) -> Self {
        let (router, far) = (Namespace::new(), Namespace::new());
        let here = Namespace::of_this_thread();
        let (path, far_path) = (router.path(), far.path());
        here.ip(&format!(
            "link add near0 type veth peer name near1 netns {path}
             address add 198.51.100.1/24 dev near0
             address add 2001:db8:1::1/64 dev near0 nodad
             link set near0 up"
        ));
        router.ip(&format!(
            "link set lo up
             address add 198.51.100.254/24 dev near1
             address add 2001:db8:1::fe/64 dev near1 nodad
             link set near1 up
             link add far1 mtu {far_mtu} type veth peer name far0 mtu {far_mtu} netns {far_path}
             address add 203.0.113.254/24 dev far1
             address add 2001:db8:2::fe/64 dev far1 nodad
             link set far1 up"
        ));
        far.ip("link set lo up
             address add 203.0.113.1/24 dev far0
             address add 2001:db8:2::1/64 dev far0 nodad
             link set far0 up
             route add default via 203.0.113.254
             -6 route add default via 2001:db8:2::fe");
        here.ip("route add default via 198.51.100.254
             -6 route add default via 2001:db8:1::fe");
        router.set("net/ipv4/ip_forward", "1");
        router.set("net/ipv6/conf/all/forwarding", "1");
        for namespace in [&router, &far] {
            // No test waits for a token, or misses an error for want of one.
            namespace.set("net/ipv4/icmp_ratelimit", "0");
            namespace.set("net/ipv6/icmp/ratelimit", "0");
        }
        Self {
            _router: router,
            far,
        }
    }

    /// Returns the namespace of the far host.
    pub fn far(&self) -> &Namespace {
        &self.far
    }
}

/// A network namespace that is gone with the last of its threads, processes and handles.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// Makes a namespace.
    #[expect(clippy::new_without_default, reason = "it takes root and may fail")]
    pub fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace, as root");
            Self::of_this_thread()
        });
        made.join().expect("a namespace")
    }

    /// Returns the namespace of this thread.
    pub fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/ns/net").expect("/proc"))
    }

    /// As `ip` understands it.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs `work` in this namespace, on a thread of its own; so are the processes that it starts.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("the namespace");
                work()
            });
            inside.join().expect("a thread that has not panicked")
        })
    }

    /// Runs `ip` with these commands, one a line.
    pub fn ip(&self, commands: &str) -> String {
        self.run(|| super::ip(commands))
    }

    /// Sets a value of the kernel, by its path in `/proc/sys`.
    pub fn set(&self, path: &str, value: &str) {
        self.run(|| {
            let set = fs::write(format!("/proc/sys/{path}"), value);
            set.unwrap_or_else(|why| panic!("{path}: {why}"));
        });
    }
}
