//! Config: what the platform's `config.default.toml` documents, over that of the ingestion server.

use std::net::SocketAddr;
use std::path::PathBuf;

use agent_runner::{Isolation, Limits};
use ingestion_server::config::{self as ingestion, AnalysisConfig, CacheConfig};
use ingestion_server::web::log::LogConfig;
use ingestion_server::web::serve::HttpConfig;
use ingestion_server::web::traces::TracesConfig;
use ingestion_server::web::{Settings, settings::SettingsError};
use serde::Deserialize;

use crate::second::Tier;
use crate::second::versions::VersionsConfig;

/// The embedded defaults of what is the platform's own.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Everything that can be set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where the platform keeps what it must not forget; empty for the user's data directory.
    pub data_dir: PathBuf,
    /// How long people have to decide, and where they are told.
    pub approvals: ApprovalsConfig,
    /// How long runs are kept.
    pub runs: RunsConfig,
    /// How long users have to agree.
    pub credentials: CredentialsConfig,
    /// How the store is reached.
    pub store: StoreConfig,
    /// How often a key may ask.
    pub limits: LimitsConfig,
    /// How often a key may ask below `/v1/agents`, by what it is worth.
    pub tiers: TiersConfig,
    /// Until when versions are answered.
    pub versions: VersionsConfig,
    /// Who is told what agents do.
    pub webhooks: WebhooksConfig,
    /// Where others reach this platform; empty for the address that it listens on.
    pub public_url: String,
    /// What builds make.
    pub builds: BuildsConfig,
    /// What runs agents.
    pub runner: RunnerConfig,
    /// How long model providers are waited for.
    pub gateway: GatewayConfig,
    /// Limits of connections and bodies.
    pub http: HttpConfig,
    /// Limits of analyses.
    pub analysis: AnalysisConfig,
    /// How many answers are kept, and how long.
    pub cache: CacheConfig,
    /// How many of them are found again by their ids.
    pub analyses: AnalysesConfig,
    /// What a language model may add.
    pub enrichment: EnrichmentConfig,
    /// The model that the platform itself asks.
    pub assistant: AssistantConfig,
    /// How the log is written.
    pub log: LogConfig,
    /// Where spans are sent.
    pub traces: TracesConfig,
}

/// How long runs are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunsConfig {
    /// So many days after its end a run is removed; 0: never.
    pub keep_days: u32,
}

/// How long people have to decide, and where they are told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsConfig {
    /// After so long a request expires.
    pub undecided_hours: u32,
    /// Who lets a run go on once its call is approved.
    pub resumes: Resumes,
    /// For so long a call waits at the gateway itself for a decision, before its agent is told that it is not there yet.
    pub hold_seconds: u64,
    /// Slack's Web API.
    pub slack_api: String,
}

/// Who lets a run go on once its call is approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resumes {
    /// The platform asks the agent again by itself.
    Platform,
    /// Whoever invokes it again with the run's `X-Run-ID`.
    Caller,
}

impl ApprovalsConfig {
    /// The same in milliseconds.
    pub fn undecided_millis(&self) -> i64 {
        i64::from(self.undecided_hours) * 3_600_000
    }
}

/// How long users have to agree that agents act for them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialsConfig {
    /// For so long the address is good where a user agrees.
    pub consent_minutes: u32,
    /// How long an authorization server may take for a token.
    pub token_seconds: u64,
}

impl CredentialsConfig {
    /// The same in milliseconds.
    pub fn consent_millis(&self) -> i64 {
        i64::from(self.consent_minutes) * 60_000
    }
}

/// How the store is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Connections to PostgreSQL.
    pub connections: u32,
}

/// How often a key may ask.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests of one key a minute; 0 is no limit.
    pub requests_per_minute: u32,
}

/// Requests an hour of a key on the second system's surface; 0 is no limit.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TiersConfig {
    /// Of a free key.
    pub free: u32,
    /// Of a pro key.
    pub pro: u32,
    /// Of a team's key.
    pub team: u32,
    /// Of an enterprise key.
    pub enterprise: u32,
    /// What a key is worth of which nobody said it.
    pub usual: Tier,
}

/// Who is told what agents do.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Whether that may be somebody in a private network, or on this machine.
    pub private_networks: bool,
}

/// How many analyses of one workspace are found again by their ids, on every replica.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnalysesConfig {
    /// So many.
    pub rows: u32,
    /// So many bytes of them.
    pub bytes: u64,
}

/// What builds make.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildsConfig {
    /// The registry in the names of images.
    pub registry: String,
    /// Builds on this host at the same time.
    pub at_once: usize,
    /// How long one may take.
    pub seconds: u64,
    /// Whether packages may run code of their own while they are installed.
    pub run_package_code: bool,
}

/// What runs agents.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerConfig {
    /// Whether anything does.
    pub kind: RunnerKind,
    /// The weakest isolation that is accepted.
    pub at_least: Isolation,
    /// The strongest isolation that is used.
    pub at_most: Isolation,
    /// Memory of one agent, in MiB.
    pub memory_mib: u64,
    /// Thousandths of a processor for one agent.
    pub cpu_millis: u32,
    /// Processes and threads of one agent.
    pub processes: u32,
    /// Files that one process of an agent has open.
    pub open_files: u32,
    /// What one agent writes to temporary files, in MiB.
    pub disk_mib: u64,
    /// How long an agent may take until it is ready.
    pub ready_seconds: u64,
    /// How long it may take until it begins to answer, and between two pieces of a stream.
    pub answer_seconds: u64,
    /// How long requests under way get when a new version takes over or the platform stops.
    pub drain_seconds: u64,
}

/// Who runs agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunnerKind {
    /// Nobody: agents stay Pending.
    None,
    /// This host, as processes.
    Process,
}

impl RunnerConfig {
    /// What one agent may use up.
    pub fn limits(&self) -> Limits {
        Limits {
            memory: self.memory_mib << 20,
            cpu_millis: self.cpu_millis,
            processes: self.processes,
            open_files: self.open_files,
            disk: self.disk_mib << 20,
        }
    }
}

/// How long model providers are waited for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Until an answer begins.
    pub answer_seconds: u64,
    /// Between two pieces of a stream.
    pub silence_seconds: u64,
    /// How often one provider is asked.
    pub tries: u32,
}

/// What a language model may add to an analysis; [`AssistantConfig`] says which.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrichmentConfig {
    /// Ask it at all.
    pub enabled: bool,
    /// Seconds before the next try.
    pub retry_seconds: u64,
    /// Bytes of source text that it is shown.
    pub source_bytes: usize,
}

/// The model that the platform itself asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssistantConfig {
    /// Its name; empty for none.
    pub model: String,
    /// What it may cost a workspace in a month.
    pub monthly_budget_usd: f64,
    /// Seconds for its answer.
    pub timeout_seconds: u64,
}

impl Config {
    /// Where others reach this platform, without a slash at the end.
    pub fn public_url(&self) -> String {
        match self.public_url.trim_end_matches('/') {
            "" => format!("http://{}", self.listen),
            url => url.to_string(),
        }
    }

    /// The layers below the user's own. The platform asks models by its gateway, so where the server that runs alone finds one
    /// is no setting here: nobody shall believe that their source goes to an endpoint which nobody asks.
    pub fn settings() -> Settings {
        let elsewhere =
            ["enrichment.endpoint", "enrichment.model", "enrichment.api_key_env", "enrichment.timeout_seconds"];
        Settings::defaults(&[ingestion::DEFAULTS, DEFAULTS]).without(&elsewhere)
    }

    /// The merged layers; each problem names its place.
    pub fn read(settings: Settings) -> Result<Config, SettingsError> {
        settings.read()
    }

    /// The part that the mounted analyzer needs.
    pub fn ingestion(&self) -> ingestion::Config {
        let Config { listen, http, analysis, cache, log, .. } = self.clone();
        let EnrichmentConfig { enabled, retry_seconds, source_bytes } = self.enrichment.clone();
        let enrichment = ingestion::EnrichmentConfig {
            enabled,
            endpoint: String::new(),
            model: self.assistant.model.clone(),
            api_key_env: String::new(),
            timeout_seconds: self.assistant.timeout_seconds,
            retry_seconds,
            source_bytes,
        };
        ingestion::Config { listen, http, analysis, cache, enrichment, log }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config::read(Config::settings()).expect("the embedded defaults are complete; a test reads them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_may_be_a_whole_number() {
        let mut settings = Config::settings();
        settings.file("my.toml", "[assistant]\nmonthly_budget_usd = 5\n").unwrap();
        assert_eq!(Config::read(settings).unwrap().assistant.monthly_budget_usd, 5.0);
    }

    #[test]
    fn the_published_clients_find_it_without_settings() {
        assert_eq!(Config::default().listen.to_string(), "127.0.0.1:8092");
    }
}
