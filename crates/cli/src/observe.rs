//! What shows the stack while it runs: `--top`, `--stats=SECONDS`, `--metrics` and SIGUSR1.

use crate::args::Observe;
use crate::metrics;
use crate::top::{self, Screen, Source};
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
    #[cfg(unix)]
    signals: async_signal::Signals,
}

impl Observers {
    /// Opens what the flags ask for. `shared` says that another program prints to the same terminal.
    ///
    /// # Errors
    ///
    /// One line that names the flag and what to do.
    pub(crate) fn open(flags: &Observe, shared: bool) -> io::Result<Self> {
        Ok(Self {
            interval: flags.interval(),
            screen: flags.top.then(|| screen(shared)).transpose()?,
            metrics: flags.metrics.map(metrics::Server::bind).transpose()?,
            #[cfg(unix)]
            signals: async_signal::Signals::new([async_signal::Signal::Usr1])?,
        })
    }

    /// Shows the stack until the future is dropped. SIGUSR1 prints `counters`.
    pub(crate) async fn watch<T>(self, source: Source, counters: impl Fn() -> String) -> T {
        let view = async {
            if let Some(screen) = self.screen
                && let Err(error) = top::show(&source, screen).await
            {
                eprintln!("{}: the view has ended: {error}", source.title);
            }
        };
        let log = async {
            if let Some(interval) = self.interval {
                top::log(&source, interval).await;
            }
        };
        let metrics = async {
            if let Some(server) = self.metrics {
                if let Ok(address) = server.local_addr() {
                    eprintln!("{}: metrics at http://{address}/metrics", source.title);
                }
                let (stack, relay) = (source.stack.clone(), source.relay.clone());
                let text = move || brooklet_relay::metrics::encode(&stack.stats(), &relay.stats());
                server.serve(text).await;
            }
        };
        #[cfg(unix)]
        let printed = async {
            use futures_lite::StreamExt;
            let mut signals = self.signals;
            while let Some(Ok(_)) = signals.next().await {
                eprint!("{}", counters());
            }
        };
        #[cfg(not(unix))]
        let printed = async { drop(counters) };
        future::zip(future::zip(view, log), future::zip(metrics, printed)).await;
        future::pending().await
    }
}

/// Opens the terminal for the view, unless another program prints to it.
fn screen(shared: bool) -> io::Result<Screen> {
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
