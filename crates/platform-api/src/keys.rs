//! Keys: made once, shown once, kept as hashes in the data directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ingestion_server::web::Keys;
use ingestion_server::web::keys::{KeyHash, SHORTEST};

/// One hash per line, as `sha256:` and hex digits.
const FILE: &str = "api-keys";

/// The file's lines begin so; another scheme would be another word.
const SCHEME: &str = "sha256:";

/// The keys that open this platform, and the one to tell about.
#[derive(Debug)]
pub struct KeyRing {
    /// For the door.
    pub keys: Keys,
    /// Made just now, and never to be seen again.
    pub fresh: Option<String>,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The data directory cannot be used.
    #[error("{}: {source}", path.display())]
    Disk {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("{}:{line}: expected `sha256:` and 64 hex digits; delete the file to begin with a new key", path.display())]
    NotAHash {
        /// The file.
        path: PathBuf,
        /// Its line.
        line: usize,
    },
    /// A preset key anyone could guess.
    #[error("PLATFORM_API_KEY is shorter than {SHORTEST} characters")]
    TooShort,
}

impl KeyRing {
    /// The keys in `data_dir`, which is made if need be. The first start keeps the preset key, or makes one; later a
    /// preset key opens too, but is not kept.
    pub fn open(data_dir: &Path, preset: Option<&str>) -> Result<KeyRing, KeyError> {
        // Headers do not keep spaces around their values.
        let preset = preset.map(str::trim);
        if preset.is_some_and(|key| key.chars().count() < SHORTEST) {
            return Err(KeyError::TooShort);
        }
        make_private(data_dir)?;
        let path = data_dir.join(FILE);
        let mut hashes = read(&path)?;
        let mut fresh = None;
        if hashes.is_empty() {
            let first = preset.map_or_else(make_key, str::to_string);
            hashes.push(Keys::hash(&first));
            write(&path, &hashes)?;
            fresh = preset.is_none().then_some(first);
        }
        hashes.extend(preset.map(Keys::hash));
        Ok(KeyRing { keys: Keys::new(hashes), fresh })
    }
}

/// `ra_live_` and 32 letters and digits: 190 bits.
fn make_key() -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut key = String::from("ra_live_");
    while key.len() < 40 {
        let mut random = [0; 32];
        getrandom::fill(&mut random).expect("the operating system has random numbers");
        // Beyond the last multiple of 62, the first letters would be likelier.
        let fair = random.iter().filter(|byte| **byte < 248).map(|byte| LETTERS[usize::from(byte % 62)] as char);
        key.extend(fair.take(40 - key.len()));
    }
    key
}

fn make_private(folder: &Path) -> Result<(), KeyError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| KeyError::Disk { path: folder.into(), source })
}

fn read(path: &Path) -> Result<Vec<KeyHash>, KeyError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(KeyError::Disk { path: path.into(), source }),
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| hash_in(line).ok_or_else(|| KeyError::NotAHash { path: path.into(), line: n + 1 })).collect()
}

fn hash_in(line: &str) -> Option<KeyHash> {
    let digits = line.trim().strip_prefix(SCHEME)?.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// Whole or not at all: a crash in between must not lock the owner out.
fn write(path: &Path, hashes: &[KeyHash]) -> Result<(), KeyError> {
    let text: String = hashes.iter().map(|hash| format!("{SCHEME}{}\n", hex(hash))).collect();
    let draft = path.with_extension("new");
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    written().map_err(|source| KeyError::Disk { path: path.into(), source })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("platform-api-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn the_first_start_makes_a_key_and_keeps_only_its_hash() {
        let folder = folder("first-start");
        let key = KeyRing::open(&folder, None).unwrap().fresh.unwrap();
        assert!(key.starts_with("ra_live_") && key.len() == 40, "{key}");
        let kept = fs::read_to_string(folder.join(FILE)).unwrap();
        assert!(!kept.contains(&key) && kept.contains(&hex(&Keys::hash(&key))), "{kept}");
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::metadata(folder.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(KeyRing::open(&folder, None).unwrap().fresh.is_none());
    }

    #[test]
    fn a_preset_key_is_the_first_and_nothing_is_shown() {
        let folder = folder("preset");
        assert!(KeyRing::open(&folder, Some("sixteen-letters!")).unwrap().fresh.is_none());
        let kept = fs::read_to_string(folder.join(FILE)).unwrap();
        assert!(kept.contains(&hex(&Keys::hash("sixteen-letters!"))));
        KeyRing::open(&folder, Some("another-sixteen-letters")).unwrap();
        assert_eq!(fs::read_to_string(folder.join(FILE)).unwrap(), kept);
    }

    #[test]
    fn a_short_key_and_a_spoilt_file_are_refused() {
        let folder = folder("spoilt");
        assert!(matches!(KeyRing::open(&folder, Some("short")), Err(KeyError::TooShort)));
        KeyRing::open(&folder, None).unwrap();
        fs::write(folder.join(FILE), "ra_live_plain\n").unwrap();
        let problem = KeyRing::open(&folder, None).unwrap_err().to_string();
        assert!(problem.contains("api-keys:1: expected") && !problem.contains("ra_live"), "{problem}");
    }
}
