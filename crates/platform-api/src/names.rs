//! Names: of agents, tools, providers, policies, workspaces. Lower case, because they become hosts and variables.

use analyzer_core::policy::Target;
use ingestion_server::web::{ApiError, FieldError};

/// The longest name: that of a DNS label.
const LONGEST: usize = 63;

/// The longest name of a policy: one that is made of two names and two words, `{agent}-{tool}-auto`.
const LONGEST_OF_POLICY: usize = 2 * LONGEST + 6;

/// The longest name of a user: that of an e-mail address.
const LONGEST_OF_PERSON: usize = 254;

/// Lower-case letters and digits, with hyphens between them.
pub fn is_name(text: &str) -> bool {
    is_name_within(text, LONGEST)
}

fn is_name_within(text: &str, longest: usize) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    (1..=longest).contains(&bytes.len())
        && bytes.iter().all(|byte| inside(*byte) || *byte == b'-')
        && inside(bytes[0])
        && inside(bytes[bytes.len() - 1])
}

/// The name, or a 400 that says what a name is; `pointer` is where it stood.
pub fn name(text: &str, pointer: &str) -> Result<String, ApiError> {
    name_within(text, pointer, LONGEST)
}

/// The same for the name of a policy, which may be made of two names.
pub fn policy_name(text: &str, pointer: &str) -> Result<String, ApiError> {
    name_within(text, pointer, LONGEST_OF_POLICY)
}

fn name_within(text: &str, pointer: &str, longest: usize) -> Result<String, ApiError> {
    match is_name_within(text, longest) {
        true => Ok(text.to_string()),
        false => {
            let shown: String = text.chars().take(80).collect();
            let what = "lower-case letters, digits and hyphens, with a letter or digit at both ends";
            Err(ApiError::field(format!("{shown:?} is not a name: 1 to {longest} {what}"), pointer))
        }
    }
}

/// The name of a user or a group, as their own directory spells it; `pointer` is where it stood.
pub fn person(text: &str, pointer: &str) -> Result<String, ApiError> {
    let text = text.trim();
    match (1..=LONGEST_OF_PERSON).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        true => Ok(text.to_string()),
        false => {
            let text = format!("a user or a group is named by one line of 1 to {LONGEST_OF_PERSON} characters");
            Err(ApiError::field(text, pointer))
        }
    }
}

/// What is wrong with an address that is not http or https, has no host, or holds a password.
pub fn address(text: &str, pointer: &str) -> Result<(), FieldError> {
    let is_http = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    match is_http && Target::parse(text).is_ok() {
        true => Ok(()),
        // What holds a password is not repeated.
        false if text.contains('@') => Err(FieldError::new(pointer, "an address must not hold a user or a password")),
        false => {
            let shown: String = text.chars().take(80).collect();
            Err(FieldError::new(pointer, format!("{shown:?} is not an http or https address")))
        }
    }
}

/// HTTPS, or a host of this machine.
pub fn is_safe(address: &str) -> bool {
    let Some(rest) = address.strip_prefix("http://") else { return true };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// `stripe-api` in the name of an environment variable: `STRIPE_API`.
pub fn in_variable(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_a_host_and_a_variable() {
        for good in ["a", "echo-tool", "4", &"x".repeat(63)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a b", "é", &"x".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
        assert_eq!(in_variable("stripe-api"), "STRIPE_API");
        let generated = format!("{0}-{0}-auto", "x".repeat(63));
        assert!(policy_name(&generated, "/name").is_ok() && policy_name(&(generated + "x"), "/name").is_err());
    }

    #[test]
    fn a_refusal_says_what_a_name_is() {
        let refusal = name("My Agent", "/agent_name").unwrap_err();
        assert!(refusal.to_string().starts_with("\"My Agent\" is not a name: 1 to 63 lower-case letters"), "{refusal}");
    }
}
