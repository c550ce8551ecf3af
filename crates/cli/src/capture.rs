//! `--capture`: the packets of the device in a file.

use crate::output;
use crate::top::Source;
use async_channel::{Receiver, Sender};
use brooklet::{Capture, CaptureConfig, Stack};
use futures_lite::future;
use futures_lite::io::AssertAsync;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

/// A file for packets, in the format pcapng.
#[derive(Debug)]
pub(crate) struct CaptureFile {
    path: PathBuf,
    file: File,
}

/// A capture that runs or is paused. Its drop ends the file with a whole packet.
#[derive(Debug)]
pub(crate) struct Recorder {
    toggles: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl CaptureFile {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = File::create(path).map_err(|error| {
            let text = format!("--capture {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Captures the packets of a stack from now on, on a thread of its own: a disk may make the thread wait.
    pub(crate) fn record(self, source: &Source, paused: bool) -> Recorder {
        // A toggle that finds one waiting is too quick for anyone.
        let (toggles, toggled) = async_channel::bounded(1);
        let (stack, title) = (source.stack.clone(), source.title.clone());
        let running = (!paused).then(|| stack.capture(CaptureConfig::new()));
        let thread = thread::spawn(move || {
            let path = self.path.display();
            let say =
                |what: &str| output::eprint(format_args!("{title}: --capture {path}: {what}\n"));
            let recorded = future::block_on(record(running, &stack, self.file, &toggled, say));
            if let Err(error) = recorded {
                say(&format!("the capture has ended: {error}"));
            }
        });
        Recorder {
            toggles,
            thread: Some(thread),
        }
    }
}

impl Recorder {
    /// Pauses the capture, or lets it go on.
    #[cfg(unix)]
    pub(crate) fn toggle(&self) {
        let _ = self.toggles.try_send(());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.toggles.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _ = thread.join();
        }
    }
}

/// Writes captures to the file until the channel closes: the one that runs, and after each pause another
/// one, which begins a new section of the file.
async fn record(
    mut running: Option<Capture>,
    stack: &Stack,
    file: File,
    toggled: &Receiver<()>,
    say: impl Fn(&str),
) -> io::Result<()> {
    let mut writer = AssertAsync::new(file);
    loop {
        let mut capture = match running.take() {
            Some(capture) => capture,
            None if toggled.recv().await.is_err() => return Ok(()),
            None => {
                let capture = stack.capture(CaptureConfig::new());
                say("goes on");
                capture
            }
        };
        let toggle = async {
            // A closed channel ends the capture as a toggle does.
            let _ = toggled.recv().await;
            Ok(())
        };
        future::or(capture.write_to(&mut writer), toggle).await?;
        capture.stop();
        capture.write_to(&mut writer).await?;
        let lost = capture.lost();
        if lost > 0 {
            say(&format!(
                "{lost} packets are missing: the disk was too slow"
            ));
        }
        if toggled.is_closed() {
            return Ok(());
        }
        say("paused");
    }
}
