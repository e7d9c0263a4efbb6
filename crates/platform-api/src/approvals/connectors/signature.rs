//! Signature: HMAC-SHA256 over a time and a body, as Slack does it and as our webhooks do.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Seconds by which the clocks of both ends may differ; an older message may be a recording.
const SKEW: u64 = 300;

/// Who signs, by how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `sha256=` over `TIME.BODY`.
    Ours,
    /// `v0=` over `v0:TIME:BODY`.
    Slack,
}

impl Scheme {
    /// The headers that hold the time, in seconds since 1970, and the signature.
    pub fn headers(self) -> (&'static str, &'static str) {
        match self {
            Scheme::Ours => ("x-runagents-timestamp", "x-runagents-signature"),
            Scheme::Slack => ("x-slack-request-timestamp", "x-slack-signature"),
        }
    }

    /// The signature of a body sent at a time.
    pub fn sign(self, secret: &str, seconds: &str, body: &[u8]) -> String {
        format!("{}{}", self.prefix(), hex(self.mac(secret, seconds, body)))
    }

    /// Whether the other end signed this body, a moment ago.
    pub fn verify(self, secret: &str, seconds: &str, signature: &str, body: &[u8], now: i64) -> bool {
        let fresh = seconds.parse::<i64>().is_ok_and(|then| (now / 1000).abs_diff(then) <= SKEW);
        let digest = signature.strip_prefix(self.prefix()).and_then(digest);
        // In constant time.
        fresh && digest.is_some_and(|digest| self.mac(secret, seconds, body).verify_slice(&digest).is_ok())
    }

    fn mac(self, secret: &str, seconds: &str, body: &[u8]) -> Hmac<Sha256> {
        let head = match self {
            Scheme::Ours => format!("{seconds}."),
            Scheme::Slack => format!("v0:{seconds}:"),
        };
        mac(secret.as_bytes(), &[head.as_bytes(), body])
    }

    fn prefix(self) -> &'static str {
        match self {
            Scheme::Ours => "sha256=",
            Scheme::Slack => "v0=",
        }
    }
}

/// HMAC-SHA256 over parts that follow each other.
pub fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// In digits.
pub fn hex(mac: Hmac<Sha256>) -> String {
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (digits.len() == 64).then(|| digits.as_bytes().chunks(2).map(pair).collect()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_same_body_at_the_same_time_is_signed() {
        let now = 1_771_841_730_000;
        let seconds = (now / 1000).to_string();
        let signature = Scheme::Ours.sign("secret", &seconds, b"body");
        let verify = |secret: &str, seconds: &str, signature: &str, body: &[u8], now: i64| {
            Scheme::Ours.verify(secret, seconds, signature, body, now)
        };
        assert!(verify("secret", &seconds, &signature, b"body", now + 300_000));
        assert!(!verify("secret", &seconds, &signature, b"body", now + 301_000));
        assert!(!verify("secret", &seconds, &signature, b"other", now));
        assert!(!verify("other", &seconds, &signature, b"body", now));
        assert!(!verify("secret", &format!("{seconds}0"), &signature, b"body", now));
        for wrong in ["", "sha256=", "v0=00", &signature[7..], &format!("{signature}00"), "sha256=é"] {
            assert!(!verify("secret", &seconds, wrong, b"body", now), "{wrong}");
        }
        assert!(!Scheme::Slack.verify("secret", &seconds, &signature, b"body", now));
    }

    #[test]
    fn signatures_are_written_as_others_compute_them() {
        // HMAC-SHA256 of `v0:1531420618:text=94070` and of `1531420618.{}` under the key `secret`, by OpenSSL.
        let slack = Scheme::Slack.sign("secret", "1531420618", b"text=94070");
        let ours = Scheme::Ours.sign("secret", "1531420618", b"{}");
        assert_eq!(slack, "v0=7971b9b76ed587b25b9fa474e9e7171c860e94e4c52b1033479cd75b2c0c8f0b");
        assert_eq!(ours, "sha256=98f1819bd4a3813c3cd8dff89344705ae7c4607073b177c5e087e46f495482ab");
    }
}
