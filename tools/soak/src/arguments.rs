//! The command line.

use lexopt::prelude::*;
use std::time::Duration;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments {
    /// How long the traffic goes on.
    pub(crate) length: Duration,
    /// Whether a part of the traffic crosses a real TUN device.
    pub(crate) tun: bool,
    /// Where the random choices begin.
    pub(crate) seed: u64,
}

impl Arguments {
    /// Reads the arguments of the process.
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut arguments = Self {
            length: Duration::from_secs(180 * 60),
            tun: false,
            seed: 1,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("minutes") => {
                    let minutes: f64 = parser.value()?.parse()?;
                    let length = Duration::try_from_secs_f64(minutes * 60.0);
                    arguments.length = length.map_err(|_| "--minutes takes a number of minutes")?;
                }
                Long("tun") => arguments.tun = true,
                Long("seed") => arguments.seed = parser.value()?.parse()?,
                other => return Err(other.unexpected()),
            }
        }
        Ok(arguments)
    }
}
