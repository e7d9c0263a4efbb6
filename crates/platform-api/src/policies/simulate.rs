//! Simulate: what would become of a call that nobody made, and what each rule says of it; or of the calls that were made,
//! under another policy.

use analyzer_core::policy::{Permission, Rule, RuleRef, Verdict, WhyNot};
use axum::Json;
use axum::extract::State;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::evaluate::{Because, Judge, permission};
use super::recorded::{self, RecordedSimulation};
use super::wire::RuleRequest;
use super::{PolicyRequest, Principal, bound_policies};
use crate::agents;
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::tools::{AccessMode, ToolRecord};

/// A call that nobody made, or a policy that nobody keeps.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SimulationRequest {
    /// The agent that would make it; with a policy, the one agent whose calls are looked at.
    agent: Option<String>,
    /// Its HTTP method; GET when absent.
    method: Option<String>,
    /// Its address.
    url: Option<String>,
    /// The user that the agent would act for; absent: nobody.
    user: Option<String>,
    /// The groups of that user.
    #[serde(default)]
    groups: Vec<String>,
    /// Instead of a call: a changed or a new policy, to be tried on the calls that were made.
    policy: Option<PolicyRequest>,
    /// Those of the last so many days; 30 when absent.
    days: Option<u32>,
}

/// What was simulated.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Simulated {
    /// One call.
    Call(Box<Simulation>),
    /// The calls that were made.
    Recorded(RecordedSimulation),
}

/// What would become of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Simulation {
    /// The agent that would make it.
    agent: String,
    /// Its HTTP method.
    method: String,
    /// Its address, as it would be sent on.
    url: String,
    /// What would become of it.
    #[schema(value_type = String)]
    decision: Permission,
    /// Why: one sentence.
    reason: String,
    /// The tool that has this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<CalledTool>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<SimulatedRule>,
    /// What would become of it if the policies that only log decided too, where that is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_only: Option<LoggedDecision>,
    /// What each rule of the agent's policies says, in their order; those that only log come last.
    rules: Vec<SimulatedRule>,
    /// Whether the tool can do this at all.
    capability: CapabilityCheck,
    /// The policies that count for the agent.
    policies: Vec<String>,
}

/// What policies that only log would make of a call.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LoggedDecision {
    /// What would become of it.
    #[schema(value_type = String)]
    decision: Permission,
    /// Why: one sentence.
    reason: String,
}

/// The tool that would be called.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CalledTool {
    name: String,
    base_url: String,
    access_mode: AccessMode,
    require_approval: bool,
}

/// What one rule says of the call.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SimulatedRule {
    /// The policy.
    policy: String,
    /// Its place in the policy, from 0.
    index: usize,
    /// What it says.
    #[schema(value_type = RuleRequest)]
    rule: Rule,
    /// It is the one that decided.
    decided: bool,
    /// Its policy only logs: it decides nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    log_only: bool,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    why_not: Option<WhyNot>,
    /// The same in words.
    #[serde(skip_serializing_if = "str::is_empty")]
    explanation: &'static str,
}

/// Whether the tool can do this at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CapabilityCheck {
    /// The tool says what it can do, so it matters.
    checked: bool,
    /// The call is among it.
    permitted: bool,
    /// As this.
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<String>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(simulate))
}

/// Says what would become of a call: the decision, the rule that makes it, and why each other rule does not. With a policy
/// instead of a call: which of the recorded calls of the last days that policy would have made into something else.
#[utoipa::path(post, path = "/policies/simulate", tag = "policies", request_body = SimulationRequest,
    responses((status = 200, body = Simulated), (status = 400, body = crate::answer::Refusal),
    (status = 404, body = crate::answer::Refusal)))]
async fn simulate(
    State(app): State<App>,
    caller: Caller<Read>,
    Body { value, .. }: Body<SimulationRequest>,
) -> Result<Json<Simulated>, ApiError> {
    if let Some(policy) = value.policy {
        let days = i64::from(value.days.unwrap_or(30).max(1));
        let agent = value.agent.filter(|agent| !agent.is_empty());
        let changed = policy.read(None)?;
        return Ok(Json(Simulated::Recorded(
            recorded::simulate(&app, &caller, changed, agent.as_deref(), days).await?,
        )));
    }
    let user = value.user.clone().filter(|user| !user.is_empty());
    let groups = value.groups.clone();
    let (agent, method, url) = value.read()?;
    let mut tx = app.store().read().await?;
    let tools = tx.list::<ToolRecord>(&caller.workspace).await?.into_iter().map(|tool| tool.value).collect();
    let principal = Principal { agent: &agent, user: user.as_deref(), groups: &groups };
    let policies = bound_policies(&mut tx, &caller.workspace, &principal).await?;
    // One that is not deployed yet may have policies already.
    if policies.is_empty() {
        agents::find(&mut tx, &caller, None, &agent).await?;
    }
    drop(tx);
    let judge = Judge::new(tools, &policies).map_err(|error| ApiError::Internal(error.into()))?;
    let names = policies.into_iter().map(|policy| policy.name).collect();
    Ok(Json(Simulated::Call(Box::new(Simulation::new(&judge, agent, method, &url, names)))))
}

impl SimulationRequest {
    fn read(self) -> Result<(String, String, String), ApiError> {
        let required = |value: Option<String>, field: &str| {
            let value = value.filter(|value| !value.is_empty());
            value.ok_or_else(|| ApiError::field(format!("{field} is required"), format!("/{field}")))
        };
        let (agent, url) = (required(self.agent, "agent")?, required(self.url, "url")?);
        let method = self.method.filter(|method| !method.is_empty()).unwrap_or_else(|| "GET".into());
        match axum::http::Method::from_bytes(method.as_bytes()) {
            Ok(_) => Ok((agent, method.to_ascii_uppercase(), url)),
            Err(_) => Err(ApiError::field("method is no HTTP method", "/method")),
        }
    }
}

impl Simulation {
    fn new(judge: &Judge, agent: String, method: String, url: &str, policies: Vec<String>) -> Simulation {
        let judgement = judge.judge(&method, url);
        let rules: Vec<SimulatedRule> =
            judge.verdicts(&method, &judgement).iter().map(|verdict| of_rule(judge, verdict)).collect();
        let decided_by = match judgement.because {
            Because::Rule(_) => rules.iter().find(|rule| rule.decided).cloned(),
            _ => None,
        };
        let capabilities = judgement.tool.map_or(&[][..], |tool| tool.spec.capabilities.as_slice());
        Simulation {
            decision: permission(judgement.outcome),
            reason: reason(judge, judgement.tool, &judgement.because, policies.is_empty()),
            log_only: judgement.log_only.as_ref().map(|(outcome, because)| LoggedDecision {
                decision: permission(*outcome),
                reason: reason(judge, judgement.tool, because, false),
            }),
            // What cannot be compared may hold a password, and is not repeated.
            url: judgement.target.as_ref().map_or_else(String::new, |target| target.url().into()),
            tool: judgement.tool.map(called),
            rule: decided_by,
            capability: CapabilityCheck {
                checked: !capabilities.is_empty(),
                permitted: judgement.tool.is_some() && (capabilities.is_empty() || judgement.capability.is_some()),
                matched: judgement.capability.map(|capability| capability.name.clone()),
            },
            agent,
            method,
            rules,
            policies,
        }
    }
}

fn called(tool: &ToolRecord) -> CalledTool {
    let control = &tool.spec.governance.access_control;
    CalledTool {
        name: tool.name.clone(),
        base_url: tool.spec.connection.base_url.clone(),
        access_mode: control.mode,
        require_approval: control.require_approval,
    }
}

fn of_rule(judge: &Judge, Verdict { rule: at, why_not }: &Verdict) -> SimulatedRule {
    let (policy, rule) = judge.rule(*at);
    let log_only = judge.only_logs(*at);
    SimulatedRule {
        policy: policy.into(),
        index: at.rule,
        rule: rule.clone(),
        decided: why_not.is_none() && !log_only,
        log_only,
        why_not: *why_not,
        explanation: match why_not {
            Some(why_not) => explanation(*why_not),
            None if log_only => "it would decide, but its policy only logs",
            None => "",
        },
    }
}

fn explanation(why_not: WhyNot) -> &'static str {
    match why_not {
        WhyNot::OtherHost => "it is about another scheme, host or port",
        WhyNot::OtherPath => "it is about other paths of this host",
        WhyNot::AmbiguousPath => "the path can be read in two ways, and it covers only one of them",
        WhyNot::OtherOperation => "it is about other methods",
        WhyNot::OtherTags => "the tool has none of its tags",
        WhyNot::Weaker => "it covers the call, but a stronger rule does too",
        WhyNot::Later => "it covers the call, but an equal rule that comes first does too",
    }
}

/// Why, in one sentence.
pub fn reason(judge: &Judge, tool: Option<&ToolRecord>, because: &Because, unbound: bool) -> String {
    let tool = tool.map_or("", |tool| tool.name.as_str());
    match because {
        Because::Address(error) => error.to_string(),
        Because::NoTool => "no registered tool has this host".into(),
        Because::Rule(at) => {
            let RuleRef { rule: index, .. } = *at;
            let (policy, _) = judge.rule(*at);
            format!("rule {} of the policy {policy:?} decides", index + 1)
        }
        Because::Mode => format!("no rule covers the call, and the tool {tool:?} asks for approval in such a case"),
        Because::NoRule if unbound => "no policy is bound to the agent, and what no rule covers is denied".into(),
        Because::NoRule => "no rule covers the call, and what no rule covers is denied".into(),
        Because::NoCapability => {
            format!("operation not permitted: nothing that the tool {tool:?} says it can do is this call")
        }
    }
}
