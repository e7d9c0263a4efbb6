//! Setup: what an agent without code finds in its environment, and what a call of its model means with that.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::conversation::ToolCall;

/// Rounds of calls, where the environment does not say how many; and at most.
const ROUNDS: usize = 10;
const MOST_ROUNDS: usize = 100;

/// What is configured. Pure.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// The model.
    pub model: String,
    /// What it is told first.
    pub system_prompt: String,
    /// Functions that it may call, as OpenAI spells them.
    pub tools: Vec<Value>,
    /// How often it is asked at most.
    pub rounds: usize,
    routes: BTreeMap<String, Route>,
}

/// What a function stands for.
#[derive(Debug, Clone, Deserialize)]
struct Route {
    tool: String,
    #[serde(default = "post")]
    method: String,
    #[serde(default = "root")]
    path: String,
}

fn post() -> String {
    "POST".into()
}

fn root() -> String {
    "/".into()
}

/// A call of a tool, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The tool.
    pub tool: String,
    /// The method.
    pub method: String,
    /// The path below the tool's address, with a query if there is one.
    pub path: String,
    /// What is sent.
    pub body: Option<Bytes>,
}

impl Setup {
    /// From the variables that agents are given; the user's own go before the platform's, and may be wrong.
    pub fn read(environment: &BTreeMap<String, String>) -> Result<Setup, String> {
        let text = |name: &str| environment.get(name).map(String::as_str).unwrap_or_default();
        fn json<T: for<'a> Deserialize<'a> + Default>(name: &str, text: &str) -> Result<T, String> {
            if text.is_empty() {
                return Ok(T::default());
            }
            serde_json::from_str(text).map_err(|error| format!("{name} cannot be read: {error}"))
        }
        Ok(Setup {
            model: text("LLM_MODEL").into(),
            system_prompt: text("SYSTEM_PROMPT").into(),
            tools: json("TOOL_DEFINITIONS_JSON", text("TOOL_DEFINITIONS_JSON"))?,
            rounds: text("MAX_TOOL_ITERATIONS")
                .parse()
                .ok()
                .filter(|rounds| *rounds > 0)
                .unwrap_or(ROUNDS)
                .min(MOST_ROUNDS),
            routes: json("TOOL_ROUTES_JSON", text("TOOL_ROUTES_JSON"))?,
        })
    }

    /// What a call of the model means, or what the model is told of it. A `{name}` in the path takes the argument of that
    /// name; what is left goes into the body, or into the query of a method that has none. A function that nobody routes
    /// is `tool__function`, at the argument `path`.
    pub fn wanted(&self, call: &ToolCall) -> Result<Wanted, String> {
        let mut arguments: Map<String, Value> = serde_json::from_str(&call.arguments).unwrap_or_default();
        let (tool, method, path) = match self.routes.get(&call.function) {
            Some(route) => (route.tool.clone(), route.method.to_ascii_uppercase(), route.path.clone()),
            None => {
                let tool = call.function.split("__").next().unwrap_or_default();
                let path = arguments.remove("path").as_ref().and_then(Value::as_str).map_or_else(root, str::to_string);
                (tool.to_string(), post(), path)
            }
        };
        let mut path = filled(&path, &mut arguments)?;
        if !path.starts_with('/') {
            path.insert(0, '/');
        }
        let has_body = matches!(method.as_str(), "POST" | "PUT" | "PATCH");
        let body = has_body.then(|| match arguments.get("body").filter(|_| arguments.len() == 1) {
            Some(Value::String(text)) => Bytes::from(text.clone()),
            Some(body) => Bytes::from(body.to_string()),
            None => Bytes::from(Value::Object(arguments.clone()).to_string()),
        });
        if !has_body && !arguments.is_empty() {
            let mut query = form_urlencoded::Serializer::new(String::new());
            for (name, value) in &arguments {
                let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                query.extend_pairs(values.iter().map(|value| (name, plain(value))));
            }
            let sign = if path.contains('?') { '&' } else { '?' };
            path = format!("{path}{sign}{}", query.finish());
        }
        Ok(Wanted { tool, method, path, body })
    }
}

/// A path with arguments in the place of its parameters, which are theirs no more. What an argument holds stays within
/// its segment; one that is empty or dots alone would be another path, and is refused.
fn filled(path: &str, arguments: &mut Map<String, Value>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = path;
    let mut used = Vec::new();
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            out.push('{');
            rest = after;
            continue;
        };
        let value = arguments.get(name).map(plain).unwrap_or_default();
        if value.bytes().all(|byte| byte == b'.') {
            return Err(format!("the argument {name:?} must say which one is meant"));
        }
        out.extend(value.bytes().map(encoded));
        used.push(name);
        rest = behind;
    }
    used.into_iter().for_each(|name| drop(arguments.remove(name)));
    Ok(out + rest)
}

/// A byte as it may stand in a segment of a path.
fn encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'@' | b':' | b',' | b'.' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    }
}

/// Text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        let routes = r#"{"bank__list": {"tool": "bank", "method": "GET", "path": "/v1/charges"},
            "bank__refund": {"tool": "bank", "method": "post", "path": "/v1/charges/{id}/refund"},
            "bank__twice": {"tool": "bank", "path": "/a/{id}/b/{id}"},
            "bank__drop": {"tool": "bank", "method": "DELETE", "path": "v1/charges/{id}"}}"#;
        let environment = [("TOOL_ROUTES_JSON", routes), ("LLM_MODEL", "gpt"), ("MAX_TOOL_ITERATIONS", "3")];
        Setup::read(&environment.map(|(name, value)| (name.to_string(), value.to_string())).into()).unwrap()
    }

    fn wanted(function: &str, arguments: &str) -> String {
        let call = ToolCall { id: "c".into(), function: function.into(), arguments: arguments.into() };
        let Wanted { tool, method, path, body } = match setup().wanted(&call) {
            Ok(wanted) => wanted,
            Err(refused) => return refused,
        };
        let body = body.map(|body| String::from_utf8(body.to_vec()).unwrap()).unwrap_or_default();
        format!("{method} {tool}{path} {body}").trim_end().to_string()
    }

    #[test]
    fn arguments_go_where_the_route_has_a_place_for_them() {
        for (function, arguments, expected) in [
            ("bank__list", "{}", "GET bank/v1/charges"),
            (
                "bank__list",
                r#"{"limit": 3, "status": "a b", "ids": [1, 2]}"#,
                "GET bank/v1/charges?limit=3&status=a+b&ids=1&ids=2",
            ),
            ("bank__refund", r#"{"id": "ch_1", "amount": 20}"#, r#"POST bank/v1/charges/ch_1/refund {"amount":20}"#),
            ("bank__refund", r#"{"id": "ch_1", "body": "raw"}"#, "POST bank/v1/charges/ch_1/refund raw"),
            ("bank__refund", r#"{"id": 7, "body": {"x": 1}}"#, r#"POST bank/v1/charges/7/refund {"x":1}"#),
            ("bank__drop", r#"{"id": "../../admin?x=1#y"}"#, "DELETE bank/v1/charges/..%2F..%2Fadmin%3Fx%3D1%23y"),
            ("bank__drop", "{}", "the argument \"id\" must say which one is meant"),
            ("bank__drop", r#"{"id": ".."}"#, "the argument \"id\" must say which one is meant"),
            ("bank__drop", r#"{"id": ""}"#, "the argument \"id\" must say which one is meant"),
            ("bank__drop", r#"{"id": "a..b"}"#, "DELETE bank/v1/charges/a..b"),
            ("bank__twice", r#"{"id": "7"}"#, "POST bank/a/7/b/7 {}"),
            ("crm__add", r#"{"path": "/contacts", "name": "x"}"#, r#"POST crm/contacts {"name":"x"}"#),
            ("crm", "not json", "POST crm/ {}"),
        ] {
            assert_eq!(wanted(function, arguments), expected);
        }
    }

    #[test]
    fn what_the_user_set_wrongly_is_named() {
        let environment = [("TOOL_DEFINITIONS_JSON".to_string(), "{".to_string())].into();
        let error = Setup::read(&environment).unwrap_err();
        assert!(error.starts_with("TOOL_DEFINITIONS_JSON cannot be read"), "{error}");
        assert_eq!((setup().rounds, Setup::read(&BTreeMap::new()).unwrap().rounds), (3, ROUNDS));
    }
}
