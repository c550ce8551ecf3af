//! What is to be done.

mod beside;
mod bulk;
mod connect;
pub(crate) mod echo;
mod flows;
mod idle;
mod udp;

use crate::arena::SERVER;
use crate::contender::Contender;
use crate::server::Process;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// In this order in the report.
pub(crate) const ALL: &[&dyn Work] = &[
    &bulk::UP_1,
    &bulk::DOWN_1,
    &bulk::UP_4,
    &bulk::DOWN_4,
    &bulk::UP_200,
    &bulk::DOWN_200,
    &echo::ONE,
    &echo::MANY,
    &connect::FOUR,
    &udp::SMALL,
    &udp::LARGE,
    &beside::Beside,
    &idle::Idle,
];

/// Those that are done through a relay, in the order of its report.
pub(crate) const RELAYED: &[&dyn Work] = &[
    &bulk::UP_1,
    &bulk::DOWN_1,
    &bulk::UP_4,
    &bulk::DOWN_4,
    &echo::ONE,
    &echo::MANY,
    &connect::ONE,
    &connect::SIXTEEN,
    &udp::SMALL,
    &udp::LARGE,
];

/// Something that a client does with a server, and what is measured of it.
pub(crate) trait Work: Sync {
    /// By this it is asked for.
    fn key(&self) -> &'static str;

    fn title(&self) -> &'static str;

    /// The figures, the one that counts most first.
    fn columns(&self) -> &'static [Column];

    /// Why this contender does not take part, if it does not.
    fn leaves_out(&self, _contender: &Contender) -> Option<String> {
        None
    }

    /// Whether client and server wait for each other so much that the cores would fall asleep.
    fn takes_turns(&self) -> bool {
        false
    }

    /// It takes so long that it is not done in more rounds than this.
    fn most_rounds(&self) -> usize {
        usize::MAX
    }

    /// Measures for so long, with the server at [`SERVER`], in the namespace of this thread.
    /// There are as many figures as columns.
    fn run(&self, span: Duration, server: &Process) -> io::Result<Vec<f64>>;
}

/// A figure of a work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// Whether contenders are compared by it.
    pub(crate) compared: bool,
}

impl Column {
    const fn compared(name: &'static str) -> Self {
        Self {
            name,
            compared: true,
        }
    }

    const fn shown(name: &'static str) -> Self {
        Self {
            name,
            compared: false,
        }
    }
}

pub(crate) const MBIT: Column = Column::compared("Mbit/s");
pub(crate) const PER_SECOND: Column = Column::compared("per second");
pub(crate) const CPU_GIB: Column = Column::compared("CPU, s/GiB");
pub(crate) const CPU_1000: Column = Column::compared("CPU, s per 1,000");
pub(crate) const P50: Column = Column::shown("p50, µs");
pub(crate) const P99: Column = Column::shown("p99, µs");
pub(crate) const EVENNESS: Column = Column::shown("slowest ÷ fastest flow");
pub(crate) const LOST: Column = Column::shown("lost, %");
pub(crate) const UP_KEPT: Column = Column::shown("up ÷ up alone");
pub(crate) const DOWN_KEPT: Column = Column::shown("down ÷ down alone");
pub(crate) const OPEN: Column = Column::shown("open");
pub(crate) const EACH: Column = Column::shown("bytes resident, each");
pub(crate) const WAKES: Column = Column::shown("wake-ups in 10 s");
/// The last figure of every work.
pub(crate) const PEAK: Column = Column::shown("memory, MiB");

/// After so long without a connection or a byte a run has failed.
pub(crate) const STALL: Duration = Duration::from_secs(5);
/// The same, as `epoll` takes it.
const STALL_MS: u16 = STALL.as_millis() as u16;

fn connect(port: u16) -> io::Result<TcpStream> {
    connect_within((SERVER, port).into(), STALL)
}

/// A connection on which neither the opening nor any call takes longer than this.
pub(crate) fn connect_within(to: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One of the server's addresses. A client of one address soon has every port in use, and comes
/// with the addresses and ports of a connection that the server still has in TIME-WAIT: what
/// becomes of that is a question of its own.
pub(crate) fn server_address(number: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(SERVER.to_bits() + (number % 200) as u32)
}

/// The time, in microseconds, within which so many of a hundred are.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted
        .get(rank - 1)
        .map_or(f64::NAN, |t| t.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let times: Vec<_> = (1..=200).map(Duration::from_micros).collect();
        let near = |percent, expected: f64| {
            let found = percentile(&times, percent);
            assert!((found - expected).abs() < 1e-6, "{percent} %: {found}");
        };
        near(50, 100.0);
        near(99, 198.0);
        near(100, 200.0);
        assert!(percentile(&[], 50).is_nan());
    }

    #[test]
    fn a_key_is_one_work_and_one_word() {
        for all in [ALL, RELAYED] {
            let keys: HashSet<_> = all.iter().map(|work| work.key()).collect();
            assert_eq!(keys.len(), all.len());
        }
        let keys: HashSet<_> = ALL.iter().chain(RELAYED).map(|w| w.key()).collect();
        assert!(keys.iter().all(|key| !key.contains([',', ' '])));
    }
}
