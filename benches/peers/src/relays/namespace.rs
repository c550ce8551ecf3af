//! Network namespaces.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::{fs, io, thread};

/// A network namespace, which lasts as long as this or anybody in it.
#[derive(Debug)]
pub(crate) struct Namespace(File);

impl Namespace {
    /// A new one, in which nobody has been.
    pub(crate) fn new() -> io::Result<Self> {
        // A thread of its own, because it does not come back.
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|why| io::Error::other(format!("no network namespace: {why}")))?;
            File::open("/proc/thread-self/ns/net").map(Self)
        });
        let made = made.join();
        made.map_err(|_| io::Error::other("a thread panicked"))?
    }

    /// That of a process.
    pub(crate) fn of_process(pid: i32) -> io::Result<Self> {
        File::open(format!("/proc/{pid}/ns/net")).map(Self)
    }

    /// Moves this thread into it, and what it starts from now on.
    pub(crate) fn enter(&self) -> io::Result<()> {
        Ok(setns(&self.0, CloneFlags::CLONE_NEWNET)?)
    }

    /// A file for programs that may not look into this process.
    pub(crate) fn bind(&self, file: PathBuf) -> io::Result<Bound> {
        File::create(&file)?;
        let bound = Bound(file);
        let none = None::<&str>;
        mount(Some(&self.path()), &bound.0, none, MsFlags::MS_BIND, none)?;
        Ok(bound)
    }

    /// By this other programs find it.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }
}

/// A file that is a namespace as long as this is there.
#[derive(Debug)]
pub(crate) struct Bound(PathBuf);

impl Bound {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Where nothing is mounted, there is only the file.
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        let _ = fs::remove_file(&self.0);
    }
}
