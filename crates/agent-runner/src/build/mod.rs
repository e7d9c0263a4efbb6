//! Builders: from source to an artifact.

mod node;
mod process;
mod python;
mod tools;

use futures_util::future::BoxFuture;

pub use self::process::ProcessBuilder;
use crate::{Artifact, Source};

/// Where a build says what it does, a line at a time, as it happens.
pub type Log<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Makes artifacts. Dropping the future stops the build and leaves nothing half.
pub trait Builder: Send + Sync {
    /// Builds, or finds what was built of the same before.
    fn build<'a>(&'a self, source: &'a Source, log: Log<'a>) -> BoxFuture<'a, Result<Artifact, BuildError>>;

    /// Whether everything that the artifact needs is still here. One that is not can be built again.
    fn has(&self, artifact: &Artifact) -> bool;

    /// Takes away whatever none of these needs and no build under way is about to need.
    fn keep_only<'a>(&'a self, artifacts: &'a [Artifact]) -> BoxFuture<'a, std::io::Result<()>>;
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source cannot be built; the reason is the tool's own.
    #[error("build failed: {0}")]
    Failed(String),
    /// Nothing is wrong with the source: a tool is missing, the disk is full. The reason says what to do.
    #[error("build failed: {0}")]
    Host(String),
}
