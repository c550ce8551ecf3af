//! What the compiler says about a device, a timer or a filter of the wrong type: one error, which
//! says what is missing.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest message that a reader takes in, in lines.
const MOST_LINES: usize = 40;

/// A program with `body` in an async function. With `async-io` and `sync` it compiles against this
/// package's library.
fn program(body: &str) -> String {
    format!(
        "#![allow(unused)]\nuse brooklet::{{AsyncIoTimer, Builder, Parts, QueueParts}};\n\
         async fn run() -> std::io::Result<()> {{\n{body}\n    Ok(())\n}}\nfn main() {{}}\n"
    )
}

/// Compiles a program against `library`, and returns what the compiler says, if it fails.
fn compile(library: &Path, name: &str, body: &str) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = folder.join(format!("{name}.rs"));
    fs::write(&source, program(body)).unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args([
            "--edition=2024",
            "--emit=metadata",
            "--color=never",
            "--crate-type=bin",
        ])
        .arg("--out-dir")
        .arg(folder)
        .arg("-L")
        .arg(format!(
            "dependency={}",
            library.parent().unwrap().display()
        ))
        .arg("--extern")
        .arg(format!("brooklet={}", library.display()))
        .arg(&source)
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The library with which the tests are built: the newest against which a right program compiles.
/// Others may be there, of other features or an earlier state.
fn library() -> PathBuf {
    let folder = std::env::current_exe().unwrap();
    let files = fs::read_dir(folder.parent().unwrap()).unwrap();
    let mut found: Vec<_> = files
        .filter_map(|file| {
            let path = file.ok()?.path();
            let name = path.file_name()?.to_str()?;
            let is_library = name.starts_with("libbrooklet-") && name.ends_with(".rlib");
            let modified = fs::metadata(&path).ok()?.modified().ok()?;
            is_library.then_some((modified, path))
        })
        .collect();
    found.sort();
    let right = "    let Parts { driver, .. } = Builder::new().build(brooklet::pipe(1).0)?;\n    \
                 driver.await?;";
    let mut errors = String::new();
    while let Some((_, path)) = found.pop() {
        match compile(&path, "right", right) {
            Ok(()) => return path,
            Err(error) => errors.push_str(&error),
        }
    }
    panic!("a right program does not compile: {errors}");
}

#[test]
fn a_wrong_type_is_one_short_error() {
    let library = library();
    for (name, body, message) in [
        (
            "wrong_device",
            "    let Parts { driver, .. } = Builder::new().build(5u32)?;\n    driver.await?;",
            "`u32` is not a device that moves IP packets",
        ),
        (
            "wrong_device_with_timer",
            "    let Parts { driver, .. } =\n        \
             Builder::new().build_with_timer(5u32, AsyncIoTimer::new())?;\n    driver.await?;",
            "`u32` is not a device that moves IP packets",
        ),
        (
            "wrong_queues",
            "    let QueueParts { drivers, .. } = Builder::new().build_queues([5u32])?;\n    \
             for driver in drivers {\n        driver.await?;\n    }",
            "`u32` is not a device that moves IP packets",
        ),
        (
            "wrong_timer",
            "    let (device, _) = brooklet::pipe(1);\n    let Parts { driver, .. } = \
             Builder::new().build_with_timer(device, 5u32)?;\n    driver.await?;",
            "`u32` is not a timer for a driver",
        ),
        (
            "wrong_filter",
            "    let builder = Builder::new().filter(5u32);",
            "`u32` is not a packet filter",
        ),
    ] {
        let text = compile(&library, name, body).expect_err("it does not compile");
        let errors = text.lines().filter(|line| line.starts_with("error["));
        assert_eq!(errors.count(), 1, "{name}:\n{text}");
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{name}: {lines} lines:\n{text}");
        assert!(text.contains(message), "{name}:\n{text}");
    }
}
