//! Wire: the two spellings of a deploy, read into one request, and what each is answered with.

use std::collections::BTreeMap;

use ingestion_server::web::{ApiError, FieldError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::plan::{Model, Request, Source};
use crate::names;
use crate::tools::{ToolRecord, ToolRequest};

/// A deploy as it is sent. With `agent_name` it is a request of the Deploy API, with `name` alone one of the quickstart.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeployRequest {
    /// The agent, unique in its workspace; one that is there already is deployed anew.
    pub agent_name: Option<String>,
    /// The same, as the quickstart spells it.
    pub name: Option<String>,
    /// A container image that was built elsewhere.
    pub image: Option<String>,
    /// File names and source texts.
    pub source_files: Option<BTreeMap<String, String>>,
    /// The same, as the quickstart spells it.
    pub files: Option<BTreeMap<String, String>>,
    /// Source that was submitted before.
    pub artifact_id: Option<String>,
    /// A draft that holds what is not said here.
    pub draft_id: Option<String>,
    /// The agent's system prompt.
    pub system_prompt: Option<String>,
    /// Tools that it needs. Not said: those among the registered ones that the code calls.
    pub required_tools: Option<Vec<String>>,
    /// Tools to register with it.
    pub tools_to_create: Option<Vec<ToolToCreate>>,
    /// Models by role.
    pub llm_configs: Option<Vec<LlmConfig>>,
    /// One model.
    pub llm_config: Option<LlmConfig>,
    /// Environment variables.
    pub env: Option<Vec<EnvPair>>,
    /// Packages, as pip or npm spells them. Not said: those that the code imports.
    pub requirements: Option<String>,
    /// The file that starts it. Not said: the one that the analysis names.
    pub entry_point: Option<String>,
    /// The agent framework. Not said: the one that the code uses.
    pub framework: Option<String>,
    /// Who tells it about its users.
    pub identity_provider: Option<String>,
    /// Addresses in the code, each with the tool that it stands for.
    pub tool_url_mappings: Option<BTreeMap<String, String>>,
    /// Policies to bind.
    pub policies: Option<Vec<String>>,
}

/// A tool to register with an agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ToolToCreate {
    /// Its name.
    #[schema(required)]
    pub name: Option<String>,
    /// Where it is.
    #[schema(required)]
    pub base_url: Option<String>,
    /// For people and models.
    pub description: Option<String>,
    /// `None`, `APIKey` or `OAuth2`.
    pub auth_type: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// `HTTP` or `HTTPS`.
    pub scheme: Option<String>,
}

/// A model for a role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct LlmConfig {
    /// `chat` (the same as `default`), `embedding`, `classify` or `reranking`.
    pub role: Option<String>,
    /// `openai`, `anthropic`, `bedrock`, `ollama`.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The registered provider to ask.
    pub model_provider: Option<String>,
    /// What it may cost in a month.
    pub monthly_budget_usd: Option<f64>,
}

/// An environment variable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct EnvPair {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The spelling of a request, and so of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `name` and `files`: namespace `default`.
    Quickstart,
    /// `agent_name` and `source_files`: namespace `agent-system`.
    DeployApi,
}

impl Dialect {
    /// Where its agents live.
    pub fn namespace(self) -> &'static str {
        match self {
            Dialect::Quickstart => "default",
            Dialect::DeployApi => "agent-system",
        }
    }
}

impl DeployRequest {
    /// In whose words it is answered.
    pub fn dialect(&self) -> Dialect {
        match (&self.agent_name, &self.name) {
            (None, Some(_)) => Dialect::Quickstart,
            _ => Dialect::DeployApi,
        }
    }

    /// Everything checked that can be checked without knowing what is registered.
    pub fn read(self) -> Result<Request, ApiError> {
        let dialect = self.dialect();
        let (name, at) = match (self.agent_name, self.name) {
            (Some(name), _) => (Some(name), "/agent_name"),
            (None, name) => (name, "/name"),
        };
        let name = name.filter(|name| !name.trim().is_empty());
        let name = name.ok_or_else(|| ApiError::field("agent_name is required", "/agent_name"))?;
        let agent = names::name(&name, at)?;

        let files = self.source_files.or(self.files).filter(|files| !files.is_empty());
        let image = self.image.filter(|image| !image.is_empty());
        let source = match (image, files) {
            (Some(image), _) => Source::Image(image),
            (None, Some(files)) => Source::Files(files),
            (None, None) => {
                let at = if dialect == Dialect::Quickstart { "/files" } else { "/source_files" };
                return Err(ApiError::field("either image or source_files is required", at));
            }
        };
        let required = self.required_tools.map(|tools| names_at(tools, "/required_tools")).transpose()?;
        let tools = self.tools_to_create.unwrap_or_default();
        let tools = tools.into_iter().enumerate().map(|(n, tool)| tool.read(n)).collect::<Result<Vec<_>, _>>()?;
        let configs = self.llm_configs.unwrap_or_default().into_iter().chain(self.llm_config);
        let models = configs.enumerate().map(|(n, config)| config.read(n)).collect::<Result<Vec<_>, _>>()?;
        let env = self.env.unwrap_or_default();
        for (n, pair) in env.iter().enumerate() {
            check_variable(&pair.name, n)?;
        }
        let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        Ok(Request {
            dialect,
            agent,
            source,
            system_prompt: said(self.system_prompt),
            required_tools: required,
            tools_to_create: tools,
            models,
            env: env.into_iter().map(|pair| (pair.name, pair.value)).collect(),
            requirements: said(self.requirements),
            entry_point: said(self.entry_point),
            framework: said(self.framework),
            identity_provider: said(self.identity_provider),
            tool_url_mappings: self.tool_url_mappings.unwrap_or_default(),
            policies: self.policies.unwrap_or_default(),
        })
    }
}

impl ToolToCreate {
    fn read(self, n: usize) -> Result<ToolRecord, ApiError> {
        let ToolToCreate { name, base_url, description, auth_type, port, scheme } = self;
        let request = ToolRequest::flat(name, base_url, description, auth_type, port, scheme);
        // What is wrong stands in the n-th tool.
        let place =
            |error: FieldError| FieldError { pointer: format!("/tools_to_create/{n}{}", error.pointer), ..error };
        request.read().map(|(record, _)| record).map_err(|error| match error {
            ApiError::Invalid { text, errors } => {
                ApiError::Invalid { text, errors: errors.into_iter().map(place).collect() }
            }
            ApiError::BadRequest(text) => ApiError::field(text, format!("/tools_to_create/{n}")),
            other => other,
        })
    }
}

/// Roles that have environment variables of their own.
const ROLES: [&str; 4] = ["chat", "embedding", "classify", "reranking"];

impl LlmConfig {
    /// The model, or what is wrong with the n-th.
    pub fn read(self, n: usize) -> Result<Model, ApiError> {
        let at = |key: &str| format!("/llm_configs/{n}/{key}");
        let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        let model = said(self.model).ok_or_else(|| ApiError::field("llm config model is required", at("model")))?;
        let (provider, model_provider) = (said(self.provider), said(self.model_provider));
        if provider.is_none() && model_provider.is_none() {
            return Err(ApiError::field("llm config provider is required", at("provider")));
        }
        let role = match said(self.role).as_deref() {
            None | Some("default") => "chat".to_string(),
            Some(role) if ROLES.contains(&role) => role.to_string(),
            Some(other) => {
                let other: String = other.chars().take(40).collect();
                let text = format!("{other:?} is no role; use chat, embedding, classify or reranking");
                return Err(ApiError::field(text, at("role")));
            }
        };
        if self.monthly_budget_usd.is_some_and(|budget| !(budget >= 0.0 && budget.is_finite())) {
            return Err(ApiError::field("a budget is 0 or more", at("monthly_budget_usd")));
        }
        Ok(Model { role, provider, model, model_provider, monthly_budget_usd: self.monthly_budget_usd })
    }
}

fn names_at(list: Vec<String>, at: &str) -> Result<Vec<String>, ApiError> {
    let named = list.iter().enumerate().map(|(n, name)| names::name(name, &format!("{at}/{n}")));
    let mut names: Vec<String> = named.collect::<Result<_, _>>()?;
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

fn check_variable(name: &str, n: usize) -> Result<(), ApiError> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match !name.is_empty() && name.len() <= 256 && name.bytes().all(sound) && !name.as_bytes()[0].is_ascii_digit() {
        true => Ok(()),
        false => {
            let text = "the name of an environment variable is made of letters, digits and underscores";
            Err(ApiError::field(text, format!("/env/{n}/name")))
        }
    }
}

/// What the quickstart is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuickstartAnswer {
    /// `ok`.
    pub status: &'static str,
    /// The agent.
    pub agent: QuickstartAgent,
    /// Tools that were registered with it.
    pub tools_created: Vec<String>,
    /// Policies that were made for it.
    pub policies_created: Vec<String>,
    /// What both dialects are told.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The agent as the quickstart sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuickstartAgent {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its phase.
    pub status: String,
}

/// What the Deploy API is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeployAnswer {
    /// The agent's name.
    pub agent: String,
    /// The same.
    pub agent_name: String,
    /// Its namespace.
    pub namespace: String,
    /// `created` or `updated`.
    pub status: &'static str,
    /// How far the agent is, in a sentence.
    pub message: String,
    /// Tools that were registered with it.
    pub tools_created: Vec<String>,
    /// Policies that were made for it.
    pub policies_created: Vec<String>,
    /// The build, where source was submitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// The image that it makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_uri: Option<String>,
    /// `INSTANT_RUNTIME`, `FAST_OVERLAY` or `CONTAINER_IMAGE`.
    pub execution_mode: &'static str,
    /// Must something be built?
    pub build_required: bool,
    /// What is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_profile: Option<&'static str>,
    /// Why it is run so.
    pub decision_reason: String,
    /// What both dialects are told.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What both dialects are told.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Outcome {
    /// What differs between the request and the code, and what will not work: sentences.
    pub warnings: Vec<String>,
    /// What is missing before the agent can do all that its code does: sentences.
    pub missing: Vec<String>,
    /// Policies that an operator must decide on; each can be posted as it is, or bound by naming it in `policies`.
    #[schema(value_type = Vec<Object>)]
    pub policies_suggested: Vec<serde_json::Value>,
    /// The analysis of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analysis_id: Option<String>,
}
