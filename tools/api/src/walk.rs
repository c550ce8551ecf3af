//! The rules about the types of the public API.

use crate::names::Names;
use crate::rustdoc::{Definition, Doc, Docs};
use rustdoc_types::{Id, Impl, Item, ItemEnum, StructKind, VariantKind};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

/// The crates that every crate may show in its API; serde with the feature `serde` alone.
const ALLOWED: [&str; 8] = [
    "alloc",
    "core",
    "futures_core",
    "futures_io",
    "futures_sink",
    "serde",
    "serde_core",
    "std",
];

/// The crates that one crate may show in its API besides.
const EXCEPTIONS: [(&str, &str); 2] =
    [("brooklet_device", "smoltcp"), ("brooklet_filter", "ipnet")];

/// The module of the traits that only seal others. They have no name on purpose.
const SEALED: &str = "sealed";

/// How many places a finding names.
const PLACES: usize = 3;

/// What is wrong with a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Users of the crate have no path to the type.
    Unnameable,
    /// The type is one of a crate that must not be in the API.
    Foreign,
}

/// A type or trait in the API of a crate, that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) krate: String,
    pub(crate) fault: Fault,
    /// The type, by the path of its definition.
    pub(crate) reference: String,
    /// The items that mention the type.
    pub(crate) places: BTreeSet<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            krate,
            fault,
            reference,
            places,
        } = self;
        match fault {
            Fault::Unnameable => write!(f, "{krate}: no public path to {reference}")?,
            Fault::Foreign => write!(f, "{krate}: {reference} is foreign")?,
        }
        let shown: Vec<&str> = places.iter().take(PLACES).map(String::as_str).collect();
        write!(f, ", mentioned by {}", shown.join(", "))?;
        match places.len().saturating_sub(PLACES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Applies the rules to the API of every crate. The API of the crate `facade` includes that of
/// every type in it, and `facade` alone has to name them all.
pub(crate) fn findings(docs: &Docs, facade: &str) -> Vec<Finding> {
    let names: BTreeMap<&str, Names> = docs
        .names()
        .filter_map(|name| Some((name, Names::of(docs, docs.get(name)?))))
        .collect();
    let mut findings = Vec::new();
    for name in names.keys() {
        let mut walk = Walk {
            docs,
            names: &names,
            name,
            facade: *name == facade,
            found: BTreeMap::new(),
        };
        walk.run();
        findings.extend(
            walk.found
                .into_iter()
                .map(|((fault, reference), places)| Finding {
                    krate: (*name).to_owned(),
                    fault,
                    reference,
                    places,
                }),
        );
    }
    findings
}

struct Walk<'a> {
    docs: &'a Docs,
    names: &'a BTreeMap<&'a str, Names>,
    name: &'a str,
    facade: bool,
    found: BTreeMap<(Fault, String), BTreeSet<String>>,
}

impl<'a> Walk<'a> {
    fn run(&mut self) {
        let mut queue: Vec<Definition> = self.names[self.name]
            .definitions()
            .map(|(definition, _)| definition.clone())
            .collect();
        let mut seen: HashSet<Definition> = queue.iter().cloned().collect();
        while let Some(definition) = queue.pop() {
            let Some((doc, item)) = self.docs.find(&definition) else {
                // A foreign item under a name of this crate.
                self.judge_origin(&definition, self.names[self.name].get(&definition));
                continue;
            };
            // The items of other crates have their own turn, except that the facade's users must
            // be able to name all of it.
            if doc.name() != self.name && !self.facade {
                continue;
            }
            let place = self.names[self.name]
                .get(&definition)
                .map_or_else(|| definition.to_string(), str::to_owned);
            let mut references = Vec::new();
            collect(doc, item, &place, &mut references);
            for Reference { id, path, place } in references {
                let Some(reference) = doc.definition(id) else {
                    self.report(Fault::Unnameable, path, &place);
                    continue;
                };
                // An implementation mentions its own type.
                if reference != definition {
                    self.judge(doc, &reference, &place);
                }
                if seen.insert(reference.clone()) && self.docs.get(&reference.krate).is_some() {
                    queue.push(reference);
                }
            }
        }
    }

    /// Applies the rules to a type or trait that an item of `doc` mentions.
    fn judge(&mut self, doc: &Doc, reference: &Definition, place: &str) {
        let ours = self.docs.get(&reference.krate).is_some();
        if doc.name() == self.name {
            self.judge_origin(reference, Some(place));
        }
        let named = self.names[self.name].get(reference).is_some();
        let named_at_home = self
            .names
            .get(reference.krate.as_str())
            .is_some_and(|names| names.get(reference).is_some());
        let seals = reference.path.iter().any(|segment| segment == SEALED)
            && self
                .docs
                .find(reference)
                .is_some_and(|(_, item)| matches!(item.inner, ItemEnum::Trait(_)));
        let nameable = seals
            || match (self.facade, ours) {
                (true, _) => named || ALLOWED.contains(&reference.krate.as_str()),
                (false, true) => named || named_at_home,
                // A user can depend on the crate of the type.
                (false, false) => true,
            };
        if !nameable {
            self.report(Fault::Unnameable, reference.to_string(), place);
        }
    }

    fn judge_origin(&mut self, reference: &Definition, place: Option<&str>) {
        let krate = reference.krate.as_str();
        // The facade passes on what its parts may have.
        let excepted = EXCEPTIONS.iter().any(|(user, used)| {
            *used == krate && (*user == self.name || self.facade && self.passed_on(reference, user))
        });
        if self.docs.get(krate).is_none() && !ALLOWED.contains(&krate) && !excepted {
            self.report(
                Fault::Foreign,
                reference.to_string(),
                place.unwrap_or(self.name),
            );
        }
    }

    /// Whether the crate `user` has a name for the type.
    fn passed_on(&self, reference: &Definition, user: &str) -> bool {
        self.names
            .get(user)
            .is_some_and(|names| names.get(reference).is_some())
    }

    fn report(&mut self, fault: Fault, reference: String, place: &str) {
        self.found
            .entry((fault, reference))
            .or_default()
            .insert(place.to_owned());
    }
}

/// A mention of a type or trait.
struct Reference {
    id: Id,
    /// The path in the source text.
    path: String,
    /// The item that mentions the type.
    place: String,
}

/// Collects the types and traits in the public part of an item.
fn collect(doc: &Doc, item: &Item, place: &str, into: &mut Vec<Reference>) {
    let inner = serde_json::to_value(&item.inner).expect("rustdoc's types can be written as JSON");
    paths(&inner, place, into);
    let mut within = |ids: &[Id]| {
        for item in doc.items(ids) {
            let name = item.name.as_deref().unwrap_or("_");
            collect(doc, item, &format!("{place}::{name}"), into);
        }
    };
    match &item.inner {
        ItemEnum::Struct(content) => match &content.kind {
            StructKind::Unit => {}
            StructKind::Tuple(fields) => {
                within(&fields.iter().flatten().copied().collect::<Vec<_>>());
            }
            StructKind::Plain { fields, .. } => within(fields),
        },
        ItemEnum::Union(content) => within(&content.fields),
        ItemEnum::Enum(content) => within(&content.variants),
        ItemEnum::Variant(variant) => match &variant.kind {
            VariantKind::Plain => {}
            VariantKind::Tuple(fields) => {
                within(&fields.iter().flatten().copied().collect::<Vec<_>>());
            }
            VariantKind::Struct { fields, .. } => within(fields),
        },
        ItemEnum::Trait(content) => within(&content.items),
        _ => {}
    }
    for implementation in doc.items(impls(item)) {
        if let ItemEnum::Impl(content) = &implementation.inner
            && written(content)
        {
            collect_impl(doc, implementation, content, place, into);
        }
    }
}

fn collect_impl(doc: &Doc, item: &Item, content: &Impl, place: &str, into: &mut Vec<Reference>) {
    let place = match &content.trait_ {
        Some(trait_) => format!("{place} (impl {})", trait_.path),
        None => place.to_owned(),
    };
    let inner = serde_json::to_value(&item.inner).expect("rustdoc's types can be written as JSON");
    paths(&inner, &place, into);
    for item in doc.items(&content.items) {
        // The trait has the signatures of its methods.
        if content.trait_.is_none() || matches!(item.inner, ItemEnum::AssocType { .. }) {
            let name = item.name.as_deref().unwrap_or("_");
            collect(doc, item, &format!("{place}::{name}"), into);
        }
    }
}

/// The implementations that rustdoc lists with an item.
pub(crate) fn impls(item: &Item) -> &[Id] {
    match &item.inner {
        ItemEnum::Struct(content) => &content.impls,
        ItemEnum::Union(content) => &content.impls,
        ItemEnum::Enum(content) => &content.impls,
        ItemEnum::Trait(content) => &content.implementations,
        _ => &[],
    }
}

/// Whether an implementation is in the source of its crate. The others are those of auto traits
/// and of blanket implementations.
pub(crate) fn written(content: &Impl) -> bool {
    !content.is_synthetic && content.blanket_impl.is_none()
}

/// Collects the mentions in a signature, a bound or a type. In rustdoc's JSON each mention of a
/// type or trait, wherever it is, is an object with a path, an identifier and arguments.
fn paths(value: &Value, place: &str, into: &mut Vec<Reference>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| paths(value, place, into)),
        Value::Object(fields) => {
            if let (Some(Value::String(path)), Some(id), Some(_)) = (
                fields.get("path"),
                fields.get("id").and_then(Value::as_u64),
                fields.get("args"),
            ) {
                let id = Id(u32::try_from(id).expect("an identifier has 32 bits"));
                into.push(Reference {
                    id,
                    path: path.clone(),
                    place: place.to_owned(),
                });
            }
            fields.values().for_each(|value| paths(value, place, into));
        }
        _ => {}
    }
}
