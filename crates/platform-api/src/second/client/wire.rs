//! Wire: arguments as the client sends them, and values as it reads them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::second::ask::Question;
use crate::second::refused::Refused;

/// Under which names the text for an agent is looked for, in this order.
const TEXTS: [&str; 8] = ["message", "query", "prompt", "input", "text", "question", "msg", "user_input"];

/// A call of an entry point.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Call {
    /// Which entry point.
    pub entrypoint_tag: Option<String>,
    /// Arguments by place.
    input_args: Vec<Value>,
    /// Arguments by name.
    input_kwargs: Map<String, Value>,
    /// How long the caller waits.
    pub timeout_seconds: Option<u64>,
    /// Whether it is answered later.
    pub async_execution: bool,
    /// Whom the caller asks for; nobody vouches for it.
    user_id: Option<String>,
}

impl Call {
    /// What the agent is asked: the text among the arguments, else all of them as JSON; beside it, everything as it came.
    pub fn question(self) -> Result<Question, Refused> {
        let Call { input_args, input_kwargs, user_id, .. } = self;
        let named = TEXTS.iter().find_map(|name| input_kwargs.get(*name)?.as_str());
        let placed = || input_args.iter().find_map(Value::as_str);
        let text = match named.or_else(placed).filter(|text| !text.trim().is_empty()) {
            Some(text) => text.to_string(),
            None if input_args.is_empty() && input_kwargs.is_empty() => return Err(Refused::missing("input_args")),
            None if input_kwargs.is_empty() && input_args.len() == 1 => input_args[0].to_string(),
            None if input_args.is_empty() => Value::Object(input_kwargs.clone()).to_string(),
            None => json!({"input_args": input_args, "input_kwargs": input_kwargs}).to_string(),
        };
        let mut more = input_kwargs.clone();
        more.insert("input_args".into(), input_args.into());
        more.insert("input_kwargs".into(), input_kwargs.into());
        if let Some(user) = user_id {
            more.insert("user_id".into(), user.into());
        }
        Ok(Question::with(text, more))
    }
}

/// A value with its type, as a text.
pub fn structured(value: &Value) -> Value {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    json!({"type": kind, "payload": value.to_string()}).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_among_the_arguments_is_what_an_agent_is_asked() {
        let asked = |call: Value| {
            let question = serde_json::from_value::<Call>(call).unwrap().question().unwrap();
            let body: Value = serde_json::from_slice(&question.body()).unwrap();
            body["message"].as_str().unwrap().to_string()
        };
        assert_eq!(asked(json!({"input_kwargs": {"role": "user", "prompt": "hi"}})), "hi");
        assert_eq!(asked(json!({"input_args": [1, "hi"]})), "hi");
        assert_eq!(asked(json!({"input_args": [{"a": 1}]})), r#"{"a":1}"#);
        assert_eq!(asked(json!({"input_kwargs": {"n": 3}})), r#"{"n":3}"#);
        assert!(serde_json::from_value::<Call>(json!({})).unwrap().question().is_err());
    }

    #[test]
    fn values_carry_their_types() {
        assert_eq!(structured(&json!("a\"b")), json!(r#"{"type":"string","payload":"\"a\\\"b\""}"#));
        for (value, kind) in
            [(json!(1), "integer"), (json!(1.5), "number"), (json!([]), "array"), (json!(null), "null")]
        {
            let text = structured(&value);
            assert_eq!(serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap()["type"], kind);
        }
    }
}
