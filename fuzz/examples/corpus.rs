//! Writes the seeds into folders, for a fuzzer to start from:
//! `cargo run --example corpus corpus/parse corpus/differential`.

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    for folder in env::args_os().skip(1).map(PathBuf::from) {
        fs::create_dir_all(&folder)?;
        for (index, seed) in brooklet_fuzz::seeds().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{index:02}")), seed)?;
        }
    }
    Ok(())
}
