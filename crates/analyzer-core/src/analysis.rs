//! The answer: plain data, sorted, the same bytes for the same input.
//!
//! Field names are the documents' own; keys beyond the documented ones carry evidence, which every published client
//! ignores when it does not know them. Lines and columns count from 1.

use serde::{Deserialize, Serialize};

/// What an agent touches, and how we know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// `analysis-` and 16 hex digits of the content: the same files and options give the same id.
    pub id: String,
    /// Services and functions the agent may call; one entry per service or function, its call sites inside.
    pub tools: Vec<Tool>,
    /// Distinct (provider, model) pairs reached directly, not through the platform's gateway.
    pub model_providers: Vec<ModelProvider>,
    /// Where a model is chosen.
    pub model_usages: Vec<ModelUsage>,
    /// Credentials in the submitted text. The values are nowhere in this structure.
    pub secrets: Vec<Secret>,
    /// External hosts the code itself connects to: bare host names, each once, sorted.
    pub outbound_destinations: Vec<String>,
    /// Packages to install, as specifiers (`openai>=1.0`), sorted.
    pub detected_requirements: Vec<String>,
    /// The file that starts the program; empty when no file could.
    pub entry_point: String,
    /// The literal system prompt of the code; empty when there is none.
    pub system_prompt_suggestion: String,

    /// Evidence for `outbound_destinations`, one entry per host.
    pub destinations: Vec<Destination>,
    /// Packages only imported inside `try`, under type checking, or behind a condition.
    pub optional_requirements: Vec<String>,
    /// Evidence for `detected_requirements`, and what a submitted manifest misses or does not need.
    pub requirements: Requirements,
    /// Why `entry_point` is the one.
    pub entry_point_reason: String,
    /// Functions and objects that an agent runtime can call.
    pub handlers: Vec<Handler>,
    /// The main framework's id, empty for none: what one client reads beside `frameworks`.
    pub framework: String,
    /// Language of the entry point: `python` or `node`; empty when unknown.
    pub runtime_family: String,
    /// Agent frameworks that the code uses.
    pub frameworks: Vec<Framework>,
    /// Environment variables that the code reads.
    pub env_vars: Vec<EnvVar>,
    /// System prompts found, the suggested one first.
    pub prompts: Vec<Prompt>,
    /// How the platform's runtime would run this code.
    pub execution: Execution,
    /// What could not be read or known, and what it would need.
    pub notes: Vec<Note>,
    /// How much was read.
    pub stats: Stats,
    /// The analysis was cancelled and is incomplete; never cached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// A guess by shape or name.
    Low,
    /// One link of the chain was assumed.
    #[default]
    Medium,
    /// Every link of the chain was resolved.
    High,
}

/// One link of an evidence chain, from the value's origin to its use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Step {
    /// What stands there, in a few words: "`BASE`", "env `CRM_URL`", "call of `requests.post`".
    pub what: String,
    /// Path as submitted.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
}

/// What kind of tool it is; the first four need an address, credentials and a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolKind {
    /// The address comes from an environment variable.
    Env,
    /// A literal host.
    Http,
    /// A client library of a service.
    Sdk,
    /// An MCP server that the agent connects to.
    Mcp,
    /// A function that the model may call.
    Function,
}

/// A service or function that the agent may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Name by the naming rules: `echo-tool`, `stripe-api`, the function's own name.
    pub name: String,
    /// Where the address comes from.
    pub kind: ToolKind,
    /// File of the first use or definition.
    pub file: String,
    /// Line of the first use or definition.
    pub line: u32,
    /// Scheme and host, when the code holds a literal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The environment variable that holds the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected_url_pattern: Option<String>,
    /// Literal that the environment variable falls back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_url: Option<String>,
    /// Id of the service in the knowledge base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// First sentence of the description the model sees, for function tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `llm` for what a model suggested; absent for what the analyzer found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How sure.
    pub confidence: Confidence,
    /// Each use, in order of file and line.
    pub call_sites: Vec<CallSite>,
    /// From the origin of the address to the first use.
    pub evidence: Vec<Step>,
}

/// One call that leaves the process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CallSite {
    /// Path as submitted.
    pub file: String,
    /// Line of the address inside the call.
    pub line: u32,
    /// HTTP method in upper case; absent when it cannot be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path template with holes in braces: `/v1/charges/{id}`; absent for calls without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is called: `requests.post`, `stripe.Charge.create`.
    pub call: String,
}

/// A distinct (provider, model) pair.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelProvider {
    /// Provider id: `openai`, `anthropic`, `bedrock`, …
    pub provider: String,
    /// Model, or null when it cannot be known.
    pub model: Option<String>,
}

/// What a model is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Through the platform's gateway variable.
    Default,
    /// Conversation or completion.
    Chat,
    /// Vectors.
    Embedding,
    /// Labels, moderation, guard models.
    Classify,
    /// Order of search results.
    Reranking,
}

/// A place where a model is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelUsage {
    /// What it is used for.
    pub role: Role,
    /// The model, or null when it cannot be known: never a guess. Of several, the first that the code gives.
    pub model: Option<String>,
    /// Other models that the same call may be given, by branch or by caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// Provider id; `gateway` for the platform's own `LLM_GATEWAY_URL`.
    pub provider: String,
    /// The client variable, or the environment variable that gives the endpoint.
    pub variable_name: String,
    /// Path as submitted.
    pub file: String,
    /// First line of the constructor or call; for raw HTTP the line of the address.
    pub line: u32,
    /// The model is the fallback of an environment variable or command-line option.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default_from_env: bool,
    /// What is called.
    pub call: String,
    /// How sure.
    pub confidence: Confidence,
    /// From the origin of the model's name to the call.
    pub evidence: Vec<Step>,
}

/// A host that the code connects to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Bare host name, lower case.
    pub host: String,
    /// File of the first use.
    pub file: String,
    /// Line of the first use.
    pub line: u32,
    /// The SDK whose default endpoint this is, when no literal names the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub implied_by: Option<String>,
    /// How sure.
    pub confidence: Confidence,
    /// From the origin of the address to the call.
    pub evidence: Vec<Step>,
}

/// How bad a secret in the code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Test keys, local passwords.
    Low,
    /// Limited or uncertain access.
    Medium,
    /// Gives access to something that matters.
    High,
}

/// A credential in the submitted text, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// `api_key`, `oauth_token`, `private_key`, `password`, `connection_string`, `jwt`, `webhook_url`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Id of the issuer, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Path as submitted.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
    /// How bad.
    pub severity: Severity,
    /// One sentence for a person.
    pub description: String,
    /// Public prefix and a mask of fixed length.
    pub preview: String,
    /// Keyed hash that survives moves and reveals nothing.
    pub fingerprint: String,
    /// The name it is assigned to, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The environment variable that should carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggested_env: Option<String>,
    /// The code reads that variable already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub env_read: bool,
    /// Hosts that it is sent to, as far as its place says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Where others read it: a model's text, a log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed_in: Vec<Exposure>,
    /// Findings of this analysis that it is the credential of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opens: Vec<Opens>,
    /// How sure.
    pub confidence: Confidence,
    /// Stable reason codes: `format`, `checksum`, `name`, `entropy`, `header`, `dsn`, …
    pub reasons: Vec<String>,
}

/// Where a credential is shown to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// A text that a model reads.
    Prompt,
    /// What is printed or logged.
    Log,
}

impl Exposure {
    /// As it is called in a sentence.
    pub fn as_phrase(self) -> &'static str {
        match self {
            Exposure::Prompt => "a prompt",
            Exposure::Log => "a log",
        }
    }
}

/// What a secret opens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Opens {
    /// Which kind of finding.
    pub kind: OpensKind,
    /// The model, the tool or the host.
    pub name: String,
    /// File of that finding.
    pub file: String,
    /// Its line.
    pub line: u32,
}

/// The kinds of finding that have credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpensKind {
    /// One of `model_usages`.
    ModelUsage,
    /// One of `tools`.
    Tool,
    /// One of `destinations`.
    Destination,
}

/// Evidence for the requirements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    /// One entry per package that the code imports, sorted by name.
    pub packages: Vec<Requirement>,
    /// Imported but in no submitted manifest; empty without a manifest.
    pub missing: Vec<String>,
    /// In a manifest but imported nowhere.
    pub unused: Vec<String>,
}

/// One package that the code imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// Distribution or npm package name.
    pub name: String,
    /// As it should stand in a requirements file.
    pub specifier: String,
    /// `pypi` or `npm`.
    pub ecosystem: String,
    /// The import that asks for it.
    pub import: String,
    /// File of the first import.
    pub file: String,
    /// Line of the first import.
    pub line: u32,
    /// The manifest that declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_in: Option<String>,
    /// Only imported conditionally.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Something that an agent runtime can call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Handler {
    /// Name of the function or object.
    pub name: String,
    /// `function`, `object`, `main`, `web_app`, `mcp_server`, `export`.
    pub kind: String,
    /// Path as submitted.
    pub file: String,
    /// Line.
    pub line: u32,
}

/// A framework that the code uses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Framework {
    /// Id in the knowledge base.
    pub name: String,
    /// First use.
    pub file: String,
    /// Line of the first use.
    pub line: u32,
}

/// An environment variable that the code reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EnvVar {
    /// Name of the variable.
    pub name: String,
    /// File of the first read.
    pub file: String,
    /// Line of the first read.
    pub line: u32,
    /// The code has a fallback for it.
    pub has_default: bool,
}

/// A system prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// The text, holes as `{name}`; secrets masked.
    pub text: String,
    /// Where the text begins.
    pub file: String,
    /// Line where the text begins.
    pub line: u32,
    /// The call or key that makes it a system prompt.
    pub used_by: String,
    /// `llm` for what a model suggested, which stands in no file; absent for what the analyzer found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// From the text's origin to its use.
    pub evidence: Vec<Step>,
}

/// How the platform's runtime would run this code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// 1: the runtime's own tool loop; 2: the code's handler.
    pub tier: u8,
    /// Why.
    pub reason: String,
}

/// Something that could not be read or known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Note {
    /// Path as submitted; empty for the whole project.
    pub file: String,
    /// Line, 0 when it concerns the whole file.
    pub line: u32,
    /// Stable code: `budget`, `encoding`, `syntax`, `unknown-model`, …
    pub code: String,
    /// One sentence: what is missing and what it would need.
    pub message: String,
}

/// How much was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Files submitted.
    pub files: usize,
    /// Bytes submitted.
    pub bytes: usize,
    /// Files parsed with a grammar.
    pub parsed: usize,
}
