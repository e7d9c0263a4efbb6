//! Why a command could not run.

use std::path::PathBuf;

/// Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// A file cannot be read.
    #[error("cannot read {}: {}", .0.display(), .1)]
    Read(PathBuf, std::io::Error),
    /// A file cannot be written.
    #[error("cannot write {}: {}", .0.display(), .1)]
    Write(PathBuf, std::io::Error),
    /// There is nothing to analyze.
    #[error(
        "no input files below {0}; name a folder with Python, JavaScript or TypeScript code, or see `-v` for what was skipped"
    )]
    NoInput(String),
    /// An argument makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Git could not answer.
    #[error("git: {0}")]
    Git(String),
}

impl Error {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Error::NoInput(_) => 3,
            _ => 2,
        }
    }
}
