//! `agent.lock`: the committed list of what an agent may touch, and what two such lists differ in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use analyzer_core::analysis::{Role, ToolKind};
use analyzer_core::{Analysis, may_hold_credential};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What an agent may touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lock {
    version: u32,
    /// Hosts it reaches.
    pub hosts: Vec<String>,
    /// Packages it is built of.
    pub packages: Vec<String>,
    /// Names of the variables that carry its credentials.
    pub secrets: Vec<String>,
    /// Models it uses.
    #[serde(rename = "model")]
    pub models: Vec<Model>,
    /// Tools it uses.
    #[serde(rename = "tool")]
    pub tools: Vec<Tool>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What for.
    pub role: String,
    /// Whose.
    pub provider: String,
    /// Which; `?` where the code does not say.
    pub model: String,
}

impl Model {
    /// `provider/model`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.provider, self.model)
    }
}

/// A tool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What kind.
    pub kind: String,
    /// Its address, or the variable that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// `GET /v1/charges/{id}`.
    #[serde(default)]
    pub calls: Vec<String>,
}

const HEAD: &str =
    "# What this agent may touch. `agentlint lock` writes this file; read changes to it as permissions.\n";

/// Places of what a lock says, to point at.
pub type Places = BTreeMap<String, String>;

/// The lock of an analysis, and where each of its entries stands in the code.
pub fn of(analysis: &Analysis, shown: impl Fn(&str) -> String) -> (Lock, Places) {
    let mut places = Places::new();
    let mut tools: BTreeMap<(String, String, Option<String>), BTreeSet<String>> = BTreeMap::new();
    for tool in &analysis.tools {
        let kind = kind(tool.kind).to_owned();
        let address =
            tool.detected_url_pattern.as_ref().map(|name| format!("${{{name}}}")).or_else(|| tool.base_url.clone());
        let command = || tool.description.clone().filter(|_| tool.kind == ToolKind::Mcp);
        let address = address.or_else(command);
        let host = address.as_deref().map(bare).unwrap_or_default();
        let place = || format!("{}:{}", shown(&tool.file), tool.line);
        places.entry(format!("tool {}", tool.name)).or_insert_with(place);
        if let Some(address) = address.as_deref().filter(|_| tool.kind == ToolKind::Mcp) {
            places.entry(runs(&tool.name, address)).or_insert_with(place);
        }
        let calls = tools.entry((tool.name.clone(), kind, address.clone())).or_default();
        if tool.kind == ToolKind::Function {
            continue;
        }
        for site in &tool.call_sites {
            let Some(path) = &site.path else { continue };
            let call = format!("{} {path}", site.method.as_deref().unwrap_or("ANY"));
            let method = site.method.as_deref().unwrap_or("ANY");
            places
                .entry(format!("{method} {host}{path}"))
                .or_insert_with(|| format!("{}:{}", shown(&site.file), site.line));
            calls.insert(call);
        }
    }
    let mut models = BTreeSet::new();
    for usage in &analysis.model_usages {
        let model = Model {
            role: role(usage.role).into(),
            provider: usage.provider.clone(),
            model: usage.model.clone().unwrap_or_else(|| "?".into()),
        };
        let place = format!("{}:{}", shown(&usage.file), usage.line);
        places.entry(format!("model {} ({})", model.name(), model.role)).or_insert(place);
        models.insert(model);
    }
    for destination in &analysis.destinations {
        places
            .insert(format!("host {}", destination.host), format!("{}:{}", shown(&destination.file), destination.line));
    }
    for package in &analysis.requirements.packages {
        places.insert(format!("package {}", package.name), format!("{}:{}", shown(&package.file), package.line));
    }
    let variables = analysis.env_vars.iter().filter(|variable| may_hold_credential(&variable.name));
    for variable in variables.clone() {
        places.insert(format!("secret {}", variable.name), format!("{}:{}", shown(&variable.file), variable.line));
    }
    let packages: BTreeSet<String> =
        analysis.requirements.packages.iter().map(|package| package.name.clone()).collect();
    let lock = Lock {
        version: 1,
        hosts: analysis.outbound_destinations.clone(),
        packages: packages.into_iter().collect(),
        secrets: variables.map(|variable| variable.name.clone()).collect(),
        models: models.into_iter().collect(),
        tools: tools
            .into_iter()
            .map(|((name, kind, address), calls)| Tool { name, kind, address, calls: calls.into_iter().collect() })
            .collect(),
    };
    (lock, places)
}

/// A word for a kind of tool.
pub fn kind(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Env => "env",
        ToolKind::Http => "http",
        ToolKind::Sdk => "sdk",
        ToolKind::Mcp => "mcp",
        ToolKind::Function => "function",
    }
}

/// A word for a role.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Default => "default",
        Role::Chat => "chat",
        Role::Embedding => "embedding",
        Role::Classify => "classify",
        Role::Reranking => "reranking",
    }
}

/// What an MCP server is: the command that starts it, or its address.
fn runs(name: &str, address: &str) -> String {
    format!("server {name} = {address}")
}

fn bare(address: &str) -> &str {
    address.split_once("://").map_or(address, |(_, host)| host)
}

impl Lock {
    /// As it is written: one entry a line, so that a difference reads as what was gained and lost.
    pub fn text(&self) -> String {
        let mut out = String::from(HEAD);
        writeln!(out, "version = {}", self.version).expect("writing to a string");
        for (name, list) in [("hosts", &self.hosts), ("packages", &self.packages), ("secrets", &self.secrets)] {
            array(&mut out, name, list);
        }
        for model in &self.models {
            let [role, provider, name] = [&model.role, &model.provider, &model.model].map(|text| quoted(text));
            writeln!(out, "\n[[model]]\nrole = {role}\nprovider = {provider}\nmodel = {name}")
                .expect("writing to a string");
        }
        for tool in &self.tools {
            writeln!(out, "\n[[tool]]\nname = {}\nkind = {}", quoted(&tool.name), quoted(&tool.kind))
                .expect("writing to a string");
            if let Some(address) = &tool.address {
                writeln!(out, "address = {}", quoted(address)).expect("writing to a string");
            }
            if !tool.calls.is_empty() {
                array(&mut out, "calls", &tool.calls);
            }
        }
        out
    }

    /// Everything it says, one thing a line.
    pub fn lines(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for tool in &self.tools {
            lines.insert(format!("tool {}", tool.name));
            // What a server is started by or reached at is what it is: another one under its name is another one.
            if let Some(address) = tool.address.as_deref().filter(|_| tool.kind == kind(ToolKind::Mcp)) {
                lines.insert(runs(&tool.name, address));
            }
            let host = tool.address.as_deref().map(bare).unwrap_or_default();
            for call in &tool.calls {
                let (method, path) = call.split_once(' ').unwrap_or((call, ""));
                lines.insert(format!("{method} {host}{path}"));
            }
        }
        lines.extend(self.models.iter().map(|model| format!("model {} ({})", model.name(), model.role)));
        lines.extend(self.hosts.iter().map(|host| format!("host {host}")));
        lines.extend(self.packages.iter().map(|package| format!("package {package}")));
        lines.extend(self.secrets.iter().map(|secret| format!("secret {secret}")));
        lines
    }
}

fn array(out: &mut String, name: &str, list: &[String]) {
    if list.is_empty() {
        writeln!(out, "{name} = []").expect("writing to a string");
        return;
    }
    writeln!(out, "{name} = [").expect("writing to a string");
    for item in list {
        writeln!(out, "  {},", quoted(item)).expect("writing to a string");
    }
    out.push_str("]\n");
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Reads a lock.
pub fn parse(name: &str, text: &str) -> Result<Lock, Error> {
    let lock: Lock = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text[..at.min(text.len())].matches('\n').count() + 1;
        Error::Config(format!("{name}:{line}: {}; `agentlint lock` writes it anew", error.message().trim()))
    })?;
    match lock.version {
        1 => Ok(lock),
        other => Err(Error::Config(format!("{name}: version {other} is not known; update agentlint"))),
    }
}

/// What one lock has and the other has not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Gained, with the place in the code where that is known.
    pub gained: Vec<(String, Option<String>)>,
    /// Lost.
    pub lost: Vec<String>,
    /// Models that took the place of others.
    pub replaced: Vec<(String, String)>,
}

impl Change {
    /// Nothing changed.
    pub fn is_empty(&self) -> bool {
        self.gained.is_empty() && self.lost.is_empty() && self.replaced.is_empty()
    }

    /// Between two locks.
    pub fn between(before: &Lock, after: &Lock, places: &Places) -> Change {
        let (old, new) = (before.lines(), after.lines());
        let mut lost: Vec<String> = old.difference(&new).cloned().collect();
        let mut gained: Vec<String> = new.difference(&old).cloned().collect();
        let mut replaced = Vec::new();
        // One model for another, in one role: that is what happened, rather than a loss and a gain.
        let roles: BTreeSet<&str> = before.models.iter().map(|model| model.role.as_str()).collect();
        for role in roles {
            let of_role = |list: &[String]| -> Vec<String> {
                let end = format!(" ({role})");
                list.iter().filter(|line| line.starts_with("model ") && line.ends_with(&end)).cloned().collect()
            };
            if let ([from], [to]) = (&of_role(&lost)[..], &of_role(&gained)[..]) {
                let plain = |line: &String| line.trim_start_matches("model ").to_owned();
                replaced.push((plain(from), plain(to)));
                let (from, to) = (from.clone(), to.clone());
                lost.retain(|line| *line != from);
                gained.retain(|line| *line != to);
            }
        }
        let gained = gained.into_iter().map(|line| (line.clone(), places.get(&line).cloned())).collect();
        Change { gained, lost, replaced }
    }

    /// `+ POST api.stripe.com/v1/refunds (agent.py:41)`, one a line.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (line, place) in &self.gained {
            let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
            writeln!(out, "+ {line}{place}").expect("writing to a string");
        }
        for line in &self.lost {
            writeln!(out, "- {line}").expect("writing to a string");
        }
        for (from, to) in &self.replaced {
            writeln!(out, "~ model {from} -> {to}").expect("writing to a string");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use analyzer_core::{Options, Sources, analyze};

    use super::*;

    fn lock_of(files: &[(&str, &str)]) -> (Lock, Places) {
        let files = files.iter().map(|(path, text)| (path.to_string(), text.to_string()));
        of(&analyze(&Sources::new(files).unwrap(), &Options::default()), str::to_owned)
    }

    #[test]
    fn variables_that_hold_credentials_are_known_however_they_are_spelt() {
        let names = ["OPENAI_APIKEY", "GITHUB_PAT", "DATABASE_URL", "openai_api_key", "SMTP_PASSWORD"];
        let others = ["LOG_LEVEL", "TOKENIZER", "MAX_TOKENS", "KEYBOARD_LAYOUT", "MONKEY"];
        let read = |name: &&str| format!("os.environ[{name:?}]\n");
        let code: String = names.iter().chain(&others).map(read).collect();
        let (lock, places) = lock_of(&[("agent.py", &format!("import os\n{code}"))]);
        let found: BTreeSet<&str> = lock.secrets.iter().map(String::as_str).collect();
        assert_eq!(found, names.into_iter().collect());
        assert_eq!(places["secret GITHUB_PAT"], "agent.py:3");
    }

    #[test]
    fn another_server_under_the_same_name_is_a_change() {
        let with = |package: &str| {
            let code = format!(
                "from mcp import StdioServerParameters\n\
                 files = StdioServerParameters(command=\"npx\", args=[\"-y\", \"{package}\"])\n"
            );
            lock_of(&[("agent.py", &code)])
        };
        let ((before, _), (after, places)) = (with("@x/server-files@1.0.0"), with("@evil/server-files@1.0.0"));
        let change = Change::between(&before, &after, &places);
        assert!(!change.is_empty());
        let text = change.text();
        assert!(text.contains("+ server ") && text.contains("@evil/server-files@1.0.0 (agent.py:2)"), "{text}");
        assert!(text.contains("- server ") && text.contains("@x/server-files@1.0.0"), "{text}");
        assert!(Change::between(&after, &with("@evil/server-files@1.0.0").0, &places).is_empty());
    }
}
