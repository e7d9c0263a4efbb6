//! What each import of each file means: asked by many, looked up once.

use std::sync::{Arc, OnceLock};

use crate::facts::{FileFacts, Import, Item};
use crate::memo::{self, On};
use crate::modules::Modules;
use crate::sources::Source;

/// The imports of all files.
pub struct Imports<'a> {
    /// Which module is which file.
    pub modules: &'a Modules,
    files: Vec<(&'a Source, Arc<FileFacts>, Vec<Asked>)>,
}

/// An import, as far as it was looked up.
#[derive(Debug, Default)]
struct Asked {
    /// The file of its module.
    module: OnceLock<Option<usize>>,
    /// The file of the module that its member is.
    member: OnceLock<Option<usize>>,
    /// It asks for something of the project, submitted or not.
    local: OnceLock<bool>,
}

impl<'a> Imports<'a> {
    /// Imports of these files, none of them looked up yet.
    pub fn new(files: impl IntoIterator<Item = (&'a Source, Arc<FileFacts>)>, modules: &'a Modules) -> Imports<'a> {
        let asked = |(source, facts): (&'a Source, Arc<FileFacts>)| {
            let asked = facts.imports.iter().map(|_| Asked::default()).collect();
            (source, facts, asked)
        };
        Imports { modules, files: files.into_iter().map(asked).collect() }
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// A file and what it says.
    pub fn file(&self, file: usize) -> (&'a Source, &FileFacts) {
        memo::note(On::Text, file);
        let (source, facts, _) = &self.files[file];
        (source, facts)
    }

    fn import(&self, file: usize, index: usize) -> (&Source, &Import, &Asked) {
        let (source, facts, asked) = &self.files[file];
        (source, &facts.imports[index], &asked[index])
    }

    /// The file of an import's module.
    pub fn module(&self, file: usize, index: usize) -> Option<usize> {
        let (source, import, asked) = self.import(file, index);
        *asked.module.get_or_init(|| match source.language.is_python() {
            true => self.modules.resolve_python(&source.path, &import.module, None),
            false => self.modules.resolve_js(&source.path, &import.module),
        })
    }

    /// The file of the module that `from module import name` names.
    pub fn member(&self, file: usize, index: usize) -> Option<usize> {
        let (source, import, asked) = self.import(file, index);
        let Item::Member(name) = &import.item else { return None };
        *asked.member.get_or_init(|| self.modules.resolve_python(&source.path, &import.module, Some(name)))
    }

    /// Whether an import of Python asks for something of the project, even if that was not submitted.
    pub fn is_local_python(&self, file: usize, index: usize) -> bool {
        let (source, import, asked) = self.import(file, index);
        // Whether a module of a known package's name has the member is read in its text.
        if let (Item::Member(_), Some(module)) = (&import.item, self.module(file, index)) {
            memo::note(On::Text, module);
        }
        *asked.local.get_or_init(|| match &import.item {
            Item::Member(name) => self.modules.is_local_python_member(&source.path, &import.module, name),
            _ => self.modules.is_local_python(&source.path, &import.module),
        })
    }
}
