use std::io;

/// Returns whether the error says that this process or the system is out of files or memory.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    #[cfg(unix)]
    let numbers = {
        use rustix::io::Errno;
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].map(Errno::raw_os_error)
    };
    #[cfg(not(unix))]
    let numbers = [10_024, 10_055]; // WSAEMFILE, WSAENOBUFS
    let by_number = error.raw_os_error().is_some_and(|n| numbers.contains(&n));
    by_number || error.kind() == io::ErrorKind::OutOfMemory
}
