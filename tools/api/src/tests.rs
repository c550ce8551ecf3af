//! The rules on small crates, which a real rustdoc documents. Each rule is seen to fail.

use crate::rustdoc::{self, Docs};
use crate::walk::{Fault, findings};
use crate::{examples, snapshot};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The crates that are not ours.
const FOREIGN: [&str; 2] = ["foreign", "smoltcp"];

/// Documents crates, in order: each may use those before it. `None`, with a word of why, where the
/// compiler is not the one that this package reads. The directory has the JSON.
fn documented(crates: &[(&str, &str)]) -> Option<(Docs, Scratch)> {
    let Some(toolchain) = rustdoc::toolchain() else {
        println!("skipped: no rustc {}", rustdoc::RUSTC);
        return None;
    };
    let dir = Scratch::new();
    let mut docs = Docs::default();
    let mut known: Vec<&str> = Vec::new();
    for (name, source) in crates {
        let file = dir.0.join(format!("{name}.rs"));
        std::fs::write(&file, source).unwrap();
        let run = |program: &str, args: &[&str]| {
            let mut command = Command::new(program);
            command
                .args(&toolchain)
                .args(["--edition", "2024", "--crate-type", "lib"]);
            command
                .args(["--crate-name", name])
                .arg(&file)
                .arg("-L")
                .arg(&dir.0)
                .args(args);
            for other in &known {
                command.args(["--extern", other]);
            }
            let status = command
                .current_dir(&dir.0)
                .env("RUSTC_BOOTSTRAP", "1")
                .status()
                .unwrap();
            assert!(status.success(), "{program} {name}");
        };
        if crates.last().is_some_and(|(last, _)| last != name) {
            run("rustc", &["--emit", "metadata"]);
        }
        if !FOREIGN.contains(name) {
            run(
                "rustdoc",
                &[
                    "-Z",
                    "unstable-options",
                    "--output-format",
                    "json",
                    "--out-dir",
                    ".",
                ],
            );
            docs.read(name, dir.0.join(format!("{name}.json"))).unwrap();
        }
        known.push(name);
    }
    Some((docs, dir))
}

/// A directory that is removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("brooklet-api-{}-{next}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The faults in the API of crates, as the crate, the fault and the type. The last crate is the
/// facade.
fn faults(crates: &[(&str, &str)]) -> Option<Vec<(String, Fault, String)>> {
    let (docs, _dir) = documented(crates)?;
    let (facade, _) = crates.last().unwrap();
    let found = findings(&docs, facade);
    Some(
        found
            .into_iter()
            .map(|found| (found.krate, found.fault, found.reference))
            .collect(),
    )
}

/// Asserts that each of these pieces of a crate shows `Hidden`, which `hidden` defines, and which
/// has no public path. One crate has all of them, a module each.
#[track_caller]
fn assert_unnameable(hidden: &str, pieces: &[&str]) {
    let mut source = String::new();
    let mut expected = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        source +=
            &format!("pub mod m{i:02} {{ mod inner {{ {hidden} }} use inner::Hidden; {piece} }}\n");
        let reference = format!("part::m{i:02}::inner::Hidden");
        expected.push(("part".to_owned(), Fault::Unnameable, reference));
    }
    if let Some(found) = faults(&[("part", &source), ("facade", "")]) {
        assert_eq!(found, expected, "{source}");
    }
}

#[test]
fn a_type_without_a_public_path_is_found_wherever_it_is() {
    let pieces = [
        "pub fn make() -> Hidden { Hidden }",
        "pub fn take(_: Option<&[Hidden]>) {}",
        "pub struct Open { pub field: Hidden }",
        "pub struct Open(pub Hidden);",
        "pub enum Open { One(Hidden) }",
        "pub enum Open { One { field: Hidden } }",
        "pub struct Open; impl Open { pub fn make(&self) -> Hidden { Hidden } }",
        "pub struct Open; impl Iterator for Open {
             type Item = Hidden; fn next(&mut self) -> Option<Hidden> { None } }",
        "pub struct Open<T = Hidden>(pub T);",
        "pub trait Make { fn make(&self) -> Hidden; }",
        "pub trait Make { type Made; } impl Make for u8 { type Made = Hidden; }",
        "pub trait Make: Into<Hidden> {}",
        "pub fn take<T: Into<Hidden>>(_: T) {}",
        "pub fn take(_: impl Fn(Hidden)) {}",
        "pub fn make() -> impl Iterator<Item = Hidden> { std::iter::empty() }",
        "pub type Many = Vec<Hidden>;",
        "pub const MANY: [Hidden; 0] = [];",
    ];
    assert_unnameable("pub struct Hidden;", &pieces);
}

#[test]
fn a_trait_without_a_public_path_is_found() {
    let pieces = [
        "pub fn take<T: Hidden>(_: T) {}",
        "pub fn take<T>(_: T) where Vec<T>: Hidden {}",
        "pub fn take(_: &dyn Hidden) {}",
        "pub struct Open<T: Hidden>(T);",
        "pub struct Open<T>(T); impl<T: Hidden> Open<T> { pub fn run(&self) {} }",
        "pub trait Open: Hidden {}",
    ];
    assert_unnameable("pub trait Hidden {}", &pieces);
}

/// Within one crate rustdoc leaves out an implementation that mentions a type without a path, so
/// such a one shows only in the facade.
#[test]
fn a_type_in_the_header_of_an_implementation_is_found() {
    let part = "
        pub struct Hidden;
        pub struct Open;
        impl From<Hidden> for Open { fn from(_: Hidden) -> Self { Open } }
        pub trait Make {}
        impl Make for Open {}
    ";
    if let Some(found) = faults(&[("part", part), ("facade", "pub use part::Open;")]) {
        let types: Vec<&str> = found
            .iter()
            .map(|(_, _, reference)| reference.as_str())
            .collect();
        assert_eq!(types, ["part::Hidden", "part::Make"]);
    }
}

#[test]
fn a_type_with_hidden_documentation_is_unnameable() {
    if let Some(found) = faults(&[(
        "facade",
        "#[doc(hidden)] pub struct Hidden; pub fn make() -> Hidden { Hidden }",
    )]) {
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].1, Fault::Unnameable);
    }
}

#[test]
fn exported_types_private_items_and_seals_are_no_findings() {
    let source = "
        mod inner {
            pub struct Open;
            pub struct Unused;
            pub struct Renamed;
            pub struct Target<T>(pub T);
            pub mod deep { pub struct Starred; pub enum Choice { One } }
        }
        mod sealed { pub trait Sealed {} }
        pub use inner::{Open, Renamed as Other};
        pub use inner::deep::*;
        pub type Alias = inner::Target<u8>;
        pub trait Fixed: sealed::Sealed {}
        impl Open {
            pub fn all(&self) -> Option<(Other, Starred, Choice, Alias)> { None }
            fn private(&self) -> Option<inner::Unused> { None }
        }
        pub struct Fields { private: Option<inner::Unused> }
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
        pub struct Derives { pub bytes: Vec<u8>, pub at: Option<std::net::IpAddr> }
    ";
    if let Some(found) = faults(&[("facade", source)]) {
        assert_eq!(found, []);
    }
}

#[test]
fn a_foreign_type_is_found_and_an_exception_is_none() {
    let foreign = "pub struct Theirs;";
    let user = "pub fn make() -> foreign::Theirs { foreign::Theirs }";
    let passes_on = "pub use foreign::Theirs;";
    for source in [user, passes_on] {
        let crates = [("foreign", foreign), ("part", source), ("facade", "")];
        if let Some(found) = faults(&crates) {
            let expected = (
                "part".to_owned(),
                Fault::Foreign,
                "foreign::Theirs".to_owned(),
            );
            assert_eq!(found, [expected], "{source}");
        }
    }
    let user = "pub fn make() -> smoltcp::Theirs { smoltcp::Theirs }";
    for (name, expected) in [("brooklet_device", 0), ("brooklet_tcp", 1)] {
        let crates = [("smoltcp", foreign), (name, user), ("facade", "")];
        if let Some(found) = faults(&crates) {
            assert_eq!(found.len(), expected, "{name}: {found:?}");
        }
    }
}

#[test]
fn the_facade_names_the_types_of_its_parts_and_what_these_mention() {
    let part = "
        pub struct Stream;
        pub struct Info { pub state: State }
        pub enum State { Open }
        pub struct Unreached;
        impl Stream { pub fn info(&self) -> Info { Info { state: State::Open } } }
    ";
    let unnamed = |facade| {
        let found = faults(&[("part", part), ("facade", facade)])?;
        assert!(
            found.iter().all(|(krate, ..)| krate == "facade"),
            "{found:?}"
        );
        Some(
            found
                .into_iter()
                .map(|(_, _, reference)| reference)
                .collect::<Vec<_>>(),
        )
    };
    let cases: [(&str, &[&str]); 5] = [
        ("pub use part::Stream;", &["part::Info", "part::State"]),
        ("pub use part::{Stream, Info};", &["part::State"]),
        ("pub use part::{Stream, Info as Other, State};", &[]),
        ("pub use part;", &[]),
        (
            "pub type Stream = part::Stream;",
            &["part::Info", "part::State"],
        ),
    ];
    for (facade, expected) in cases {
        if let Some(found) = unnamed(facade) {
            assert_eq!(found, expected, "{facade}");
        }
    }
    // Another crate need not repeat the names of those that it uses.
    let user = "pub fn make() -> part::Stream { part::Stream }";
    if let Some(found) = faults(&[("part", part), ("user", user), ("facade", "")]) {
        assert_eq!(found, []);
    }
}

#[test]
fn the_listing_has_the_public_items_alone() {
    let source = "pub struct Open { pub field: u8, private: u8 } mod inner { pub struct Hidden; }";
    if let Some((docs, _dir)) = documented(&[("part", source)]) {
        let listing = docs.listing("part").unwrap();
        assert!(listing.contains("pub part::Open::field: u8\n"), "{listing}");
        assert!(
            listing.contains("impl core::marker::Send for part::Open\n"),
            "{listing}"
        );
        for absent in ["private", "Hidden", "UnwindSafe"] {
            assert!(!listing.contains(absent), "{absent}: {listing}");
        }
    }
}

#[test]
fn the_difference_of_two_listings_is_their_lines() {
    let old = "pub fn a()\npub fn b()\n";
    assert_eq!(
        snapshot::diff(old, "pub fn a()\npub fn c()\n"),
        "- pub fn b()\n+ pub fn c()\n"
    );
    assert_eq!(snapshot::diff(old, old), "");
    assert!(snapshot::listing(Path::new("none.json")).is_err());
}

#[test]
fn the_listing_names_a_type_of_another_crate_by_its_public_path() {
    let part = "mod inner { pub struct Shown; } pub use inner::Shown;";
    let user = "pub fn make() -> Option<part::Shown> { None }";
    if let Some((docs, _dir)) = documented(&[("part", part), ("user", user)]) {
        let expected = "pub mod user\npub fn user::make() -> core::option::Option<part::Shown>\n";
        assert_eq!(docs.listing("user").unwrap(), expected);
    }
}

#[test]
fn items_without_an_example_are_listed() {
    let source = "
        /// ```
        /// ```
        pub struct Shown;
        impl Shown { pub fn of_a_shown_type(&self) {} }
        pub struct ByMethod;
        impl ByMethod {
            /// ```
            /// ```
            pub fn shown(&self) {}
        }
        pub struct Bare;
        impl Bare { pub fn method(&self) {} }
        impl Clone for Bare { fn clone(&self) -> Self { Bare } }
        pub trait Plain { fn run(&self); }
        pub const LIMIT: u8 = 1;
        pub fn bare() {}
        pub type Alias = Shown;
        #[macro_export]
        macro_rules! bare { () => {} }
        fn private() {}
    ";
    if let Some((docs, _dir)) = documented(&[("part", source)]) {
        let expected = [
            "struct part::Bare",
            "  fn part::Bare::method",
            "const part::LIMIT",
            "trait part::Plain",
            "  fn part::Plain::run",
            "fn part::bare",
            "macro part::bare",
        ];
        let mut found = examples::without(&docs);
        found.sort();
        let mut expected = expected.map(str::to_owned);
        expected.sort();
        assert_eq!(found, expected);
    }
}
