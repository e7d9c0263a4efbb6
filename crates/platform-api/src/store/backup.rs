//! Backup: one file that holds a whole store, taken while it is in use, and put back while it is not.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::{Pool, Store, StoreError};

/// Why there is no backup, or none was put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// PostgreSQL has tools of its own.
    #[error("the data is in PostgreSQL; use pg_dump and pg_restore")]
    Postgres,
    /// There is something already.
    #[error("{} exists already; {hint}", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// Not a store of this platform, or a broken one.
    #[error("{}: {problem}", path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk.
    #[error("{}: {cause}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Writes everything, as it is at one moment, into a new file that only its owner reads. What is sealed stays
    /// sealed: the key is not in it.
    pub async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        let Pool::Sqlite { read, .. } = &self.pool else { return Err(BackupError::Postgres) };
        if to.exists() {
            return Err(BackupError::Exists { path: to.into(), hint: "name a file that is not there yet" });
        }
        let disk = |cause| BackupError::Disk { path: to.into(), cause };
        // The file is made by us first, so that it is private from its first byte.
        fs::File::create_new(to)
            .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o600)))
            .map_err(disk)?;
        let written = sqlx::query("vacuum into $1").bind(to.display().to_string()).execute(read).await;
        if let Err(error) = written {
            let _ = fs::remove_file(to);
            return Err(BackupError::Store(error.into()));
        }
        fs::File::open(to).and_then(|file| file.sync_all()).map_err(disk)
    }
}

/// Puts a backup in the place of a store; one that is there already only if `replace` says so.
pub async fn restore(from: &Path, to: &Path, replace: bool) -> Result<(), BackupError> {
    check(from).await?;
    if to.exists() {
        if !replace {
            return Err(BackupError::Exists { path: to.into(), hint: "say --replace if its data may go" });
        }
        unused(to).await?;
    }
    let disk = |cause| BackupError::Disk { path: to.into(), cause };
    let draft = to.with_extension("restoring");
    let copied = || -> io::Result<()> {
        fs::copy(from, &draft)?;
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o600))?;
        fs::File::open(&draft)?.sync_all()?;
        // What SQLite had not yet written into the old file must not be written into the new one.
        for tail in ["-wal", "-shm"] {
            match fs::remove_file(format!("{}{tail}", to.display())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&draft, to)?;
        fs::File::open(to.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    copied().map_err(disk)
}

async fn check(file: &Path) -> Result<(), BackupError> {
    let bad = |problem: String| BackupError::NotABackup { path: file.into(), problem };
    let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
    let pool = pool.map_err(|error| bad(format!("cannot be opened: {error}")))?;
    let sound: Result<String, _> = sqlx::query_scalar("pragma integrity_check").fetch_one(&pool).await;
    match sound {
        Ok(answer) if answer == "ok" => {}
        Ok(answer) => return Err(bad(format!("is damaged: {answer}"))),
        Err(error) => return Err(bad(format!("is no SQLite file: {error}"))),
    }
    let ours: Result<String, _> =
        sqlx::query_scalar("select value from meta where name = 'sealing'").fetch_one(&pool).await;
    pool.close().await;
    ours.map(drop).map_err(|_| bad("holds no store of this platform".into()))
}

/// An error if somebody else has a store's file open.
pub async fn unused(file: &Path) -> Result<(), BackupError> {
    let options = SqliteConnectOptions::new().filename(file).pragma("locking_mode", "exclusive");
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.map_err(StoreError::from)?;
    let alone = sqlx::query("begin exclusive").execute(&pool).await;
    pool.close().await;
    alone.map(drop).map_err(|_| BackupError::NotABackup {
        path: file.into(),
        problem: "is in use; stop the platform first".into(),
    })
}
