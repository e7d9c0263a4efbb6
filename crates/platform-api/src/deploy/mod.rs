//! Deploy: source or an image becomes an agent, with its tools, its policies and its environment, in one step.

pub mod apply;
pub mod dockerfile;
pub mod drafts;
pub mod env;
pub mod plan;
pub mod policies;
pub mod starter_kit;
pub mod wire;

use analyzer_core::Analysis;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ingestion_server::web::{ApiError, Body};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use apply::{DeploySettings, environment, reconfigure};
use plan::{Plan, Request, Source};
use wire::{DeployAnswer, DeployRequest, Dialect, QuickstartAgent, QuickstartAnswer};

use crate::analyses::Analyses;
use crate::answer::Refusal;
use crate::app::{App, json};
use crate::auth::{Admin, Caller, Deploy, Identity, Read};

/// The operations that both prefixes have.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(deploy))
        .routes(routes!(preview))
        .routes(routes!(settings, change_settings))
        .merge(drafts::routes())
}

/// Deploys an agent, or deploys it anew. It is answered in the spelling of the request: with `agent_name`, 201 and the
/// shape of the Deploy API; with `name`, 200 and that of the quickstart.
#[utoipa::path(post, path = "/deploy", tag = "deploy", request_body = DeployRequest,
    responses((status = 201, body = DeployAnswer), (status = 200, body = QuickstartAnswer),
        (status = 400, body = Refusal), (status = 404, body = Refusal), (status = 500, body = Refusal)))]
async fn deploy(
    State(app): State<App>,
    caller: Caller<Deploy>,
    Body { value, .. }: Body<DeployRequest>,
) -> Result<Response, ApiError> {
    let deployed = execute(&app, &caller, value).await?;
    let tier = mode(&deployed.plan);
    Ok(match deployed.dialect {
        Dialect::Quickstart => {
            let status = format!("{:?}", deployed.agent.status.phase);
            let agent = QuickstartAgent { name: deployed.agent.name, namespace: deployed.agent.namespace, status };
            let answer = QuickstartAnswer {
                status: "ok",
                agent,
                tools_created: deployed.tools_created,
                policies_created: deployed.policies_created,
                outcome: deployed.outcome,
            };
            Json(answer).into_response()
        }
        Dialect::DeployApi => {
            let answer = DeployAnswer {
                agent: deployed.agent.name.clone(),
                agent_name: deployed.agent.name,
                namespace: deployed.agent.namespace,
                status: if deployed.is_new { "created" } else { "updated" },
                message: deployed.agent.status.message,
                tools_created: deployed.tools_created,
                policies_created: deployed.policies_created,
                image_uri: deployed.agent.build_id.is_some().then_some(deployed.agent.image),
                build_id: deployed.agent.build_id,
                execution_mode: tier.mode,
                build_required: tier.build_required,
                build_profile: tier.build_profile,
                decision_reason: deployed.plan.tier_reason,
                outcome: deployed.outcome,
            };
            (StatusCode::CREATED, Json(answer)).into_response()
        }
    })
}

/// What a deploy would do. Nothing is changed.
#[utoipa::path(post, path = "/deploy/preview", tag = "deploy", request_body = DeployRequest,
    responses((status = 200, body = Preview), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn preview(
    State(app): State<App>,
    caller: Caller<Deploy>,
    Body { value, .. }: Body<DeployRequest>,
) -> Result<Json<Preview>, ApiError> {
    let mut tx = app.store().read().await?;
    let request = drafts::hydrate(&mut tx, &caller, value).await?.read()?;
    drop(tx);
    let analysis = analyze(&app, &caller, &request).await?;
    let mut tx = app.store().read().await?;
    let registered = apply::registered(&mut tx, &caller, &request.agent).await?;
    let setup = apply::setup(&app, &mut tx, &caller, &request.agent).await?;
    Ok(Json(Preview::of(plan::plan(&request, analysis.as_ref(), &registered, &setup))))
}

/// What this workspace decided about deploys.
#[utoipa::path(get, path = "/settings/deploy", tag = "settings", responses((status = 200, body = DeploySettings)))]
async fn settings(State(app): State<App>, caller: Caller<Read>) -> Result<Json<DeploySettings>, ApiError> {
    let mut tx = app.store().read().await?;
    let settings = tx.get::<DeploySettings>(&caller.workspace, DeploySettings::NAME).await?;
    Ok(Json(settings.map(|settings| settings.value).unwrap_or_default()))
}

/// Decides about the deploys of this workspace.
#[utoipa::path(put, path = "/settings/deploy", tag = "settings", request_body = DeploySettings,
    responses((status = 200, body = DeploySettings), (status = 400, body = Refusal)))]
async fn change_settings(
    State(app): State<App>,
    caller: Caller<Admin>,
    Body { value, .. }: Body<DeploySettings>,
) -> Result<Json<DeploySettings>, ApiError> {
    let mut tx = app.store().begin().await?;
    let before = tx.get::<DeploySettings>(&caller.workspace, DeploySettings::NAME).await?;
    tx.put(&caller.workspace, &value, app.world().now()).await?;
    let (before, after) = (before.map(|before| json(&before.value)), Some(json(&value)));
    app.note(&mut tx, &caller, "settings.deploy", "settings/deploy".into(), before, after).await?;
    tx.commit().await?;
    Ok(Json(value))
}

/// Reads, analyzes, plans and carries out: what `POST /deploy` does, for whoever deploys in another way.
pub async fn execute(app: &App, who: &Identity, request: DeployRequest) -> Result<apply::Deployed, ApiError> {
    let mut tx = app.store().read().await?;
    let draft = request.draft_id.clone();
    let request = drafts::hydrate(&mut tx, who, request).await?.read()?;
    drop(tx);
    let analysis = analyze(app, who, &request).await?;
    apply::apply(app, who, request, analysis, draft).await
}

async fn analyze(app: &App, who: &Identity, request: &Request) -> Result<Option<Analysis>, ApiError> {
    match &request.source {
        Source::Image(_) => Ok(None),
        Source::Files(files) => {
            let shelf = Analyses::of(app, &who.workspace);
            app.ingestion().analyze(files.clone(), &shelf).await.map(Some)
        }
    }
}

/// What a deploy would do, first for people, then in full.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// `instant`, `preparing_runtime` or `compatibility_setup`.
    user_state: &'static str,
    /// The same for people.
    state_label: &'static str,
    /// How long it may take.
    eta_range: &'static str,
    /// How sure that is.
    confidence: &'static str,
    /// Why, in a sentence.
    short_reason: String,
    /// For whoever wants to know more.
    advanced_details: AdvancedDetails,
    /// All of it.
    plan: Plan,
}

/// How an agent is run.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdvancedDetails {
    execution_mode: &'static str,
    build_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_profile: Option<&'static str>,
    decision_reason: String,
    execution_kind: &'static str,
    support_level: &'static str,
}

/// How an agent is run, by what it is.
struct Mode {
    mode: &'static str,
    build_required: bool,
    build_profile: Option<&'static str>,
    state: (&'static str, &'static str, &'static str),
    kind: &'static str,
}

fn mode(plan: &Plan) -> Mode {
    let family = match plan.runtime_family.as_str() {
        "node" => "node-20",
        _ => "python-3.11",
    };
    let ready = ("instant", "Ready at once", "a few seconds");
    match (plan.tier, plan.requirements.is_empty()) {
        (0, _) => {
            Mode { mode: "CONTAINER_IMAGE", build_required: false, build_profile: None, state: ready, kind: "image" }
        }
        (1, true) => {
            Mode { mode: "INSTANT_RUNTIME", build_required: false, build_profile: None, state: ready, kind: "runtime" }
        }
        (1, false) => Mode {
            mode: "FAST_OVERLAY",
            build_required: true,
            build_profile: Some(family),
            state: ("preparing_runtime", "Preparing the runtime", "10 to 60 seconds"),
            kind: "runtime",
        },
        _ => Mode {
            mode: "FAST_OVERLAY",
            build_required: !plan.requirements.is_empty(),
            build_profile: (!plan.requirements.is_empty()).then_some(family),
            state: match plan.requirements.is_empty() {
                true => ready,
                false => ("preparing_runtime", "Preparing the runtime", "10 to 60 seconds"),
            },
            kind: "handler",
        },
    }
}

impl Preview {
    fn of(plan: Plan) -> Preview {
        let Mode { mode, build_required, build_profile, state, kind } = mode(&plan);
        let (user_state, state_label, eta_range) = state;
        let sound = plan.missing.is_empty() && !plan.refused;
        Preview {
            user_state,
            state_label,
            eta_range,
            confidence: if sound { "high" } else { "medium" },
            short_reason: match plan.missing.first() {
                Some(first) => first.clone(),
                None => plan.tier_reason.clone(),
            },
            advanced_details: AdvancedDetails {
                execution_mode: mode,
                build_required,
                build_profile,
                decision_reason: plan.tier_reason.clone(),
                execution_kind: kind,
                support_level: if sound { "full" } else { "partial" },
            },
            plan,
        }
    }
}
