//! Agent frameworks that the code uses, not merely imports.

use std::collections::BTreeMap;

use crate::analysis::Framework;
use crate::facts::ExprId;
use crate::knowledge::index::Symbol;
use crate::memo::Asked;
use crate::resolve::{At, Ref};
use crate::sites::Context;

/// One entry per framework, at its first use: a call, a decorator, a base class.
pub fn detect(cx: &Context) -> Vec<Framework> {
    let mut found: BTreeMap<String, Framework> = BTreeMap::new();
    for (file, used) in cx.each(Asked::Frameworks, of_file).iter().enumerate() {
        for (name, line) in used.iter() {
            let path = cx.project.path(file);
            let first = found.get(name).is_some_and(|known| (known.file.as_str(), known.line) <= (path, *line));
            if !first {
                found.insert(name.clone(), Framework { name: name.clone(), file: path.to_owned(), line: *line });
            }
        }
    }
    found.into_values().collect()
}

/// The frameworks that a file uses, and the first line that does.
fn of_file(cx: &Context, file: usize) -> BTreeMap<String, u32> {
    let mut found: BTreeMap<String, u32> = BTreeMap::new();
    let mut add = |symbol: &Symbol, at: At| {
        for entry in cx.project.knowledge.frameworks_of(symbol) {
            let line = cx.project.line(at);
            found.entry(entry.id.clone()).and_modify(|first| *first = line.min(*first)).or_insert(line);
        }
    };
    for site in cx.sites_of(file) {
        if !site.symbol.module().is_empty() {
            add(&site.symbol, site.at);
        }
    }
    let facts = cx.project.facts(file);
    let decorators =
        facts.functions.iter().flat_map(|f| &f.decorators).chain(facts.classes.iter().flat_map(|c| &c.decorators));
    let marks: Vec<ExprId> = decorators.chain(facts.classes.iter().flat_map(|c| &c.bases)).copied().collect();
    for expr in marks {
        let at = At { file, expr };
        for reference in cx.project.refer(at, &None) {
            if let Ref::External(symbol, _) = reference {
                add(&symbol, at);
            }
        }
    }
    found
}
