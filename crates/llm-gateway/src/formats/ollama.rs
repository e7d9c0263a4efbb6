//! Ollama: its own chat.

use serde_json::{Value, json};

use super::Given;
use crate::conversation::{
    BadPrompt, Event, Failure, Image, JsonMode, Part, Prompt, Reply, Role, Stop, Usage, object, text_of,
};
use crate::json::{Object, count, list, text};

/// A request as the provider wants it. It streams unless it is told not to.
pub fn write_prompt(prompt: &Prompt) -> Result<Value, BadPrompt> {
    let mut messages: Vec<Value> =
        prompt.system.iter().map(|text| json!({"role": "system", "content": text})).collect();
    for turn in &prompt.turns {
        write_turn(turn.role, &turn.parts, &mut messages)?;
    }
    let tools = prompt.tools.iter().map(|tool| {
        let function = Object::default()
            .with("name", tool.name.clone())
            .maybe("description", tool.description.clone())
            .with("parameters", tool.parameters.clone());
        json!({"type": "function", "function": Value::from(function)})
    });
    let format = prompt.json.as_ref().map(|mode| match mode {
        JsonMode::Object => json!("json"),
        JsonMode::Schema { schema, .. } => schema.clone(),
    });
    let options = Object::default()
        .maybe("temperature", prompt.temperature.clone())
        .maybe("top_p", prompt.top_p.clone())
        .maybe("top_k", prompt.top_k.clone())
        .maybe("num_predict", prompt.max_tokens)
        .list("stop", prompt.stop.iter().cloned().map(Value::from).collect())
        .maybe("seed", prompt.seed.clone())
        .maybe("frequency_penalty", prompt.frequency_penalty.clone())
        .maybe("presence_penalty", prompt.presence_penalty.clone());
    Ok(Object::default()
        .with("model", prompt.model.clone())
        .with("messages", messages)
        .list("tools", tools.collect())
        .maybe("format", format)
        .maybe("options", (!options.is_empty()).then(|| Value::from(options)))
        .with("stream", prompt.stream)
        .into())
}

fn write_turn(role: Role, parts: &[Part], messages: &mut Vec<Value>) -> Result<(), BadPrompt> {
    let (mut images, mut calls) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Image(image) => images.push(data(image)?),
            Part::ToolCall(call) => {
                calls.push(json!({"function": {"name": call.name, "arguments": object(&call.arguments)}}));
            }
            Part::ToolResult(result) => {
                let content = text_of(&result.parts);
                messages.push(json!({"role": "tool", "tool_name": result.name, "content": content}));
            }
            Part::Text(_) | Part::Thinking(_) => {}
        }
    }
    let words = text_of(parts);
    if words.is_empty() && images.is_empty() && calls.is_empty() {
        return Ok(());
    }
    let role = match role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let message = Object::default().with("role", role).with("content", words);
    messages.push(message.list("images", images).list("tool_calls", calls).into());
    Ok(())
}

fn data(image: &Image) -> Result<Value, BadPrompt> {
    match image {
        Image::Data { data, .. } => Ok(data.clone().into()),
        Image::Url(_) => {
            Err(BadPrompt::new("/messages", "Ollama fetches no images; send the image itself as a data: address"))
        }
    }
}

/// A reply as the provider gives it.
pub fn read_reply(body: &Value, given: &Given) -> Result<Reply, Failure> {
    let mut reader = Reader::new(given.clone());
    let mut events = Vec::new();
    reader.read_value(body, &mut events)?;
    if !reader.is_done() {
        return Err(Failure::bad_gateway("the answer is not done"));
    }
    Ok(super::collect(events))
}

/// Reads the provider's lines.
#[derive(Debug)]
pub struct Reader {
    given: Given,
    started: bool,
    done: bool,
    calls: u64,
}

impl Reader {
    /// Ids of calls are made from what is given.
    pub fn new(given: Given) -> Reader {
        Reader { given, started: false, done: false, calls: 0 }
    }

    /// One line of the stream.
    pub fn read(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), Failure> {
        let line: Value =
            serde_json::from_str(data).map_err(|_| Failure::bad_gateway("the provider sent a line that is no JSON"))?;
        self.read_value(&line, events)
    }

    fn read_value(&mut self, line: &Value, events: &mut Vec<Event>) -> Result<(), Failure> {
        if let Some(failure) = super::chat::read_error(line) {
            return Err(failure);
        }
        if !self.started {
            self.started = true;
            events.push(Event::Start { id: String::new(), model: text(line, "model").into() });
        }
        let message = &line["message"];
        if !text(message, "thinking").is_empty() {
            events.push(Event::Thinking(text(message, "thinking").into()));
        }
        if !text(message, "content").is_empty() {
            events.push(Event::Text(text(message, "content").into()));
        }
        for call in list(message, "tool_calls") {
            let function = &call["function"];
            let id = format!("call_{}_{}", self.given.id, self.calls);
            self.calls += 1;
            events.push(Event::ToolCall { id, name: text(function, "name").into() });
            events.push(Event::Arguments(function.get("arguments").map_or_else(|| "{}".into(), Value::to_string)));
        }
        if line["done"] == true {
            self.done = true;
            let (input, output) = (count(line, "prompt_eval_count"), count(line, "eval_count"));
            events.push(Event::Usage(Usage { input, output, ..Usage::default() }));
            events.push(Event::Stop(match text(line, "done_reason") {
                _ if self.calls > 0 => Stop::ToolCalls,
                "length" => Stop::Length,
                _ => Stop::End,
            }));
        }
        Ok(())
    }

    /// The provider said that this was all.
    pub fn is_done(&self) -> bool {
        self.done
    }
}
