//! Which public items have no example.

use crate::names::Names;
use crate::rustdoc::{Definition, Doc, Docs};
use crate::walk::{impls, written};
use rustdoc_types::{Item, ItemEnum, Type};

/// The public items without an example, sorted, with their crates' names. A method needs none where
/// its type or trait has one, and a type or trait none where one of its methods has one.
pub(crate) fn without(docs: &Docs) -> Vec<String> {
    let mut lines = Vec::new();
    for doc in docs.names().filter_map(|name| docs.get(name)) {
        let names = Names::of(docs, doc);
        for (definition, name) in names.definitions() {
            // What others define is theirs to explain.
            if definition.krate != doc.name() {
                continue;
            }
            if let Some((_, item)) = docs.find(definition)
                && kind(item).is_some()
                && !has_example(docs, doc, item)
            {
                let kind = kind(item).unwrap_or_default();
                lines.push(format!("{kind} {name}"));
                let methods = methods(doc, item).filter_map(|method| method.name.as_deref());
                lines.extend(methods.map(|method| format!("  fn {name}::{method}")));
            }
        }
    }
    lines.sort_by(|a, b| sort_key(a).cmp(sort_key(b)));
    lines
}

/// A line without the word for the kind of its item, so that methods follow their types.
fn sort_key(line: &str) -> &str {
    line.trim_start()
        .split_once(' ')
        .map_or(line, |(_, name)| name)
}

fn kind(item: &Item) -> Option<&'static str> {
    Some(match item.inner {
        ItemEnum::Function(_) => "fn",
        ItemEnum::Struct(_) => "struct",
        ItemEnum::Enum(_) => "enum",
        ItemEnum::Union(_) => "union",
        ItemEnum::Trait(_) => "trait",
        ItemEnum::Macro(_) => "macro",
        ItemEnum::TypeAlias(_) => "type",
        ItemEnum::Constant { .. } => "const",
        ItemEnum::Static(_) => "static",
        _ => return None,
    })
}

/// Whether the page of an item has an example. The page of an alias leads to that of its target.
fn has_example(docs: &Docs, doc: &Doc, item: &Item) -> bool {
    let on_target = || {
        let ItemEnum::TypeAlias(alias) = &item.inner else {
            return false;
        };
        let Type::ResolvedPath(target) = &alias.type_ else {
            return false;
        };
        let target: Option<Definition> = doc.definition(target.id);
        target
            .and_then(|target| docs.find(&target))
            .is_some_and(|(doc, item)| has_example(docs, doc, item))
    };
    shows_code(item) || methods(doc, item).any(shows_code) || on_target()
}

fn shows_code(item: &Item) -> bool {
    item.docs
        .as_deref()
        .is_some_and(|docs| docs.contains("```"))
}

/// The methods of a type or trait, without those that implement other traits.
fn methods<'a>(doc: &'a Doc, item: &'a Item) -> impl Iterator<Item = &'a Item> {
    let own = match &item.inner {
        ItemEnum::Trait(content) => content.items.as_slice(),
        _ => &[],
    };
    let inherent = doc
        .items(impls(item))
        .flat_map(|implementation| match &implementation.inner {
            ItemEnum::Impl(content) if content.trait_.is_none() && written(content) => {
                content.items.as_slice()
            }
            _ => &[],
        });
    doc.items(own)
        .chain(inherent.filter_map(|id| doc.krate.index.get(id)))
        .filter(|item| matches!(item.inner, ItemEnum::Function(_)))
}
