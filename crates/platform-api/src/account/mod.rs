//! Account: the keys of a workspace, its settings, what it used, and who changed what.

mod audit;
mod billing;
mod keys;
mod settings;

use utoipa_axum::router::OpenApiRouter;

use crate::app::App;

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(keys::routes()).merge(settings::routes()).merge(billing::routes()).merge(audit::routes())
}
