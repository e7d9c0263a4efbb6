//! Which submitted file imports which, and the order in which a reader meets them.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::entry_point::is_beside;
use crate::facts::{Import, Item};
use crate::imports::Imports;
use crate::memo::{self, Asked, Memo};
use crate::sources::Source;

/// The imports among the submitted files.
pub struct Graph {
    files: Vec<Arc<Node>>,
    imported: Vec<usize>,
}

/// A file among the others.
struct Node {
    imports: Vec<usize>,
    is_beside: bool,
}

impl Graph {
    /// Follows every import.
    pub fn new(known: &Imports) -> Graph {
        Graph::with_memo(known, None)
    }

    /// The same with what earlier analyses answered.
    pub(crate) fn with_memo(known: &Imports, memo: Option<&Memo>) -> Graph {
        let files = memo::each(memo, known.count(), Asked::Imports, known, imported_by);
        let mut imported = vec![0; files.len()];
        for of_file in &files {
            for &target in &of_file.imports {
                // A test that imports the program does not make it a library.
                imported[target] += usize::from(!of_file.is_beside || files[target].is_beside);
            }
        }
        Graph { files, imported }
    }

    /// The files that a file imports, in the order of its imports.
    pub fn imports(&self, file: usize) -> &[usize] {
        &self.files[file].imports
    }

    /// How many files import a file.
    pub fn imported(&self, file: usize) -> usize {
        self.imported[file]
    }

    /// A file tests, builds or serves the program.
    pub fn is_beside(&self, file: usize) -> bool {
        self.files[file].is_beside
    }

    /// The place of each file in the order in which one reads a program: the file that starts it, each file where it is
    /// first imported, then the others by path.
    pub fn reading_order(&self, main: Option<usize>) -> Vec<usize> {
        let mut order = vec![usize::MAX; self.files.len()];
        let mut next = 0;
        for start in main.into_iter().chain(0..self.files.len()) {
            let mut work = vec![start];
            while let Some(file) = work.pop() {
                if order[file] != usize::MAX {
                    continue;
                }
                order[file] = next;
                next += 1;
                work.extend(self.files[file].imports.iter().rev());
            }
        }
        order
    }
}

fn imported_by(known: &Imports, file: usize) -> Node {
    let (source, facts) = known.file(file);
    let mut asked = FxHashSet::default();
    let imports = facts.imports.iter().enumerate().filter(|(_, import)| {
        let member = source.language.is_python().then_some(&import.item);
        asked.insert((&*import.module, member.and_then(item), import.type_only))
    });
    let mut used = FxHashSet::default();
    let targets = imports.filter_map(|(at, import)| target(source, import, (file, at), known));
    let imports = targets.filter(|&target| target != file && used.insert(target)).collect();
    Node { imports, is_beside: is_beside(&source.path) }
}

fn item(item: &Item) -> Option<&str> {
    match item {
        Item::Member(name) => Some(name),
        _ => None,
    }
}

fn target(source: &Source, import: &Import, (file, index): (usize, usize), known: &Imports) -> Option<usize> {
    match source.language.is_javascript() {
        true if import.type_only => None,
        true => known.module(file, index),
        false => known.member(file, index).or_else(|| known.module(file, index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang;
    use crate::manifest::Manifests;
    use crate::modules::Modules;
    use crate::sources::Sources;

    #[test]
    fn files_are_read_where_they_are_first_imported() {
        let files = [
            ("a.py", ""),
            ("b.py", "import c"),
            ("c.py", ""),
            ("main.py", "import b\nimport d\n"),
            ("d.py", "import c"),
        ];
        let sources = Sources::new(files).unwrap();
        let facts: Vec<_> = sources.files().iter().map(|file| Arc::new(lang::read(file, None).unwrap())).collect();
        let modules = Modules::new(&sources, &Manifests::read(&sources));
        let imports = Imports::new(sources.files().iter().zip(facts.iter().cloned()), &modules);
        let graph = Graph::new(&imports);
        let order = graph.reading_order(Some(4));
        let mut paths: Vec<&str> = sources.files().iter().map(|file| &*file.path).collect();
        paths.sort_by_key(|path| order[sources.files().iter().position(|file| &*file.path == *path).unwrap()]);
        assert_eq!(paths, ["main.py", "b.py", "c.py", "d.py", "a.py"]);
    }
}
