//! What the stack and the relay log: warnings always, and with `--log` a line at the start and at the end of
//! each flow.

use crate::output;
use log::{LevelFilter, Log, Metadata, Record};

/// Prints what is logged to standard error.
struct Printer;

impl Log for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        target.starts_with("brooklet::") || target.starts_with("brooklet_relay")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            output::eprint(format_args!("brooklet: {}\n", record.args()));
        }
    }

    fn flush(&self) {}
}

/// Prints the warnings from now on, and the flows of this process too if `flows` is set.
pub(crate) fn print(flows: bool) {
    // An error says that this was done before.
    let _ = log::set_logger(&Printer);
    log::set_max_level(match flows {
        true => LevelFilter::Debug, // the level of the events
        false => LevelFilter::Warn,
    });
}
