//! Writes the seeds of all targets into `fuzz/seeds`: `cargo run -p brooklet-fuzz --example corpus`.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    let stateless = brooklet_fuzz::TARGETS.iter().map(|target| target.seeds);
    let stateful = brooklet_fuzz::Scenario::ALL
        .iter()
        .map(|scenario| scenario.name);
    for name in stateless.chain(stateful) {
        let folder = seeds.join(name);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in brooklet_fuzz::corpus(name) {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
