//! Catalog: agents that are ready to be deployed.

mod entries;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use ingestion_server::web::ApiError;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::Named;
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::names::is_name;
use crate::params::Pairs;
use crate::time::rfc3339;
use entries::{ENTRIES, Edition, Entry, Version};

/// A page of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CatalogPage {
    #[schema(format = DateTime)]
    generated_at: String,
    items: Vec<CatalogItem>,
    /// On all pages.
    total: usize,
    page: i64,
    page_size: i64,
}

/// An agent in the list.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CatalogItem {
    id: &'static str,
    name: &'static str,
    summary: &'static str,
    description: &'static str,
    category: &'static str,
    tags: &'static [String],
    latest_version: &'static str,
    required_integrations: &'static [String],
    governance_traits: &'static [String],
    /// `simple`, `intermediate` or `advanced`.
    complexity: &'static str,
}

/// All of one agent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CatalogManifest {
    id: &'static str,
    version: &'static str,
    name: &'static str,
    summary: &'static str,
    description: &'static str,
    default_model: &'static str,
    /// Every model that the code asks, with its role: `chat gpt-4o-mini`.
    models: &'static [String],
    required_integrations: &'static [String],
    governance_traits: &'static [String],
    deployment_template: DeploymentTemplate,
}

/// What a deploy is filled in with.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentTemplate {
    agent_name: &'static str,
    system_prompt: &'static str,
    required_tools: &'static [String],
    recommended_tools: &'static [String],
    /// Policies to bind; those that the code needs are made by the deploy.
    policies: Vec<String>,
    /// Empty: any.
    identity_provider: &'static str,
    /// `code`.
    source_type: &'static str,
    entry_point: &'static str,
    source_files: BTreeMap<&'static str, &'static str>,
}

/// The versions of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CatalogVersions {
    agent_id: &'static str,
    /// Newest first.
    versions: Vec<CatalogVersion>,
}

/// A version of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CatalogVersion {
    version: &'static str,
    #[schema(format = DateTime)]
    published_at: &'static str,
    summary: &'static str,
    changelog: &'static str,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    let beyond = axum::routing::any(async |_: Caller<Read>| bad_path());
    OpenApiRouter::new()
        .routes(routes!(catalog))
        .routes(routes!(manifest))
        .routes(routes!(versions))
        .route("/catalog/{id}/{*beyond}", beyond)
}

/// Agents that are ready to be deployed. Each filter may be repeated or hold several values between commas, of which
/// one is enough.
#[utoipa::path(get, path = "/catalog", tag = "catalog", params(
        ("search" = Option<String>, Query, description = "Words, all of which must occur."),
        ("category" = Option<String>, Query), ("tag" = Option<String>, Query),
        ("integration" = Option<String>, Query), ("governance" = Option<String>, Query),
        ("page" = Option<i64>, Query, minimum = 1), ("page_size" = Option<i64>, Query, minimum = 1, maximum = 100)),
    responses((status = 200, body = CatalogPage), (status = 400, body = crate::answer::Refusal)))]
async fn catalog(State(app): State<App>, _caller: Caller<Read>, params: Pairs) -> Result<Json<CatalogPage>, ApiError> {
    let page = params.number("page", 1, 1..=1_000_000)?;
    let page_size = params.number("page_size", 24, 1..=100)?;
    let found: Vec<&Entry> = ENTRIES.iter().filter(|entry| is_wanted(entry, &params)).collect();
    let items = found.iter().skip(((page - 1) * page_size) as usize).take(page_size as usize);
    Ok(Json(CatalogPage {
        generated_at: rfc3339(app.world().now()),
        items: items.map(|entry| item(entry)).collect(),
        total: found.len(),
        page,
        page_size,
    }))
}

/// All of one agent, its sources included.
#[utoipa::path(get, path = "/catalog/{id}", tag = "catalog",
    params(("id" = String, Path), ("version" = Option<String>, Query, description = "The latest when absent.")),
    responses((status = 200, body = CatalogManifest), (status = 400, body = crate::answer::Refusal),
    (status = 404, body = crate::answer::Refusal)))]
async fn manifest(_caller: Caller<Read>, Named(id): Named, params: Pairs) -> Result<Json<CatalogManifest>, ApiError> {
    let entry = find(&id)?;
    let edition = match params.get("version") {
        Some(version) => entry.edition(version).ok_or_else(unknown)?,
        None => entry.latest(),
    };
    Ok(Json(whole(entry.id, edition)))
}

/// The versions of an agent, newest first.
#[utoipa::path(get, path = "/catalog/{id}/versions", tag = "catalog", params(("id" = String, Path)),
    responses((status = 200, body = CatalogVersions), (status = 400, body = crate::answer::Refusal),
    (status = 404, body = crate::answer::Refusal)))]
async fn versions(_caller: Caller<Read>, Named(id): Named) -> Result<Json<CatalogVersions>, ApiError> {
    let entry = find(&id)?;
    let version = |Version { version, published_at, summary, changelog }: &'static Version| CatalogVersion {
        version,
        published_at,
        summary,
        changelog,
    };
    let versions = entry.latest().manifest.versions.iter().map(version).collect();
    Ok(Json(CatalogVersions { agent_id: entry.id, versions }))
}

fn find(id: &str) -> Result<&'static Entry, ApiError> {
    if !is_name(id) {
        return Err(bad_path());
    }
    ENTRIES.iter().find(|entry| entry.id == id).ok_or_else(unknown)
}

fn bad_path() -> ApiError {
    ApiError::BadRequest("invalid catalog path".into())
}

fn unknown() -> ApiError {
    ApiError::NotFound("catalog entry".into())
}

fn is_wanted(entry: &Entry, params: &Pairs) -> bool {
    let manifest = &entry.latest().manifest;
    let one_of = |name: &str, own: &[String]| {
        let mut wanted = params.all(name).peekable();
        wanted.peek().is_none() || wanted.any(|wanted| own.iter().any(|own| own.eq_ignore_ascii_case(wanted)))
    };
    let text = [entry.id, &manifest.name, &manifest.summary, &manifest.description, &manifest.category]
        .into_iter()
        .chain(manifest.tags.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join("\n")
        .to_lowercase();
    let search = params.get("search").unwrap_or_default().to_lowercase();
    search.split_whitespace().all(|word| text.contains(word))
        && one_of("category", std::slice::from_ref(&manifest.category))
        && one_of("tag", &manifest.tags)
        && one_of("integration", &manifest.required_integrations)
        && one_of("governance", &manifest.governance_traits)
}

fn item(entry: &'static Entry) -> CatalogItem {
    let manifest = &entry.latest().manifest;
    CatalogItem {
        id: entry.id,
        name: &manifest.name,
        summary: &manifest.summary,
        description: &manifest.description,
        category: &manifest.category,
        tags: &manifest.tags,
        latest_version: entry.latest().version(),
        required_integrations: &manifest.required_integrations,
        governance_traits: &manifest.governance_traits,
        complexity: &manifest.complexity,
    }
}

fn whole(id: &'static str, edition: &'static Edition) -> CatalogManifest {
    let manifest = &edition.manifest;
    CatalogManifest {
        id,
        version: edition.version(),
        name: &manifest.name,
        summary: &manifest.summary,
        description: &manifest.description,
        default_model: &manifest.default_model,
        models: &manifest.models,
        required_integrations: &manifest.required_integrations,
        governance_traits: &manifest.governance_traits,
        deployment_template: DeploymentTemplate {
            agent_name: &manifest.template.agent_name,
            system_prompt: &manifest.template.system_prompt,
            required_tools: &manifest.template.required_tools,
            recommended_tools: &manifest.template.recommended_tools,
            policies: Vec::new(),
            identity_provider: "",
            source_type: "code",
            entry_point: &manifest.entry_point,
            source_files: edition.files.clone(),
        },
    }
}
