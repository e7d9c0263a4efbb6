//! Apply: a plan carried out, all of it or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use analyzer_core::Analysis;
use ingestion_server::web::{ApiError, FieldError};
use serde::{Deserialize, Serialize};
use tracing::error;

use super::env;
use super::plan::{Plan, Registered, Request, Setup, Source, plan};
use super::policies::Generated;
use super::wire::{Dialect, Outcome};
use crate::agents::{AgentRecord, AgentStatus, ENVIRONMENT, Phase, SOURCE};
use crate::app::{App, json};
use crate::auth::{Identity, Scope};
use crate::builds::{self, BuildRecord, BuildStatus};
use crate::deploy::drafts;
use crate::gateway;
use crate::identity::IdentityProviderRecord;
use crate::models::ProviderRecord;
use crate::policies::{Binding, BindingOrigin, PolicyOrigin, PolicyRecord, PolicySpec, RuleEvidence};
use crate::store::{Resource, Tx};
use crate::tools::{self, ToolRecord};

/// For so long a deploy waits for its build.
const BUILD: Duration = Duration::from_secs(10);

/// What a workspace's owner decided about deploys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct DeploySettings {
    /// Source that holds credentials of high severity is refused.
    pub refuse_secrets: bool,
}

impl Resource for DeploySettings {
    const KIND: &'static str = "deploy_settings";

    fn key(&self) -> &str {
        DeploySettings::NAME
    }
}

impl DeploySettings {
    /// A workspace has one of them.
    pub const NAME: &str = "deploy";
}

/// What was deployed.
#[derive(Debug)]
pub struct Deployed {
    /// In whose words it is answered.
    pub dialect: Dialect,
    /// The agent.
    pub agent: AgentRecord,
    /// There was none of that name.
    pub is_new: bool,
    /// Tools that were registered with it.
    pub tools_created: Vec<String>,
    /// Policies that were made for it, or made anew.
    pub policies_created: Vec<String>,
    /// What the caller should know.
    pub outcome: Outcome,
    /// What it was made by.
    pub plan: Plan,
}

/// What is registered, as far as a deploy of this agent asks.
pub async fn registered(tx: &mut Tx, who: &Identity, agent: &str) -> Result<Registered, ApiError> {
    let workspace = who.workspace.as_str();
    let mut registered = Registered::default();
    for tool in tx.list::<ToolRecord>(workspace).await? {
        registered.tools.insert(tool.value.name.clone(), tool.value);
    }
    for policy in tx.list::<PolicyRecord>(workspace).await? {
        let policy = policy.value;
        if matches!(&policy.origin, PolicyOrigin::Deploy { agent: own, .. } if own == agent) {
            registered.generated.insert(policy.name.clone(), policy.spec.policies);
        }
        registered.policies.insert(policy.name);
    }
    for provider in tx.list::<IdentityProviderRecord>(workspace).await? {
        registered.identity_providers.insert(provider.value.name);
    }
    for provider in tx.list::<ProviderRecord>(workspace).await? {
        registered.models.insert(provider.value.name, provider.value.spec.models);
    }
    Ok(registered)
}

/// What is the operator's to say about deploys of this agent.
pub async fn setup(app: &App, tx: &mut Tx, who: &Identity, agent: &str) -> Result<Setup, ApiError> {
    let settings = tx.get::<DeploySettings>(&who.workspace, DeploySettings::NAME).await?;
    Ok(Setup {
        registry: app.config().builds.registry.clone(),
        gateway: gateway_of(app, &who.workspace, agent, env::MASK)?,
        refuse_secrets: settings.is_some_and(|settings| settings.value.refuse_secrets),
    })
}

/// Where an agent finds its gateway. Where its connections do not say whose they are, a token does.
fn gateway_of(app: &App, workspace: &str, agent: &str, token: &str) -> Result<String, ApiError> {
    let below = |base: String| format!("{base}{}/{agent}/{token}", gateway::tokens::PREFIX);
    match app.running() {
        Some(running) if running.knows_by_connection() => running.gateway(workspace, agent),
        Some(running) => running.gateway(workspace, agent).map(below),
        None => Ok(below(app.config().public_url())),
    }
}

/// Carries a request out: tools, then the build, then the agent, its policies and bindings.
pub async fn apply(
    app: &App,
    who: &Identity,
    request: Request,
    analysis: Option<Analysis>,
    draft: Option<String>,
) -> Result<Deployed, ApiError> {
    // Whoever names a policy decides what an agent may do.
    if !request.policies.is_empty() {
        who.must(Scope::Write)?;
    }
    let workspace = who.workspace.as_str();
    let now = app.world().now();
    let mut tx = app.store().begin().await?;
    let registered = registered(&mut tx, who, &request.agent).await?;
    let setup = setup(app, &mut tx, who, &request.agent).await?;
    let mut plan = plan(&request, analysis.as_ref(), &registered, &setup);
    refuse_secrets(&plan)?;
    check_policies(&request.policies, &registered, &plan)?;

    let mut tools_created = Vec::new();
    for tool in &request.tools_to_create {
        if !registered.tools.contains_key(&tool.name) && !tools_created.contains(&tool.name) {
            let saved = tools::save(app, &mut tx, who, tool.clone(), None).await;
            saved.map_err(not_created(format!("tool {:?}", tool.name)))?;
            tools_created.push(tool.name.clone());
        }
    }

    let build_id = match &request.source {
        Source::Image(_) => None,
        Source::Files(files) => {
            // Where nothing is code, nothing is to be made.
            let is_made = plan.entry_point.is_empty();
            let build = BuildRecord {
                id: app.world().id("build"),
                name: request.agent.clone(),
                status: if is_made { BuildStatus::Succeeded } else { BuildStatus::Pending },
                image: plan.image.clone(),
                dockerfile: plan.dockerfile.clone(),
                packages: builds::packages(
                    &plan.runtime_family,
                    files,
                    &plan.requirements,
                    request.requirements.is_some(),
                ),
                runtime_family: plan.runtime_family.clone(),
                entry_point: plan.entry_point.clone(),
                artifact: None,
                error: None,
                completed_at: is_made.then_some(now),
            };
            tx.seal(workspace, SOURCE, &request.agent, files).await?;
            tx.seal(workspace, SOURCE, &build.id, files).await?;
            tx.put(workspace, &build, now).await?;
            if !is_made {
                tx.queue_build(workspace, &build.id).await?;
            }
            Some(build.id)
        }
    };
    let made = make(app, &mut tx, who, &request, &mut plan, build_id, draft.as_deref()).await;
    let Made { agent, is_new, policies_created } = made.map_err(not_created("agent".into()))?;
    tx.commit().await.map_err(|error| not_created("agent".into())(error.into()))?;
    app.wake();
    if let (Some(_), Some(build)) = (app.running(), &agent.build_id)
        && let Some(build) = builds::execute::wait(app, workspace, build, BUILD).await?
        && build.status == BuildStatus::Failed
    {
        return Err(ApiError::Failed(build.error.unwrap_or_else(|| "build failed".into())));
    }

    let outcome = Outcome {
        warnings: plan.warnings.clone(),
        missing: plan.missing.clone(),
        policies_suggested: plan.policies_suggested.iter().map(json).collect(),
        analysis_id: plan.analysis_id.clone(),
    };
    Ok(Deployed { dialect: request.dialect, agent, is_new, tools_created, policies_created, outcome, plan })
}

/// An agent that was written.
struct Made {
    agent: AgentRecord,
    is_new: bool,
    policies_created: Vec<String>,
}

/// Writes the agent with its environment, policies and bindings, in the caller's transaction.
async fn make(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    request: &Request,
    plan: &mut Plan,
    build_id: Option<String>,
    draft: Option<&str>,
) -> Result<Made, ApiError> {
    let (workspace, now) = (who.workspace.as_str(), app.world().now());
    tx.seal(workspace, ENVIRONMENT, &request.agent, &request.env).await?;

    let before = tx.get::<AgentRecord>(workspace, &request.agent).await?;
    gateway::tokens::issue(tx, workspace, &request.agent).await?;
    let agent = AgentRecord {
        name: request.agent.clone(),
        // An agent stays where it is, in whatever words it is deployed anew.
        namespace: before.as_ref().map_or(request.dialect.namespace().into(), |agent| agent.value.namespace.clone()),
        dialect: before.as_ref().map_or(request.dialect, |agent| agent.value.dialect),
        image: plan.image.clone(),
        build_id,
        analysis_id: plan.analysis_id.clone(),
        system_prompt: plan.system_prompt.clone(),
        required_tools: plan.required_tools.clone(),
        models: plan.models.clone(),
        env: plan.env.clone(),
        identity_provider: request.identity_provider.clone(),
        entry_point: plan.entry_point.clone(),
        framework: plan.framework.clone(),
        runtime_family: plan.runtime_family.clone(),
        requirements: plan.requirements.clone(),
        tool_url_mappings: request.tool_url_mappings.clone(),
        status: status(app, plan),
    };
    tx.put(workspace, &agent, now).await?;
    let policies_created = put_policies(tx, who, request, plan, now).await?;
    if let Some(draft) = draft {
        drafts::complete_with(tx, who, draft, now).await?;
    }
    let was = before.as_ref().map(|agent| json(&agent.value));
    app.note(tx, who, "agent.deploy", format!("agents/{}", agent.name), was, Some(json(&agent))).await?;
    Ok(Made { is_new: before.is_none(), agent, policies_created })
}

/// An error of ours in the documents' words; its cause is for the log alone.
fn not_created(what: String) -> impl FnOnce(ApiError) -> ApiError {
    move |error| match error {
        ApiError::Internal(cause) => {
            error!(%cause, "failed to create {what}");
            ApiError::Failed(format!("failed to create {what}: the platform could not keep it; nothing was changed"))
        }
        error => error,
    }
}

fn refuse_secrets(plan: &Plan) -> Result<(), ApiError> {
    if !plan.refused {
        return Ok(());
    }
    let high = plan.secrets.iter().filter(|secret| secret.severity == "high");
    let errors = high.map(|secret| {
        let pointer = format!("/source_files/{}", secret.file.replace('~', "~0").replace('/', "~1"));
        FieldError::new(pointer, format!("line {}: {}", secret.line, secret.description))
    });
    let text = "the source holds credentials of high severity, which this workspace refuses to deploy; take them out and \
         register them with a tool or provider";
    Err(ApiError::Invalid { text: text.into(), errors: errors.collect() })
}

fn check_policies(named: &[String], registered: &Registered, plan: &Plan) -> Result<(), ApiError> {
    for (n, name) in named.iter().enumerate() {
        let is_made = || plan.policies.iter().any(|policy| policy.name == *name);
        if !registered.policies.contains(name) && !is_made() {
            let shown: String = name.chars().take(80).collect();
            return Err(ApiError::field(format!("policy {shown:?} not found"), format!("/policies/{n}")));
        }
    }
    Ok(())
}

/// Until it runs, an agent waits, and says for what.
fn status(app: &App, plan: &Plan) -> AgentStatus {
    let message = match (app.running(), plan.missing.is_empty()) {
        (None, true) => "deployed; this platform has no runner that could start it".to_string(),
        (Some(_), true) => "deployed; it is being built".to_string(),
        (_, false) => plan.missing.join("; "),
    };
    AgentStatus { phase: Phase::Pending, message, isolation: None }
}

/// Writes the agent's generated policies and binds them, and those that the request names; takes away what an earlier
/// deploy made for tools that are needed no more. Policies of people are bound and never changed.
async fn put_policies(
    tx: &mut Tx,
    who: &Identity,
    request: &Request,
    plan: &mut Plan,
    now: i64,
) -> Result<Vec<String>, ApiError> {
    let (workspace, agent) = (who.workspace.as_str(), request.agent.as_str());
    let mut created = Vec::new();
    for policy in &plan.policies {
        let there = tx.get::<PolicyRecord>(workspace, &policy.name).await?;
        let own =
            |record: &PolicyRecord| matches!(&record.origin, PolicyOrigin::Deploy { agent: own, .. } if own == agent);
        if there.is_some_and(|there| !own(&there.value)) {
            plan.warnings.push(format!("the policy {:?} is somebody's own and was left as it is", policy.name));
            continue;
        }
        tx.put(workspace, &record(agent, policy), now).await?;
        tx.put(workspace, &Binding::new(agent, &policy.name, BindingOrigin::Generated), now).await?;
        created.push(policy.name.clone());
    }
    let required: BTreeSet<&String> = plan.required_tools.iter().collect();
    for policy in tx.list::<PolicyRecord>(workspace).await? {
        if let PolicyOrigin::Deploy { agent: own, tool } = &policy.value.origin
            && own == agent
            && !required.contains(tool)
        {
            tx.delete::<PolicyRecord>(workspace, &policy.value.name).await?;
            tx.delete::<Binding>(workspace, &Binding::id(agent, &policy.value.name)).await?;
        }
    }
    for name in request.policies.iter().filter(|name| !created.contains(name)) {
        tx.put(workspace, &Binding::new(agent, name, BindingOrigin::Bound), now).await?;
    }
    Ok(created)
}

fn record(agent: &str, policy: &Generated) -> PolicyRecord {
    let evidence = policy.evidence.iter().map(|why| RuleEvidence {
        reason: why.reason.clone(),
        confidence: why.confidence,
        places: why.calls.clone(),
    });
    PolicyRecord {
        name: policy.name.clone(),
        spec: PolicySpec { policies: policy.spec.policies.clone(), ..PolicySpec::default() },
        origin: PolicyOrigin::Deploy { agent: agent.into(), tool: policy.tool.clone() },
        evidence: evidence.collect(),
    }
}

/// An agent whose settings were changed gets the environment that belongs to them, and the policies that are named.
pub async fn reconfigure(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    agent: &mut AgentRecord,
    policies: Option<Vec<String>>,
) -> Result<(), ApiError> {
    let workspace = who.workspace.as_str();
    let now = app.world().now();
    let registered = registered(tx, who, &agent.name).await?;
    let own = tx.unseal(workspace, ENVIRONMENT, &agent.name).await?.unwrap_or_default();
    let tools: Vec<&ToolRecord> = agent.required_tools.iter().filter_map(|name| registered.tools.get(name)).collect();
    agent.env = env::variables(&env::Given {
        agent: &agent.name,
        entry_point: &agent.entry_point,
        system_prompt: &agent.system_prompt,
        models: &agent.models,
        tools: &tools,
        mappings: &agent.tool_url_mappings,
        own: &own,
        gateway: &gateway_of(app, workspace, &agent.name, env::MASK)?,
    });
    let Some(policies) = policies else { return Ok(()) };
    who.must(Scope::Write)?;
    for (n, name) in policies.iter().enumerate() {
        if !registered.policies.contains(name) {
            let shown: String = name.chars().take(80).collect();
            return Err(ApiError::field(format!("policy {shown:?} not found"), format!("/policies/{n}")));
        }
    }
    for binding in tx.list::<Binding>(workspace).await? {
        if binding.value.is_of(&agent.name) && !policies.contains(&binding.value.policy) {
            tx.delete::<Binding>(workspace, &binding.value.id).await?;
        }
    }
    for name in &policies {
        let id = Binding::id(&agent.name, name);
        if tx.get::<Binding>(workspace, &id).await?.is_none() {
            tx.put(workspace, &Binding::new(&agent.name, name, BindingOrigin::Bound), now).await?;
        }
    }
    Ok(())
}

/// What an agent really finds in its environment: its gateway's token included, and the user's own values.
pub async fn environment(
    app: &App,
    tx: &mut Tx,
    workspace: &str,
    agent: &AgentRecord,
) -> Result<BTreeMap<String, String>, ApiError> {
    let own: BTreeMap<String, String> = tx.unseal(workspace, ENVIRONMENT, &agent.name).await?.unwrap_or_default();
    let mut tools = Vec::new();
    for name in &agent.required_tools {
        tools.extend(tx.get::<ToolRecord>(workspace, name).await?.map(|tool| tool.value));
    }
    let token = gateway::tokens::of(tx, workspace, &agent.name).await?.unwrap_or_default();
    let mut all = env::platform(&env::Given {
        agent: &agent.name,
        entry_point: &agent.entry_point,
        system_prompt: &agent.system_prompt,
        models: &agent.models,
        tools: &tools.iter().collect::<Vec<_>>(),
        mappings: &agent.tool_url_mappings,
        own: &own,
        gateway: &gateway_of(app, workspace, &agent.name, &token)?,
    });
    all.extend(own);
    Ok(all)
}
