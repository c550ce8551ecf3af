use brooklet::filter::{Direction, Filter, Ruleset, UnicastOnly, Verdict};
use brooklet::{Packet, SharedFilter};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The rules of a file, which can be read again while the stack runs. Clones share the rules.
#[derive(Clone, Debug)]
pub struct Rules {
    file: Option<PathBuf>,
    shared: SharedFilter<Arc<Ruleset>>,
    current: Arc<std::sync::Mutex<Arc<Ruleset>>>,
}

impl Rules {
    /// Reads the rules of a file; without a file, every packet passes.
    ///
    /// # Errors
    ///
    /// One line: the file cannot be read, or the line and column of the first fault in it.
    pub fn read(file: Option<PathBuf>) -> io::Result<Self> {
        let rules = match &file {
            Some(file) => parse(file)?,
            None => Arc::new(Ruleset::new(Verdict::Pass, [])),
        };
        Ok(Self {
            file,
            shared: SharedFilter::new(rules.clone()),
            current: Arc::new(rules.into()),
        })
    }

    /// Reads the file again. Every packet has its verdict from the old rules or from the new ones.
    /// Rules that are in both keep their counters.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read). The old rules stay.
    pub fn reload(&self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let rules = parse(file)?;
        let old = self.shared.replace(rules.clone());
        rules.add_counters_of(&old);
        *self.lock() = rules;
        Ok(())
    }

    /// Returns whether the rules are those of a file.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Ruleset>> {
        let current = self.current.lock();
        current.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn parse(file: &PathBuf) -> io::Result<Arc<Ruleset>> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    text.parse().map(Arc::new).map_err(|error| {
        let text = format!("{}: {error}", file.display());
        io::Error::new(io::ErrorKind::InvalidData, text)
    })
}

/// A packet to many hosts, which the stack has no use for, passes only with a verdict that is not
/// `pass`.
impl Filter for Rules {
    fn verdict(&self, packet: &Packet<'_>, direction: Direction) -> Verdict {
        match self.shared.verdict(packet, direction) {
            Verdict::Pass => UnicastOnly.verdict(packet, direction),
            verdict => verdict,
        }
    }
}

/// Each rule of the file with its counters; nothing without a file.
impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = self.lock().clone();
        for (rule, counters) in rules.rules().iter().zip(rules.counters()) {
            let (packets, bytes) = (counters.packets, counters.bytes);
            writeln!(f, "{rule}: {packets} packets, {bytes} bytes")?;
        }
        Ok(())
    }
}
