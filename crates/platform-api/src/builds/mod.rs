//! Builds: source that becomes what can run. Here is what is known of each build, and how one is asked for.

pub mod execute;
mod logs;

use std::collections::BTreeMap;

use agent_runner::Artifact;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::agents::SOURCE;
use crate::analyses::Analyses;
use crate::answer::{Named, Refusal};
use crate::app::{App, json};
use crate::auth::{Caller, Deploy, Read};
use crate::deploy::dockerfile;
use crate::names;
use crate::store::{Resource, Stored};

/// What the words of a build are sealed under.
pub const LOG: &str = "build_log";

/// A build as it is kept. Its source is sealed under its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// `build-` and hex digits.
    pub id: String,
    /// What it makes: the name of an agent, mostly.
    pub name: String,
    /// How far it is.
    pub status: BuildStatus,
    /// What it makes.
    pub image: String,
    /// How.
    pub dockerfile: String,
    /// `python` or `node`.
    #[serde(default)]
    pub runtime_family: String,
    /// The file that starts it; empty for none.
    #[serde(default)]
    pub entry_point: String,
    /// What is to be installed, as it is asked for.
    #[serde(default)]
    pub packages: Vec<String>,
    /// What was made.
    #[serde(default)]
    pub artifact: Option<Artifact>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// When it ended.
    #[serde(default)]
    pub completed_at: Option<i64>,
}

impl Resource for BuildRecord {
    const KIND: &'static str = "build";

    fn key(&self) -> &str {
        &self.id
    }
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum BuildStatus {
    /// Nobody began it yet.
    Pending,
    /// Somebody is at it.
    Building,
    /// The image is there.
    Succeeded,
    /// It is not, and the error says why.
    Failed,
}

impl BuildStatus {
    /// Nothing follows.
    pub fn is_final(self) -> bool {
        matches!(self, BuildStatus::Succeeded | BuildStatus::Failed)
    }
}

/// What is to be built.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct BuildRequest {
    /// What the image is called.
    #[schema(required)]
    name: Option<String>,
    /// File names and source texts.
    #[schema(required)]
    files: Option<BTreeMap<String, String>>,
    /// The file that starts it. Not said: the one that the analysis names.
    entry_point: Option<String>,
    /// Packages. Not said: those that the code imports.
    requirements: Option<String>,
    /// The agent framework.
    framework: Option<String>,
}

/// A build as it is answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct Build {
    /// Its id.
    id: String,
    /// How far it is.
    status: BuildStatus,
    /// What it makes; known before it ends.
    image: String,
    /// When it was asked for.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it ended.
    #[serde(serialize_with = "crate::time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    completed_at: Option<i64>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// How it is made.
    dockerfile: String,
}

impl From<Stored<BuildRecord>> for Build {
    fn from(stored: Stored<BuildRecord>) -> Build {
        let Stored { value, created_at, .. } = stored;
        let BuildRecord { id, status, image, dockerfile, error, completed_at, .. } = value;
        Build { id, status, image, created_at, completed_at, error, dockerfile }
    }
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(get)).merge(logs::routes())
}

/// Asks for a build.
#[utoipa::path(post, path = "/builds", tag = "builds", request_body = BuildRequest,
    responses((status = 202, body = Build), (status = 400, body = Refusal)))]
async fn create(
    State(app): State<App>,
    caller: Caller<Deploy>,
    Body { value, .. }: Body<BuildRequest>,
) -> Result<(StatusCode, Json<Build>), ApiError> {
    let BuildRequest { name, files, entry_point, requirements, framework: _ } = value;
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| ApiError::field("name is required", "/name"))?;
    let name = names::name(&name, "/name")?;
    let files = files.filter(|files| !files.is_empty());
    let files = files.ok_or_else(|| ApiError::field("files is required", "/files"))?;
    let analysis = app.ingestion().analyze(files.clone(), &Analyses::of(&app, &caller.workspace)).await?;
    let entry_point = entry_point.unwrap_or_else(|| analysis.entry_point.clone());
    let is_stated = requirements.is_some();
    let requirements = match requirements {
        Some(text) => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect(),
        None => analysis.detected_requirements.clone(),
    };
    let packages = packages(&analysis.runtime_family, &files, &requirements, is_stated);
    let dockerfile = dockerfile::text(&analysis.runtime_family, &entry_point, !requirements.is_empty(), &files);
    let print = dockerfile::print(&files, &requirements, &dockerfile);
    let build = BuildRecord {
        id: app.world().id("build"),
        image: format!("{}/{name}:{print}", app.config().builds.registry),
        name,
        status: BuildStatus::Pending,
        dockerfile,
        runtime_family: analysis.runtime_family,
        entry_point,
        packages,
        artifact: None,
        error: None,
        completed_at: None,
    };
    let mut tx = app.store().begin().await?;
    tx.seal(&caller.workspace, SOURCE, &build.id, &files).await?;
    let stored = tx.put(&caller.workspace, &build, app.world().now()).await?;
    tx.queue_build(&caller.workspace, &build.id).await?;
    app.note(&mut tx, &caller, "build.create", format!("builds/{}", build.id), None, Some(json(&build))).await?;
    tx.commit().await?;
    app.wake();
    Ok((StatusCode::ACCEPTED, Json(stored.into())))
}

/// How far a build is.
#[utoipa::path(get, path = "/builds/{id}", tag = "builds", params(("id" = String, Path)),
    responses((status = 200, body = Build), (status = 404, body = Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(id): Named) -> Result<Json<Build>, ApiError> {
    let mut tx = app.store().read().await?;
    let build = tx.get::<BuildRecord>(&caller.workspace, &id).await?;
    build.map(|build| Json(build.into())).ok_or_else(|| ApiError::NotFound("build".into()))
}

/// What is to be installed: what the request names, else what the submitted manifest names, as it names it, and what the
/// code imports beside that. Nothing where a manifest says all by itself.
pub fn packages(
    runtime_family: &str,
    files: &BTreeMap<String, String>,
    requirements: &[String],
    is_stated: bool,
) -> Vec<String> {
    match runtime_family {
        _ if is_stated => requirements.to_vec(),
        "node" if files.contains_key("package.json") => Vec::new(),
        "node" => requirements.to_vec(),
        _ => {
            let lines = files.get("requirements.txt").map_or("", String::as_str).lines();
            let lines = lines.map(|line| line.split(" #").next().unwrap_or(line).trim());
            // Options and addresses are for a build of the user's own.
            let plain = |line: &&str| line.starts_with(|c: char| c.is_ascii_alphanumeric()) && !line.contains("://");
            let mut all: Vec<String> = lines.filter(plain).map(str::to_string).collect();
            let named: Vec<String> = all.iter().map(|line| distribution(line)).collect();
            all.extend(requirements.iter().filter(|line| !named.contains(&distribution(line))).cloned());
            all
        }
    }
}

/// The name of the distribution that a requirement is about, as all its spellings have it.
fn distribution(requirement: &str) -> String {
    let end = requirement.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
    requirement[..end.unwrap_or(requirement.len())].to_ascii_lowercase().replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_which_versions_and_the_code_what_it_forgot() {
        let text = "# ours\nOpenAI==1.2 # pinned\n-r more.txt\ngit+https://example.org/x\nuvicorn[standard]\n";
        let files = BTreeMap::from([("requirements.txt".to_string(), text.to_string())]);
        let wanted = ["openai>=1".to_string(), "requests".to_string()];
        assert_eq!(packages("python", &files, &wanted, false), ["OpenAI==1.2", "uvicorn[standard]", "requests"]);
        assert_eq!(packages("python", &files, &wanted, true), wanted);
        assert_eq!(packages("python", &BTreeMap::new(), &wanted, false), wanted);
        let files = BTreeMap::from([("package.json".to_string(), "{}".to_string())]);
        assert_eq!(packages("node", &files, &wanted, false), [""; 0]);
        assert_eq!(packages("node", &files, &wanted, true), wanted);
    }
}
