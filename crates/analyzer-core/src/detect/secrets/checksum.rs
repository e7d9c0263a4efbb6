//! What a token proves of itself, without asking anyone.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde::Deserialize;

/// How a format can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksum {
    /// 30 random characters and the CRC32 of them in base62, after the last `_`: GitHub, npm, our own keys.
    Crc32Base62,
    /// The last 7 characters are the CRC32 of everything before them in base36: GitLab's routable tokens.
    GitlabRoutable,
    /// The body is base64 of a macaroon: PyPI.
    Macaroon,
    /// Base32 that holds the account number: AWS access key ids.
    AwsAccount,
    /// The first part is base64 of a number: Discord bots.
    Snowflake,
    /// Header and payload are base64 of JSON objects.
    Jwt,
}

/// What the check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The checksum is right.
    Valid,
    /// The parts are what they should be.
    Structure,
    /// Invented or mistyped.
    Invalid,
}

/// Checks a token of the format.
pub fn check(kind: Checksum, token: &str) -> Proof {
    let proof = match kind {
        Checksum::Crc32Base62 => crc32_base62(token),
        Checksum::GitlabRoutable => gitlab(token),
        Checksum::Macaroon => macaroon(token),
        Checksum::AwsAccount => aws_account(token).map(|_| Proof::Structure),
        Checksum::Snowflake => snowflake(token),
        Checksum::Jwt => jwt(token).map(|_| Proof::Structure),
    };
    proof.unwrap_or(Proof::Invalid)
}

/// CRC32 as in zlib, PNG and Ethernet.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 })
    })
}

/// A number in base 36 or 62, digits first, padded with zeros.
pub fn in_base(mut number: u32, base: u32, width: usize) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = vec![b'0'; width];
    for place in out.iter_mut().rev() {
        *place = DIGITS[(number % base) as usize];
        number /= base;
    }
    out.into_iter().map(char::from).collect()
}

fn crc32_base62(token: &str) -> Option<Proof> {
    let body = token.rsplit('_').next()?;
    let (random, sum) = body.split_at_checked(body.len().checked_sub(6)?)?;
    Some(if in_base(crc32(random.as_bytes()), 62, 6) == sum { Proof::Valid } else { Proof::Invalid })
}

fn gitlab(token: &str) -> Option<Proof> {
    if !token.contains('.') {
        return Some(Proof::Structure); // The older form has no checksum.
    }
    let (before, sum) = token.split_at_checked(token.len().checked_sub(7)?)?;
    let expected = in_base(crc32(before.as_bytes()), 36, 7);
    Some(if expected.eq_ignore_ascii_case(sum) { Proof::Valid } else { Proof::Invalid })
}

fn macaroon(token: &str) -> Option<Proof> {
    let body = token.split_once('-')?.1.trim_end_matches('=');
    // A length that no base64 has is a token cut off, whose beginning can still be read.
    let bytes = URL_SAFE_NO_PAD.decode(&body[..body.len() / 4 * 4]).ok()?;
    bytes.starts_with(b"\x02\x01\x08pypi.org").then_some(Proof::Structure)
}

/// The account that an AWS access key id belongs to.
pub fn aws_account(id: &str) -> Option<u64> {
    let mut bits: u128 = 0;
    for byte in id.get(4..20)?.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u128::from(digit);
    }
    let first_six = (bits >> 32) as u64; // 80 bits, of which the first 48.
    Some((first_six & 0x7fff_ffff_ff80) >> 7)
}

fn snowflake(token: &str) -> Option<Proof> {
    let first = token.split('.').next()?;
    let digits = STANDARD_NO_PAD.decode(first).ok()?;
    let number = digits.len() >= 15 && digits.iter().all(u8::is_ascii_digit);
    number.then_some(Proof::Structure)
}

/// Header and payload of a JSON web token.
pub fn jwt(token: &str) -> Option<(serde_json::Value, serde_json::Value)> {
    let mut parts = token.split('.');
    let mut part = || {
        let bytes = URL_SAFE_NO_PAD.decode(parts.next()?.trim_end_matches('=')).ok()?;
        serde_json::from_slice::<serde_json::Value>(&bytes).ok().filter(serde_json::Value::is_object)
    };
    let (header, payload) = (part()?, part()?);
    header.get("alg")?;
    Some((header, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_zlib() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(in_base(61, 62, 3), "00z");
    }

    #[test]
    fn a_mistyped_token_is_told_from_a_right_one() {
        let random = "a".repeat(15) + &"B7".repeat(7) + "c";
        let right = format!("ghp_{random}{}", in_base(crc32(random.as_bytes()), 62, 6));
        assert_eq!(check(Checksum::Crc32Base62, &right), Proof::Valid);
        assert_eq!(check(Checksum::Crc32Base62, &right.replace('c', "d")), Proof::Invalid);
    }

    #[test]
    fn an_access_key_id_names_its_account() {
        // The number in the published example, computed with the published formula.
        assert_eq!(aws_account("AKIAIOSFODNN7EXAMPLE"), Some(581_039_954_779));
        assert_eq!(aws_account("AKIA0OSFODNN7EXAMPLE"), None);
    }
}
