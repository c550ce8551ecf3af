//! A stack in a process of 15 or 50 MiB under attack: `examples/memory_profile.rs` with a light load.

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    brooklet_examples::shared::memory_profile::test()
}

#[cfg(not(unix))]
fn main() {}
