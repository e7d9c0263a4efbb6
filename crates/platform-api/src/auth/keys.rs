//! Keys: made of randomness and a checksum, shown once, kept as hashes.

use ingestion_server::web::keys::SHORTEST;
use ingestion_server::web::{Keys, World};

use super::Scope;
use crate::store::{KeyRow, Store, StoreError};

/// Begins the operator's key, which opens every workspace.
pub const LIVE: &str = "ra_live_";

/// Begins the keys of one workspace.
pub const WORKSPACE: &str = "ra_ws_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Letters and digits drawn at random: 190 bits.
const RANDOM: usize = 32;

/// Letters and digits of the checksum: CRC-32 in base 62.
const CHECKSUM: usize = 6;

/// A key, in its owner's hands and nobody else's.
pub struct Key(String);

impl Key {
    /// A new one.
    pub fn make(prefix: &str) -> Key {
        let mut key = prefix.to_string();
        let full = prefix.len() + RANDOM;
        while key.len() < full {
            let mut random = [0; RANDOM];
            getrandom::fill(&mut random).expect("the operating system has random numbers");
            // Beyond the last multiple of 62, the first letters would be likelier.
            let fair = random.iter().filter(|byte| **byte < 248).map(|byte| ALPHABET[usize::from(byte % 62)] as char);
            key.extend(fair.take(full - key.len()));
        }
        let checksum = checksum(&key);
        Key(key + &checksum)
    }

    /// The text, to be shown once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn row(&self, id: String, workspace: Option<&str>, name: &str, scopes: &[Scope], now: i64) -> KeyRow {
        let prefix = [LIVE, WORKSPACE].into_iter().find(|prefix| self.0.starts_with(prefix)).unwrap_or_default();
        KeyRow {
            id,
            workspace: workspace.map(str::to_string),
            name: name.into(),
            hash: hash(&self.0),
            prefix: prefix.into(),
            last4: last4(&self.0),
            scopes: Scope::join(scopes),
            person: None,
            person_groups: "[]".into(),
            created_at: now,
            expires_at: None,
            last_used_at: None,
            tier: None,
            hourly_limit: None,
        }
    }
}

/// Under what a key is kept.
pub fn hash(key: impl AsRef<[u8]>) -> String {
    Keys::hash(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a person recognizes a key by.
pub fn last4(key: &str) -> String {
    let all: Vec<char> = key.chars().collect();
    all[all.len().saturating_sub(4)..].iter().collect()
}

/// False for a key of ours that was mistyped: no need to look for it.
pub fn is_sound(key: &str) -> bool {
    let made = [LIVE, WORKSPACE]
        .into_iter()
        .any(|prefix| key.strip_prefix(prefix).is_some_and(|rest| rest.len() == RANDOM + CHECKSUM && rest.is_ascii()));
    // Keys that their owners chose may look like anything.
    !made || checksum(&key[..key.len() - CHECKSUM]) == key[key.len() - CHECKSUM..]
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

/// Why the first key cannot be.
#[derive(Debug, thiserror::Error)]
pub enum FirstKeyError {
    /// A preset key anyone could guess.
    #[error("PLATFORM_API_KEY is shorter than {SHORTEST} characters")]
    TooShort,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sees to it that somebody can come: the first start keeps the preset key, or makes one and gives it back to be shown.
/// Later a preset key replaces the one that was preset before.
pub async fn first_key(store: &Store, world: &World, preset: Option<&str>) -> Result<Option<Key>, FirstKeyError> {
    // Headers do not keep spaces around their values.
    let preset = preset.map(str::trim);
    if preset.is_some_and(|key| key.chars().count() < SHORTEST) {
        return Err(FirstKeyError::TooShort);
    }
    let mut tx = store.begin().await?;
    // Of several that start at once one is first.
    tx.lock_store().await?;
    let now = world.now();
    let mut fresh = None;
    match preset {
        Some(preset) => tx.preset_key(&Key(preset.into()).row(PRESET.into(), None, "preset", &Scope::ALL, now)).await?,
        None if tx.count_keys().await? == 0 => {
            let key = Key::make(LIVE);
            tx.add_key(&key.row(world.id("key"), None, "first", &Scope::ALL, now)).await?;
            fresh = Some(key);
        }
        None => {}
    }
    tx.commit().await?;
    Ok(fresh)
}

/// The id of the key from the environment, of which there is one.
const PRESET: &str = "key-preset";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_carries_a_checksum_that_a_slip_of_the_pen_breaks() {
        let key = Key::make(LIVE);
        assert!(is_sound(key.expose()) && key.expose().len() == LIVE.len() + 38, "{}", key.expose().len());
        let mut mistyped = key.expose().to_string();
        let other = if mistyped.as_bytes()[12] == b'a' { "b" } else { "a" };
        mistyped.replace_range(12..13, other);
        assert!(!is_sound(&mistyped));
        assert!(is_sound("ra_live_abc123your-api-key-here") && is_sound("a-key-of-my-own"));
    }

    #[test]
    fn what_is_kept_does_not_hold_the_key() {
        let key = Key::make(WORKSPACE);
        let row = format!("{:?}", key.row("key-1".into(), Some("default"), "ci", &[Scope::Read], 0));
        assert!(!row.contains(&key.expose()[..20]), "{row}");
    }
}
