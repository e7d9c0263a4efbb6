//! Environment variables that the code reads.

use std::collections::BTreeMap;

use crate::analysis::EnvVar;
use crate::facts::ExprKind;
use crate::knowledge::index::RuleKind;
use crate::memo::Asked;
use crate::resolve::{At, Ref};
use crate::sites::Context;

/// One entry per variable, at its first read.
pub fn detect(cx: &Context) -> Vec<EnvVar> {
    let mut found: BTreeMap<String, EnvVar> = BTreeMap::new();
    for new in cx.each(Asked::EnvVars, of_file).iter().flat_map(|of_file| of_file.iter()) {
        let slot = found.entry(new.name.clone()).or_insert_with(|| new.clone());
        let has_default = slot.has_default || new.has_default;
        if (&new.file, new.line) < (&slot.file, slot.line) {
            *slot = new.clone();
        }
        slot.has_default = has_default;
    }
    found.into_values().collect()
}

/// The reads of a file.
fn of_file(cx: &Context, file: usize) -> Vec<EnvVar> {
    let mut found = Vec::new();
    let mut add = |name: String, at: At, has_default: bool| {
        let plausible = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plausible {
            let (file, line) = (cx.project.path(at.file).to_owned(), cx.project.line(at));
            found.push(EnvVar { name, file, line, has_default });
        }
    };
    for site in cx.sites_of(file) {
        for hit in site.hits(RuleKind::EnvRead) {
            let rule = &cx.project.knowledge.entry(hit.entry).env_read[hit.rule as usize];
            if rule.map || rule.fields {
                continue;
            }
            let name =
                cx.project.argument(site.at, &None, &rule.name).and_then(|(at, frames)| cx.project.text(at, &frames));
            let default = cx.project.argument(site.at, &None, &rule.default).is_some();
            name.into_iter().for_each(|name| add(name, site.at, default));
        }
    }
    let facts = cx.project.facts(file);
    for (index, expr) in facts.exprs.iter().enumerate() {
        let base = match &expr.kind {
            ExprKind::Attr(base, _) | ExprKind::Index(base, _) => *base,
            _ => continue,
        };
        // Only what looks like a map of the environment is asked about.
        let last = match facts.kind(base) {
            ExprKind::Attr(_, sym) | ExprKind::Name(sym) => facts.name(*sym),
            _ => continue,
        };
        if last != "env" && last != "environ" {
            continue;
        }
        let is_map = cx.project.refer(At { file, expr: base }, &None).iter().any(|reference| match reference {
            Ref::External(symbol, _) => {
                cx.project.rules(symbol, RuleKind::EnvRead).any(|(e, r)| e.env_read[r as usize].map)
            }
            _ => false,
        });
        let at = At { file, expr: crate::facts::ExprId(index as u32) };
        let name = match &expr.kind {
            ExprKind::Attr(_, sym) => Some(facts.name(*sym).to_owned()),
            ExprKind::Index(_, key) => cx.project.text(At { file, expr: *key }, &None),
            _ => None,
        };
        match name {
            // `os.environ.get` is a method, counted at its call.
            Some(name)
                if is_map
                    && !matches!(
                        name.as_str(),
                        "get" | "setdefault" | "pop" | "copy" | "items" | "keys" | "update"
                    ) =>
            {
                add(name, at, false);
            }
            _ => {}
        }
    }
    found
}
