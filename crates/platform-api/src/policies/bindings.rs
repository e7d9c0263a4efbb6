//! Bindings: which policy counts for which agent, and for which users and groups that agents act for.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::wire::PolicyUse;
use super::{Binding, BindingOrigin, PolicyRecord, Principal, Subject};
use crate::agents::AgentRecord;
use crate::answer::{Deleted, Named};
use crate::app::{App, json};
use crate::auth::{Caller, Identity, Read, Write};
use crate::names;
use crate::store::{StoreError, Stored, Tx, Workspace};
use crate::tools;

/// A policy for some subjects, as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BindingRequest {
    /// What it is called.
    #[schema(required)]
    name: Option<String>,
    /// The policy.
    #[schema(required)]
    policy: Option<String>,
    /// For whom it counts.
    #[schema(required)]
    subjects: Option<Vec<SubjectRequest>>,
}

/// For whom a policy counts.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct SubjectRequest {
    /// `ServiceAccount`, which is an agent; `User`, whom agents act for; or `Group` of such users.
    #[serde(default)]
    kind: Option<String>,
    /// Of the agent, user or group.
    #[serde(default)]
    name: Option<String>,
}

/// A policy for some subjects, as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PolicyBinding {
    /// What it is called; `{agent}.{policy}` when it was not posted under a name.
    name: String,
    /// The policy.
    policy: String,
    /// For whom it counts.
    subjects: Vec<Subject>,
    /// Who made it.
    origin: BindingOrigin,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_bindings, post_binding)).routes(routes!(get_binding, delete_binding))
}

/// All bindings, oldest first.
#[utoipa::path(get, path = "/policy-bindings", tag = "policies", responses((status = 200, body = Vec<PolicyBinding>)))]
async fn list_bindings(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Vec<PolicyBinding>>, ApiError> {
    let mut tx = app.store().read().await?;
    Ok(Json(group(tx.list(&caller.workspace).await?)))
}

/// Binds a policy to agents, users or groups, or to others than before.
#[utoipa::path(post, path = "/policy-bindings", tag = "policies", request_body = BindingRequest,
    responses((status = 201, body = PolicyBinding), (status = 400, body = crate::answer::Refusal)))]
async fn post_binding(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<BindingRequest>,
) -> Result<(StatusCode, Json<PolicyBinding>), ApiError> {
    let (name, policy, subjects) = value.read()?;
    let mut tx = app.store().begin().await?;
    if tx.get::<PolicyRecord>(&caller.workspace, &policy).await?.is_none() {
        return Err(ApiError::field(format!("policy {policy:?} not found; make it first"), "/policy"));
    }
    let before = labelled(&mut tx, &caller.workspace, &name).await?;
    for old in &before {
        tx.delete::<Binding>(&caller.workspace, &old.id).await?;
    }
    let now = app.world().now();
    let mut bound = Vec::new();
    for subject in subjects {
        bound.push(tx.put(&caller.workspace, &Binding::posted(&name, subject, &policy), now).await?);
    }
    let before = (!before.is_empty()).then(|| json(&before));
    let after = bound.iter().map(|binding| &binding.value).collect::<Vec<_>>();
    let (resource, after) = (format!("policy-bindings/{name}"), Some(json(&after)));
    app.note(&mut tx, &caller, "policy_binding.put", resource, before, after).await?;
    tx.commit().await?;
    let binding = group(bound).pop().expect("there is at least one subject");
    Ok((StatusCode::CREATED, Json(binding)))
}

/// One binding.
#[utoipa::path(get, path = "/policy-bindings/{name}", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, body = PolicyBinding), (status = 404, body = crate::answer::Refusal)))]
async fn get_binding(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(name): Named,
) -> Result<Json<PolicyBinding>, ApiError> {
    let mut tx = app.store().read().await?;
    let all = group(tx.list(&caller.workspace).await?);
    let binding = all.into_iter().find(|binding| binding.name == name).ok_or_else(|| unknown(&name))?;
    Ok(Json(binding))
}

/// Unbinds a policy from the subjects of one binding.
#[utoipa::path(delete, path = "/policy-bindings/{name}", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = crate::answer::Refusal)))]
async fn delete_binding(
    State(app): State<App>,
    caller: Caller<Write>,
    Named(name): Named,
) -> Result<Json<Deleted>, ApiError> {
    let mut tx = app.store().begin().await?;
    let mut gone = labelled(&mut tx, &caller.workspace, &name).await?;
    gone.extend(tx.get::<Binding>(&caller.workspace, &name).await?.map(|binding| binding.value));
    if gone.is_empty() {
        return Err(unknown(&name));
    }
    forget(&app, &mut tx, &caller, gone).await?;
    tx.commit().await?;
    Ok(Json(Deleted::default()))
}

/// Takes away all bindings of a policy.
pub(super) async fn unbind_policy(app: &App, tx: &mut Tx, who: &Identity, policy: &str) -> Result<(), ApiError> {
    let all = tx.list::<Binding>(&who.workspace).await?;
    let gone = all.into_iter().map(|binding| binding.value).filter(|binding| binding.policy == policy).collect();
    forget(app, tx, who, gone).await
}

/// The groups of a user, as the keys say that are theirs in the workspace and still open something.
pub async fn groups_of(
    tx: &mut Tx,
    workspace: Workspace<'_>,
    user: Option<&str>,
    now: i64,
) -> Result<Vec<String>, StoreError> {
    let Some(user) = user.filter(|user| !user.is_empty()) else { return Ok(Vec::new()) };
    let mut groups = Vec::new();
    for of_key in tx.groups_of_person(workspace, user, now).await? {
        groups.extend(serde_json::from_str::<Vec<String>>(&of_key).unwrap_or_default());
    }
    groups.sort();
    groups.dedup();
    Ok(groups)
}

/// The policies that count for whose call it is, oldest binding first.
pub async fn bound_policies(
    tx: &mut Tx,
    workspace: &str,
    principal: &Principal<'_>,
) -> Result<Vec<PolicyRecord>, ApiError> {
    let mut policies: Vec<PolicyRecord> = Vec::new();
    for Stored { value: binding, .. } in tx.list::<Binding>(workspace).await? {
        if !binding.subject.is(principal) || policies.iter().any(|policy| policy.name == binding.policy) {
            continue;
        }
        policies.extend(tx.get::<PolicyRecord>(workspace, &binding.policy).await?.map(|policy| policy.value));
    }
    Ok(policies)
}

/// Who uses which policy.
pub struct Uses {
    bindings: Vec<Binding>,
    namespaces: BTreeMap<String, String>,
}

impl Uses {
    /// Of one workspace.
    pub async fn read(tx: &mut Tx, workspace: &str) -> Result<Uses, ApiError> {
        let bindings = tx.list::<Binding>(workspace).await?.into_iter().map(|binding| binding.value).collect();
        let agents = tx.list::<AgentRecord>(workspace).await?.into_iter();
        let namespaces = agents.map(|agent| (agent.value.name, agent.value.namespace)).collect();
        Ok(Uses { bindings, namespaces })
    }

    /// The agents that a policy is bound to, by name; one that is not deployed yet will be where most are.
    pub fn of(&self, policy: &str) -> Vec<PolicyUse> {
        let bound = self.bindings.iter().filter(|binding| binding.policy == policy);
        let agents: BTreeSet<&str> = bound.filter_map(|binding| binding.subject.agent()).collect();
        let namespace = |agent| self.namespaces.get(agent).map_or(tools::NAMESPACE, String::as_str);
        agents.into_iter().map(|agent| PolicyUse { name: agent.into(), namespace: namespace(agent).into() }).collect()
    }
}

async fn forget(app: &App, tx: &mut Tx, who: &Identity, gone: Vec<Binding>) -> Result<(), ApiError> {
    for binding in gone {
        tx.delete::<Binding>(&who.workspace, &binding.id).await?;
        let (resource, before) = (format!("policy-bindings/{}", binding.id), Some(json(&binding)));
        app.note(tx, who, "policy_binding.delete", resource, before, None).await?;
    }
    Ok(())
}

async fn labelled(tx: &mut Tx, workspace: &str, label: &str) -> Result<Vec<Binding>, ApiError> {
    let all = tx.list::<Binding>(workspace).await?.into_iter().map(|binding| binding.value);
    Ok(all.filter(|binding| binding.label.as_deref() == Some(label)).collect())
}

/// Bindings that were posted together are one.
fn group(bindings: Vec<Stored<Binding>>) -> Vec<PolicyBinding> {
    let mut groups: Vec<PolicyBinding> = Vec::new();
    for Stored { value: Binding { id, subject, policy, origin, label }, .. } in bindings {
        let name = label.unwrap_or(id);
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.subjects.push(subject),
            None => groups.push(PolicyBinding { name, policy, subjects: vec![subject], origin }),
        }
    }
    groups.iter_mut().for_each(|group| group.subjects.sort());
    groups
}

impl BindingRequest {
    /// Name, policy and subjects.
    fn read(self) -> Result<(String, String, Vec<Subject>), ApiError> {
        let required = |value: Option<String>, field: &str| {
            let value = value.filter(|value| !value.is_empty());
            value.ok_or_else(|| ApiError::field(format!("{field} is required"), format!("/{field}")))
        };
        let name = names::name(&required(self.name, "name")?, "/name")?;
        let policy = required(self.policy, "policy")?;
        let subjects = self.subjects.unwrap_or_default();
        if subjects.is_empty() {
            return Err(ApiError::field("subjects must name at least one agent, user or group", "/subjects"));
        }
        let mut read = Vec::new();
        for (index, subject) in subjects.into_iter().enumerate() {
            let subject = subject.read(&format!("/subjects/{index}"))?;
            if !read.contains(&subject) {
                read.push(subject);
            }
        }
        Ok((name, policy, read))
    }
}

impl SubjectRequest {
    /// Whom it names; `pointer` is where it stood.
    fn read(self, pointer: &str) -> Result<Subject, ApiError> {
        let (name, pointer_to_name) = (self.name.unwrap_or_default(), format!("{pointer}/name"));
        match self.kind.as_deref() {
            None | Some("ServiceAccount") => names::name(&name, &pointer_to_name).map(Subject::ServiceAccount),
            Some("User") => names::person(&name, &pointer_to_name).map(Subject::User),
            Some("Group") => names::person(&name, &pointer_to_name).map(Subject::Group),
            Some(_) => {
                let text = "a subject is of the kind ServiceAccount, which is an agent, or User, or Group";
                Err(ApiError::field(text, format!("{pointer}/kind")))
            }
        }
    }
}

fn unknown(name: &str) -> ApiError {
    ApiError::NotFound(format!("policy binding {name:?}").into())
}
