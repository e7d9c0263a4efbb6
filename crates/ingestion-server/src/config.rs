//! Config: what `config.default.toml` documents, as types.

use std::net::SocketAddr;

use serde::Deserialize;

use crate::web::log::LogConfig;
use crate::web::serve::HttpConfig;
use crate::web::{Settings, settings::SettingsError};

/// The embedded defaults: the first layer of configuration, and its documentation.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Limits of connections and bodies.
    pub http: HttpConfig,
    /// Limits of analyses.
    pub analysis: AnalysisConfig,
    /// How much is kept, and how long.
    pub cache: CacheConfig,
    /// What a language model may add.
    pub enrichment: EnrichmentConfig,
    /// How the log is written.
    pub log: LogConfig,
}

/// Limits of analyses.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalysisConfig {
    /// Analyses running at one time; 0 means one per processor.
    pub workers: usize,
    /// Analyses waiting for their turn.
    pub queue: usize,
    /// Seconds in the queue.
    pub queue_seconds: u64,
    /// Seconds of analysis.
    pub deadline_seconds: u64,
    /// Files of one submission.
    pub files: usize,
    /// Bytes of all files of one submission.
    pub bytes: usize,
    /// Projects of one batch.
    pub batch: usize,
}

/// How much is kept, and how long.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// Bytes of answers.
    pub bytes: u64,
    /// Seconds after an answer was last given.
    pub keep_seconds: u64,
}

/// What a language model may add.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrichmentConfig {
    /// Ask it at all.
    pub enabled: bool,
    /// Where it answers.
    pub endpoint: String,
    /// Its name.
    pub model: String,
    /// The environment variable that holds the key.
    pub api_key_env: String,
    /// Seconds for its answer.
    pub timeout_seconds: u64,
    /// Seconds before the next try.
    pub retry_seconds: u64,
    /// Bytes of source text that it is shown.
    pub source_bytes: usize,
}

impl Config {
    /// The merged layers; each problem names its place.
    pub fn read(settings: Settings) -> Result<Config, SettingsError> {
        settings.read()
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::read(Settings::defaults(&[DEFAULTS])).expect("the embedded defaults are complete; a test reads them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_complete_and_stay_under_the_clients_patience() {
        let config = Config::default();
        assert!(config.listen.ip().is_loopback());
        assert!(config.analysis.queue_seconds + config.analysis.deadline_seconds < 30);
    }
}
