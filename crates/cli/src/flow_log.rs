//! `--log`: a line at the start and at the end of each flow.

use crate::output;
use log::{LevelFilter, Log, Metadata, Record};

/// Prints the events of the stack to standard error.
struct Printer;

impl Log for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("brooklet::")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            output::eprint(format_args!("brooklet: {}\n", record.args()));
        }
    }

    fn flush(&self) {}
}

/// Prints the flows of this process from now on.
pub(crate) fn print_flows() {
    // An error says that this was done before.
    let _ = log::set_logger(&Printer);
    // The level of the events.
    log::set_max_level(LevelFilter::Debug);
}
