//! Writes the seeds into folders, for a fuzzer to start from:
//! `cargo run --example corpus corpus/parse corpus/differential corpus/ruleset`. The last folder gets
//! rules, by its name; the others get packets.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    for folder in env::args_os().skip(1).map(PathBuf::from) {
        fs::create_dir_all(&folder)?;
        let seeds = if folder.ends_with("ruleset") {
            brooklet_fuzz::RULES
                .map(|rules| rules.as_bytes().to_vec())
                .to_vec()
        } else {
            brooklet_fuzz::seeds()
        };
        for (index, seed) in seeds.into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{index:02}")), seed)?;
        }
    }
    Ok(())
}
