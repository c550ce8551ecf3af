//! The inputs in `fuzz/seeds`.

use brooklet_fuzz::corpus;
use std::path::Path;
use std::{fs, io};

/// Reads the inputs of a folder of `fuzz/seeds`: those that the library makes, and each that has shown a fault.
///
/// # Panics
///
/// An input of the library is missing, or differs.
pub(crate) fn in_the_tree(folder: &str) -> io::Result<Vec<Vec<u8>>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../seeds")
        .join(folder);
    for (name, bytes) in corpus(folder) {
        let same = fs::read(path.join(&name)).is_ok_and(|found| found == bytes);
        assert!(same, "{name}: cargo run -p brooklet-fuzz --example corpus");
    }
    fs::read_dir(path)?
        .map(|entry| fs::read(entry?.path()))
        .collect()
}
