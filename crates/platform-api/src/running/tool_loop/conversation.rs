//! Conversation: what a model was told so far, and what it wants next. Pure.

use serde_json::{Map, Value, json};

use super::setup::Setup;

/// What an agent is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    message: String,
    /// What was said before, as messages.
    history: Vec<Value>,
    /// How the model is to answer.
    sampling: Map<String, Value>,
}

/// A call that the model wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// What the model calls it.
    pub id: String,
    /// The function.
    pub function: String,
    /// Its arguments, as the model wrote them.
    pub arguments: String,
}

/// What the model wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// These calls, one after the other.
    Calls(Vec<ToolCall>),
    /// Nothing: this is its answer.
    Said(String),
}

/// What was said so far.
#[derive(Debug, Clone)]
pub struct Conversation {
    messages: Vec<Value>,
    sampling: Map<String, Value>,
    model: String,
    usage: [u64; 3],
    bytes: usize,
    calls: Vec<Value>,
}

/// What models count, in this order.
const COUNTED: [&str; 3] = ["prompt_tokens", "completion_tokens", "total_tokens"];

impl Question {
    /// `{"message": …, "history": [{"role", "content"}], "parameters": {"temperature", "max_tokens"}}`.
    pub fn read(body: &[u8]) -> Result<Question, &'static str> {
        let Ok(Value::Object(mut body)) = serde_json::from_slice(body) else { return Err("invalid JSON body") };
        let message = body.get("message").and_then(Value::as_str).unwrap_or_default().to_string();
        if message.is_empty() {
            return Err("message is required");
        }
        let history = match body.remove("history") {
            Some(Value::Array(history)) => history,
            _ => Vec::new(),
        };
        let history = history.into_iter().filter_map(|entry| {
            let role = entry.get("role").and_then(Value::as_str).unwrap_or("user");
            let content = entry.get("content").filter(|content| !content.is_null() && *content != "")?;
            Some(json!({"role": role, "content": content}))
        });
        Ok(Question { message, history: history.collect(), sampling: sampling(&body) })
    }
}

/// What a body's `parameters` say of the model's answers, where that is what models take.
fn sampling(body: &Map<String, Value>) -> Map<String, Value> {
    let said = |name: &str| body.get("parameters").and_then(|parameters| parameters.get(name));
    let temperature = said("temperature").filter(|it| it.as_f64().is_some_and(|it| (0.0..=2.0).contains(&it)));
    let max_tokens = said("max_tokens").filter(|it| it.as_u64().is_some_and(|it| it >= 1));
    let both = [("temperature", temperature), ("max_tokens", max_tokens)];
    both.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?.clone()))).collect()
}

impl Conversation {
    /// One that begins.
    pub fn new(setup: &Setup, question: Question) -> Conversation {
        let mut messages = vec![json!({"role": "system", "content": setup.system_prompt})];
        messages.extend(question.history);
        messages.push(json!({"role": "user", "content": question.message}));
        let (sampling, model) = (question.sampling, setup.model.clone());
        Conversation { messages, sampling, model, usage: [0; 3], bytes: 0, calls: Vec::new() }
    }

    /// What the model is asked, as OpenAI's chat completions.
    pub fn request(&self, setup: &Setup) -> Value {
        let mut request = json!({"model": setup.model, "messages": self.messages});
        for (name, value) in &self.sampling {
            request[name] = value.clone();
        }
        if !setup.tools.is_empty() {
            request["tools"] = setup.tools.clone().into();
            request["tool_choice"] = "auto".into();
        }
        request
    }

    /// Takes in what the model said.
    pub fn hear(&mut self, reply: &Value) -> Next {
        if let Some(model) = reply["model"].as_str() {
            self.model = model.into();
        }
        for (sum, name) in self.usage.iter_mut().zip(COUNTED) {
            *sum += reply["usage"][name].as_u64().unwrap_or(0);
        }
        let message = &reply["choices"][0]["message"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
        if calls.is_empty() {
            return Next::Said(text(&message["content"]));
        }
        self.messages.push(message.clone());
        self.bytes += message.to_string().len();
        let call = |call: &Value| ToolCall {
            id: text(&call["id"]),
            function: text(&call["function"]["name"]),
            arguments: call["function"]["arguments"].as_str().unwrap_or("{}").into(),
        };
        Next::Calls(calls.iter().map(call).collect())
    }

    /// Tells the model what came back of a call.
    pub fn told(&mut self, call: &ToolCall, method: &str, url: &str, result: String) {
        self.calls.push(json!({"function": call.function, "method": method, "url": url}));
        self.refused(call, result);
    }

    /// Tells the model why a call was not made.
    pub fn refused(&mut self, call: &ToolCall, why: String) {
        self.bytes += why.len();
        self.messages.push(json!({"role": "tool", "tool_call_id": call.id, "content": why}));
    }

    /// How much the model was told by its tools, and told them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// An answer, with what it took.
    pub fn answer(&self, mut answer: Map<String, Value>) -> Map<String, Value> {
        let usage: Map<String, Value> =
            COUNTED.into_iter().zip(self.usage).map(|(name, count)| (name.into(), count.into())).collect();
        answer.insert("model".into(), self.model.clone().into());
        answer.insert("usage".into(), usage.into());
        answer.insert("tool_calls_made".into(), self.calls.clone().into());
        answer
    }

    /// The last event for who followed.
    pub fn done(&self) -> Value {
        json!({"type": "done", "model": self.model, "tool_calls_made": self.calls})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_message_after_what_was_said_before() {
        assert_eq!(Question::read(b"x"), Err("invalid JSON body"));
        assert_eq!(Question::read(b"[]"), Err("invalid JSON body"));
        for empty in ["{}", r#"{"message": ""}"#, r#"{"message": 3}"#] {
            assert_eq!(Question::read(empty.as_bytes()), Err("message is required"), "{empty}");
        }
        let body = r#"{"message": "hi", "history": [{"content": "a"}, {"role": "assistant", "content": "b"}, {}, 3]}"#;
        let question = Question::read(body.as_bytes()).unwrap();
        let mut setup = Setup::default();
        (setup.model, setup.system_prompt) = ("gpt".into(), "Be brief.".into());
        let request = Conversation::new(&setup, question).request(&setup);
        let message = |role: &str, content: &str| json!({"role": role, "content": content});
        let messages =
            [message("system", "Be brief."), message("user", "a"), message("assistant", "b"), message("user", "hi")];
        assert_eq!(request, json!({"model": "gpt", "messages": messages}));
    }

    #[test]
    fn a_model_answers_as_the_question_says() {
        let setup = Setup::default();
        let asked = |parameters: &str| {
            let body = format!(r#"{{"message": "hi", "parameters": {parameters}}}"#);
            let request = Conversation::new(&setup, Question::read(body.as_bytes()).unwrap()).request(&setup);
            (request["temperature"].clone(), request["max_tokens"].clone(), request.as_object().unwrap().len())
        };
        assert_eq!(asked(r#"{"temperature": 0.7, "max_tokens": 150, "own": 1}"#), (json!(0.7), json!(150), 4));
        // What no model takes is not sent to one.
        for odd in
            ["null", "3", r#"{"temperature": "hot", "max_tokens": 0}"#, r#"{"temperature": 3, "max_tokens": 1.5}"#]
        {
            assert_eq!(asked(odd), (Value::Null, Value::Null, 2), "{odd}");
        }
    }

    #[test]
    fn a_model_wants_calls_until_it_answers() {
        let mut setup = Setup::default();
        setup.tools = vec![json!({"type": "function"})];
        let mut conversation = Conversation::new(&setup, Question::read(br#"{"message": "hi"}"#).unwrap());
        let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
        let calls = json!([{"id": "1", "type": "function", "function": {"name": "bank__list", "arguments": "{}"}}]);
        let message = json!({"role": "assistant", "content": null, "tool_calls": calls});
        let reply = json!({"model": "gpt-4o", "usage": usage, "choices": [{"message": message}]});
        let Next::Calls(calls) = conversation.hear(&reply) else { panic!("it wants a call") };
        assert_eq!(calls, [ToolCall { id: "1".into(), function: "bank__list".into(), arguments: "{}".into() }]);
        conversation.told(&calls[0], "GET", "/tools/bank/v1", "[]".into());
        let request = conversation.request(&setup);
        assert_eq!(request["messages"][2], message);
        assert_eq!(request["messages"][3], json!({"role": "tool", "tool_call_id": "1", "content": "[]"}));
        assert_eq!(request["tool_choice"], "auto");
        let said = json!({"usage": usage, "choices": [{"message": {"content": "none"}}]});
        assert_eq!(conversation.hear(&said), Next::Said("none".into()));
        let answer = conversation.answer(Map::new());
        assert_eq!([&answer["model"], &answer["usage"]["total_tokens"]], [&json!("gpt-4o"), &json!(10)]);
        assert_eq!(answer["tool_calls_made"][0]["function"], "bank__list");
        // Whatever a model says, it is one of the two.
        for odd in
            [json!(null), json!([]), json!({"choices": {}}), json!({"choices": [{"message": {"tool_calls": 3}}]})]
        {
            assert_eq!(conversation.hear(&odd), Next::Said(String::new()), "{odd}");
        }
    }
}
