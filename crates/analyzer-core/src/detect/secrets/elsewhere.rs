//! Where a credential goes under its name: `CRM_TOKEN=…` in `.env`, and a header of another file that reads it.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::candidate::Candidate;
use super::context::{Context, Site};
use super::formats::Formats;
use super::meaning::{self, By};
use super::names::{self, Kind};
use crate::facts::{ExprId, ExprKind, FileFacts};

/// Credentials that are followed; a project with more holds data.
const MOST: usize = 200;

/// Places in one file where one name is read.
const READS: usize = 16;

/// Adds the hosts that a credential is sent to where its name is read, and whose it is when only that says so.
pub fn follow(found: &mut [Vec<Candidate>], facts: &[Arc<FileFacts>], formats: &Formats) {
    let mut wanted: FxHashMap<String, Vec<(usize, usize)>> = FxHashMap::default();
    for (file, candidates) in found.iter().enumerate() {
        for (index, candidate) in candidates.iter().enumerate().filter(|(_, one)| one.hosts.is_empty()) {
            let name = candidate.name.as_deref().filter(|name| is_own(name));
            if let Some(name) = name.filter(|_| wanted.len() < MOST) {
                wanted.entry(spelt(name)).or_default().push((file, index));
            }
        }
    }
    if wanted.is_empty() {
        return;
    }
    for facts in facts {
        let imports: Vec<&str> = facts.imports.iter().map(|import| &*import.module).collect();
        for (name, used) in reads(facts, &wanted) {
            let hosts = meaning::hosts(&Site::default(), &used);
            let whose = meaning::of_site(&Site::default(), &used, &imports, formats);
            for (file, index) in &wanted[name] {
                let candidate = &mut found[*file][*index];
                let more: Vec<String> = hosts.iter().filter(|host| !candidate.hosts.contains(host)).cloned().collect();
                candidate.hosts.extend(more);
                if let Some(whose) = whose.filter(|whose| candidate.issuer.is_none() && whose.by <= By::Client) {
                    candidate.issuer = Some(whose.issuer);
                    candidate.reasons.push(whose.by.reason());
                }
            }
        }
    }
}

/// A name that another credential hardly has: a variable of the environment, or `crmToken`, and not `api_key`.
fn is_own(name: &str) -> bool {
    const ANYBODYS: &[&str] = &[
        "x",
        "api",
        "key",
        "keys",
        "token",
        "auth",
        "authorization",
        "access",
        "bearer",
        "secret",
        "client",
        "password",
        "apikey",
        "app",
        "user",
        "private",
        "my",
        "header",
        "llm",
        "model",
        "default",
    ];
    let words = names::words(name);
    let own = names::is_shouted(name) || words.iter().any(|word| !ANYBODYS.contains(&word.as_str()));
    words.len() >= 2 && own && names::classify(&words).is_some_and(|kind| kind != Kind::Weak)
}

/// One spelling for `CRM_TOKEN`, `crmToken` and `crm-token`.
fn spelt(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Where a file reads what these names hold: attributes, items, look-ups.
fn reads<'w>(facts: &FileFacts, wanted: &'w FxHashMap<String, Vec<(usize, usize)>>) -> Vec<(&'w str, Vec<Site>)> {
    let known = |name: &str| {
        let short = (4..=80).contains(&name.len()) && !name.contains(' ');
        short.then(|| wanted.get_key_value(&spelt(name))).flatten().map(|(name, _)| name.as_str())
    };
    let symbols: Vec<Option<&str>> = facts.names().map(known).collect();
    let mut places: FxHashMap<&str, Vec<ExprId>> = FxHashMap::default();
    for (index, expr) in facts.exprs.iter().enumerate() {
        let name = match &expr.kind {
            ExprKind::Attr(_, name) | ExprKind::Name(name) => symbols[name.0 as usize],
            ExprKind::Index(_, key) => facts.text(*key).and_then(known),
            ExprKind::Call(call) => {
                let first = facts.calls[*call as usize].args.first();
                first.and_then(|arg| facts.text(arg.value)).and_then(known)
            }
            _ => None,
        };
        if let Some(name) = name {
            places.entry(name).or_default().push(ExprId(index as u32));
        }
    }
    if places.is_empty() {
        return Vec::new();
    }
    let cx = Context::new(facts);
    let mut read: Vec<(&str, Vec<Site>)> = places
        .into_iter()
        .map(|(name, places)| {
            let direct: Vec<Site> = places.into_iter().take(READS).map(|place| cx.site(place)).collect();
            let handed: Vec<Site> = direct.iter().flat_map(|site| meaning::uses(site, &cx)).collect();
            (name, direct.into_iter().chain(handed).collect())
        })
        .collect();
    read.sort_by_key(|(name, _)| *name);
    read
}
