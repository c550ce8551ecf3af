use crate::check;
use crate::page::Page;
use std::fs;

/// Checks a repository of these files, and returns the lines about broken links.
#[track_caller]
fn broken(name: &str, files: &[(&str, &str)]) -> Vec<String> {
    let root = std::env::temp_dir().join(format!("brooklet-links-{}-{name}", std::process::id()));
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let (_, broken) = check(&root).unwrap();
    fs::remove_dir_all(&root).unwrap();
    broken
}

#[test]
fn links_that_lead_somewhere_are_not_broken() {
    let readme = "
# Title
[other](docs/OTHER.md), [heading](docs/OTHER.md#what-is-it), [folder](docs), [own](#title),
[web](https://example.com/none#x), [mail](mailto:a@example.com), ![image](docs/a.svg), [ref].
Brackets [alone] and `[code](none.md)` are no links.

[ref]: docs/OTHER.md
";
    let other = "# What _is_ `it`?\n[up](../README.md#title)\n";
    let files = [
        ("README.md", readme),
        ("docs/OTHER.md", other),
        ("docs/a.svg", ""),
    ];
    assert_eq!(broken("good", &files), [""; 0]);
}

#[test]
fn a_missing_file_heading_or_definition_is_broken() {
    let cases = [
        ("[a](none.md)", "none.md: no such file"),
        ("![a](none.svg)", "none.svg: no such file"),
        ("[a](#none)", "#none: no such heading"),
        ("[a](b.md#Title)", "b.md#Title: no such heading"),
        ("[a](b.rs#L1)", "b.rs#L1: a heading of what is no page"),
        ("[a](../b.md)", "../b.md: outside of the repository"),
        ("[a](/b.md)", "/b.md: outside of the repository"),
        ("[a][none]", "[none] has no definition"),
    ];
    for (i, (link, expected)) in cases.into_iter().enumerate() {
        let page = format!("text\n\n{link}\n");
        let files = [("a.md", page.as_str()), ("b.md", "# Title\n"), ("b.rs", "")];
        assert_eq!(
            broken(&format!("bad{i}"), &files),
            [format!("a.md:3: {expected}")]
        );
    }
}

#[test]
fn pages_of_other_programs_are_left_alone() {
    let page = "[a](none.md)";
    let files = [
        ("target/a.md", page),
        ("a/src/a.md", page),
        (".git/a.md", page),
    ];
    assert_eq!(broken("others", &files), [""; 0]);
}

#[test]
fn anchors_are_those_of_github() {
    let text =
        "# RFC 9293, 3.8.6\n## TCP & UDP\n## Twice\n## Twice\n# a_b-c\n<a id=\"html\"></a>\n";
    let mut anchors: Vec<String> = Page::parse(text).anchors.into_iter().collect();
    anchors.sort();
    let expected = [
        "a_b-c",
        "html",
        "rfc-9293-386",
        "tcp--udp",
        "twice",
        "twice-1",
    ];
    assert_eq!(anchors, expected);
}
