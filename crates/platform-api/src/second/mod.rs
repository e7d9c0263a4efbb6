//! Second: the API of the documents' second system, below `/v1`, over the same agents, runs, keys and gateway. It is another
//! spelling: what happens is done by the rooms that the first surface calls too.

mod agents;
pub mod alerts;
mod ask;
pub mod client;
mod envelope;
mod health;
mod invoke;
pub mod operations;
mod pages;
mod refused;
mod stream;
pub mod tiers;
mod usage;
pub mod versions;
pub mod webhooks;

use utoipa_axum::router::OpenApiRouter;

pub use envelope::speak;
pub use operations::Operations;
pub use tiers::{KeyTier, Tier, metered};
pub use webhooks::Webhooks;

use crate::app::App;

/// The first segments below `/v1` that are this surface's; beside them are the models of the gateway.
const OWN: [&str; 6] = ["agents", "operations", "usage", "alerts", "keys", "webhooks"];

/// Whether a path is of this surface.
pub fn is_here(path: &str) -> bool {
    let first = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
    first.is_some_and(|first| OWN.contains(&first))
}

/// The operations, to be mounted below `/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(agents::routes())
        .merge(health::routes())
        .merge(invoke::routes())
        .merge(stream::routes())
        .merge(operations::routes())
        .merge(webhooks::routes())
        .merge(usage::routes())
        .merge(alerts::routes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_models_are_not_of_this_surface() {
        for own in ["/v1/agents", "/v1/agents/a/invoke", "/v1/keys/usage", "/v1/webhooks/", "/v1/usage"] {
            assert!(is_here(own), "{own}");
        }
        for other in ["/v1/models", "/v1/chat/completions", "/api/v1/agents", "/v1", "/v1/agentsx", "/agents"] {
            assert!(!is_here(other), "{other}");
        }
    }
}
