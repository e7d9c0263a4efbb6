//! Sealed: credentials, source and whatever else is secret, encrypted under keys that the store does not have.
//!
//! XChaCha20-Poly1305: a nonce of 24 bytes may be drawn at random for as many writes as there will ever be. What is
//! sealed is bound to its place, so that nobody can move it to another.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::{Store, StoreError, Tx, Workspace, on};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// The keys: the first seals, all of them open.
#[derive(Clone)]
pub struct SealingKeys(Vec<[u8; KEY_BYTES]>);

/// Seals and opens. Cloning gives another handle on the same keys.
#[derive(Clone)]
pub struct Sealer(Arc<Vec<(String, XChaCha20Poly1305)>>);

/// Why nothing can be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The key file cannot be used.
    #[error("{}: {cause}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A key is not one.
    #[error(
        "{place}: expected keys of {KEY_BYTES} bytes in base64, one a line or separated by commas, the newest first"
    )]
    NotAKey {
        /// File or variable.
        place: String,
    },
    /// The store was sealed by somebody with another key.
    #[error(
        "the store is sealed with key {0}, which is not among the keys given here; give every replica the same \
         PLATFORM_SEALING_KEY, or bring back the key file that lay beside the data"
    )]
    UnknownKey(String),
    /// Something was changed, or moved from another place.
    #[error("what is sealed for {0} does not open")]
    Broken(String),
}

impl SealingKeys {
    /// The keys in `text`, the newest first; `place` is how errors call it.
    pub fn parse(place: &str, text: &str) -> Result<SealingKeys, SealingError> {
        let bad = || SealingError::NotAKey { place: place.into() };
        let words = text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty());
        let key = |word: &str| BASE64.decode(word).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(bad);
        let keys: Vec<_> = words.map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(bad()) } else { Ok(SealingKeys(keys)) }
    }

    /// The keys in a file, which is made with a new key if there is none.
    pub fn in_file(path: &Path) -> Result<SealingKeys, SealingError> {
        match fs::read_to_string(path) {
            Ok(text) => SealingKeys::parse(&path.display().to_string(), &text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys = SealingKeys(vec![random()]);
                keys.write(path)?;
                Ok(keys)
            }
            Err(cause) => Err(SealingError::Disk { path: path.into(), cause }),
        }
    }

    /// With a new key in front.
    pub fn renewed(&self) -> SealingKeys {
        SealingKeys([&[random()], self.0.as_slice()].concat())
    }

    /// The newest key alone.
    pub fn newest(&self) -> SealingKeys {
        SealingKeys(self.0[..1].to_vec())
    }

    /// Writes the file, whole or not at all, for its owner's eyes.
    pub fn write(&self, path: &Path) -> Result<(), SealingError> {
        let text: String = self.0.iter().map(|key| BASE64.encode(key) + "\n").collect();
        let draft = path.with_extension("new");
        let written = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, path)?;
            fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        written().map_err(|cause| SealingError::Disk { path: path.into(), cause })
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sealing keys", self.0.len())
    }
}

impl Sealer {
    /// With these keys.
    pub fn new(keys: SealingKeys) -> Sealer {
        let cipher = |key: [u8; KEY_BYTES]| (id(&key), XChaCha20Poly1305::new(&Key::from(key)));
        Sealer(Arc::new(keys.0.into_iter().map(cipher).collect()))
    }

    /// The name of the key that seals: the beginning of its hash.
    pub fn current(&self) -> &str {
        &self.0[0].0
    }

    /// An error unless the key of that name is here.
    pub fn knows(&self, id: &str) -> Result<(), SealingError> {
        match self.0.iter().any(|(own, _)| own == id) {
            true => Ok(()),
            false => Err(SealingError::UnknownKey(id.into())),
        }
    }

    /// Seals `plain` for `place`.
    fn seal(&self, place: &str, plain: &[u8]) -> String {
        let (id, cipher) = &self.0[0];
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the operating system has random numbers");
        let payload = Payload { msg: plain, aad: place.as_bytes() };
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).expect("bodies are far below the cipher's limit");
        format!("{id}.{}", BASE64.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what was sealed for `place`.
    fn open(&self, place: &str, sealed: &str) -> Result<Vec<u8>, SealingError> {
        let broken = || SealingError::Broken(place.into());
        let (id, text) = sealed.split_once('.').ok_or_else(broken)?;
        let (_, cipher) =
            self.0.iter().find(|(own, _)| own == id).ok_or_else(|| SealingError::UnknownKey(id.into()))?;
        let bytes = BASE64.decode(text).map_err(|_| broken())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or_else(broken)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| broken())
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer {}", self.current())
    }
}

fn random() -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).expect("the operating system has random numbers");
    key
}

fn id(key: &[u8; KEY_BYTES]) -> String {
    Sha256::digest(key)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn place(workspace: Workspace<'_>, kind: &str, name: &str) -> String {
    format!("{workspace}/{kind}/{name}")
}

impl Tx {
    /// What is sealed there.
    pub async fn unseal<T: DeserializeOwned>(
        &mut self,
        workspace: Workspace<'_>,
        kind: &'static str,
        name: &str,
    ) -> Result<Option<T>, StoreError> {
        const SQL: &str = "select body from sealed where workspace = $1 and kind = $2 and name = $3";
        let body: Option<String> = on!(self, db =>
            sqlx::query_scalar(SQL).bind(workspace).bind(kind).bind(name).fetch_optional(db).await)?;
        let Some(body) = body else { return Ok(None) };
        let plain = self.sealer.open(&place(workspace, kind, name), &body)?;
        let value = serde_json::from_slice(&plain);
        value.map(Some).map_err(|cause| StoreError::Document { kind, name: name.into(), cause })
    }

    /// Seals a value there, in place of what was.
    pub async fn seal<T: Serialize>(
        &mut self,
        workspace: Workspace<'_>,
        kind: &'static str,
        name: &str,
        value: &T,
    ) -> Result<(), StoreError> {
        const SQL: &str = "insert into sealed (workspace, kind, name, body) values ($1, $2, $3, $4) \
             on conflict (workspace, kind, name) do update set body = excluded.body";
        let plain = serde_json::to_vec(value);
        let plain = plain.map_err(|cause| StoreError::Document { kind, name: name.into(), cause })?;
        let body = self.sealer.seal(&place(workspace, kind, name), &plain);
        self.has_changed = true;
        on!(self, db => sqlx::query(SQL).bind(workspace).bind(kind).bind(name).bind(body).execute(db).await.map(drop))?;
        Ok(())
    }

    /// What is sealed there, or `value` if that is nothing yet. Whoever comes first decides for all replicas.
    pub async fn seal_once<T: Serialize + DeserializeOwned>(
        &mut self,
        workspace: Workspace<'_>,
        kind: &'static str,
        name: &str,
        value: T,
    ) -> Result<T, StoreError> {
        const SQL: &str = "insert into sealed (workspace, kind, name, body) values ($1, $2, $3, $4) \
             on conflict (workspace, kind, name) do nothing";
        let plain = serde_json::to_vec(&value);
        let plain = plain.map_err(|cause| StoreError::Document { kind, name: name.into(), cause })?;
        let body = self.sealer.seal(&place(workspace, kind, name), &plain);
        on!(self, db => sqlx::query(SQL).bind(workspace).bind(kind).bind(name).bind(body).execute(db).await.map(drop))?;
        Ok(self.unseal(workspace, kind, name).await?.unwrap_or(value))
    }

    /// Takes away what is sealed there.
    pub async fn forget_sealed(
        &mut self,
        workspace: Workspace<'_>,
        kind: &'static str,
        name: &str,
    ) -> Result<(), StoreError> {
        const SQL: &str = "delete from sealed where workspace = $1 and kind = $2 and name = $3";
        self.has_changed = true;
        on!(self, db => sqlx::query(SQL).bind(workspace).bind(kind).bind(name).execute(db).await.map(drop))?;
        Ok(())
    }
}

impl Store {
    /// Seals everything anew with the newest key, and says how many things those were. Afterwards the older keys open
    /// nothing any more.
    pub async fn reseal(&self) -> Result<usize, StoreError> {
        const ALL: &str = "select workspace, kind, name, body from sealed";
        const ONE: &str = "update sealed set body = $4 where workspace = $1 and kind = $2 and name = $3";
        const NOTE: &str = "update meta set value = $1 where name = 'sealing'";
        let mut tx = self.begin().await?;
        let rows: Vec<(String, String, String, String)> = on!(tx, db => sqlx::query_as(ALL).fetch_all(db).await)?;
        for (workspace, kind, name, body) in &rows {
            let place = place(workspace, kind, name);
            let body = self.sealer.seal(&place, &self.sealer.open(&place, body)?);
            on!(tx, db => sqlx::query(ONE).bind(workspace).bind(kind).bind(name).bind(body).execute(db).await.map(drop))?;
        }
        on!(tx, db => sqlx::query(NOTE).bind(self.sealer.current()).execute(db).await.map(drop))?;
        tx.commit().await?;
        Ok(rows.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_at_its_place_and_nowhere_else() {
        let sealer = Sealer::new(SealingKeys(vec![random()]));
        let sealed = sealer.seal("default/tool/stripe", b"a credential");
        assert_eq!(sealer.open("default/tool/stripe", &sealed).unwrap(), b"a credential");
        assert!(matches!(sealer.open("default/tool/other", &sealed), Err(SealingError::Broken(_))));
        assert_ne!(sealed, sealer.seal("default/tool/stripe", b"a credential"));
        let stranger = Sealer::new(SealingKeys(vec![random()]));
        assert!(matches!(stranger.open("default/tool/stripe", &sealed), Err(SealingError::UnknownKey(_))));
    }

    #[test]
    fn an_older_key_still_opens_after_a_newer_one_came() {
        let old = SealingKeys(vec![random()]);
        let sealed = Sealer::new(old.clone()).seal("p", b"x");
        let both = Sealer::new(old.renewed());
        assert_eq!(both.open("p", &sealed).unwrap(), b"x");
        assert_ne!(both.current(), Sealer::new(old).current());
    }

    #[test]
    fn a_text_that_holds_no_key_is_refused_without_being_repeated() {
        for text in ["", "hush", "aGVsbG8=", ","] {
            let problem = SealingKeys::parse("PLATFORM_SEALING_KEY", text).unwrap_err().to_string();
            assert!(
                problem.starts_with("PLATFORM_SEALING_KEY: expected keys of 32 bytes") && !problem.contains("hush")
            );
        }
    }
}
