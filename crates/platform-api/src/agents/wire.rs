//! Wire: agents as they are answered: the union of what the documents and the published clients look for.

use std::collections::BTreeMap;

use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::json;
use utoipa::ToSchema;

use super::{AgentRecord, AgentStatus};
use crate::deploy::env::Variable;
use crate::deploy::plan::Model;
use crate::deploy::wire::{Dialect, LlmConfig};
use crate::models::spend::ModelSpendItem;
use crate::names;
use crate::store::Stored;

/// The label that names an agent's identity provider.
const IDENTITY_PROVIDER: &str = "platform.ai/identity-provider";

/// An agent as it is answered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Agent {
    /// What it is called.
    pub name: String,
    /// Where it lives.
    pub namespace: String,
    /// What is said about it.
    labels: BTreeMap<String, String>,
    /// What it is.
    spec: AgentSpec,
    /// How it is doing.
    #[schema(value_type = AgentStatus)]
    status: Status,
    /// The same as in `spec`.
    image: String,
    /// The names alone.
    required_tools: Vec<String>,
    /// The chat model.
    #[serde(skip_serializing_if = "Option::is_none")]
    llm_model: Option<String>,
    /// The same as in `spec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    llm_config: Option<LlmChoice>,
    /// The same as in `spec`.
    system_prompt: String,
    /// When it was first deployed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it was last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
    /// The build that makes its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<String>,
    /// The analysis of its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    analysis_id: Option<String>,
}

/// What an agent is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AgentSpec {
    image: String,
    system_prompt: String,
    required_tools: Vec<ToolName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    llm_config: Option<LlmChoice>,
    llm_configs: Vec<Model>,
    env: Vec<Variable>,
    entry_point: String,
    framework: String,
    requirements: Vec<String>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct ToolName {
    name: String,
}

/// A provider and its model.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct LlmChoice {
    provider: String,
    model: String,
}

/// An object, but one word in the list that the quickstart shows.
#[derive(Debug, Clone)]
enum Status {
    Whole(AgentStatus),
    Word(AgentStatus),
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Status::Whole(status) => status.serialize(serializer),
            Status::Word(status) => json!(status.phase).serialize(serializer),
        }
    }
}

impl From<Stored<AgentRecord>> for Agent {
    fn from(stored: Stored<AgentRecord>) -> Agent {
        let Stored { value: agent, created_at, updated_at, .. } = stored;
        let chat = agent.models.iter().find(|model| model.role == "chat").or(agent.models.first());
        let llm = chat
            .map(|chat| LlmChoice { provider: chat.provider.clone().unwrap_or_default(), model: chat.model.clone() });
        let labels = agent.identity_provider.iter().map(|name| (IDENTITY_PROVIDER.to_string(), name.clone()));
        let spec = AgentSpec {
            image: agent.image.clone(),
            system_prompt: agent.system_prompt.clone(),
            required_tools: agent.required_tools.iter().map(|name| ToolName { name: name.clone() }).collect(),
            llm_config: llm.clone(),
            llm_configs: agent.models,
            env: agent.env,
            entry_point: agent.entry_point,
            framework: agent.framework,
            requirements: agent.requirements,
        };
        Agent {
            name: agent.name,
            namespace: agent.namespace,
            labels: labels.collect(),
            spec,
            status: Status::Whole(agent.status),
            image: agent.image,
            required_tools: agent.required_tools,
            llm_model: llm.as_ref().map(|llm| llm.model.clone()),
            llm_config: llm,
            system_prompt: agent.system_prompt,
            created_at,
            updated_at,
            build_id: agent.build_id,
            analysis_id: agent.analysis_id,
        }
    }
}

impl Agent {
    /// As the older surface lists it.
    pub fn listed(stored: Stored<AgentRecord>) -> Agent {
        let dialect = stored.value.dialect;
        let mut agent = Agent::from(stored);
        if let (Dialect::Quickstart, Status::Whole(status)) = (dialect, &agent.status) {
            agent.status = Status::Word(status.clone());
        }
        agent
    }
}

/// How an agent is configured.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AgentConfig {
    agent_name: String,
    namespace: String,
    image: String,
    runtime: String,
    system_prompt: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_provider: Option<String>,
    llm_configs: Vec<Model>,
    model_usage: Vec<ModelSpendItem>,
    required_tools: Vec<String>,
    policies: Vec<String>,
}

impl AgentConfig {
    /// Of an agent for which these policies count, and whose models cost that much this month.
    pub fn of(agent: AgentRecord, policies: Vec<String>, model_usage: Vec<ModelSpendItem>) -> AgentConfig {
        AgentConfig {
            agent_name: agent.name,
            namespace: agent.namespace,
            image: agent.image,
            runtime: agent.runtime_family,
            system_prompt: agent.system_prompt,
            identity_provider: agent.identity_provider,
            model_usage,
            llm_configs: agent.models,
            required_tools: agent.required_tools,
            policies,
        }
    }
}

/// What is to be changed about an agent; the rest stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct AgentConfigUpdate {
    system_prompt: Option<String>,
    /// Empty: none any more.
    identity_provider: Option<String>,
    llm_configs: Option<Vec<LlmConfig>>,
    required_tools: Option<Vec<String>>,
    policies: Option<Vec<String>>,
}

impl AgentConfigUpdate {
    /// Changes the agent, and gives the policies that are to be bound, if the request says so.
    pub fn apply(self, agent: &mut AgentRecord) -> Result<Option<Vec<String>>, ApiError> {
        if let Some(prompt) = self.system_prompt {
            agent.system_prompt = prompt;
        }
        if let Some(provider) = self.identity_provider {
            agent.identity_provider = Some(provider).filter(|provider| !provider.is_empty());
        }
        if let Some(configs) = self.llm_configs {
            let read = configs.into_iter().enumerate().map(|(n, config)| config.read(n));
            agent.models = read.collect::<Result<_, _>>()?;
        }
        if let Some(tools) = self.required_tools {
            let named = tools.iter().enumerate().map(|(n, tool)| names::name(tool, &format!("/required_tools/{n}")));
            agent.required_tools = named.collect::<Result<_, _>>()?;
        }
        Ok(self.policies)
    }
}
