//! What a secret opens: the model usages, tools and hosts of the same analysis, and the variable that should carry it.

use rustc_hash::FxHashMap;

use super::formats::Formats;
use super::names;
use crate::analysis::{Analysis, Destination, EnvVar, Opens, OpensKind, Secret, Tool, ToolKind};
use crate::knowledge::Knowledge;

/// Fills in what each secret opens, and prefers variables that the code reads already.
pub fn link(analysis: &mut Analysis, formats: &Formats, knowledge: &Knowledge) {
    let mut secrets = std::mem::take(&mut analysis.secrets);
    let known = Known::new(analysis, formats, knowledge);
    for secret in &mut secrets {
        let issuer = secret.provider.as_deref().and_then(|id| formats.issuer_opening(id));
        let mut opens = Vec::new();
        let whose = |id: &str| secret.provider.as_deref() == Some(id) || issuer.is_some() && known.answers(id, issuer);
        let named = secret.name.as_deref().or(secret.suggested_env.as_deref()).map(names::words).unwrap_or_default();
        let goes_to = |host: &Host| secret.hosts.contains(&host.name) || issuer.is_some() && host.issuer == issuer;
        for usage in analysis.model_usages.iter().filter(|usage| whose(&usage.provider)) {
            let name = usage.model.clone().unwrap_or_else(|| usage.provider.clone());
            opens.push(opened(OpensKind::ModelUsage, &name, &usage.file, usage.line));
        }
        for (tool, words, host) in &known.tools {
            let by_service = tool.service.as_deref().is_some_and(whose);
            let by_name = issuer.is_none() && named_after(&named, words);
            if by_service || host.as_ref().is_some_and(goes_to) || by_name || started_with(secret, tool, analysis) {
                opens.push(opened(OpensKind::Tool, &tool.name, &tool.file, tool.line));
            }
        }
        for (destination, _) in known.destinations.iter().filter(|(_, host)| goes_to(host)) {
            opens.push(opened(OpensKind::Destination, &destination.host, &destination.file, destination.line));
        }
        opens.sort();
        opens.dedup();
        secret.opens = opens;
        carried_by(secret, issuer, &known, formats);
    }
    analysis.secrets = secrets;
}

fn opened(kind: OpensKind, name: &str, file: &str, line: u32) -> Opens {
    Opens { kind, name: name.to_owned(), file: file.to_owned(), line }
}

/// What the analysis found, as secrets ask for it.
struct Known<'a> {
    /// Tools that are no functions, the words of their names, their hosts.
    tools: Vec<(&'a Tool, Vec<String>, Option<Host>)>,
    destinations: Vec<(&'a Destination, Host)>,
    /// Variables that the code reads, and whose they are.
    variables: Vec<(&'a EnvVar, Option<usize>)>,
    /// Issuers that answer at the hosts of providers and services, by id.
    answering: FxHashMap<&'a str, Vec<usize>>,
}

/// A host in lower case, and whose it is.
struct Host {
    name: String,
    issuer: Option<usize>,
}

impl<'a> Known<'a> {
    fn new(analysis: &'a Analysis, formats: &Formats, knowledge: &'a Knowledge) -> Known<'a> {
        let host = |name: &str| {
            let name = name.to_ascii_lowercase();
            Host { issuer: formats.issuer_of_host(&name), name }
        };
        let tool = |tool: &'a Tool| {
            let found = [&tool.base_url, &tool.default_url].into_iter().flatten().find_map(|url| host_of(url));
            (tool, names::words(&tool.name), found.map(|name| host(&name)))
        };
        let variable = |env: &'a EnvVar| {
            let whose = formats.issuer_of_env(&env.name).or_else(|| formats.issuer_of_words(&names::words(&env.name)));
            (env, whose)
        };
        let mut answering: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
        for (_, entry) in knowledge.entries() {
            // Of several entries of one id, the first.
            answering
                .entry(&entry.id)
                .or_insert_with(|| entry.hosts.iter().filter_map(|host| formats.issuer_of_host(host)).collect());
        }
        Known {
            tools: analysis.tools.iter().filter(|tool| tool.kind != ToolKind::Function).map(tool).collect(),
            destinations: analysis.destinations.iter().map(|found| (found, host(&found.host))).collect(),
            variables: analysis.env_vars.iter().map(variable).collect(),
            answering,
        }
    }

    /// A provider or service answers at the issuer's hosts.
    fn answers(&self, id: &str, issuer: Option<usize>) -> bool {
        let issuers = self.answering.get(id);
        issuers.is_some_and(|issuers| issuers.iter().any(|own| Some(*own) == issuer))
    }

    fn reads(&self, name: &str) -> bool {
        self.variables.iter().any(|(env, _)| env.name == name)
    }
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

/// Variables of what has no name of its own.
const NAMELESS: &[&str] = &["ACCESS_TOKEN", "API_KEY", "CLIENT_SECRET", "PASSWORD", "PRIVATE_KEY", "WEBHOOK_URL"];

/// The variable by which the code already asks for this issuer's credential goes before the usual one.
fn carried_by(secret: &mut Secret, issuer: Option<usize>, known: &Known, formats: &Formats) {
    let Some(mut suggested) = secret.suggested_env.clone() else { return };
    // `ACCESS_TOKEN` would be every tool's: the tool that it opens names it.
    let mut tools = secret.opens.iter().filter(|opens| opens.kind == OpensKind::Tool).map(|opens| &opens.name);
    if let (true, Some(tool)) = (NAMELESS.contains(&&*suggested), tools.next())
        && tools.all(|other| other == tool)
    {
        let own = format!("{}_{suggested}", names::words(tool).join("_").to_ascii_uppercase());
        secret.description = secret.description.replace(&suggested, &own);
        secret.suggested_env = Some(own.clone());
        suggested = own;
    }
    let own = |(env, whose): &&(&EnvVar, Option<usize>)| {
        issuer.is_some() && *whose == issuer && formats.carries_secret(&env.name)
    };
    if !known.reads(&suggested)
        && secret.name.as_deref() != Some(&suggested)
        && let Some((other, _)) = known.variables.iter().find(own)
    {
        secret.description = secret.description.replace(&suggested, &other.name);
        secret.suggested_env = Some(other.name.clone());
    }
    secret.env_read = secret.suggested_env.as_deref().is_some_and(|env| known.reads(env));
}

fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = super::plain::host_of(rest);
    (!host.is_empty()).then_some(host)
}
