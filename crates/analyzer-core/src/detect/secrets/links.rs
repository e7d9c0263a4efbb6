//! What a secret opens: the model usages, tools and hosts of the same analysis, and the variable that should carry it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::formats::Formats;
use super::names;
use crate::analysis::{Analysis, Opens, OpensKind, Secret, Tool, ToolKind};
use crate::knowledge::{Entry, Knowledge};

/// Fills in what each secret opens, and prefers variables that the code reads already.
pub fn link(analysis: &mut Analysis, formats: &Formats, knowledge: &Knowledge) {
    let mut secrets = std::mem::take(&mut analysis.secrets);
    let read: FxHashSet<&str> = analysis.env_vars.iter().map(|env| env.name.as_str()).collect();
    let words: Vec<_> = analysis.tools.iter().map(|tool| names::words(&tool.name)).collect();
    let mut entries: FxHashMap<&str, &Entry> = FxHashMap::default();
    for (_, entry) in knowledge.entries() {
        entries.entry(&entry.id).or_insert(entry);
    }
    for secret in &mut secrets {
        let issuer = secret.provider.as_deref().and_then(|id| formats.issuer_opening(id));
        let mut opens = Vec::new();
        let whose = |id: &str| belongs(id, secret.provider.as_deref(), issuer, formats, &entries);
        let named = secret.name.as_deref().or(secret.suggested_env.as_deref()).map(names::words).unwrap_or_default();
        let goes_to = |host: &str| {
            let host = host.to_ascii_lowercase();
            secret.hosts.contains(&host) || issuer.is_some() && formats.issuer_of_host(&host) == issuer
        };
        for usage in analysis.model_usages.iter().filter(|usage| whose(&usage.provider)) {
            let name = usage.model.clone().unwrap_or_else(|| usage.provider.clone());
            opens.push(opened(OpensKind::ModelUsage, &name, &usage.file, usage.line));
        }
        let tools = analysis.tools.iter().zip(&words).filter(|(tool, _)| tool.kind != ToolKind::Function);
        for (tool, words) in tools {
            let host = [&tool.base_url, &tool.default_url].into_iter().flatten().find_map(|url| host_of(url));
            let by_service = tool.service.as_deref().is_some_and(whose);
            let by_name = issuer.is_none() && named_after(&named, words);
            if by_service || host.is_some_and(|host| goes_to(&host)) || by_name || started_with(secret, tool, analysis)
            {
                opens.push(opened(OpensKind::Tool, &tool.name, &tool.file, tool.line));
            }
        }
        for destination in analysis.destinations.iter().filter(|destination| goes_to(&destination.host)) {
            opens.push(opened(OpensKind::Destination, &destination.host, &destination.file, destination.line));
        }
        opens.sort();
        opens.dedup();
        secret.opens = opens;
        carried_by(secret, issuer, &read, analysis, formats);
    }
    analysis.secrets = secrets;
}

fn opened(kind: OpensKind, name: &str, file: &str, line: u32) -> Opens {
    Opens { kind, name: name.to_owned(), file: file.to_owned(), line }
}

/// A provider or service is the issuer itself, or answers at the issuer's hosts.
fn belongs(
    id: &str,
    provider: Option<&str>,
    issuer: Option<usize>,
    formats: &Formats,
    entries: &FxHashMap<&str, &Entry>,
) -> bool {
    let by_host = |host: &String| issuer.is_some() && formats.issuer_of_host(host) == issuer;
    provider == Some(id) || issuer.is_some() && entries.get(id).is_some_and(|entry| entry.hosts.iter().any(by_host))
}

/// `CRM_API_KEY` is the credential of the tool `crm`.
fn named_after(named: &[String], tool: &[String]) -> bool {
    let rest = named.strip_prefix(tool).filter(|_| !tool.is_empty());
    rest.is_some_and(|rest| rest.len() <= 3 && names::classify(rest).is_some())
}

/// It stands in the entry of an MCP server: nearest below the server's line in the same file.
fn started_with(secret: &Secret, tool: &Tool, analysis: &Analysis) -> bool {
    if tool.kind != ToolKind::Mcp {
        return false;
    }
    let servers = analysis.tools.iter().filter(|other| other.kind == ToolKind::Mcp && other.file == secret.file);
    let above = servers.filter(|other| other.line <= secret.line && secret.line - other.line <= 24);
    let nearest = above.max_by_key(|other| other.line);
    nearest.is_some_and(|nearest| nearest.name == tool.name && nearest.line == tool.line)
}

/// The variable by which the code already asks for this issuer's credential goes before the usual one.
fn carried_by(
    secret: &mut Secret,
    issuer: Option<usize>,
    read: &FxHashSet<&str>,
    analysis: &Analysis,
    formats: &Formats,
) {
    let Some(suggested) = secret.suggested_env.clone() else { return };
    let mut others = analysis.env_vars.iter().filter(|env| {
        let whose = formats.issuer_of_env(&env.name).or_else(|| formats.issuer_of_words(&names::words(&env.name)));
        issuer.is_some() && whose == issuer && formats.carries_secret(&env.name)
    });
    if !read.contains(suggested.as_str())
        && secret.name.as_deref() != Some(&suggested)
        && let Some(other) = others.next()
    {
        secret.description = secret.description.replace(&suggested, &other.name);
        secret.suggested_env = Some(other.name.clone());
    }
    secret.env_read = secret.suggested_env.as_deref().is_some_and(|env| read.contains(env));
}

fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = super::plain::host_of(rest);
    (!host.is_empty()).then_some(host)
}
