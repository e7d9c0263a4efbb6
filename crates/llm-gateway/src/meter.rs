//! Meter: what a call costs, before and after it. Money is counted in millionths of a dollar, rounded up.

use serde::Deserialize;
use serde_json::Value;

use crate::conversation::Usage;

/// Dollars for a million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Price {
    /// Read.
    pub input: f64,
    /// Written.
    pub output: f64,
    /// Read from a cache; as much as others where nobody says.
    pub cached: Option<f64>,
    /// Put into a cache; as much as others where nobody says.
    pub cache_write: Option<f64>,
}

impl Price {
    /// What tokens cost, in millionths of a dollar.
    pub fn of(&self, usage: &Usage) -> i64 {
        let plain = usage.input.saturating_sub(usage.cached + usage.cache_writes);
        let parts = [
            (plain, self.input),
            (usage.cached, self.cached.unwrap_or(self.input)),
            (usage.cache_writes, self.cache_write.unwrap_or(self.input)),
            (usage.output, self.output),
        ];
        // A dollar for a million tokens is a millionth of a dollar for one.
        parts.iter().map(|(tokens, price)| *tokens as f64 * price).sum::<f64>().ceil() as i64
    }

    /// The most that a call can cost: its prompt of at most so many tokens, and the longest answers.
    pub fn worst(&self, prompt: u64, most_output: u64, answers: u64) -> i64 {
        let input = self.input.max(self.cache_write.unwrap_or_default());
        let worst = Price { input, cached: None, cache_write: None, ..*self };
        worst.of(&Usage { input: prompt, output: most_output.saturating_mul(answers), ..Usage::default() })
    }
}

/// Tokens that a picture costs at most with the providers that say so.
const IMAGE: u64 = 3_000;

/// Roles, names and braces around each text.
const AROUND: u64 = 8;

/// At most so many tokens are in a request. No token is shorter than a byte; pictures are counted by the piece.
pub fn most_tokens(body: &Value) -> u64 {
    match body {
        Value::String(text) if is_data(text) => IMAGE,
        Value::String(text) => text.len() as u64 + AROUND,
        Value::Array(items) => items.iter().map(most_tokens).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() as u64 + most_tokens(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// Base64 of some length is a picture or a file, whatever the format calls it.
fn is_data(text: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte);
    text.starts_with("data:") || text.len() > 4_096 && text.bytes().all(is_base64)
}

/// Tokens in some bytes of text, where nobody counted them.
pub fn estimated(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const MINI: Price = Price { input: 0.15, output: 0.6, cached: Some(0.075), cache_write: None };

    #[test]
    fn tokens_cost_what_the_price_says() {
        let usage = Usage { input: 1_000_000, cached: 400_000, output: 100_000, ..Usage::default() };
        assert_eq!(MINI.of(&usage), 90_000 + 30_000 + 60_000);
        assert_eq!(MINI.of(&Usage { input: 1, ..Usage::default() }), 1, "rounded up");
        assert_eq!(MINI.of(&Usage::default()), 0);
    }

    #[test]
    fn a_picture_is_counted_by_the_piece() {
        let picture = format!("data:image/png;base64,{}", "A".repeat(1 << 20));
        assert!(most_tokens(&json!({"url": picture})) < 4_000);
        assert!(most_tokens(&json!({"data": "A".repeat(1 << 20)})) < 4_000);
        assert!(most_tokens(&json!({"content": "a b ".repeat(1 << 18)})) > 1 << 19);
    }

    proptest! {
        #[test]
        fn no_call_costs_more_than_its_worst_case(
            text in ".{0,400}", output in 0u64..5_000, cached in 0u64..100, written in 0u64..100,
        ) {
            let price = Price { input: 3.0, output: 15.0, cached: Some(0.3), cache_write: Some(3.75) };
            let most = most_tokens(&json!({"messages": [{"role": "user", "content": text}]}));
            let input = text.len() as u64;
            let (cached, written) = (cached.min(input), written.min(input.saturating_sub(cached)));
            let usage = Usage { input, cached, cache_writes: written, output, reasoning: 0 };
            prop_assert!(price.of(&usage) <= price.worst(most, 5_000, 1));
        }
    }
}
