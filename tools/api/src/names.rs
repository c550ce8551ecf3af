//! The names that a crate's users have for definitions, its own and those of others.

use crate::rustdoc::{Definition, Doc, Docs};
use rustdoc_types::{Id, Item, ItemEnum, Type, Use};
use std::collections::{HashMap, HashSet};

/// The public paths of a crate.
#[derive(Debug, Default)]
pub(crate) struct Names {
    paths: HashMap<Definition, String>,
    /// The names of type aliases, for their targets.
    aliases: HashMap<Definition, String>,
}

impl Names {
    /// Collects the names in the public modules of a crate.
    pub(crate) fn of(docs: &Docs, doc: &Doc) -> Self {
        let mut names = Self::default();
        let mut visited = HashSet::new();
        names.module(
            docs,
            doc,
            &doc.krate.index[&doc.krate.root],
            doc.name(),
            &mut visited,
        );
        names
    }

    /// The public path of a definition; one of them, if there are several. The path of an alias
    /// counts for a target that has no other.
    pub(crate) fn get(&self, definition: &Definition) -> Option<&str> {
        let path = self
            .paths
            .get(definition)
            .or_else(|| self.aliases.get(definition));
        path.map(String::as_str)
    }

    /// All definitions that have a name of their own.
    pub(crate) fn definitions(&self) -> impl Iterator<Item = (&Definition, &str)> {
        self.paths
            .iter()
            .map(|(definition, path)| (definition, path.as_str()))
    }

    fn module(
        &mut self,
        docs: &Docs,
        doc: &Doc,
        module: &Item,
        path: &str,
        visited: &mut HashSet<(String, String, Id)>,
    ) {
        let ItemEnum::Module(content) = &module.inner else {
            return;
        };
        // Modules may import each other.
        if !visited.insert((path.to_owned(), doc.name().to_owned(), module.id)) {
            return;
        }
        for item in doc.items(&content.items) {
            match &item.inner {
                ItemEnum::Use(import) => self.import(docs, doc, import, path, visited),
                _ => {
                    let name = item.name.as_deref().unwrap_or_default();
                    self.item(docs, doc, item, format!("{path}::{name}"), visited);
                }
            }
        }
    }

    fn import(
        &mut self,
        docs: &Docs,
        doc: &Doc,
        import: &Use,
        path: &str,
        visited: &mut HashSet<(String, String, Id)>,
    ) {
        let Some(id) = import.id else { return };
        let name = format!("{path}::{}", import.name);
        // A private module is in the index, but has no path.
        let here = doc.krate.index.get(&id).map(|item| (doc, item));
        let definition = doc.definition(id);
        match here.or_else(|| docs.find(definition.as_ref()?)) {
            Some((doc, item)) if import.is_glob => self.module(docs, doc, item, path, visited),
            Some((doc, item)) => self.item(docs, doc, item, name, visited),
            None => {
                if let Some(definition) = definition {
                    insert(&mut self.paths, definition, name);
                }
            }
        }
    }

    fn item(
        &mut self,
        docs: &Docs,
        doc: &Doc,
        item: &Item,
        name: String,
        visited: &mut HashSet<(String, String, Id)>,
    ) {
        match &item.inner {
            ItemEnum::Module(_) => self.module(docs, doc, item, &name, visited),
            ItemEnum::TypeAlias(alias) => {
                if let Type::ResolvedPath(target) = &alias.type_
                    && let Some(target) = doc.definition(target.id)
                {
                    insert(&mut self.aliases, target, name.clone());
                }
            }
            _ => {}
        }
        if let Some(definition) = doc.definition(item.id) {
            insert(&mut self.paths, definition, name);
        }
    }
}

/// Adds a name. The shortest one stays, which is the one that users know best.
fn insert(names: &mut HashMap<Definition, String>, definition: Definition, name: String) {
    let known = names.entry(definition).or_insert_with(|| name.clone());
    if (name.len(), &name) < (known.len(), known) {
        *known = name;
    }
}
