//! The value of a secret: the one place that holds it, which forgets it and shows nothing of it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Where no key is given, fingerprints are at least not those of another program.
const SALT: &[u8] = b"agent analyzer, secrets, fingerprint 1";

/// What stands for the hidden part: of one length, so that it does not tell the value's.
pub const MASK: &str = "****";

/// A secret. It has no way to be printed, compared or written; its memory is overwritten at the end.
#[derive(Clone)]
pub struct Value(Zeroizing<String>);

impl Value {
    pub fn new(text: &str) -> Value {
        Value(Zeroizing::new(text.to_owned()))
    }

    /// For the judgement only; whatever is shown comes from [`Value::preview`] and [`Value::fingerprint`].
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// At most the public prefix of its format, then a mask.
    pub fn preview(&self, public: usize) -> String {
        format!("{}{MASK}", self.0.get(..public).unwrap_or(""))
    }

    /// The same for the same value under the same rule, whatever file it is in. A value that could be guessed gets
    /// that of its place: a salt that everyone can read would not protect it.
    pub fn fingerprint(&self, key: &[u8], rule: &str, guessable: bool, place: &str) -> String {
        let by_place = guessable && key.is_empty();
        let secret = if by_place { place } else { self.0.as_str() };
        let key = if key.is_empty() { SALT } else { key };
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        for part in [if by_place { "place" } else { "value" }, rule, secret] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_follows_rule_value_and_key() {
        let (one, other) = (Value::new("one"), Value::new("other"));
        let print = |value: &Value, key: &[u8], rule| value.fingerprint(key, rule, false, "a.py");
        assert_eq!(print(&one, b"k", "r"), one.fingerprint(b"k", "r", false, "b.py"));
        assert_ne!(print(&one, b"k", "r"), print(&other, b"k", "r"));
        assert_ne!(print(&one, b"k", "r"), print(&one, b"k2", "r"));
        assert_ne!(print(&one, b"k", "r"), print(&one, b"k", "r2"));
    }

    #[test]
    fn a_guessable_value_under_a_public_salt_is_known_by_its_place_only() {
        let (one, other) = (Value::new("summer"), Value::new("winter"));
        assert_eq!(one.fingerprint(b"", "r", true, "a.py"), other.fingerprint(b"", "r", true, "a.py"));
        assert_ne!(one.fingerprint(b"k", "r", true, "a.py"), other.fingerprint(b"k", "r", true, "a.py"));
    }

    #[test]
    fn a_preview_shows_the_public_prefix_and_a_mask_of_one_length() {
        assert_eq!(Value::new("gsk_abcdef").preview(4), "gsk_****");
        assert_eq!(Value::new("é").preview(1), "****");
    }
}
