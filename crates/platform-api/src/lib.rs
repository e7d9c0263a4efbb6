//! The platform's control plane: every resource of the deploy API over one store, with the analyzer mounted.

pub mod account;
pub mod agents;
pub mod analyses;
pub mod answer;
pub mod app;
pub mod approvals;
pub mod assistant;
pub mod auth;
pub mod builds;
pub mod catalog;
pub mod config;
pub mod context;
pub mod credentials;
pub mod deploy;
pub mod egress;
pub mod gateway;
pub mod identity;
pub mod jobs;
pub mod kept;
pub mod models;
pub mod names;
pub mod openapi;
pub mod params;
pub mod plans;
pub mod policies;
pub mod running;
pub mod runs;
pub mod second;
pub mod store;
pub mod time;
pub mod tools;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use ingestion_server::web::ApiError;
use tower::util::MapRequestLayer;
use tracing::warn;
use utoipa_axum::router::OpenApiRouter;

pub use app::App;
use auth::{Door, Limits};
pub use config::Config;

/// The platform's own operations: the older surface and the versioned one over the same resources.
fn operations() -> OpenApiRouter<App> {
    let both = || {
        OpenApiRouter::new()
            .merge(tools::routes())
            .merge(models::routes())
            .merge(identity::routes())
            .merge(policies::routes())
            .merge(account::routes())
            .merge(catalog::routes())
            .merge(context::routes())
            .merge(plans::routes())
            .merge(deploy::routes())
            .merge(builds::routes())
    };
    let older = both().merge(agents::older()).merge(deploy::starter_kit::older());
    // Runs and approvals have no older prefix; connectors and callbacks came with the versioned surface.
    let versioned = both()
        .merge(agents::versioned())
        .merge(second::client::routes())
        .merge(deploy::starter_kit::versioned())
        .merge(gateway::routes())
        .merge(runs::routes())
        .nest("/approvals", approvals::routes())
        .merge(approvals::connectors::routes());
    OpenApiRouter::new()
        .nest("/api", older)
        .nest("/api/v1", versioned)
        .merge(runs::routes().nest("/governance", approvals::routes()))
        .merge(approvals::connectors::callbacks())
        .merge(credentials::oauth::routes())
        .merge(deploy::starter_kit::builtin().into())
        .nest("/v1", gateway::routes().merge(second::routes()))
}

/// Every route of the platform, behind the door.
pub fn router(app: &App) -> Router {
    let (routes, description) = operations().split_for_parts();
    let gateway = || gateway::routes().split_for_parts().0;
    let routes = routes
        // The same as below `/v1`, where clients look for it that put `/v1` behind whatever address they are given.
        .nest("/api/v1/v1", gateway())
        .merge(gateway::of_agents())
        .layer(from_fn_with_state(app.clone(), auth::once))
        .with_state(app.clone())
        .merge(openapi::routes(openapi::complete(description)))
        .merge(app.ingestion().routes().layer(from_fn_with_state(app.clone(), analyses::shelve)));
    let limits = Limits::new(app.store().clone(), app.world().clone(), app.config().limits.requests_per_minute);
    let door = Door::new(app.store().clone(), app.world().clone(), limits);
    let surrounded = app.ingestion().surround(routes, |router| {
        let router = router
            .layer(from_fn_with_state(app.clone(), ready))
            .layer(from_fn_with_state(app.clone(), second::metered));
        let router = router.layer(from_fn_with_state(door, auth::open));
        router.layer(from_fn_with_state(app.clone(), second::speak))
    });
    // A layer of the router itself would come after the route was chosen.
    let before = MapRequestLayer::new(|request: Request| auth::take_workspace(request));
    Router::new().fallback_service(tower::Layer::layer(&before, surrounded))
}

/// Middleware: a platform whose store does not answer is not ready.
async fn ready(State(app): State<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    if request.uri().path() == "/readyz"
        && let Err(error) = app.store().ping().await
    {
        warn!(%error, "not ready");
        return Err(ApiError::Busy("the store does not answer; try again in a moment"));
    }
    Ok(next.run(request).await)
}
