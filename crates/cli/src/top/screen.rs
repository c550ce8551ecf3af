//! The terminal while the view is on it.

use super::view::{Line, Size};
use std::io;

/// The top left corner.
const HOME: &str = "\x1b[H";
/// Clears to the end of the line, or of the screen.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";
/// Begins and ends a line that stands out.
const INVERSE: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[m";

/// Returns what the terminal needs to show exactly these lines.
fn frame(lines: &[Line]) -> String {
    let mut text = HOME.to_owned();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            text.push_str("\r\n");
        }
        let (begin, end) = if line.heading {
            (INVERSE, PLAIN)
        } else {
            ("", "")
        };
        text.extend([begin, &line.text, end, CLEAR_LINE]);
    }
    text.push_str(CLEAR_REST);
    text
}

#[cfg(unix)]
mod unix {
    use super::*;
    use brooklet_reactor::Async;
    use futures_lite::AsyncWriteExt;
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    /// The other screen of the terminal, without a cursor.
    const ENTER: &str = "\x1b[?1049h\x1b[?25l";
    /// The screen with what was on it before, and the cursor.
    const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

    /// The terminal of this process.
    #[derive(Debug)]
    pub(crate) struct Screen {
        terminal: Async<File>,
        entered: bool,
    }

    impl Screen {
        /// Opens the terminal, and leaves it as it is until the first frame.
        ///
        /// # Errors
        ///
        /// The process has no terminal.
        pub(crate) fn open() -> io::Result<Self> {
            // This file has flags of its own: standard output stays as it is.
            let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
            let terminal = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(nonblocking)
                .open("/dev/tty")?;
            rustix::termios::tcgetwinsize(&terminal)?;
            Ok(Self {
                terminal: Async::new(terminal)?,
                entered: false,
            })
        }

        /// Returns the size of the terminal now.
        pub(crate) fn size(&self) -> io::Result<Size> {
            let size = rustix::termios::tcgetwinsize(self.terminal.get_ref())?;
            // A terminal that does not know its size has the classic one.
            let or = |given: u16, usual: usize| match given {
                0 => usual,
                given => given.into(),
            };
            Ok(Size {
                columns: or(size.ws_col, 80),
                rows: or(size.ws_row, 24),
            })
        }

        /// Shows the lines in place of those before. Waits for a terminal that is stopped, and the stack
        /// goes on meanwhile.
        pub(crate) async fn show(&mut self, lines: &[Line]) -> io::Result<()> {
            if !self.entered {
                self.entered = true;
                self.terminal.write_all(ENTER.as_bytes()).await?;
            }
            self.terminal.write_all(frame(lines).as_bytes()).await
        }
    }

    /// The terminal has again what was on it before the first frame.
    impl Drop for Screen {
        fn drop(&mut self) {
            if self.entered {
                // A terminal that is gone has no need of it, and the program does not wait for one that is
                // stopped.
                let _ = self.terminal.get_ref().write_all(LEAVE.as_bytes());
            }
        }
    }
}

#[cfg(unix)]
pub(crate) use unix::Screen;

/// No terminal, on systems where there is no `/dev/tty`.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Screen;

#[cfg(not(unix))]
impl Screen {
    pub(crate) fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn size(&self) -> io::Result<Size> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) async fn show(&mut self, lines: &[Line]) -> io::Result<()> {
        let _ = frame(lines);
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_leaves_nothing_of_the_one_before() {
        let line = |text: &str, heading| Line {
            text: text.to_owned(),
            heading,
        };
        let frame = frame(&[line("title", true), line("flow", false)]);
        let expected = "\x1b[H\x1b[7mtitle\x1b[m\x1b[K\r\nflow\x1b[K\x1b[J";
        assert_eq!(frame, expected);
    }
}
