//! The builder of this host: an isolated environment for each set of requirements, shared by all agents with the same.
//! What is half made lies aside until it is whole, so a build that is cut off leaves nothing.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{RwLock, Semaphore};

use super::{BuildError, Builder, Log, node, python};
use crate::folders::{EnvironmentNotes, Folders, NOTES};
use crate::{Artifact, BuilderSettings, Digest, Language, Source};

/// Builds on this host, with its tools.
#[derive(Debug)]
pub struct ProcessBuilder {
    pub(super) settings: BuilderSettings,
    pub(super) folders: Folders,
    places: Semaphore,
    /// One build of an environment at a time; the others find it made.
    flights: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    /// Builds share it, and what takes things away has it alone.
    sweeping: RwLock<()>,
    number: AtomicU64,
}

/// An environment that is to be.
pub(super) struct Wanted {
    pub digest: Digest,
    pub notes: EnvironmentNotes,
}

impl ProcessBuilder {
    /// Over a data folder. What an earlier run left half made there is taken away.
    pub fn new(settings: BuilderSettings) -> io::Result<ProcessBuilder> {
        let folders = Folders::at(&settings.data)?;
        for leftover in fs::read_dir(folders.all("aside"))?.flatten() {
            fs::remove_dir_all(leftover.path())?;
        }
        let places = Semaphore::new(settings.at_once.max(1));
        let (flights, sweeping) = (Mutex::default(), RwLock::default());
        Ok(ProcessBuilder { settings, folders, places, flights, sweeping, number: AtomicU64::new(0) })
    }

    async fn make(&self, source: &Source, log: Log<'_>) -> Result<Artifact, BuildError> {
        let _stays = self.sweeping.read().await;
        let _place = self.places.acquire().await.map_err(|error| BuildError::Host(error.to_string()))?;
        let wanted = match source.language() {
            Language::Python => python::wanted(self, source).await?,
            Language::Node => node::wanted(self, source).await?,
        };
        self.environment(source, &wanted, log).await?;
        let entry_point = source.entry_point().unwrap_or_default();
        let parts = source.files().iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]);
        let code = Digest::of(parts.chain([entry_point.as_bytes()]));
        let digest = Digest::of([code.as_str(), wanted.digest.as_str()].map(str::as_bytes));
        let mut artifact = Artifact {
            digest,
            code,
            environment: wanted.digest,
            language: source.language(),
            entry_point: source.entry_point().map(str::to_string),
        };
        let place = self.folders.artifact(&artifact.digest);
        if !place.is_dir() {
            let aside = self.aside()?;
            write_code(source, &aside.path, &self.folders.environment(&artifact.environment))?;
            if source.language() == Language::Node {
                node::compile(self, source, &aside.path.join("app"), log).await?;
            }
            aside.keep(&place)?;
        }
        if source.language() == Language::Node {
            artifact.entry_point = artifact.entry_point.map(|path| node::compiled(&path));
        }
        Ok(artifact)
    }

    /// Makes the environment, if it is not there.
    async fn environment(&self, source: &Source, wanted: &Wanted, log: Log<'_>) -> Result<(), BuildError> {
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            flights.retain(|_, flight| Arc::strong_count(flight) > 1);
            flights.entry(wanted.digest.clone()).or_default().clone()
        };
        let _alone = flight.lock().await;
        if self.folders.notes(&wanted.digest).is_ok() {
            log("the environment is there already");
            return Ok(());
        }
        let aside = self.aside()?;
        match source.language() {
            Language::Python => python::install(self, source, &aside.path, log).await?,
            Language::Node => node::install(self, source, &aside.path, log).await?,
        }
        let notes = serde_json::to_vec(&wanted.notes).map_err(io::Error::from)?;
        fs::write(aside.path.join(NOTES), notes)?;
        aside.keep(&self.folders.environment(&wanted.digest))?;
        Ok(())
    }

    /// A folder for what is not whole yet.
    pub(super) fn aside(&self) -> io::Result<Aside> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let path = self.folders.all("aside").join(format!("{}-{number}", std::process::id()));
        fs::create_dir(&path)?;
        // Agents are other users, where we are root.
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(Aside { path })
    }
}

/// It is gone when dropped, unless it was kept.
pub(super) struct Aside {
    pub path: PathBuf,
}

impl Aside {
    /// Becomes whole at once, for everybody.
    pub fn keep(self, place: &Path) -> io::Result<()> {
        match fs::rename(&self.path, place) {
            // Somebody was faster, with the same.
            Err(_) if place.is_dir() => Ok(()),
            done => done,
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl From<io::Error> for BuildError {
    fn from(error: io::Error) -> BuildError {
        BuildError::Host(format!("the data folder cannot be written: {error}"))
    }
}

fn write_code(source: &Source, folder: &Path, environment: &Path) -> io::Result<()> {
    let app = folder.join("app");
    fs::create_dir(&app)?;
    for (path, text) in source.files() {
        let path = app.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    }
    // Where the network, and so the file system, is the host's, modules are looked for in the folders above.
    std::os::unix::fs::symlink(environment.join("node_modules"), folder.join("node_modules"))
}

impl Builder for ProcessBuilder {
    fn build<'a>(&'a self, source: &'a Source, log: Log<'a>) -> BoxFuture<'a, Result<Artifact, BuildError>> {
        self.make(source, log).boxed()
    }

    fn has(&self, artifact: &Artifact) -> bool {
        self.folders.has(artifact)
    }

    fn keep_only<'a>(&'a self, artifacts: &'a [Artifact]) -> BoxFuture<'a, io::Result<()>> {
        async move {
            let _alone = self.sweeping.write().await;
            let needed = |name: &str| {
                artifacts
                    .iter()
                    .any(|artifact| [&artifact.digest, &artifact.environment].iter().any(|d| d.as_str() == name))
            };
            for kind in ["artifacts", "environments"] {
                for entry in fs::read_dir(self.folders.all(kind))?.flatten() {
                    if !needed(&entry.file_name().to_string_lossy()) {
                        // First out of sight, so that nobody finds half of it.
                        let aside = self.aside()?;
                        fs::rename(entry.path(), aside.path.join("old"))?;
                    }
                }
            }
            Ok(())
        }
        .boxed()
    }
}
