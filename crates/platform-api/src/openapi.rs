//! OpenAPI: the description of every operation, taken from beside the handlers, as a document and as pages.

use axum::Router;
use ingestion_server::Ingestion;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, ResponseBuilder, ServerBuilder, Tag,
};
use utoipa_swagger_ui::SwaggerUi;

use crate::second;

/// What the groups of operations are about.
const TAGS: [(&str, &str); 17] = [
    ("account", "API keys, settings, billing, and who changed what."),
    ("agents", "What is deployed, and how it is doing."),
    ("analysis", "What an agent's code touches, before it runs."),
    ("approvals", "Questions that people decide."),
    ("approval connectors", "How such a question reaches them."),
    ("builds", "Source that becomes an image."),
    ("catalog", "Agents to begin with."),
    ("context", "Everything at once, for assistants."),
    ("deploy", "From source or an image to an agent."),
    ("drafts", "Deploys that somebody is still thinking about."),
    ("identity providers", "Who tells agents about their users."),
    ("model providers", "Who offers models, and what they cost."),
    ("plans", "Several changes in one request."),
    ("policies", "What agents may call."),
    ("runs", "What agents did, step by step."),
    ("second system", "The same agents in the words of the documents' second system."),
    ("tools", "The services that agents call."),
];

/// `/openapi.json`, and `/docs` for people, which loads nothing from elsewhere.
pub fn routes(description: OpenApi) -> Router {
    SwaggerUi::new("/docs").url("/openapi.json", description).into()
}

/// The whole description, of the platform's operations and the analyzer's.
pub fn complete(mut description: OpenApi) -> OpenApi {
    description.merge(Ingestion::description());
    description.info = InfoBuilder::new()
        .title("Platform API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Deploy AI agents with policies that allow exactly what their code does."))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    description.servers = Some(vec![ServerBuilder::new().url("/").build()]);
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-RunAgents-API-Key")));
    let components = description.components.get_or_insert_default();
    components.security_schemes.insert("bearer".into(), bearer.into());
    components.security_schemes.insert("header".into(), header.into());
    let none = <[String; 0]>::default;
    description.security =
        Some(vec![SecurityRequirement::new("bearer", none()), SecurityRequirement::new("header", none())]);
    for (path, item) in &mut description.paths.paths {
        for (method, operation) in operations(item) {
            complete_operation(method, path, operation);
        }
    }
    let mut tags: Vec<String> = description
        .paths
        .paths
        .values_mut()
        .flat_map(operations)
        .flat_map(|(_, operation)| operation.tags.clone().unwrap_or_default())
        .collect();
    tags.sort();
    tags.dedup();
    let said = |name: &str| TAGS.iter().find(|(tag, _)| *tag == name).map(|(_, about)| about.to_string());
    let tag = |name: String| {
        let about = said(&name);
        let mut tag = Tag::new(name);
        tag.description = about;
        tag
    };
    description.tags = Some(tags.into_iter().map(tag).collect());
    description
}

/// Names that differ by surface, and the answers that every operation may give.
fn complete_operation(method: &str, path: &str, operation: &mut Operation) {
    operation.operation_id = Some(name(method, path));
    let common = [
        ("401", "No API key, or one that is not known"),
        ("403", "The API key may not do this"),
        ("429", "Too many requests in this minute"),
        ("503", "Not now; try again after the seconds in Retry-After"),
    ];
    // Each surface refuses in its own words.
    let refusal = if second::is_here(path) { "FailureEnvelope" } else { "Refusal" };
    for (status, about) in common {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(refusal))).build();
        let response = ResponseBuilder::new().description(about).content("application/json", content).build();
        operation.responses.responses.entry(status.into()).or_insert(response.into());
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = meaning(status).into();
        }
    }
}

/// What a status means, where the handler says no more.
fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "Done",
        "201" => "Made, or made anew",
        "202" => "Taken on",
        "400" => "Something is wrong with the request, and the text says what",
        "403" => "The API key may not do this",
        "404" => "There is no such thing",
        "409" => "The state of things does not allow it",
        "422" => "The idempotency key stands for another request",
        "501" => "Documented, and not offered here",
        "502" => "Somebody who was asked failed",
        _ => "Something failed here",
    }
}

/// `get_runs_by_id_events`: one name for each method and path, whatever its handler is called.
fn name(method: &str, path: &str) -> String {
    let (surface, rest) = match path.strip_prefix("/api/v1/") {
        Some(rest) => ("", rest),
        None if path.starts_with("/api/") => ("", &path[1..]),
        None => ("root_", &path[1..]),
    };
    let word = |part: &str| match part.strip_prefix('{') {
        Some(parameter) => format!("by_{}", parameter.trim_end_matches('}')),
        None => part.replace('-', "_"),
    };
    let words: Vec<String> = rest.split('/').map(word).collect();
    format!("{method}_{surface}{}", words.join("_"))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("get", get), ("put", put), ("post", post), ("delete", delete), ("patch", patch)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
