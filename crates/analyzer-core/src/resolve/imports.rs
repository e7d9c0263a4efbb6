//! What imports stand for: submitted modules and their members, re-exports, stars, packages outside.

use super::names::*;
use super::*;
use crate::sources::Language;

impl Project<'_> {
    pub(super) fn import(&self, file: usize, index: u32, q: &mut Question) -> Vec<Ref> {
        if !q.step() {
            return vec![Ref::Unknown];
        }
        let import = &self.facts(file).imports[index as usize];
        let refs = if self.is_python(file) {
            self.python_import(file, index, import, q)
        } else {
            self.javascript_import(file, index, import, q)
        };
        q.back();
        refs
    }

    pub(super) fn python_import(&self, file: usize, index: u32, import: &Import, q: &mut Question) -> Vec<Ref> {
        let index = index as usize;
        match &import.item {
            Item::Member(name) => {
                if let Some(module) = self.imports.module(file, index)
                    && let Some(refs) = self.module_member(module, name, q)
                {
                    return refs;
                }
                if let Some(module) = self.imports.member(file, index) {
                    return vec![Ref::Module(module)];
                }
                if import.module.starts_with('.') || self.imports.is_local_python(file, index) {
                    return vec![Ref::Unknown];
                }
                let parts: Vec<&str> = import.module.split('.').chain([&**name]).collect();
                vec![Ref::External(Symbol::python(&parts), Vec::new())]
            }
            Item::Module => match self.imports.module(file, index) {
                Some(module) => vec![Ref::Module(module)],
                None => {
                    vec![Ref::External(Symbol::module_of(true, &import.module), Vec::new())]
                }
            },
            Item::Root => {
                let root = import.module.split('.').next().unwrap_or(&import.module);
                if self.imports.module(file, index).is_some() {
                    return vec![Ref::Package(file, root.to_owned())];
                }
                vec![Ref::External(Symbol::module_of(true, root), Vec::new())]
            }
            Item::Star | Item::Effect => vec![Ref::Unknown],
        }
    }

    pub(super) fn javascript_import(&self, file: usize, index: u32, import: &Import, q: &mut Question) -> Vec<Ref> {
        if let Some(module) = self.imports.module(file, index as usize) {
            return match &import.item {
                Item::Member(name) => self.exported(module, name, q).unwrap_or_else(|| vec![Ref::Unknown]),
                _ => vec![Ref::Module(module)],
            };
        }
        if import.module.starts_with('.') {
            return vec![Ref::Unknown];
        }
        let module = Symbol::module_of(false, &package_path(&import.module));
        let symbol = match &import.item {
            Item::Member(name) => module.member(name),
            _ => module,
        };
        vec![Ref::External(symbol, Vec::new())]
    }

    /// A name that some `from x import *` brings in.
    pub(super) fn star_imported(&self, file: usize, name: &str, q: &mut Question) -> Option<Vec<Ref>> {
        if !self.is_python(file) {
            return None;
        }
        let stars = self.facts(file).imports.iter().enumerate().filter(|(_, import)| import.item == Item::Star);
        let mut stars = stars.take(16).peekable();
        stars.peek()?;
        // What was asked in vain, or is being asked, has no other answer now.
        let asked = (file, name.to_owned());
        if !q.stars.insert(asked.clone()) {
            q.cut = true;
            return None;
        }
        for (index, _) in stars {
            if let Some(module) = self.imports.module(file, index)
                && module != file
                && q.step()
            {
                let found = self.module_member(module, name, q);
                q.back();
                if found.is_some() {
                    q.stars.remove(&asked);
                    return found;
                }
            }
        }
        None
    }

    /// A name of a submitted Python module.
    pub(super) fn module_member(&self, file: usize, name: &str, q: &mut Question) -> Option<Vec<Ref>> {
        let facts = self.facts(file);
        if !self.is_python(file) {
            return self.exported(file, name, q);
        }
        let bindings = facts.bindings_named(MODULE, name);
        if bindings.is_empty() {
            return self.star_imported(file, name, q).or_else(|| {
                let own = is_package(self.path(file))
                    .then(|| self.imports.modules.resolve_python(self.path(file), ".", Some(name)));
                own.flatten().filter(|&m| m != file).map(|m| vec![Ref::Module(m)])
            });
        }
        let selected = select(facts, bindings, MODULE, BlockId(0), None);
        let refs = selected.into_iter().flat_map(|(binding, _)| self.bound(file, binding, &None, q)).collect();
        Some(self.prefer_known(refs))
    }

    /// The names that a submitted JavaScript module exports, each with the expression behind it.
    pub(super) fn exported_names(&self, file: usize, q: &mut Question) -> Vec<(String, At)> {
        let mut names: Vec<String> = Vec::new();
        let (mut work, mut seen) = (vec![file], vec![file]);
        while let Some(at) = work.pop() {
            let facts = self.facts(at);
            names.extend(facts.exports.iter().map(|(name, _)| name.to_string()));
            for (index, import) in facts.imports.iter().enumerate().take(1_024) {
                if import.item == Item::Star
                    && let Some(module) = self.imports.module(at, index)
                    && seen.len() < 64
                    && !seen.contains(&module)
                {
                    seen.push(module);
                    work.push(module);
                }
            }
        }
        names.sort();
        names.dedup();
        let expression = |name: String, q: &mut Question| {
            let refs = self.exported(file, &name, q)?;
            let at = refs.into_iter().find_map(|reference| match reference {
                Ref::Expr(at, _) => Some(at),
                Ref::External(_, calls) => Some(calls.last()?.0),
                _ => None,
            })?;
            Some((name, at))
        };
        names.into_iter().filter_map(|name| expression(name, q)).collect()
    }

    /// A name that a submitted JavaScript module exports.
    pub(super) fn exported(&self, file: usize, name: &str, q: &mut Question) -> Option<Vec<Ref>> {
        if !q.step() {
            return None;
        }
        let facts = self.facts(file);
        let mut refs = Vec::new();
        let mut found = false;
        for (_, exported) in facts.exports.iter().filter(|(exported, _)| &**exported == name) {
            found = true;
            match *exported {
                Exported::Local(sym) => {
                    let bindings = facts.bindings_in(MODULE, sym);
                    for (binding, _) in select(facts, bindings, MODULE, BlockId(0), None) {
                        refs.extend(self.bound(file, binding, &None, q));
                    }
                }
                Exported::Expr(expr) => refs.extend(self.refer_in(At { file, expr }, &None, q)),
                Exported::Import(index) => refs.extend(self.import(file, index, q)),
            }
        }
        if !found && self.language(file) == Language::Text {
            let root = facts.exports.first();
            if let Some((_, Exported::Expr(expr))) = root
                && let Some((at, frames)) = self.literal_element(At { file, expr: *expr }, &None, name, q)
            {
                (found, refs) = (true, self.refer_in(at, &frames, q));
            }
        }
        if !found {
            let asked = (file, name.to_owned());
            let mut stars = facts.imports.iter().enumerate().filter(|(_, import)| import.item == Item::Star).take(64);
            let has_stars = stars.clone().next().is_some();
            let is_new = has_stars && q.stars.insert(asked.clone());
            q.cut |= has_stars && !is_new;
            if is_new {
                let more = stars.find_map(|(index, _)| {
                    let module = self.imports.module(file, index).filter(|module| *module != file)?;
                    self.exported(module, name, q)
                });
                if let Some(more) = more {
                    q.stars.remove(&asked);
                    (found, refs) = (true, more);
                }
            }
        }
        q.back();
        found.then(|| self.prefer_known(refs))
    }
}
