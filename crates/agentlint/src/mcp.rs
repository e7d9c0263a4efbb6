//! `mcp`: a server for assistants on standard input and output. It reads what it is given and nothing else: no files, no
//! network.

use std::collections::BTreeMap;

use analyzer_core::policy::{Bases, suggest};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::{Json, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Done;
use crate::config::Config;
use crate::discover::Found;
use crate::error::Error;
use crate::project::Project;
use crate::report::{ReportV1, word};

/// Serves until the client leaves.
pub fn run() -> Result<Done, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Usage(format!("MCP server: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let server = Server { tool_router: Server::tool_router() };
        let running = server.serve(rmcp::transport::stdio()).await.map_err(|error| failed(&error))?;
        running.waiting().await.map_err(|error| failed(&error))
    })?;
    Ok(Done::default())
}

struct Server {
    tool_router: ToolRouter<Self>,
}

/// Files of an agent.
#[derive(Debug, Deserialize, JsonSchema)]
struct Files {
    /// Text by path, relative to the project: `{"agent.py": "…"}`. Manifests and prompts help.
    #[serde(deserialize_with = "texts")]
    files: BTreeMap<String, String>,
}

/// Files of an agent, and its name.
#[derive(Debug, Deserialize, JsonSchema)]
struct Named {
    /// Text by path, relative to the project.
    #[serde(deserialize_with = "texts")]
    files: BTreeMap<String, String>,
    /// The agent's name, which its policies begin with.
    #[serde(default)]
    agent: Option<String>,
}

/// Files as they were sent; an error names what is wrong and quotes no text, which may hold a credential.
fn texts<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let wrong = |what: &str| serde::de::Error::custom(format!("`files` is an object of texts by path; {what}"));
    let serde_json::Value::Object(files) = serde_json::Value::deserialize(from)? else {
        return Err(wrong("it is something else"));
    };
    let text = |(path, text)| match text {
        serde_json::Value::String(text) => Ok((path, text)),
        _ => Err(wrong("the text of one of them is none")),
    };
    files.into_iter().map(text).collect()
}

/// A rule.
#[derive(Debug, Deserialize, JsonSchema)]
struct Asked {
    /// Name or code: `unbounded-url`, `AL203`.
    rule: String,
}

/// What an agent touches, and what is wrong with that.
#[derive(Debug, Serialize, JsonSchema)]
struct Analyzed {
    /// The file that starts it; empty for none.
    entry_point: String,
    /// Tools: name, kind, address.
    tools: Vec<Touched>,
    /// `provider/model`.
    models: Vec<String>,
    /// Hosts.
    hosts: Vec<String>,
    /// Packages.
    requirements: Vec<String>,
    /// Findings, numbers and coverage.
    report: ReportV1,
}

/// A tool.
#[derive(Debug, Serialize, JsonSchema)]
struct Touched {
    /// Its name.
    name: String,
    /// `env`, `http`, `sdk`, `mcp`, `function`.
    kind: String,
    /// Its address, where it has one.
    address: Option<String>,
    /// First use.
    file: String,
    /// Line of the first use.
    line: u32,
}

/// A rule explained.
#[derive(Debug, Serialize, JsonSchema)]
struct Explained {
    /// Its name.
    rule: String,
    /// Its code.
    code: String,
    /// How bad.
    severity: String,
    /// What it finds, why it matters, examples and the repair, as Markdown.
    text: String,
}

/// Least-privilege policies.
#[derive(Debug, Serialize, JsonSchema)]
struct Policies {
    /// One a tool.
    policies: Vec<OnePolicy>,
    /// Tools that no policy can be made for, and why.
    uncovered: Vec<String>,
}

/// A policy.
#[derive(Debug, Serialize, JsonSchema)]
struct OnePolicy {
    /// Its name.
    name: String,
    /// Its rules.
    rules: Vec<OneRule>,
}

/// A rule of a policy.
#[derive(Debug, Serialize, JsonSchema)]
struct OneRule {
    /// `allow`.
    permission: String,
    /// Methods; empty for all.
    operations: Vec<String>,
    /// Address with wildcards.
    resource: String,
    /// Why it is as wide as it is.
    reason: String,
    /// `low`, `medium`, `high`.
    confidence: String,
    /// `agent.py:41 requests.post`.
    evidence: Vec<String>,
}

fn project(files: BTreeMap<String, String>) -> Result<Project, String> {
    let found = Found { files, ..Found::default() };
    let project = Project::new("/nowhere".into(), String::new(), "/nowhere".into(), found, Config::default(), None);
    project.and_then(Project::with_input).map_err(|error| error.to_string())
}

#[tool_router]
impl Server {
    /// Analyzes an agent's files.
    #[tool(
        description = "Find what an AI agent's code touches (tools, models, hosts, packages) and what is wrong with it. Credentials are masked in the answer.",
        annotations(title = "Analyze an agent", read_only_hint = true, open_world_hint = false)
    )]
    fn analyze(&self, Parameters(Files { files }): Parameters<Files>) -> Result<Json<Analyzed>, String> {
        let project = project(files)?;
        let rules = project.rules(&[], &[], false).map_err(|error| error.to_string())?;
        let active = rules.count();
        let report = project.lint(rules, false).map_err(|error| error.to_string())?;
        let analysis = &report.analysis;
        let tools = analysis.tools.iter().map(|tool| Touched {
            name: tool.name.clone(),
            kind: crate::lock::kind(tool.kind).into(),
            address: tool.detected_url_pattern.clone().or_else(|| tool.base_url.clone()),
            file: tool.file.clone(),
            line: tool.line,
        });
        let models = analysis.model_usages.iter();
        let models = models.map(|usage| format!("{}/{}", usage.provider, usage.model.as_deref().unwrap_or("?")));
        Ok(Json(Analyzed {
            entry_point: analysis.entry_point.clone(),
            tools: tools.collect(),
            models: models.collect(),
            hosts: analysis.outbound_destinations.clone(),
            requirements: analysis.detected_requirements.clone(),
            report: ReportV1::new(&project, &report, active, 0, 0),
        }))
    }

    /// Explains a rule.
    #[tool(
        description = "Explain a lint rule: what it finds, why it matters, an example and its repair.",
        annotations(title = "Explain a rule", read_only_hint = true, open_world_hint = false)
    )]
    fn explain(&self, Parameters(Asked { rule }): Parameters<Asked>) -> Result<Json<Explained>, String> {
        let text = crate::commands::explained(&rule).map_err(|error| error.to_string())?;
        let rule = analyzer_core::lint::find(&rule).ok_or("there is no such rule")?;
        Ok(Json(Explained {
            rule: rule.name.into(),
            code: rule.code.into(),
            severity: word(rule.severity).into(),
            text,
        }))
    }

    /// The policies that an agent needs.
    #[tool(
        description = "Write the least-privilege policies for an agent's code; each rule names the lines that need it.",
        annotations(title = "Least-privilege policies", read_only_hint = true, open_world_hint = false)
    )]
    fn policy(&self, Parameters(Named { files, agent }): Parameters<Named>) -> Result<Json<Policies>, String> {
        let project = project(files)?;
        let analysis = analyzer_core::analyze(&project.sources, &project.options());
        let suggestion = suggest(agent.as_deref().unwrap_or("agent"), &analysis, &Bases::new());
        let rule = |rule: analyzer_core::policy::SuggestedRule| OneRule {
            permission: "allow".into(),
            operations: rule.rule.operations,
            resource: rule.rule.resource.unwrap_or_default(),
            reason: rule.reason,
            confidence: format!("{:?}", rule.confidence).to_lowercase(),
            evidence: rule.evidence.iter().map(|at| format!("{}:{} {}", at.file, at.line, at.call)).collect(),
        };
        let policies = suggestion
            .policies
            .into_iter()
            .map(|policy| OnePolicy { name: policy.name, rules: policy.rules.into_iter().map(rule).collect() });
        let uncovered = suggestion.uncovered.iter().map(|tool| format!("{}: {}", tool.tool, tool.reason));
        Ok(Json(Policies { policies: policies.collect(), uncovered: uncovered.collect() }))
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("agentlint", env!("CARGO_PKG_VERSION")))
            .with_instructions("Analyzes AI agents before they are deployed. Nothing is executed, nothing is sent.")
    }
}
