//! The platform's server: today API keys, and the analyzer behind them.

pub mod config;
pub mod keys;

use axum::Router;
use ingestion_server::Ingestion;
use ingestion_server::web::Keys;

pub use config::Config;

/// Every route of the platform; all but health need a key.
pub fn app(ingestion: &Ingestion, keys: Keys) -> Router {
    ingestion.surround(ingestion.routes(), Some(keys))
}
