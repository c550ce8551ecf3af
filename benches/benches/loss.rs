//! What loss and distance cost a transfer between two stacks, in virtual time.
//!
//! ```text
//! cargo bench -p brooklet-benches --bench loss
//! cargo bench -p brooklet-benches --bench loss -- --bless
//! ```
//!
//! The first prints the tables, the second writes them into `benches/LOSS.md`, where a test
//! compares them.

use brooklet_benches::loss::{Part, Report, simulated};
use brooklet_tcp::Congestion;

fn main() -> std::io::Result<()> {
    let tables = simulated(Report::ALL, &[Congestion::Cubic, Congestion::None]);
    print!("{tables}");
    if std::env::args().any(|arg| arg == "--bless") {
        Part::Simulated.replace(&tables)?;
    }
    if tables.contains("BROKEN") {
        return Err(std::io::Error::other("a connection broke: see above"));
    }
    Ok(())
}
