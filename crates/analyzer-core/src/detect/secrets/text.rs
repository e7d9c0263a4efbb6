//! Secrets in files without a tree: configuration, manifests, prose, notebooks' other cells.

use super::candidate::{self, Around, Candidate};
use super::formats::Formats;
use super::names::Kind;
use super::plain::{self, Pair};
use super::{fold, judge, meaning, scan, torn};

/// Candidates of one text. `remark` when it is prose, whose names are less sure.
pub fn read(text: &str, remark: bool, formats: &Formats) -> Vec<Candidate> {
    let found = scan::scan(text, formats);
    let pairs = plain::pairs(text, &found.names);
    let mut out = Vec::new();
    for hit in &found.hits {
        let index = pairs.partition_point(|pair| pair.value.start <= hit.span.start);
        let pair = index.checked_sub(1).map(|index| &pairs[index]).filter(|pair| hit.span.end <= pair.value.end);
        let name = pair.map(|pair| &text[pair.name.clone()]);
        let hosts = beside(text, hit.span.start);
        let meaning = meaning_at(text, pair, hit.span.start, formats);
        let around = Around { name, meaning, hosts: &hosts, ..Around::default() };
        out.extend(candidate::of_hit(text, hit, &around, formats));
    }
    for pair in &pairs {
        let (name, value) = (&text[pair.name.clone()], &text[pair.value.clone()]);
        let encoded = value.len() >= 24 && fold::decoded(value).is_some();
        // Cheap questions first: most pairs of a large file are no credentials.
        if !encoded
            && !judge::plausible(value)
            && !judge::chosen(value)
            && (!judge::typed(value) || pair.is_listed(text))
            && !judge::scrambled(value)
            && !value.starts_with("https://")
        {
            continue;
        }
        let kind = match formats.kind_of(name) {
            Some(Kind::Weak) => plain::used_as(text, pair).or(Some(Kind::Weak)),
            // `keys set NAME --value …`
            None if pair.is_set(text) => super::names::of_table(name),
            kind => kind,
        };
        if kind.is_none() && !encoded || plain::is_sealed(text, pair.value.start) {
            continue;
        }
        let meaning = meaning_at(text, Some(pair), pair.value.start, formats);
        let hosts = beside(text, pair.value.start);
        let assigned = pair.assigned;
        let around = Around { name: Some(name), kind, meaning, remark, assigned, hosts: &hosts, ..Around::default() };
        out.extend(candidate::of_name(pair.value.clone(), value, &around, formats));
        if encoded {
            out.extend(candidate::of_encoded(pair.value.clone(), value, &around, formats));
        }
    }
    for pair in &pairs {
        let Some((span, whole)) = plain::continued(text, pair) else { continue };
        let name = &text[pair.name.clone()];
        let meaning = meaning_at(text, Some(pair), pair.value.start, formats);
        let around = Around { name: Some(name), kind: formats.kind_of(name), meaning, remark, ..Around::default() };
        let hits = scan::scan(&whole, formats).hits;
        let found = hits.iter().filter_map(|hit| candidate::of_hit(&whole, hit, &around, formats));
        let found: Vec<Candidate> = found.chain(candidate::of_name(span.clone(), &whole, &around, formats)).collect();
        out.retain(|part| found.is_empty() || part.span.end <= span.start || span.end <= part.span.start);
        out.extend(found.into_iter().map(|mut found| {
            found.reasons.extend(["folded", torn::PART]);
            found.span = span.clone();
            found
        }));
    }
    out.retain(|candidate| candidate.rank >= 600 || !found.public.contains(&candidate.span));
    out
}

/// External hosts of addresses on the same line: a command's own.
fn beside(text: &str, at: usize) -> Vec<String> {
    let start = scan::floor(text, text[..at].rfind('\n').map_or(0, |i| i + 1).max(at.saturating_sub(400)));
    let end = scan::floor(text, text[at..].find('\n').map_or(text.len(), |i| at + i).min(at + 400));
    let hosts = text[start..end].match_indices("://").map(|(i, _)| plain::host_of(&text[start + i + 3..end]));
    hosts.filter(|host| !scan::is_local(host)).take(4).collect()
}

fn meaning_at(text: &str, pair: Option<&Pair>, at: usize, formats: &Formats) -> Option<meaning::Meaning> {
    let name = pair.map(|pair| &text[pair.name.clone()]);
    let own = meaning::of_name(name, &[], formats);
    own.or_else(|| meaning::of_name(None, &plain::whose(text, at), formats))
        .or_else(|| meaning::of_call(text, at, &[], formats))
        .or_else(|| meaning::of_name(None, &plain::enclosing(text, at), formats))
        .or_else(|| meaning::of_line(text, at, formats))
        .or_else(|| meaning::of_hosts(&plain::nearby_hosts(text, at), formats))
        .or_else(|| meaning::of_hosts(&plain::told_hosts(text, at), formats))
}
