use crate::graph::Graph;
use crate::{count, forbids, page};
use serde_json::json;

#[test]
fn the_keyword_counts_and_the_word_does_not() {
    let source = r##"
        // unsafe
        /* unsafe /* unsafe */ */
        #![deny(unsafe_code)]
        /// unsafe
        fn f<'unsafe_>() -> &'static str { "unsafe \" unsafe" }
        unsafe fn g() { let _ = (r#"unsafe"#, '"'); unsafe { h() } }
    "##;
    assert_eq!(count::in_text(source), 2);
}

#[test]
fn a_file_that_is_not_rust_counts_the_word() {
    assert_eq!(count::in_text("{ unsafe unsafe_code"), 1);
}

#[test]
fn a_lint_counts_in_its_section_only() {
    let root = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";
    assert!(forbids("[lints]\nworkspace = true\n", root));
    assert!(!forbids(
        "[dependencies]\nworkspace = true\n\n[lints]\n",
        root
    ));
    assert!(!forbids("[lints]\nworkspace = true\n", "[workspace]\n"));
    assert!(forbids("[lints.rust]\nunsafe_code = \"forbid\"\n", ""));
    assert!(!forbids("[lints.rust]\nunsafe_code = \"deny\"\n", ""));
}

/// A published crate `ours` and an unpublished `tool`, with one dependency of each kind.
#[test]
fn only_what_the_published_crates_run_is_listed() {
    let package = |id: &str, source: Option<&str>, publish: Option<&[&str]>, kind: &str| {
        json!({
            "id": id, "name": id, "version": "1.0.0", "source": source, "publish": publish,
            "manifest_path": format!("/{id}/Cargo.toml"),
            "targets": [{ "kind": [kind], "src_path": format!("/{id}/src/lib.rs") }],
        })
    };
    let registry = Some("registry");
    let needs = |id: &str, kind: Option<&str>, target: Option<&str>| json!({ "pkg": id, "dep_kinds": [{ "kind": kind, "target": target }] });
    let metadata = json!({
        "packages": [
            package("ours", None, None, "lib"),
            package("tool", None, Some(&[]), "bin"),
            package("used", registry, None, "lib"),
            package("below", registry, None, "lib"),
            package("tested", registry, None, "lib"),
            package("built", registry, None, "lib"),
            package("derived", registry, None, "proc-macro"),
            package("modelled", registry, None, "lib"),
            package("of-the-tool", registry, None, "lib"),
        ],
        "resolve": { "nodes": [
            { "id": "ours", "deps": [
                needs("used", None, None),
                needs("tested", Some("dev"), None),
                needs("built", Some("build"), None),
                needs("derived", None, None),
                needs("modelled", None, Some("cfg(shuttle)")),
            ] },
            { "id": "tool", "deps": [needs("of-the-tool", None, None)] },
            { "id": "used", "deps": [needs("below", None, None), needs("used", None, None)] },
            { "id": "below", "deps": [] },
        ] },
    });
    let graph = Graph::of(&metadata, &metadata).unwrap();
    let listed: Vec<_> = graph
        .0
        .iter()
        .map(|one| (&*one.name, one.through.len()))
        .collect();
    assert_eq!(listed, [("below", 1), ("used", 1)]);
    assert!(graph.0.iter().all(|one| one.on_linux));
}

#[test]
fn a_difference_names_its_side() {
    let lines = page::differences("a\nb\n", "a\nc\n");
    assert_eq!(lines, ["- b", "+ c"]);
}
