//! The `unix_datagram` example as the router of a virtual machine of QEMU.

use crate::support::example;
use brooklet_testbed::{LIMIT, Missing, Process, program, require, wait_until};
use std::path::PathBuf;
use std::process::Command;

/// The folder with the kernel and the RAM disk that `examples/tests/vm-image` makes: `target/vm`, or
/// that of the variable `BROOKLET_VM`.
fn image() -> Result<PathBuf, Missing> {
    // Beside the profile's folder, which has the examples.
    let target = || {
        example("unix_datagram")
            .ancestors()
            .nth(3)
            .map(|t| t.join("vm"))
    };
    let folder = std::env::var_os("BROOKLET_VM")
        .map(PathBuf::from)
        .or_else(target);
    folder
        .filter(|folder| folder.join("kernel").is_file() && folder.join("initrd").is_file())
        .ok_or_else(|| Missing("no virtual machine: run examples/tests/vm-image".into()))
}

/// Paths for the two sockets, which are removed with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("brooklet-vm-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for sockets");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_virtual_machine_reaches_every_address_through_the_stack() {
    let Some(qemu) = require(program("qemu-system-x86_64")) else {
        return;
    };
    let Some(image) = require(image()) else {
        return;
    };
    let folder = Folder::new();
    let (vm, net) = (folder.0.join("vm"), folder.0.join("net"));
    let netdev = format!(
        "dgram,id=net0,local.type=unix,local.path={},remote.type=unix,remote.path={}",
        vm.display(),
        net.display(),
    );
    // Without KVM, which few machines of CI have.
    let machine = Process::start(
        Command::new(qemu)
            .args([
                "-accel",
                "tcg",
                "-m",
                "256",
                "-no-reboot",
                "-display",
                "none",
            ])
            .args(["-monitor", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(image.join("kernel"))
            .arg("-initrd")
            .arg(image.join("initrd"))
            .args(["-append", "console=ttyS0 quiet panic=-1"])
            .args([
                "-device",
                "virtio-net-pci,netdev=net0,romfile=",
                "-netdev",
                &netdev,
            ]),
    );
    assert!(wait_until(LIMIT, || vm.exists()), "QEMU makes no socket");
    let stack = Process::start(
        Command::new(example("unix_datagram"))
            .args(["--ethernet", "--listen"])
            .arg(net)
            .arg("--peer")
            .arg(vm),
    );
    let ended = machine.finish(4 * LIMIT);
    for line in [
        "vm: 10.0.2.2 answers",
        "vm: 10.0.2.2 echoes",
        "vm: 192.0.2.80 echoes",
        "vm: 10.0.2.77 echoes",
        "vm: configured by the router",
        "vm: 2001:db8::80 answers",
        "vm: 2001:db8::80 echoes",
    ] {
        let printed = ended.out.lines().any(|printed| printed.trim_end() == line);
        assert!(printed, "no line {line:?} in {ended:?}");
    }
    drop(stack);
}
