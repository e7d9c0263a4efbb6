//! Agent frameworks that the code uses, not merely imports.

use std::collections::BTreeMap;

use crate::analysis::Framework;
use crate::facts::ExprId;
use crate::knowledge::index::Symbol;
use crate::resolve::{At, Ref};
use crate::sites::Context;

/// One entry per framework, at its first use: a call, a decorator, a base class.
pub fn detect(cx: &Context) -> Vec<Framework> {
    let mut found: BTreeMap<String, Framework> = BTreeMap::new();
    let mut add = |symbol: &Symbol, at: At| {
        for entry in cx.project.knowledge.frameworks_of(symbol) {
            let (file, line) = (cx.project.path(at.file).to_owned(), cx.project.line(at));
            let new = Framework { name: entry.id.clone(), file, line };
            let slot = found.entry(entry.id.clone()).or_insert_with(|| new.clone());
            if (&new.file, new.line) < (&slot.file, slot.line) {
                *slot = new;
            }
        }
    };
    for site in &cx.sites {
        if !site.symbol.module().is_empty() {
            add(&site.symbol, site.at);
        }
    }
    for file in 0..cx.project.files.len() {
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
    }
    found.into_values().collect()
}
