//! Messages: Anthropic's, at its own address and inside Amazon Bedrock.

use serde_json::{Value, json};

use super::{Given, Shaped, sse_event};
use crate::conversation::{
    BadPrompt, Event, Failure, Image, JsonMode, Part, Prompt, Reply, Role, Stop, Tool, ToolCall, ToolChoice,
    ToolResult, Turn, Usage, object,
};
use crate::json::{Field, Object, count, list, text};

/// A function that stands for a reply in JSON: the format has no word for one that every model knows.
const JSON_ANSWER: &str = "json_answer";

/// What a model is told where any object will do.
const JSON_ONLY: &str = "Answer with one JSON object and nothing else.";

/// A request as a caller sends it.
pub fn read_prompt(body: &Value) -> Result<Prompt, BadPrompt> {
    let body = Field::root(body);
    let choice = body.get("tool_choice");
    let mut prompt = Prompt {
        model: body.get("model").string()?,
        max_tokens: body.get("max_tokens").count()?,
        temperature: body.get("temperature").number()?,
        top_p: body.get("top_p").number()?,
        top_k: body.get("top_k").number()?,
        stop: body.get("stop_sequences").texts()?,
        user: body.get("metadata").get("user_id").text()?.map(str::to_string),
        stream: body.get("stream").flag()?.unwrap_or_default(),
        parallel_tool_calls: choice.get("disable_parallel_tool_use").flag()?.map(|one| !one),
        tool_choice: match choice.kind() {
            "" if !choice.is_some() => None,
            "auto" => Some(ToolChoice::Auto),
            "any" => Some(ToolChoice::Required),
            "none" => Some(ToolChoice::None),
            "tool" => Some(ToolChoice::Named(choice.get("name").string()?)),
            _ => return Err(choice.get("type").wrong("auto, any, none or tool")),
        },
        ..Prompt::default()
    };
    let format = body.get("output_config").get("format");
    if format.kind() == "json_schema" {
        let schema = format.get("schema").value.cloned().ok_or_else(|| format.wrong("a JSON Schema"))?;
        prompt.json = Some(JsonMode::Schema { name: JSON_ANSWER.into(), schema, strict: Some(true) });
    }
    prompt.system = read_content(&mut prompt, &body.get("system"))?.iter().filter_map(words).collect();
    for tool in body.get("tools").items()? {
        if !["", "custom"].contains(&tool.kind()) {
            return Err(tool.unsupported(&format!("a tool of type {:?}", tool.kind())));
        }
        prompt.tools.push(Tool {
            name: tool.get("name").string()?,
            description: tool.get("description").text()?.map(str::to_string),
            parameters: tool.get("input_schema").value.cloned().unwrap_or_else(|| json!({"type": "object"})),
            strict: tool.get("strict").flag()?,
        });
    }
    let messages = body.get("messages").items()?;
    if messages.is_empty() {
        return Err(BadPrompt::new("/messages", "messages must hold at least one message"));
    }
    for message in messages {
        let role = match message.get("role").text()?.unwrap_or_default() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return Err(message.get("role").wrong("user or assistant")),
        };
        let parts = read_content(&mut prompt, &message.get("content"))?;
        prompt.say(role, parts);
    }
    Ok(prompt)
}

fn words(part: &Part) -> Option<String> {
    match part {
        Part::Text(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// A text, or blocks.
fn read_content(prompt: &mut Prompt, content: &Field<'_>) -> Result<Vec<Part>, BadPrompt> {
    if let Some(Value::String(text)) = content.value {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::Text(text.clone())] });
    }
    let mut parts = Vec::new();
    for block in content.items()? {
        match block.kind() {
            "text" => parts.push(Part::Text(block.get("text").string()?)),
            "image" => parts.push(Part::Image(read_image(&block.get("source"))?)),
            "tool_use" => parts.push(Part::ToolCall(ToolCall {
                id: block.get("id").string()?,
                name: block.get("name").string()?,
                arguments: block.get("input").value.map_or_else(|| "{}".into(), Value::to_string),
            })),
            "tool_result" => {
                let id = block.get("tool_use_id").string()?;
                let is_error = block.get("is_error").flag()?.unwrap_or_default();
                let inner = read_content(prompt, &block.get("content"))?;
                let result = ToolResult { name: prompt.called(&id), id, parts: inner, is_error };
                parts.push(Part::ToolResult(result));
            }
            // Signed by the provider that thought them, and of no use to another.
            "thinking" | "redacted_thinking" => {}
            kind => return Err(block.unsupported(&format!("content of type {kind:?}"))),
        }
    }
    Ok(parts)
}

fn read_image(source: &Field<'_>) -> Result<Image, BadPrompt> {
    match source.kind() {
        "url" => Ok(Image::Url(source.get("url").string()?)),
        "base64" => {
            Ok(Image::Data { media_type: source.get("media_type").string()?, data: source.get("data").string()? })
        }
        kind => Err(source.unsupported(&format!("an image from {kind:?}"))),
    }
}

/// A request as a provider wants it; `max_tokens` is required, so there is one for whoever names none.
pub fn write_prompt(prompt: &Prompt, most: u64) -> Value {
    let mut system = prompt.system.clone();
    let mut tools: Vec<Value> = prompt.tools.iter().map(write_tool).collect();
    let mut choice = prompt.tool_choice.clone();
    match &prompt.json {
        Some(JsonMode::Schema { schema, .. }) => {
            let description = "Gives the answer.";
            tools.push(json!({"name": JSON_ANSWER, "description": description, "input_schema": schema}));
            choice = Some(match prompt.tools.is_empty() {
                true => ToolChoice::Named(JSON_ANSWER.into()),
                false => ToolChoice::Required,
            });
        }
        Some(JsonMode::Object) => system.push(JSON_ONLY.into()),
        None => {}
    }
    let one_call = prompt.parallel_tool_calls == Some(false);
    let choice = match (&choice, one_call && !tools.is_empty()) {
        (None, false) => None,
        (choice, one_call) => {
            let base = match choice {
                None | Some(ToolChoice::Auto) => Object::default().with("type", "auto"),
                Some(ToolChoice::None) => Object::default().with("type", "none"),
                Some(ToolChoice::Required) => Object::default().with("type", "any"),
                Some(ToolChoice::Named(name)) => Object::default().with("type", "tool").with("name", name.clone()),
            };
            let may_limit = one_call && *choice != Some(ToolChoice::None);
            Some(Value::from(base.maybe("disable_parallel_tool_use", may_limit.then_some(true))))
        }
    };
    // Other formats allow temperatures up to 2.
    let temperature = prompt.temperature.clone().map(|heat| match heat.as_f64() {
        Some(degrees) if degrees > 1.0 => json!(1.0),
        _ => Value::Number(heat),
    });
    let body = Object::default()
        .with("model", prompt.model.clone())
        .with("max_tokens", prompt.max_tokens.unwrap_or(most))
        .maybe("system", (!system.is_empty()).then(|| system.join("\n\n")))
        .with("messages", prompt.turns.iter().filter_map(write_turn).collect::<Vec<_>>())
        .list("tools", tools)
        .maybe("tool_choice", choice)
        .list("stop_sequences", prompt.stop.iter().cloned().map(Value::from).collect())
        .maybe("temperature", temperature)
        .maybe("top_p", prompt.top_p.clone())
        .maybe("top_k", prompt.top_k.clone())
        .maybe("metadata", prompt.user.as_ref().map(|user| json!({"user_id": user})));
    match prompt.stream {
        true => body.with("stream", true).into(),
        false => body.into(),
    }
}

fn write_tool(tool: &Tool) -> Value {
    Object::default()
        .with("name", tool.name.clone())
        .maybe("description", tool.description.clone())
        .with("input_schema", tool.parameters.clone())
        .into()
}

/// Results of tools come first, as the format demands; an empty turn is none.
fn write_turn(turn: &Turn) -> Option<Value> {
    let (results, others): (Vec<&Part>, Vec<&Part>) =
        turn.parts.iter().partition(|part| matches!(part, Part::ToolResult(_)));
    let blocks: Vec<Value> = results.into_iter().chain(others).filter_map(write_part).collect();
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    (!blocks.is_empty()).then(|| json!({"role": role, "content": blocks}))
}

fn write_part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) if text.is_empty() => None,
        Part::Text(text) => Some(json!({"type": "text", "text": text})),
        Part::Thinking(_) => None,
        Part::Image(Image::Url(url)) => Some(json!({"type": "image", "source": {"type": "url", "url": url}})),
        Part::Image(Image::Data { media_type, data }) => {
            let source = json!({"type": "base64", "media_type": media_type, "data": data});
            Some(json!({"type": "image", "source": source}))
        }
        Part::ToolCall(ToolCall { id, name, arguments }) => {
            Some(json!({"type": "tool_use", "id": id, "name": name, "input": object(arguments)}))
        }
        Part::ToolResult(ToolResult { id, parts, is_error, .. }) => {
            let content: Vec<Value> = parts.iter().filter_map(write_part).collect();
            let block = Object::default().with("type", "tool_result").with("tool_use_id", id.clone());
            Some(block.list("content", content).maybe("is_error", is_error.then_some(true)).into())
        }
    }
}

/// A reply as a provider gives it. One in JSON that was asked for as a call is text again.
pub fn read_reply(body: &Value) -> Result<Reply, Failure> {
    if !body.get("content").is_some_and(Value::is_array) {
        return Err(Failure::bad_gateway("the answer has no content"));
    }
    let mut parts = Vec::new();
    let mut stop = read_stop(text(body, "stop_reason"));
    for block in list(body, "content") {
        match text(block, "type") {
            "text" => parts.push(Part::Text(text(block, "text").into())),
            "thinking" => parts.push(Part::Thinking(text(block, "thinking").into())),
            "tool_use" if text(block, "name") == JSON_ANSWER => {
                parts.push(Part::Text(block["input"].to_string()));
                stop = if stop == Stop::ToolCalls { Stop::End } else { stop };
            }
            "tool_use" => parts.push(Part::ToolCall(ToolCall {
                id: text(block, "id").into(),
                name: text(block, "name").into(),
                arguments: block.get("input").map_or_else(|| "{}".into(), Value::to_string),
            })),
            _ => {}
        }
    }
    let usage = body.get("usage").map(read_usage).unwrap_or_default();
    Ok(Reply { id: text(body, "id").into(), model: text(body, "model").into(), parts, stop, usage })
}

fn read_stop(reason: &str) -> Stop {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "tool_use" => Stop::ToolCalls,
        "refusal" => Stop::Refused,
        _ => Stop::End,
    }
}

fn write_stop(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::ToolCalls => "tool_use",
        Stop::Refused => "refusal",
    }
}

/// What a provider counted. It counts what comes from a cache or goes into it apart.
pub fn read_usage(usage: &Value) -> Usage {
    let (cached, written) = (count(usage, "cache_read_input_tokens"), count(usage, "cache_creation_input_tokens"));
    Usage {
        input: count(usage, "input_tokens") + cached + written,
        cached,
        cache_writes: written,
        output: count(usage, "output_tokens"),
        reasoning: 0,
    }
}

fn write_usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input.saturating_sub(usage.cached + usage.cache_writes),
        "cache_creation_input_tokens": usage.cache_writes,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    })
}

/// A reply as a caller reads it.
pub fn write_reply(reply: &Reply, given: &Given) -> Value {
    json!({
        "id": format!("msg_{}", given.id),
        "type": "message",
        "role": "assistant",
        "model": reply.model,
        "content": reply.parts.iter().filter_map(write_part).collect::<Vec<_>>(),
        "stop_reason": write_stop(reply.stop),
        "stop_sequence": null,
        "usage": write_usage(&reply.usage),
    })
}

/// Reads a provider's events.
#[derive(Debug, Default)]
pub struct Reader {
    done: bool,
    block: Block,
    usage: Usage,
    answered_as_json: bool,
}

/// The block that is open.
#[derive(Debug, Default, PartialEq, Eq)]
enum Block {
    #[default]
    Other,
    /// A call, with or without arguments so far.
    Call { has_arguments: bool },
    /// A reply in JSON.
    Json,
}

impl Reader {
    /// One event of the stream.
    pub fn read(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), Failure> {
        let event: Value = serde_json::from_str(data)
            .map_err(|_| Failure::bad_gateway("the provider sent an event that is no JSON"))?;
        match text(&event, "type") {
            "message_start" => {
                let message = &event["message"];
                events.push(Event::Start { id: text(message, "id").into(), model: text(message, "model").into() });
                self.count(&message["usage"], events);
            }
            "content_block_start" => {
                let block = &event["content_block"];
                self.block = match (text(block, "type"), text(block, "name")) {
                    ("tool_use", JSON_ANSWER) => {
                        self.answered_as_json = true;
                        Block::Json
                    }
                    ("tool_use", name) => {
                        events.push(Event::ToolCall { id: text(block, "id").into(), name: name.into() });
                        Block::Call { has_arguments: false }
                    }
                    _ => Block::Other,
                };
                if !text(block, "text").is_empty() {
                    events.push(Event::Text(text(block, "text").into()));
                }
            }
            "content_block_delta" => self.read_delta(&event["delta"], events),
            // Whoever reads the arguments wants JSON, and nothing is none.
            "content_block_stop" if std::mem::take(&mut self.block) == (Block::Call { has_arguments: false }) => {
                events.push(Event::Arguments("{}".into()));
            }
            "message_delta" => {
                self.count(&event["usage"], events);
                if let Some(reason) = event["delta"].get("stop_reason").and_then(Value::as_str) {
                    let stop = match read_stop(reason) {
                        Stop::ToolCalls if self.answered_as_json => Stop::End,
                        stop => stop,
                    };
                    events.push(Event::Stop(stop));
                }
            }
            "message_stop" => self.done = true,
            "error" => {
                let message = text(&event["error"], "message");
                return Err(Failure::bad_gateway(if message.is_empty() {
                    "the provider reports an error"
                } else {
                    message
                }));
            }
            _ => {}
        }
        Ok(())
    }

    fn read_delta(&mut self, delta: &Value, events: &mut Vec<Event>) {
        match text(delta, "type") {
            "text_delta" => events.push(Event::Text(text(delta, "text").into())),
            "thinking_delta" => events.push(Event::Thinking(text(delta, "thinking").into())),
            "input_json_delta" => {
                let part = text(delta, "partial_json").to_string();
                match &mut self.block {
                    _ if part.is_empty() => {}
                    Block::Json => events.push(Event::Text(part)),
                    Block::Call { has_arguments } => {
                        *has_arguments = true;
                        events.push(Event::Arguments(part));
                    }
                    Block::Other => {}
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, usage: &Value, events: &mut Vec<Event>) {
        if usage.is_object() {
            self.usage.raise(read_usage(usage));
            events.push(Event::Usage(self.usage));
        }
    }

    /// The provider said that this was all.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

/// Writes events for a caller.
#[derive(Debug)]
pub struct Writer {
    given: Given,
    blocks: u64,
    /// The type of the block that is open.
    open: Option<&'static str>,
    usage: Usage,
    stop: Option<Stop>,
}

impl Writer {
    /// A message that begins.
    pub fn new(given: Given) -> Writer {
        Writer { given, blocks: 0, open: None, usage: Usage::default(), stop: None }
    }

    /// What an event is in this format.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, .. } => {
                let message = json!({
                    "id": format!("msg_{}", self.given.id),
                    "type": "message",
                    "role": "assistant",
                    "model": model,
                    "content": [],
                    "stop_reason": null,
                    "stop_sequence": null,
                    "usage": write_usage(&self.usage),
                });
                sse_event("message_start", &json!({"type": "message_start", "message": message}), out);
            }
            Event::Text(text) => {
                self.begin("text", &json!({"type": "text", "text": ""}), out);
                self.delta(&json!({"type": "text_delta", "text": text}), out);
            }
            // A block of thoughts needs its provider's signature.
            Event::Thinking(_) => {}
            Event::ToolCall { id, name } => {
                self.close(out);
                let block = json!({"type": "tool_use", "id": id, "name": name, "input": {}});
                self.begin("tool_use", &block, out);
            }
            Event::Arguments(text) => self.delta(&json!({"type": "input_json_delta", "partial_json": text}), out),
            Event::Usage(usage) => self.usage.raise(*usage),
            Event::Stop(stop) => self.stop = Some(*stop),
            Event::Failed(failure) => {
                let error = json!({"type": "api_error", "message": super::failed(failure)});
                sse_event("error", &json!({"type": "error", "error": error}), out);
            }
        }
    }

    fn begin(&mut self, kind: &'static str, block: &Value, out: &mut Vec<u8>) {
        if self.open == Some(kind) {
            return;
        }
        self.close(out);
        self.open = Some(kind);
        let event = json!({"type": "content_block_start", "index": self.blocks, "content_block": block});
        sse_event("content_block_start", &event, out);
    }

    fn delta(&self, delta: &Value, out: &mut Vec<u8>) {
        let event = json!({"type": "content_block_delta", "index": self.blocks, "delta": delta});
        sse_event("content_block_delta", &event, out);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.open.take().is_some() {
            sse_event("content_block_stop", &json!({"type": "content_block_stop", "index": self.blocks}), out);
            self.blocks += 1;
        }
    }

    /// What comes after the last event.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        let delta = json!({"stop_reason": write_stop(self.stop.unwrap_or_default()), "stop_sequence": null});
        let event = json!({"type": "message_delta", "delta": delta, "usage": write_usage(&self.usage)});
        sse_event("message_delta", &event, out);
        sse_event("message_stop", &json!({"type": "message_stop"}), out);
    }
}

/// What of a request the gateway itself looks at.
pub fn shaped(body: &Value) -> Shaped {
    Shaped {
        model: body.get("model").and_then(Value::as_str).map(str::to_string),
        stream: body.get("stream").and_then(Value::as_bool).unwrap_or_default(),
        max_tokens: body.get("max_tokens").and_then(Value::as_u64),
        answers: 1,
    }
}
