//! Tells the program that waits for the network.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};

/// A descriptor that the process has inherited, a pipe for example.
#[derive(Debug)]
pub(super) struct Ready {
    descriptor: i32,
    file: File,
}

impl Ready {
    /// Takes the descriptor, before the process opens files of its own.
    ///
    /// # Errors
    ///
    /// One line, if the descriptor is not open for writing.
    pub(super) fn open(descriptor: i32) -> io::Result<Self> {
        let failed = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        if descriptor < 3 {
            return Err(failed(format!(
                "--ready-fd {descriptor}: use a descriptor from 3 on, such as `--ready-fd 3 3>file`"
            )));
        }
        let path = format!("/proc/self/fd/{descriptor}");
        let file = OpenOptions::new().write(true).open(path).map_err(|error| {
            failed(format!(
                "--ready-fd {descriptor}: open it as a pipe or a file, such as `{descriptor}>file`: \
                 {error}"
            ))
        })?;
        Ok(Self { descriptor, file })
    }

    /// Writes a `1`, as slirp4netns does, and closes the descriptor.
    pub(super) fn tell(mut self) {
        // The reader may not wait any more.
        let _ = self.file.write_all(b"1");
        let _ = nix::unistd::close(self.descriptor);
    }
}
