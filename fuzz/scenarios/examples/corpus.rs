//! Writes the seeds of all targets into `fuzz/seeds`: `cargo run -p brooklet-fuzz --example corpus`.

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../seeds");
    for target in brooklet_fuzz::TARGETS {
        let folder = seeds.join(target.seeds);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in brooklet_fuzz::corpus(target.seeds) {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
