//! A device in another network namespace.

use crate::support::*;
use brooklet_tun::TunBuilder;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::thread::gettid;
use std::fs::read_link;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread;

/// Runs `test` with the path of a second network namespace, and a function that runs what it is
/// given in there.
fn with_another(test: impl FnOnce(PathBuf, &dyn Fn(Box<dyn FnOnce() + Send>))) {
    let (send_path, path) = channel();
    let (send_work, work) = channel::<Box<dyn FnOnce() + Send>>();
    let (send_done, done) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let (pid, tid) = (std::process::id(), gettid());
            let path = format!("/proc/{pid}/task/{tid}/ns/net");
            send_path.send(PathBuf::from(path)).unwrap();
            for work in work {
                work();
                send_done.send(()).unwrap();
            }
        });
        let run = |work| {
            send_work.send(work).unwrap();
            done.recv().expect("the thread in the namespace panicked");
        };
        test(path.recv().unwrap(), &run);
        drop(send_work);
    });
}

#[test]
fn a_device_is_in_the_namespace_and_its_packets_are_here() {
    in_namespace(|| {
        with_another(|path, inside| {
            let here = || read_link("/proc/thread-self/ns/net").unwrap();
            let before = here();
            let mut tun = TunBuilder::new("tun0")
                .mtu(1400)
                .ipv4(HOST, 24)
                .ipv6(HOST6, 64)
                .route([198, 51, 100, 0], 24)
                .offload(false)
                .netns(&path)
                .open()
                .unwrap();
            assert_eq!((tun.name(), tun.mtu()), (Some("tun0"), Some(1400)));
            assert_eq!(here(), before, "the thread has moved");
            assert!(!ip("link").contains("tun0"), "the interface is here");
            inside(Box::new(|| {
                let shown = ip("addr show tun0");
                for word in ["mtu 1400", "10.77.0.2/24", "fd77::2/64", "UP"] {
                    assert!(shown.contains(word), "{word} is missing: {shown}");
                }
                assert!(ip("route show dev tun0").contains("198.51.100.0/24"));
                let socket = UdpSocket::bind((HOST, 5000)).unwrap();
                socket.send_to(b"out", (FAR, 7000)).unwrap();
            }));
            assert_eq!(datagram(&mut tun), b"out");
            drop(tun);
            inside(Box::new(|| assert!(!ip("link").contains("tun0"))));
        });
    });
}

#[test]
fn several_queues_are_in_the_namespace() {
    in_namespace(|| {
        with_another(|path, inside| {
            let queues = TunBuilder::new("tun0")
                .queues(3)
                .netns(&path)
                .open_queues()
                .unwrap();
            assert_eq!(queues.len(), 3);
            inside(Box::new(|| {
                assert!(ip("-d link show tun0").contains("multi_queue"));
            }));
        });
    });
}

/// `ip netns add` binds a namespace to a file of `/var/run/netns`, in a `/run` of the test's own.
#[test]
fn a_namespace_is_found_by_its_name() {
    in_namespace(|| {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("none"), "/run", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        ip("netns add blue");
        let tun = TunBuilder::new("tun0")
            .ipv4(HOST, 24)
            .netns("blue")
            .open()
            .unwrap();
        assert!(ip("-n blue addr show tun0").contains("10.77.0.2/24"));
        assert!(!ip("link").contains("tun0"));
        drop(tun);
    });
}

#[test]
fn a_path_that_is_no_namespace_is_refused_with_advice() {
    in_namespace(|| {
        for (namespace, kind, word) in [
            ("no-such", ErrorKind::NotFound, "/var/run/netns/no-such"),
            ("no-such", ErrorKind::NotFound, "ip netns add"),
            ("/dev/null", ErrorKind::InvalidInput, "is no network"),
        ] {
            let error = TunBuilder::new("tun0").netns(namespace).open().unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
        // An error of the device itself is that of the device.
        let own = TunBuilder::new("lo").netns("/proc/thread-self/ns/net");
        let error = own.open().unwrap_err();
        assert!(error.to_string().contains("choose another name"), "{error}");
    });
}
