//! Agents as processes: source becomes an artifact ([`Builder`]), an artifact becomes an agent that runs ([`Runner`]).
//!
//! Nothing here knows the platform's resources, its store or its API. What an agent dials arrives as [`Arrival`]s; what
//! becomes of a call is somebody else's decision.
//!
//! - A program's `main` hands over to `launcher::main()` where its hidden subcommand says so, before any thread exists.
//! - `ProcessBuilder::new(BuilderSettings) -> ProcessBuilder` is the [`Builder`] of this host.
//! - `ProcessRunner::new(RunnerSettings).await -> io::Result<(ProcessRunner, mpsc::Receiver<Arrival>)>` is its
//!   [`Runner`]; `ProcessRunner::host()` says what was found out about the [`Host`]. Leftovers of an earlier run are
//!   cleaned there; the caller starts its agents again.

mod artifact;
mod build;
mod folders;
mod isolation;
pub mod launcher;
mod lines;
mod process;
mod runner;
mod settings;

pub use artifact::{Artifact, Digest, Language, Source, SourceError};
pub use build::{BuildError, Builder, Log, ProcessBuilder};
pub use isolation::{Host, Isolation};
pub use process::ProcessRunner;
pub use runner::{
    AgentId, AgentIdError, Arrival, ConnectError, Connection, Environment, Limits, LogLine, LogStream, Phase, Runner,
    StartError, Status, Stream, Workload,
};
pub use settings::{BuilderSettings, RunnerSettings};
