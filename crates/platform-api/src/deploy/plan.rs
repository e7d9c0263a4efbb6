//! Plan: what a deploy would do, from the request, the analysis and what is registered. Pure; the preview is the same.

use std::collections::{BTreeMap, BTreeSet};

use analyzer_core::Analysis;
use analyzer_core::analysis::{Severity, Tool, ToolKind};
use analyzer_core::policy::{Rule, Target};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::dockerfile;
use super::env;
use super::policies::{self, Generated};
use super::wire::Dialect;
use crate::names;
use crate::tools::ToolRecord;

/// A deploy that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// In whose words it is answered.
    pub dialect: Dialect,
    /// The agent's name.
    pub agent: String,
    /// What is deployed.
    pub source: Source,
    /// The agent's system prompt.
    pub system_prompt: Option<String>,
    /// Tools that it needs; none when the request does not say.
    pub required_tools: Option<Vec<String>>,
    /// Tools to register with it.
    pub tools_to_create: Vec<ToolRecord>,
    /// Models by role.
    pub models: Vec<Model>,
    /// Environment variables of the user's own.
    pub env: BTreeMap<String, String>,
    /// Packages.
    pub requirements: Option<String>,
    /// The file that starts it.
    pub entry_point: Option<String>,
    /// The agent framework.
    pub framework: Option<String>,
    /// Who tells it about its users.
    pub identity_provider: Option<String>,
    /// Addresses in the code, each with the tool that it stands for.
    pub tool_url_mappings: BTreeMap<String, String>,
    /// Policies to bind.
    pub policies: Vec<String>,
}

/// What is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An image that was built elsewhere.
    Image(String),
    /// File names and source texts.
    Files(BTreeMap<String, String>),
}

/// A model for a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Model {
    /// `chat`, `embedding`, `classify` or `reranking`.
    pub role: String,
    /// Whose model it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model.
    pub model: String,
    /// The registered provider to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// What it may cost in a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monthly_budget_usd: Option<f64>,
}

/// What is registered in the workspace already.
#[derive(Debug, Clone, Default)]
pub struct Registered {
    /// Tools by name.
    pub tools: BTreeMap<String, ToolRecord>,
    /// Names of policies.
    pub policies: BTreeSet<String>,
    /// Rules of those that earlier deploys of this agent made.
    pub generated: BTreeMap<String, Vec<Rule>>,
    /// Names of identity providers.
    pub identity_providers: BTreeSet<String>,
    /// Models by the name of their registered provider.
    pub models: BTreeMap<String, Vec<String>>,
}

/// What is the operator's to say.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The registry of images that builds make.
    pub registry: String,
    /// Where the agent finds its gateway.
    pub gateway: String,
    /// Deploys with secrets of high severity in the source are refused.
    pub refuse_secrets: bool,
}

/// What a deploy would do.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Plan {
    /// The file that starts the agent.
    pub entry_point: String,
    /// Why that one.
    pub entry_point_reason: String,
    /// The agent framework; empty for none.
    pub framework: String,
    /// `python`, `node`, or empty for an image.
    pub runtime_family: String,
    /// 1: the runtime's own tool loop; 2: the code's handler; 0: an image.
    pub tier: u8,
    /// Why.
    pub tier_reason: String,
    /// Packages to install, one a line.
    pub requirements: Vec<String>,
    /// Models by role.
    pub models: Vec<Model>,
    /// The system prompt.
    pub system_prompt: String,
    /// Tools that the agent needs, by their registered names.
    pub required_tools: Vec<String>,
    /// What the code calls, and what that is here.
    pub tools: Vec<Match>,
    /// What is missing before the agent can do all that its code does: sentences.
    pub missing: Vec<String>,
    /// What differs between the request and the code, and what will not work: sentences.
    pub warnings: Vec<String>,
    /// Credentials in the source.
    pub secrets: Vec<FoundSecret>,
    /// Secrets are why it would be refused.
    pub refused: bool,
    /// What the agent finds in its environment; values that may be secret are masked.
    pub env: Vec<env::Variable>,
    /// Policies that come with it.
    #[schema(value_type = Vec<Object>)]
    pub policies: Vec<Generated>,
    /// Policies that an operator must decide on.
    #[schema(value_type = Vec<Object>)]
    pub policies_suggested: Vec<Generated>,
    /// The image; deterministic for source.
    pub image: String,
    /// How it is built; empty for an image.
    pub dockerfile: String,
    /// The analysis of the source.
    pub analysis_id: Option<String>,
}

/// A tool of the code, and what it is among the registered ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Match {
    /// As the analysis calls it.
    pub detected: String,
    /// Its first use.
    pub file: String,
    /// Line of its first use.
    pub line: u32,
    /// The registered tool.
    pub tool: Option<String>,
    /// `mapping`, `name`, `variable` or `host`.
    pub matched_by: Option<&'static str>,
}

/// A credential in the source, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FoundSecret {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub file: String,
    /// In which line.
    pub line: u32,
    /// `high`, `medium` or `low`.
    pub severity: String,
    /// What it is and what to do.
    pub description: String,
}

/// What a deploy would do.
pub fn plan(request: &Request, analysis: Option<&Analysis>, registered: &Registered, setup: &Setup) -> Plan {
    let nothing = Analysis::default();
    let analysis_or = analysis.unwrap_or(&nothing);
    let mut warnings = Vec::new();
    let mut missing = Vec::new();

    // Where the request differs from the code, the request wins and says so.
    let entry_point = chosen("entry_point", &request.entry_point, &analysis_or.entry_point, analysis, &mut warnings);
    let framework = chosen("framework", &request.framework, &analysis_or.framework, analysis, &mut warnings);
    if let (Source::Files(files), false) = (&request.source, entry_point.is_empty())
        && !files.contains_key(&entry_point)
    {
        missing
            .push(format!("no submitted file is called {entry_point:?}, the entry point; submit it or name another"));
    }
    if analysis.is_some() && entry_point.is_empty() {
        let text = "no submitted file starts the agent, so the platform itself asks its model and makes the calls that it wants; \
                    name a file with entry_point if one should";
        warnings.push(text.into());
    }
    let requirements = requirements(request, analysis_or, &mut warnings);

    let mut tools = registered.tools.clone();
    tools.extend(request.tools_to_create.iter().map(|tool| (tool.name.clone(), tool.clone())));
    for tool in &request.tools_to_create {
        if let Some(there) = registered.tools.get(&tool.name) {
            // A tool that is there is not made again: what it is stays its owner's word.
            tools.insert(there.name.clone(), there.clone());
        }
    }
    let matches = matches(request, analysis_or, &tools);
    let required_tools = request.required_tools.clone().unwrap_or_else(|| {
        let created = request.tools_to_create.iter().map(|tool| tool.name.clone());
        let called = matches.iter().filter_map(|found| found.tool.clone());
        called.chain(created).collect::<BTreeSet<_>>().into_iter().collect()
    });
    about_tools(&matches, &required_tools, &tools, analysis_or, &mut missing, &mut warnings);

    let models = models(request, analysis_or);
    about_models(&models, registered, &mut missing);
    if analysis.is_some() && entry_point.is_empty() && models.is_empty() {
        missing.push("an agent without code is its model and its tools; name a model in llm_configs".into());
    }
    if let Some(provider) = &request.identity_provider
        && !registered.identity_providers.contains(provider)
    {
        missing.push(format!("the identity provider {provider:?} is not registered"));
    }

    let secrets: Vec<FoundSecret> = analysis_or.secrets.iter().map(found).collect();
    let high = analysis_or.secrets.iter().filter(|secret| secret.severity == Severity::High).count();
    if high > 0 {
        warnings.push(format!(
            "the source holds {high} credential{} of high severity; take {} out and register {} with a tool or provider",
            if high == 1 { "" } else { "s" },
            if high == 1 { "it" } else { "them" },
            if high == 1 { "it" } else { "them" },
        ));
    }

    let all = policies::generate(&request.agent, analysis, &matches, &required_tools, &tools);
    let (mut own, suggested): (Vec<_>, Vec<_>) = all.into_iter().partition(|policy| is_open(&policy.tool, &tools));
    // An operator who names a suggested policy has decided; and has decided before, as long as it says the same.
    let decided = |policy: &Generated| registered.generated.get(&policy.name) == Some(&policy.spec.policies);
    let (named, suggested): (Vec<_>, Vec<_>) =
        suggested.into_iter().partition(|policy| request.policies.contains(&policy.name) || decided(policy));
    own.extend(named);
    own.sort_by(|a, b| a.name.cmp(&b.name));
    for policy in &suggested {
        missing.push(format!(
            "the tool {:?} is not open to everyone: post the policy {:?} from policies_suggested, or deploy again with it \
             in policies",
            policy.tool, policy.name
        ));
    }

    let system_prompt = request.system_prompt.clone().unwrap_or_else(|| analysis_or.system_prompt_suggestion.clone());
    let runtime_family = analysis_or.runtime_family.clone();
    let (image, dockerfile) = match &request.source {
        Source::Image(image) => (image.clone(), String::new()),
        Source::Files(files) => {
            let dockerfile = dockerfile::text(&runtime_family, &entry_point, !requirements.is_empty(), files);
            let print = dockerfile::print(files, &requirements, &dockerfile);
            (format!("{}/{}:{print}", setup.registry, request.agent), dockerfile)
        }
    };
    let env = env::variables(&env::Given {
        agent: &request.agent,
        entry_point: &entry_point,
        system_prompt: &system_prompt,
        models: &models,
        tools: &required_tools.iter().filter_map(|name| tools.get(name)).collect::<Vec<_>>(),
        mappings: &request.tool_url_mappings,
        own: &request.env,
        gateway: &setup.gateway,
    });
    Plan {
        entry_point,
        entry_point_reason: match &request.entry_point {
            Some(_) => "the request says so".into(),
            None => analysis_or.entry_point_reason.clone(),
        },
        framework,
        runtime_family,
        tier: analysis_or.execution.tier,
        tier_reason: match analysis {
            Some(analysis) => analysis.execution.reason.clone(),
            None => "the image brings its own runtime".into(),
        },
        requirements,
        models,
        system_prompt: system_prompt.clone(),
        required_tools: required_tools.clone(),
        tools: matches,
        missing,
        warnings,
        secrets,
        refused: setup.refuse_secrets && high > 0,
        env,
        policies: own,
        policies_suggested: suggested,
        image,
        dockerfile,
        analysis_id: analysis.map(|analysis| analysis.id.clone()),
    }
}

fn chosen(
    what: &str,
    asked: &Option<String>,
    seen: &str,
    analysis: Option<&Analysis>,
    warnings: &mut Vec<String>,
) -> String {
    match asked {
        None => seen.to_string(),
        Some(asked) => {
            if analysis.is_some() && !seen.is_empty() && !asked.eq_ignore_ascii_case(seen) {
                warnings.push(format!("{what} is {asked:?} as requested; the code says {seen:?}"));
            }
            asked.clone()
        }
    }
}

/// Those of the request, one a line, else those of the code.
fn requirements(request: &Request, analysis: &Analysis, warnings: &mut Vec<String>) -> Vec<String> {
    let Some(asked) = &request.requirements else { return analysis.detected_requirements.clone() };
    let lines = asked.lines().map(|line| line.split(" #").next().unwrap_or(line).trim());
    let asked: Vec<String> =
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_string).collect();
    let bare = |specifier: &str| {
        let end =
            specifier.find(|c: char| !(c.is_ascii_alphanumeric() || "-_./@".contains(c))).unwrap_or(specifier.len());
        specifier[..end].to_ascii_lowercase().replace(['_', '.'], "-")
    };
    let have: BTreeSet<String> = asked.iter().map(|line| bare(line)).collect();
    let lacks: Vec<&str> = analysis
        .requirements
        .packages
        .iter()
        .filter(|package| !package.optional && !have.contains(&bare(&package.name)))
        .map(|package| package.name.as_str())
        .collect();
    if !lacks.is_empty() {
        warnings.push(format!("the code imports {} but requirements do not name it", lacks.join(", ")));
    }
    asked
}

/// What each called service is among the registered tools: as mapped, by name, by variable, by host.
fn matches(request: &Request, analysis: &Analysis, tools: &BTreeMap<String, ToolRecord>) -> Vec<Match> {
    let by_host = |tool: &Tool| {
        let wanted = tool.base_url.as_deref().and_then(host_of)?;
        tools.values().find(|own| host_of(&own.spec.connection.base_url).as_ref() == Some(&wanted))
    };
    let by_variable = |tool: &Tool| {
        let variable = tool.detected_url_pattern.as_deref()?;
        tools.values().find(|own| {
            let name = names::in_variable(&own.name);
            variable == format!("TOOL_{name}_URL") || variable == format!("TOOL_URL_{name}")
        })
    };
    let mapped = |tool: &Tool| {
        let keys = [tool.base_url.as_deref(), tool.detected_url_pattern.as_deref(), tool.default_url.as_deref()];
        let named = keys.into_iter().flatten().find_map(|key| {
            let same = |(from, _): &(&String, &String)| from.trim_end_matches('/') == key.trim_end_matches('/');
            request.tool_url_mappings.iter().find(same).map(|(_, name)| name)
        })?;
        tools.get(named)
    };
    let found = |tool: &Tool| {
        let (own, by) = mapped(tool)
            .map(|own| (own, "mapping"))
            .or_else(|| tools.get(&tool.name).map(|own| (own, "name")))
            .or_else(|| by_variable(tool).map(|own| (own, "variable")))
            .or_else(|| by_host(tool).map(|own| (own, "host")))
            .unzip();
        Match {
            detected: tool.name.clone(),
            file: tool.file.clone(),
            line: tool.line,
            tool: own.map(|own| own.name.clone()),
            matched_by: by,
        }
    };
    analysis.tools.iter().filter(|tool| tool.kind != ToolKind::Function).map(found).collect()
}

fn host_of(url: &str) -> Option<String> {
    Target::parse(url).ok().and_then(|target| target.host().map(str::to_string))
}

/// May whoever is deployed with it use what their code uses, without anybody being asked? A tool that comes with the deploy is
/// open; a new name for the host of a tool that is not opens nothing.
fn is_open(name: &str, tools: &BTreeMap<String, ToolRecord>) -> bool {
    let Some(tool) = tools.get(name) else { return false };
    let host = host_of(&tool.spec.connection.base_url);
    !tools.values().any(|own| own.is_guarded() && host_of(&own.spec.connection.base_url) == host)
}

fn about_tools(
    matches: &[Match],
    required: &[String],
    tools: &BTreeMap<String, ToolRecord>,
    analysis: &Analysis,
    missing: &mut Vec<String>,
    warnings: &mut Vec<String>,
) {
    for found in matches {
        let Match { detected, file, line, tool, .. } = found;
        match tool {
            None => {
                let seen = analysis.tools.iter().find(|tool| tool.name == *detected && tool.line == *line);
                let address = seen.and_then(|tool| tool.base_url.as_deref());
                let how = address.map_or_else(String::new, |url| format!(" with base_url {url:?}"));
                missing.push(format!(
                    "the code calls {detected:?} ({file}:{line}), which is no registered tool; register it{how}, or map its \
                     address with tool_url_mappings"
                ));
            }
            Some(tool) if !required.contains(tool) => warnings.push(format!(
                "the code calls {tool:?} ({file}:{line}), which is not among required_tools; its calls will be denied"
            )),
            Some(_) => {}
        }
    }
    for name in required.iter().filter(|name| !tools.contains_key(*name)) {
        missing.push(format!("the required tool {name:?} is not registered; the agent stays Pending until it is"));
    }
}

/// Those of the request, else those that the code names, one for each role.
fn models(request: &Request, analysis: &Analysis) -> Vec<Model> {
    if !request.models.is_empty() {
        let mut seen = BTreeSet::new();
        return request.models.iter().filter(|model| seen.insert(model.role.clone())).cloned().collect();
    }
    let mut models: Vec<Model> = Vec::new();
    for usage in &analysis.model_usages {
        let role = match usage.role {
            analyzer_core::analysis::Role::Default | analyzer_core::analysis::Role::Chat => "chat",
            analyzer_core::analysis::Role::Embedding => "embedding",
            analyzer_core::analysis::Role::Classify => "classify",
            analyzer_core::analysis::Role::Reranking => "reranking",
        };
        if let Some(model) = &usage.model
            && !models.iter().any(|own| own.role == role)
        {
            let provider = Some(usage.provider.clone()).filter(|provider| provider != "gateway");
            let (role, model) = (role.to_string(), model.clone());
            models.push(Model { role, provider, model, model_provider: None, monthly_budget_usd: None });
        }
    }
    models
}

fn about_models(models: &[Model], registered: &Registered, missing: &mut Vec<String>) {
    for Model { model, model_provider, .. } in models {
        let offered = match model_provider {
            Some(provider) => registered.models.get(provider).is_some_and(|models| models.contains(model)),
            None => registered.models.values().any(|models| models.contains(model)),
        };
        if !offered {
            let by = model_provider.as_ref().map_or_else(String::new, |provider| format!(" {provider:?}"));
            missing.push(format!("no registered model provider{by} offers {model:?}; register one that does"));
        }
    }
}

fn found(secret: &analyzer_core::analysis::Secret) -> FoundSecret {
    let severity = match secret.severity {
        Severity::High => "high",
        Severity::Medium => "medium",
        Severity::Low => "low",
    };
    FoundSecret {
        kind: secret.kind.clone(),
        file: secret.file.clone(),
        line: secret.line,
        severity: severity.into(),
        description: secret.description.clone(),
    }
}
