//! Chat: OpenAI's chat completions, which most providers speak.

use serde_json::{Value, json};

use super::{Given, Quirks, Shaped, sse_data};
use crate::conversation::{
    BadPrompt, Event, Failure, Image, JsonMode, Part, Prompt, Reply, Role, Stop, Tool, ToolCall, ToolChoice,
    ToolResult, Usage, text_of,
};
use crate::json::{Field, Object, count, list, text};

/// A request as a caller sends it.
pub fn read_prompt(body: &Value) -> Result<Prompt, BadPrompt> {
    let body = Field::root(body);
    let mut prompt = Prompt {
        model: body.get("model").string()?,
        max_tokens: match body.get("max_completion_tokens").count()? {
            Some(most) => Some(most),
            None => body.get("max_tokens").count()?,
        },
        temperature: body.get("temperature").number()?,
        top_p: body.get("top_p").number()?,
        top_k: body.get("top_k").number()?,
        seed: body.get("seed").number()?,
        frequency_penalty: body.get("frequency_penalty").number()?,
        presence_penalty: body.get("presence_penalty").number()?,
        stop: body.get("stop").texts()?,
        effort: body.get("reasoning_effort").text()?.map(str::to_string),
        user: body.get("user").text()?.map(str::to_string),
        stream: body.get("stream").flag()?.unwrap_or_default(),
        parallel_tool_calls: body.get("parallel_tool_calls").flag()?,
        json: json_mode(&body.get("response_format"))?,
        ..Prompt::default()
    };
    if body.get("n").count()?.is_some_and(|n| n != 1) {
        return Err(body.get("n").unsupported("more than one answer (n)"));
    }
    for tool in body.get("tools").items()? {
        if tool.kind() != "function" {
            return Err(tool.unsupported(&format!("a tool of type {:?}", tool.kind())));
        }
        prompt.tools.push(read_tool(&tool.get("function"))?);
    }
    prompt.tool_choice = tool_choice(&body.get("tool_choice"), |choice| choice.get("function").get("name").string())?;
    let messages = body.get("messages").items()?;
    if messages.is_empty() {
        return Err(BadPrompt::new("/messages", "messages must hold at least one message"));
    }
    for message in messages {
        read_message(&mut prompt, &message)?;
    }
    Ok(prompt)
}

fn read_message(prompt: &mut Prompt, message: &Field<'_>) -> Result<(), BadPrompt> {
    let content = message.get("content");
    match message.get("role").text()?.unwrap_or_default() {
        "system" | "developer" => {
            let words = text_of(&read_content(&content)?);
            if !words.is_empty() {
                prompt.system.push(words);
            }
        }
        "user" => {
            let parts = read_content(&content)?;
            prompt.say(Role::User, parts);
        }
        "assistant" => {
            let mut parts = read_content(&content)?;
            for call in message.get("tool_calls").items()? {
                let function = call.get("function");
                parts.push(Part::ToolCall(ToolCall {
                    id: call.get("id").string()?,
                    name: function.get("name").string()?,
                    arguments: function.get("arguments").text()?.unwrap_or("{}").to_string(),
                }));
            }
            prompt.say(Role::Assistant, parts);
        }
        "tool" => {
            let id = message.get("tool_call_id").string()?;
            let result = ToolResult { name: prompt.called(&id), id, parts: read_content(&content)?, is_error: false };
            prompt.say(Role::User, vec![Part::ToolResult(result)]);
        }
        _ => return Err(message.get("role").wrong("system, developer, user, assistant or tool")),
    }
    Ok(())
}

/// Words and pictures, as a text or as parts.
fn read_content(content: &Field<'_>) -> Result<Vec<Part>, BadPrompt> {
    if let Some(Value::String(text)) = content.value {
        return Ok(if text.is_empty() { Vec::new() } else { vec![Part::Text(text.clone())] });
    }
    let part = |part: &Field<'_>| match part.kind() {
        "text" => Ok(Part::Text(part.get("text").string()?)),
        "refusal" => Ok(Part::Text(part.get("refusal").string()?)),
        "image_url" => {
            let url = part.get("image_url").get("url");
            Ok(Part::Image(image(url.text()?.ok_or_else(|| url.wrong("an address"))?)))
        }
        kind => Err(part.unsupported(&format!("content of type {kind:?}"))),
    };
    content.items()?.iter().map(part).collect()
}

/// A picture at an address, or in one.
pub(super) fn image(url: &str) -> Image {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match data {
        Some((media_type, data)) => Image::Data { media_type: media_type.into(), data: data.into() },
        None => Image::Url(url.into()),
    }
}

/// The same as an address.
pub(super) fn image_url(image: &Image) -> String {
    match image {
        Image::Url(url) => url.clone(),
        Image::Data { media_type, data } => format!("data:{media_type};base64,{data}"),
    }
}

pub(super) fn read_tool(function: &Field<'_>) -> Result<Tool, BadPrompt> {
    Ok(Tool {
        name: function.get("name").string()?,
        description: function.get("description").text()?.map(str::to_string),
        parameters: function.get("parameters").value.cloned().unwrap_or_else(|| json!({"type": "object"})),
        strict: function.get("strict").flag()?,
    })
}

/// A word, or an object that names a function in the format's own place.
pub(super) fn tool_choice(
    choice: &Field<'_>,
    named: impl Fn(&Field<'_>) -> Result<String, BadPrompt>,
) -> Result<Option<ToolChoice>, BadPrompt> {
    match choice.value {
        None => Ok(None),
        Some(Value::String(word)) => match word.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(choice.wrong("auto, none, required or a function")),
        },
        Some(_) if choice.kind() == "function" => Ok(Some(ToolChoice::Named(named(choice)?))),
        Some(_) => Err(choice.wrong("auto, none, required or a function")),
    }
}

fn json_mode(format: &Field<'_>) -> Result<Option<JsonMode>, BadPrompt> {
    match format.kind() {
        "" if !format.is_some() => Ok(None),
        "text" => Ok(None),
        "json_object" => Ok(Some(JsonMode::Object)),
        "json_schema" => read_schema(&format.get("json_schema")).map(Some),
        _ => Err(format.get("type").wrong("text, json_object or json_schema")),
    }
}

pub(super) fn read_schema(format: &Field<'_>) -> Result<JsonMode, BadPrompt> {
    let schema = format.get("schema");
    Ok(JsonMode::Schema {
        name: format.get("name").string()?,
        schema: schema.value.cloned().ok_or_else(|| schema.wrong("a JSON Schema"))?,
        strict: format.get("strict").flag()?,
    })
}

/// A request as a provider wants it.
pub fn write_prompt(prompt: &Prompt, quirks: &Quirks) -> Value {
    let mut messages: Vec<Value> =
        prompt.system.iter().map(|text| json!({"role": "system", "content": text})).collect();
    for turn in &prompt.turns {
        write_turn(turn.role, &turn.parts, &mut messages);
    }
    let tools = prompt.tools.iter().map(|tool| {
        let function = write_tool(tool);
        json!({"type": "function", "function": function})
    });
    let json = prompt.json.as_ref().map(|mode| match mode {
        JsonMode::Object => json!({"type": "json_object"}),
        JsonMode::Schema { name, schema, strict } => {
            let schema = Object::default().with("name", name.clone()).with("schema", schema.clone());
            json!({"type": "json_schema", "json_schema": Value::from(schema.maybe("strict", *strict))})
        }
    });
    let body = Object::default()
        .with("model", prompt.model.clone())
        .with("messages", messages)
        .list("tools", tools.collect())
        .maybe("tool_choice", prompt.tool_choice.as_ref().map(write_choice))
        .maybe("parallel_tool_calls", prompt.parallel_tool_calls)
        .maybe(&quirks.max_tokens_field, prompt.max_tokens)
        .maybe("temperature", prompt.temperature.clone())
        .maybe("top_p", prompt.top_p.clone())
        .maybe("seed", prompt.seed.clone())
        .maybe("frequency_penalty", prompt.frequency_penalty.clone())
        .maybe("presence_penalty", prompt.presence_penalty.clone())
        .list("stop", prompt.stop.iter().cloned().map(Value::from).collect())
        .maybe("response_format", json)
        .maybe("reasoning_effort", prompt.effort.clone())
        .maybe("user", prompt.user.clone());
    let asks = prompt.stream && quirks.asks_for_usage;
    let body = body.maybe("stream", prompt.stream.then_some(true));
    body.maybe("stream_options", asks.then(|| json!({"include_usage": true}))).into()
}

fn write_tool(tool: &Tool) -> Value {
    Object::default()
        .with("name", tool.name.clone())
        .maybe("description", tool.description.clone())
        .with("parameters", tool.parameters.clone())
        .maybe("strict", tool.strict)
        .into()
}

fn write_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

/// Answers of tools are messages of their own, and come before what the user says with them.
fn write_turn(role: Role, parts: &[Part], messages: &mut Vec<Value>) {
    let (mut content, mut calls) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Text(text) => content.push(json!({"type": "text", "text": text})),
            Part::Image(image) => content.push(json!({"type": "image_url", "image_url": {"url": image_url(image)}})),
            Part::Thinking(_) => {}
            Part::ToolCall(call) => calls.push(write_call(call)),
            Part::ToolResult(result) => {
                let text = text_of(&result.parts);
                messages.push(json!({"role": "tool", "tool_call_id": result.id, "content": text}));
                // A tool's message holds words alone: its pictures go with the user's.
                let images = result.parts.iter().filter_map(|part| match part {
                    Part::Image(image) => Some(json!({"type": "image_url", "image_url": {"url": image_url(image)}})),
                    _ => None,
                });
                content.extend(images);
            }
        }
    }
    let only_text = content.iter().all(|part| part["type"] == "text");
    let content: Value = match content.len() {
        0 => Value::Null,
        _ if only_text => {
            content.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n\n").into()
        }
        _ => content.into(),
    };
    match role {
        Role::User if content.is_null() => {}
        Role::User => messages.push(json!({"role": "user", "content": content})),
        Role::Assistant => {
            let message = Object::default().with("role", "assistant").with("content", content);
            messages.push(message.list("tool_calls", calls).into());
        }
    }
}

fn write_call(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

/// A reply as a provider gives it.
pub fn read_reply(body: &Value) -> Result<Reply, Failure> {
    let choice = list(body, "choices").first();
    let choice = choice.ok_or_else(|| Failure::bad_gateway("the answer has no choices"))?;
    let message = &choice["message"];
    let mut parts = Vec::new();
    for key in ["reasoning_content", "reasoning"] {
        if !text(message, key).is_empty() && parts.is_empty() {
            parts.push(Part::Thinking(text(message, key).into()));
        }
    }
    for key in ["content", "refusal"] {
        if !text(message, key).is_empty() {
            parts.push(Part::Text(text(message, key).into()));
        }
    }
    for call in list(message, "tool_calls") {
        let function = &call["function"];
        parts.push(Part::ToolCall(ToolCall {
            id: text(call, "id").into(),
            name: text(function, "name").into(),
            arguments: arguments(function),
        }));
    }
    let has_calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let stop = if has_calls { Stop::ToolCalls } else { read_stop(text(choice, "finish_reason")) };
    let usage = body.get("usage").map(read_usage).unwrap_or_default();
    Ok(Reply { id: text(body, "id").into(), model: text(body, "model").into(), parts, stop, usage })
}

/// A text; some who imitate the format send the object itself.
fn arguments(function: &Value) -> String {
    match function.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        Some(value @ Value::Object(_)) => value.to_string(),
        _ => String::new(),
    }
}

fn read_stop(reason: &str) -> Stop {
    match reason {
        "length" => Stop::Length,
        "tool_calls" | "function_call" => Stop::ToolCalls,
        "content_filter" => Stop::Refused,
        _ => Stop::End,
    }
}

fn write_stop(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "stop",
        Stop::Length => "length",
        Stop::ToolCalls => "tool_calls",
        Stop::Refused => "content_filter",
    }
}

/// What a provider counted.
pub fn read_usage(usage: &Value) -> Usage {
    Usage {
        input: count(usage, "prompt_tokens"),
        cached: count(&usage["prompt_tokens_details"], "cached_tokens"),
        cache_writes: 0,
        output: count(usage, "completion_tokens"),
        reasoning: count(&usage["completion_tokens_details"], "reasoning_tokens"),
    }
}

fn write_usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

/// A reply as a caller reads it.
pub fn write_reply(reply: &Reply, given: &Given) -> Value {
    let words = text_of(&reply.parts);
    let thoughts: String = reply.parts.iter().filter_map(thought).collect();
    let calls: Vec<Value> = reply
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::ToolCall(call) => Some(write_call(call)),
            _ => None,
        })
        .collect();
    let content = if words.is_empty() && !calls.is_empty() { Value::Null } else { words.into() };
    let message = Object::default()
        .with("role", "assistant")
        .with("content", content)
        .with("refusal", Value::Null)
        .maybe("reasoning_content", (!thoughts.is_empty()).then_some(thoughts))
        .list("tool_calls", calls);
    let message = Value::from(message);
    json!({
        "id": format!("chatcmpl-{}", given.id),
        "object": "chat.completion",
        "created": given.created,
        "model": reply.model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": write_stop(reply.stop)}],
        "usage": write_usage(&reply.usage),
    })
}

fn thought(part: &Part) -> Option<&str> {
    match part {
        Part::Thinking(text) => Some(text),
        _ => None,
    }
}

/// Reads a provider's chunks.
#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    done: bool,
    /// The index of the call that began last.
    call: Option<u64>,
}

impl Reader {
    /// One event of the stream.
    pub fn read(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), Failure> {
        if data.trim() == "[DONE]" {
            self.done = true;
            return Ok(());
        }
        let chunk: Value = serde_json::from_str(data)
            .map_err(|_| Failure::bad_gateway("the provider sent an event that is no JSON"))?;
        if let Some(failure) = read_error(&chunk) {
            return Err(failure);
        }
        if !self.started {
            self.started = true;
            events.push(Event::Start { id: text(&chunk, "id").into(), model: text(&chunk, "model").into() });
        }
        if let Some(choice) = list(&chunk, "choices").first() {
            self.read_delta(&choice["delta"], events)?;
            if let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) {
                self.done = true;
                let stop = if self.call.is_some() { Stop::ToolCalls } else { read_stop(reason) };
                events.push(Event::Stop(stop));
            }
        }
        // Groq puts it elsewhere.
        let usage = chunk.get("usage").filter(|usage| usage.is_object()).or_else(|| chunk["x_groq"].get("usage"));
        if let Some(usage) = usage.filter(|usage| usage.is_object()) {
            events.push(Event::Usage(read_usage(usage)));
        }
        Ok(())
    }

    fn read_delta(&mut self, delta: &Value, events: &mut Vec<Event>) -> Result<(), Failure> {
        let thoughts = match text(delta, "reasoning_content") {
            "" => text(delta, "reasoning"),
            thoughts => thoughts,
        };
        if !thoughts.is_empty() {
            events.push(Event::Thinking(thoughts.into()));
        }
        for key in ["content", "refusal"] {
            if !text(delta, key).is_empty() {
                events.push(Event::Text(text(delta, key).into()));
            }
        }
        for call in list(delta, "tool_calls") {
            let (id, function) = (text(call, "id"), &call["function"]);
            let name = text(function, "name");
            // Some who imitate the format count nothing: then each name begins a call.
            let index = call.get("index").and_then(Value::as_u64);
            let index = index.unwrap_or_else(|| match (self.call, name.is_empty()) {
                (None, _) => 0,
                (Some(last), true) => last,
                (Some(last), false) => last + 1,
            });
            if self.call.is_none_or(|last| index > last) {
                self.call = Some(index);
                events.push(Event::ToolCall { id: id.into(), name: name.into() });
            } else if self.call != Some(index) {
                return Err(Failure::bad_gateway("the provider went on with a call after it had begun another"));
            }
            let arguments = arguments(function);
            if !arguments.is_empty() {
                events.push(Event::Arguments(arguments));
            }
        }
        Ok(())
    }

    /// The provider said that this was all.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

/// What a body says is wrong, in any of the forms in use.
pub fn read_error(body: &Value) -> Option<Failure> {
    let error = body.get("error").filter(|error| !error.is_null())?;
    let message = match error {
        Value::String(message) => message,
        error => text(error, "message"),
    };
    let message = if message.is_empty() { "the provider reports an error" } else { message };
    Some(Failure::bad_gateway(message))
}

/// Writes chunks for a caller.
#[derive(Debug)]
pub struct Writer {
    given: Given,
    model: String,
    include_usage: bool,
    usage: Usage,
    calls: u64,
    stop: Option<Stop>,
}

impl Writer {
    /// Usage is a chunk of its own, for callers who asked.
    pub fn new(given: Given, include_usage: bool) -> Writer {
        Writer { given, model: String::new(), include_usage, usage: Usage::default(), calls: 0, stop: None }
    }

    /// What an event is in this format.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, .. } => {
                self.model.clone_from(model);
                self.delta(&json!({"role": "assistant", "content": ""}), None, out);
            }
            Event::Text(text) => self.delta(&json!({"content": text}), None, out),
            Event::Thinking(text) => self.delta(&json!({"reasoning_content": text}), None, out),
            Event::ToolCall { id, name } => {
                let function = json!({"name": name, "arguments": ""});
                let call = json!({"index": self.calls, "id": id, "type": "function", "function": function});
                self.calls += 1;
                self.delta(&json!({"tool_calls": [call]}), None, out);
            }
            Event::Arguments(text) => {
                let index = self.calls.saturating_sub(1);
                self.delta(&json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]}), None, out);
            }
            Event::Usage(usage) => self.usage.raise(*usage),
            Event::Stop(stop) => self.stop = Some(*stop),
            Event::Failed(failure) => {
                let code = "provider_request_failed";
                sse_data(&json!({"error": super::failed(failure), "code": code}), out);
            }
        }
    }

    /// What comes after the last event.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.delta(&json!({}), Some(write_stop(self.stop.unwrap_or_default())), out);
        if self.include_usage {
            let chunk = json!({
                "id": format!("chatcmpl-{}", self.given.id),
                "object": "chat.completion.chunk",
                "created": self.given.created,
                "model": self.model,
                "choices": [],
                "usage": write_usage(&self.usage),
            });
            sse_data(&chunk, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn delta(&self, delta: &Value, finish: Option<&str>, out: &mut Vec<u8>) {
        let chunk = json!({
            "id": format!("chatcmpl-{}", self.given.id),
            "object": "chat.completion.chunk",
            "created": self.given.created,
            "model": self.model,
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
        });
        sse_data(&chunk, out);
    }
}

/// Whether a caller asked for usage at the stream's end.
pub fn wants_usage(body: &Value) -> bool {
    body["stream_options"]["include_usage"].as_bool().unwrap_or_default()
}

/// What of a request the gateway itself looks at.
pub fn shaped(body: &Value) -> Shaped {
    let most = body.get("max_completion_tokens").or_else(|| body.get("max_tokens"));
    Shaped {
        model: body.get("model").and_then(Value::as_str).map(str::to_string),
        stream: body.get("stream").and_then(Value::as_bool).unwrap_or_default(),
        max_tokens: most.and_then(Value::as_u64),
        answers: body.get("n").and_then(Value::as_u64).unwrap_or(1).max(1),
    }
}
