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
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |name| args.iter().any(|arg| arg == name);
    // As the other benches do: `cargo test --benches` measures nothing, and a part of a name is
    // for those who have it.
    let mut names = args.iter().filter(|arg| !arg.starts_with('-'));
    if !has("--bench") || !names.all(|name| "loss".contains(&name[..])) {
        return Ok(());
    }
    let tables = simulated(Report::ALL, &[Congestion::Cubic, Congestion::None]);
    print!("{tables}");
    if has("--bless") {
        Part::Simulated.replace(&tables)?;
    }
    if tables.contains("BROKEN") {
        return Err(std::io::Error::other("a connection broke: see above"));
    }
    Ok(())
}
