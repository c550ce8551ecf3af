//! Rustdoc's JSON for the published crates.

use crate::names::Names;
use rustdoc_types::{Crate, FORMAT_VERSION, Id, Item, ItemKind, ItemSummary};
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler whose format of rustdoc's JSON the dependencies of this package read. To change
/// the version, look for the `rustdoc-types` with the `FORMAT_VERSION` that the new rustdoc writes,
/// and for the `public-api` that uses this `rustdoc-types`.
pub(crate) const RUSTC: &str = "1.95";

/// The arguments for rustup that select [`RUSTC`]: none if it is the default. `None` if there is no
/// such compiler here.
pub(crate) fn toolchain() -> Option<Vec<String>> {
    let chosen = vec![format!("+{RUSTC}.0")];
    [Vec::new(), chosen].into_iter().find(|args| {
        let version = Command::new("rustc").args(args).arg("--version").output();
        version.is_ok_and(|output| {
            output
                .stdout
                .starts_with(format!("rustc {RUSTC}.").as_bytes())
        })
    })
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The documentation of one crate, and an index from the path of each definition.
#[derive(Debug)]
pub(crate) struct Doc {
    pub(crate) krate: Crate,
    definitions: HashMap<(Vec<String>, ItemKind), Id>,
}

/// The documentation of all crates, by the name that code uses.
#[derive(Debug, Default)]
pub(crate) struct Docs {
    crates: BTreeMap<String, Doc>,
    json: BTreeMap<String, PathBuf>,
}

/// A definition: the name of its crate, and the path from the root of the crate, through private
/// modules too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Definition {
    pub(crate) krate: String,
    pub(crate) path: Vec<String>,
    /// A macro and a function may have the same path.
    pub(crate) kind: ItemKind,
}

impl std::fmt::Display for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path.join("::"))
    }
}

impl Docs {
    /// Builds the documentation of the published libraries with all of their features.
    pub(crate) fn build(toolchain: &[String]) -> Result<Self, Box<dyn Error>> {
        let metadata = cargo(
            toolchain,
            &["metadata", "--no-deps", "--format-version", "1"],
        )?;
        let metadata: serde_json::Value = serde_json::from_slice(&metadata)?;
        let target = metadata["target_directory"]
            .as_str()
            .ok_or("no target directory")?;
        let published: Vec<&str> = metadata["packages"]
            .as_array()
            .ok_or("no packages")?
            .iter()
            .filter(|package| package["publish"].is_null() && is_library(package))
            .filter_map(|package| package["name"].as_str())
            .collect();

        // In one command, so that rustdoc runs for several crates at a time.
        let mut args = vec![
            "doc",
            "--quiet",
            "--locked",
            "--no-deps",
            "--lib",
            "--all-features",
        ];
        args.extend(published.iter().flat_map(|package| ["-p", *package]));
        cargo(toolchain, &args)?;

        let mut docs = Self::default();
        for package in published {
            let name = package.replace('-', "_");
            docs.read(&name, Path::new(target).join(format!("doc/{name}.json")))?;
        }
        Ok(docs)
    }

    /// Adds the documentation of a crate.
    pub(crate) fn read(&mut self, name: &str, json: PathBuf) -> Result<(), Box<dyn Error>> {
        let text = std::fs::read(&json).map_err(|error| format!("{}: {error}", json.display()))?;
        let value: serde_json::Value = serde_json::from_slice(&text)?;
        let version = &value["format_version"];
        if *version != FORMAT_VERSION {
            return Err(format!("{name}: format {version}, not {FORMAT_VERSION}").into());
        }
        let krate: Crate = serde_json::from_value(value)?;
        let definitions = krate
            .paths
            .iter()
            .filter(|(id, summary)| summary.crate_id == 0 && krate.index.contains_key(id))
            .map(|(id, summary)| ((summary.path.clone(), summary.kind), *id))
            .collect();
        self.crates
            .insert(name.to_owned(), Doc { krate, definitions });
        self.json.insert(name.to_owned(), json);
        Ok(())
    }

    /// The names of the crates.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.crates.keys().map(String::as_str)
    }

    /// The documentation of the crate `name`, if it is one of ours.
    pub(crate) fn get(&self, name: &str) -> Option<&Doc> {
        self.crates.get(name)
    }

    /// The public items of a crate, a line each, with the public paths of our types. Rustdoc has
    /// the path of the definition for a type of another crate, through private modules.
    pub(crate) fn listing(&self, name: &str) -> Result<String, Box<dyn Error>> {
        let mut listing = crate::snapshot::listing(&self.json[name])?;
        for doc in self.crates.values() {
            let names = Names::of(self, doc);
            let public: HashMap<String, &str> = names
                .definitions()
                .map(|(definition, name)| (definition.to_string(), name))
                .filter(|(definition, name)| definition != name)
                .collect();
            listing = crate::snapshot::rename(&listing, |path| public.get(path).copied());
        }
        Ok(listing)
    }

    /// The item of a definition, with the crate that has it. `None` for a crate that is not ours.
    pub(crate) fn find(&self, definition: &Definition) -> Option<(&Doc, &Item)> {
        let doc = self.get(&definition.krate)?;
        let id = doc
            .definitions
            .get(&(definition.path.clone(), definition.kind))?;
        Some((doc, &doc.krate.index[id]))
    }
}

impl Doc {
    /// The definition of an item of this crate, or of one that this crate uses. `None` if rustdoc
    /// has stripped the item, for instance because its documentation is hidden.
    pub(crate) fn definition(&self, id: Id) -> Option<Definition> {
        let ItemSummary {
            crate_id,
            path,
            kind,
        } = self.krate.paths.get(&id)?;
        let krate = match crate_id {
            0 => self.name().to_owned(),
            other => self.krate.external_crates.get(other)?.name.clone(),
        };
        Some(Definition {
            krate,
            path: path.clone(),
            kind: *kind,
        })
    }

    /// The name of the crate.
    pub(crate) fn name(&self) -> &str {
        let root = &self.krate.index[&self.krate.root];
        root.name
            .as_deref()
            .expect("the root of a crate has the crate's name")
    }

    /// The items with these identifiers, but for those that rustdoc has stripped.
    pub(crate) fn items<'a>(&'a self, ids: &'a [Id]) -> impl Iterator<Item = &'a Item> {
        ids.iter().filter_map(|id| self.krate.index.get(id))
    }
}

/// Returns whether a package of `cargo metadata` has a library.
fn is_library(package: &serde_json::Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    let mut kinds = targets.filter_map(|target| target["kind"].as_array());
    kinds.any(|kinds| kinds.iter().any(|kind| kind == "lib"))
}

/// Runs cargo in the workspace with what it takes to get JSON from a stable rustdoc, and returns
/// the standard output.
fn cargo(toolchain: &[String], args: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let output = Command::new("cargo")
        .args(toolchain)
        .args(args)
        .current_dir(root())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTDOCFLAGS", "-Z unstable-options --output-format json")
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo {}: {}", args.join(" "), output.status).into());
    }
    Ok(output.stdout)
}
