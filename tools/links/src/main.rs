//! Finds links that lead nowhere in the Markdown pages of the repository: to a file or folder that
//! is not there, to a heading that no page has, or to a reference without a definition. Links to
//! other places are not followed.
//!
//! ```sh
//! cargo run -p brooklet-links
//! ```

mod page;

#[cfg(test)]
mod tests;

use page::Page;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    match check(&root) {
        Ok((0, _)) => {
            eprintln!("brooklet-links: no pages in {}", root.display());
            ExitCode::FAILURE
        }
        Ok((pages, broken)) => {
            for link in &broken {
                eprintln!("{link}");
            }
            println!("{pages} pages, {} broken links", broken.len());
            ExitCode::from(u8::from(!broken.is_empty()))
        }
        Err(error) => {
            eprintln!("brooklet-links: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks all pages below `root`. Returns their number, and a line for each broken link.
fn check(root: &Path) -> io::Result<(usize, Vec<String>)> {
    let mut pages = BTreeMap::new();
    collect(root, Path::new(""), &mut pages)?;
    let mut broken = Vec::new();
    for (path, page) in &pages {
        for link in &page.links {
            if let Err(why) = follow(root, path, &link.target, &pages) {
                broken.push(format!(
                    "{}:{}: {}: {why}",
                    path.display(),
                    link.line,
                    link.target
                ));
            }
        }
        for (reference, line) in &page.undefined {
            broken.push(format!(
                "{}:{line}: [{reference}] has no definition",
                path.display()
            ));
        }
    }
    Ok((pages.len(), broken))
}

/// Adds the pages in a folder and those below it. The pages among sources are rustdoc's, which
/// checks them, and has links of another kind.
fn collect(root: &Path, folder: &Path, pages: &mut BTreeMap<PathBuf, Page>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        let path = folder.join(&name);
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let skipped = name == "target" || name == "src" || name.as_encoded_bytes()[0] == b'.';
            if !skipped {
                collect(root, &path, pages)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(root.join(&path))?;
            pages.insert(path, Page::parse(&text));
        }
    }
    Ok(())
}

/// Follows a link on the page `from`. The error says what is missing.
fn follow(
    root: &Path,
    from: &Path,
    target: &str,
    pages: &BTreeMap<PathBuf, Page>,
) -> Result<(), &'static str> {
    if is_elsewhere(target) {
        return Ok(());
    }
    let (path, anchor) = target
        .split_once('#')
        .map_or((target, None), |(p, a)| (p, Some(a)));
    let path = if path.is_empty() {
        from.to_owned()
    } else {
        let folder = from.parent().unwrap_or_else(|| Path::new(""));
        normal(&folder.join(path)).ok_or("outside of the repository")?
    };
    if !root.join(&path).exists() {
        return Err("no such file");
    }
    match (anchor, pages.get(&path)) {
        (None, _) => Ok(()),
        (Some(anchor), Some(page)) if page.anchors.contains(anchor) => Ok(()),
        (Some(_), Some(_)) => Err("no such heading"),
        (Some(_), None) => Err("a heading of what is no page"),
    }
}

/// Whether a link has a scheme, such as `https:` or `mailto:`.
fn is_elsewhere(target: &str) -> bool {
    target.split_once(':').is_some_and(|(scheme, _)| {
        !scheme.is_empty()
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// A path without `.` and `..`. `None` if it is not below the folder in which it starts.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::Normal(name) => normal.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}
