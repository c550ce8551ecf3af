//! The packages that the published crates need, as `cargo metadata` has them.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The system of which the page lists the dependencies first.
const LINUX: &str = "x86_64-unknown-linux-gnu";

/// A package of a registry.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The folder with its sources.
    pub(crate) sources: PathBuf,
    /// The published crates of the repository that bring it in, not counting those that have it from
    /// another one of them.
    pub(crate) through: BTreeSet<String>,
    pub(crate) on_linux: bool,
}

/// The dependencies of the published crates, on every system and with all features.
///
/// Dependencies of tests, build scripts and procedural macros are not in it: what they do, they do on
/// the machine that compiles.
#[derive(Debug)]
pub(crate) struct Graph(pub(crate) Vec<Dependency>);

impl Graph {
    /// Asks cargo about the workspace at `root`.
    pub(crate) fn load(root: &Path) -> Result<Self, Box<dyn Error>> {
        let manifest = root.join("Cargo.toml");
        let all = metadata(&manifest, &["--all-features"])?;
        let linux = metadata(&manifest, &["--all-features", "--filter-platform", LINUX])?;
        Self::of(&all, &linux)
    }

    /// Reads what cargo has said about every system, and about Linux alone.
    pub(crate) fn of(all: &Value, linux: &Value) -> Result<Self, Box<dyn Error>> {
        let on_linux = reached(linux)?;
        let mut dependencies = Vec::new();
        let packages = by_id(all, "packages")?;
        for (id, through) in reached(all)? {
            let package = packages[id.as_str()];
            let manifest = Path::new(text(package, "manifest_path")?);
            let library = array(package, "targets")?
                .iter()
                .filter(|target| target["kind"][0] != "custom-build");
            // Most have it in `src`; the file of the library says so for the others.
            let folder = library
                .filter_map(|target| Path::new(target["src_path"].as_str()?).parent())
                .find(|folder| *folder != manifest.parent().unwrap_or(folder))
                .or_else(|| manifest.parent())
                .ok_or("a manifest has a folder")?;
            dependencies.push(Dependency {
                name: text(package, "name")?.to_owned(),
                version: text(package, "version")?.to_owned(),
                sources: folder.to_owned(),
                through,
                on_linux: on_linux.contains_key(&id),
            });
        }
        dependencies
            .sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
        Ok(Self(dependencies))
    }
}

/// The manifests of the members of a workspace.
pub(crate) fn members(manifest: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let metadata = metadata(manifest, &["--no-deps"])?;
    let packages = array(&metadata, "packages")?;
    let paths = packages
        .iter()
        .map(|package| text(package, "manifest_path").map(PathBuf::from));
    paths.collect()
}

fn metadata(manifest: &Path, arguments: &[&str]) -> Result<Value, Box<dyn Error>> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--locked", "--format-version", "1"])
        .arg("--manifest-path")
        .arg(manifest)
        .args(arguments)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The packages of others that the published crates of a workspace need, and for each of them the
/// published crates that bring it in.
fn reached(metadata: &Value) -> Result<BTreeMap<String, BTreeSet<String>>, Box<dyn Error>> {
    let packages = by_id(metadata, "packages")?;
    let nodes = by_id(&metadata["resolve"], "nodes")?;
    let mut reached = BTreeMap::<String, BTreeSet<String>>::new();
    for (id, package) in &packages {
        // An empty list of registries is `publish = false`.
        let is_ours = package["source"].is_null();
        if !is_ours || !package["publish"].is_null() {
            continue;
        }
        let name = text(package, "name")?;
        let mut waiting = VecDeque::from([*id]);
        while let Some(id) = waiting.pop_front() {
            for dependency in array(nodes[id], "deps")? {
                let is_normal = array(dependency, "dep_kinds")?
                    .iter()
                    .any(|kind| kind["kind"].is_null() && !is_for_models(&kind["target"]));
                let id = text(dependency, "pkg")?;
                let package = packages[id];
                // A crate of the repository has its own turn.
                if !is_normal || package["source"].is_null() || is_macro(package)? {
                    continue;
                }
                if reached
                    .entry(id.to_owned())
                    .or_default()
                    .insert(name.to_owned())
                {
                    waiting.push_back(id);
                }
            }
        }
    }
    Ok(reached)
}

/// Whether a dependency is for the thread models only, which nobody but this repository builds.
fn is_for_models(target: &Value) -> bool {
    target == "cfg(shuttle)"
}

fn is_macro(package: &Value) -> Result<bool, Box<dyn Error>> {
    let targets = array(package, "targets")?;
    Ok(targets
        .iter()
        .any(|target| target["kind"][0] == "proc-macro"))
}

fn by_id<'a>(
    value: &'a Value,
    field: &str,
) -> Result<BTreeMap<&'a str, &'a Value>, Box<dyn Error>> {
    let entries = array(value, field)?;
    entries
        .iter()
        .map(|entry| Ok((text(entry, "id")?, entry)))
        .collect()
}

fn array<'a>(value: &'a Value, field: &str) -> Result<&'a Vec<Value>, Box<dyn Error>> {
    let missing = || format!("cargo metadata has no list `{field}`");
    Ok(value[field].as_array().ok_or_else(missing)?)
}

fn text<'a>(value: &'a Value, field: &str) -> Result<&'a str, Box<dyn Error>> {
    let missing = || format!("cargo metadata has no text `{field}`");
    Ok(value[field].as_str().ok_or_else(missing)?)
}
