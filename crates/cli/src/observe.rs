//! What shows the stack while it runs: `--top`, `--stats=SECONDS`, `--log`, `--metrics`, `--capture` and SIGUSR1.

use crate::args::Observe;
use crate::capture::CaptureFile;
use crate::flow_log;
use crate::metrics;
use crate::output;
use crate::top::{self, Screen, Source};
#[cfg(unix)]
use async_signal::{Signal, Signals};
#[cfg(unix)]
use futures_lite::StreamExt;
use futures_lite::future;
use std::io::{self, IsTerminal};
use std::time::Duration;

/// Everything that shows the stack, opened before the stack starts: a flag that cannot be satisfied ends the
/// program early.
#[derive(Debug)]
pub(crate) struct Observers {
    interval: Option<Duration>,
    screen: Option<Screen>,
    metrics: Option<metrics::Server>,
    capture: Option<CaptureFile>,
    capture_paused: bool,
    #[cfg(unix)]
    signals: Signals,
}

impl Observers {
    /// Opens what the flags ask for. `shared` says that another program prints to the same terminal.
    ///
    /// # Errors
    ///
    /// One line that names the flag and what to do.
    pub(crate) fn open(flags: &Observe, shared: bool) -> io::Result<Self> {
        let prints = flags.log || flags.interval().is_some();
        let screen = flags.top.then(|| screen(shared, prints)).transpose()?;
        flow_log::print(flags.log);
        Ok(Self {
            interval: flags.interval(),
            screen,
            metrics: flags.metrics.map(metrics::Server::bind).transpose()?,
            capture: flags
                .capture
                .as_deref()
                .map(CaptureFile::create)
                .transpose()?,
            capture_paused: flags.capture_paused,
            #[cfg(unix)]
            signals: Signals::new([Signal::Usr1, Signal::Usr2])?,
        })
    }

    /// Shows the stack until the future is dropped. SIGUSR1 prints `counters`. A capture begins now, and its file
    /// is whole after the drop.
    pub(crate) fn watch<T>(
        self,
        source: Source,
        counters: impl Fn() -> String,
    ) -> impl Future<Output = T> {
        let Self {
            interval,
            screen,
            metrics,
            capture,
            capture_paused,
            #[cfg(unix)]
            mut signals,
        } = self;
        let capture = capture.map(|file| file.record(&source, capture_paused));
        async move {
            let view = async {
                if let Some(screen) = screen
                    && let Err(error) = top::show(&source, screen).await
                {
                    output::eprint(format_args!(
                        "{}: the view has ended: {error}\n",
                        source.title
                    ));
                }
            };
            let log = async {
                if let Some(interval) = interval {
                    top::log(&source, interval).await;
                }
            };
            let metrics = async {
                if let Some(server) = metrics {
                    if let Ok(address) = server.local_addr() {
                        let title = &source.title;
                        output::eprint(format_args!(
                            "{title}: metrics at http://{address}/metrics\n"
                        ));
                    }
                    let (stack, relay) = (source.stack.clone(), source.relay.clone());
                    let text =
                        move || brooklet_relay::metrics::encode(&stack.stats(), &relay.stats());
                    server.serve(text).await;
                }
            };
            #[cfg(unix)]
            let signalled = async {
                while let Some(Ok(signal)) = signals.next().await {
                    match (signal, &capture) {
                        (Signal::Usr2, Some(capture)) => capture.toggle(),
                        (Signal::Usr2, None) => output::eprint(format_args!(
                            "{}: no capture to begin: start with --capture FILE --capture-paused\n",
                            source.title
                        )),
                        _ => output::eprint(counters()),
                    }
                }
            };
            #[cfg(not(unix))]
            let signalled = async {
                let _ = (&counters, &capture);
            };
            future::zip(future::zip(view, log), future::zip(metrics, signalled)).await;
            future::pending().await
        }
    }
}

/// Opens the terminal for the view, unless another program or this one prints to it.
fn screen(shared: bool, prints: bool) -> io::Result<Screen> {
    if prints && io::stderr().is_terminal() {
        return Err(io::Error::other(
            "--top needs the terminal for itself: leave out --log and --stats=SECONDS, or send \
             their lines elsewhere (`2>FILE`)",
        ));
    }
    if shared && (io::stdout().is_terminal() || io::stderr().is_terminal()) {
        return Err(io::Error::other(
            "--top needs the terminal for itself: send the output of COMMAND elsewhere \
             (`>FILE 2>&1`), or use --stats=1",
        ));
    }
    Screen::open().map_err(|error| {
        let text = format!("--top needs a terminal (--stats=1 prints lines instead): {error}");
        io::Error::new(error.kind(), text)
    })
}
