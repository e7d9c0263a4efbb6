//! Env: what an agent finds in its environment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::plan::Model;
use crate::names;
use crate::tools::{Capability, ToolRecord};

/// What stands in place of a value that may be secret.
pub const MASK: &str = "********";

/// One variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, or a mask.
    pub value: String,
}

/// What the variables are made of.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The agent's name.
    pub agent: &'a str,
    /// The file that starts it.
    pub entry_point: &'a str,
    /// Its system prompt.
    pub system_prompt: &'a str,
    /// Its models.
    pub models: &'a [Model],
    /// Its tools.
    pub tools: &'a [&'a ToolRecord],
    /// Addresses in the code, each with the tool that it stands for.
    pub mappings: &'a BTreeMap<String, String>,
    /// The user's own variables.
    pub own: &'a BTreeMap<String, String>,
    /// The address below which it finds what it reaches through the platform; what is secret in it is masked wherever it
    /// is shown.
    pub gateway: &'a str,
}

/// Everything, sorted by name; the user's own values go before ours, and may be secret.
pub fn variables(given: &Given<'_>) -> Vec<Variable> {
    let mut all = platform(given);
    for (name, value) in given.own {
        let shown = if may_be_secret(name, value) { MASK.to_string() } else { value.clone() };
        all.insert(name.clone(), shown);
    }
    all.into_iter().map(|(name, value)| Variable { name, value }).collect()
}

/// The variables that the platform sets.
pub fn platform(given: &Given<'_>) -> BTreeMap<String, String> {
    let Given { agent, gateway, tools, .. } = given;
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: String| all.insert(name.to_string(), value);
    set("SYSTEM_PROMPT", given.system_prompt.to_string());
    set("AGENT_NAME", agent.to_string());
    set("USER_ENTRY_POINT", given.entry_point.to_string());
    set("PORT", "8080".into());
    set("MAX_TOOL_ITERATIONS", "10".into());
    set("RUNAGENTS_OUTBOUND_MODE", "platform".into());
    set("RUNAGENTS_USER_CODE_DIR", "/app".into());
    set("GOVERNANCE_URL", gateway.to_string());
    set("LLM_GATEWAY_URL", format!("{gateway}/v1"));
    for model in given.models {
        let suffixes: &[&str] = match model.role.as_str() {
            "chat" => &["", "_DEFAULT"],
            "embedding" => &["_EMBEDDING"],
            "classify" => &["_CLASSIFY"],
            _ => &["_RERANKING"],
        };
        for suffix in suffixes {
            set(&format!("LLM_MODEL{suffix}"), model.model.clone());
            if let Some(provider) = &model.provider {
                set(&format!("LLM_PROVIDER{suffix}"), provider.clone());
            }
        }
        if let ("chat", Some(name)) = (model.role.as_str(), &model.model_provider) {
            set("LLM_PROVIDER_NAME", name.clone());
        }
    }
    let url = |tool: &str| format!("{gateway}/tools/{tool}");
    for tool in *tools {
        let name = names::in_variable(&tool.name);
        set(&format!("TOOL_URL_{name}"), url(&tool.name));
        set(&format!("TOOL_{name}_URL"), url(&tool.name));
    }
    let tool_names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
    set("TOOL_NAMES", tool_names.join(","));
    let uses = || tools.iter().flat_map(|tool| tool.spec.capabilities.iter().map(move |can| (*tool, can)));
    let definitions: Vec<Value> = uses().map(|(tool, can)| definition(tool, can)).collect();
    set("TOOL_DEFINITIONS_JSON", Value::from(definitions).to_string());
    let routes: serde_json::Map<String, Value> = uses()
        .map(|(tool, can)| {
            let route = json!({"tool": tool.name, "method": can.method.to_ascii_uppercase(), "path": can.path});
            (function(tool, can), route)
        })
        .collect();
    set("TOOL_ROUTES_JSON", Value::from(routes).to_string());
    let rewrites: BTreeMap<&String, String> = given.mappings.iter().map(|(from, tool)| (from, url(tool))).collect();
    set("TOOL_URL_REWRITES_JSON", json!(rewrites).to_string());
    all
}

/// As the runtime offers a capability to a model.
fn definition(tool: &ToolRecord, can: &Capability) -> Value {
    let description = if can.description.is_empty() { &tool.spec.description } else { &can.description };
    let named = in_path(&can.path);
    let properties: serde_json::Map<String, Value> =
        named.iter().map(|name| (name.to_string(), json!({"type": "string"}))).collect();
    let mut parameters = json!({"type": "object", "properties": properties, "additionalProperties": true});
    if !named.is_empty() {
        parameters["required"] = json!(named);
    }
    json!({"type": "function", "function": {
        "name": function(tool, can),
        "description": description,
        "parameters": parameters,
    }})
}

/// The parameters of a path: `id` of `/charges/{id}/refund`.
fn in_path(path: &str) -> Vec<&str> {
    let mut names: Vec<&str> =
        path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn function(tool: &ToolRecord, can: &Capability) -> String {
    format!("{}__{}", tool.name, can.name.replace(['-', ' '], "_"))
}

/// By its name, or because the detector knows the value.
pub fn may_be_secret(name: &str, value: &str) -> bool {
    const WORDS: [&str; 9] = ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE", "DSN", "AUTH"];
    let name = name.to_ascii_uppercase();
    if WORDS.iter().any(|word| name.contains(word)) {
        return true;
    }
    let line = [(".env", format!("{name}={value}\n"))];
    let Ok(sources) = analyzer_core::Sources::new(line) else { return true };
    !analyzer_core::analyze(&sources, &analyzer_core::Options::default()).secrets.is_empty()
}
