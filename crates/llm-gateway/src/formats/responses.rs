//! Responses: OpenAI's newer format, for callers. Whoever keeps no conversations answers it all the same.

use serde_json::{Value, json};

use super::{Given, Shaped, chat, sse_event};
use crate::conversation::{
    BadPrompt, Event, JsonMode, Part, Prompt, Reply, Role, Stop, ToolCall, ToolResult, Usage, text_of,
};
use crate::json::{Field, count};

/// A request as a caller sends it.
pub fn read_prompt(body: &Value) -> Result<Prompt, BadPrompt> {
    let body = Field::root(body);
    for kept in ["previous_response_id", "conversation", "prompt"] {
        if body.get(kept).is_some() {
            let text = format!("this model's provider keeps no {kept}; send the whole conversation as input");
            return Err(BadPrompt::new(format!("/{kept}"), text));
        }
    }
    let mut prompt = Prompt {
        model: body.get("model").string()?,
        system: body.get("instructions").text()?.map(str::to_string).into_iter().collect(),
        max_tokens: body.get("max_output_tokens").count()?,
        temperature: body.get("temperature").number()?,
        top_p: body.get("top_p").number()?,
        effort: body.get("reasoning").get("effort").text()?.map(str::to_string),
        user: body.get("user").text()?.map(str::to_string),
        stream: body.get("stream").flag()?.unwrap_or_default(),
        parallel_tool_calls: body.get("parallel_tool_calls").flag()?,
        json: json_mode(&body.get("text").get("format"))?,
        ..Prompt::default()
    };
    for tool in body.get("tools").items()? {
        if tool.kind() != "function" {
            return Err(tool.unsupported(&format!("a tool of type {:?}", tool.kind())));
        }
        prompt.tools.push(chat::read_tool(&tool)?);
    }
    prompt.tool_choice = chat::tool_choice(&body.get("tool_choice"), |choice| choice.get("name").string())?;
    let input = body.get("input");
    match input.value {
        Some(Value::String(text)) => prompt.say(Role::User, vec![Part::Text(text.clone())]),
        _ => {
            let items = input.items()?;
            if items.is_empty() {
                return Err(BadPrompt::new("/input", "input must hold at least one item"));
            }
            for item in items {
                read_item(&mut prompt, &item)?;
            }
        }
    }
    Ok(prompt)
}

fn read_item(prompt: &mut Prompt, item: &Field<'_>) -> Result<(), BadPrompt> {
    match item.kind() {
        "" | "message" => {
            let parts = read_content(&item.get("content"))?;
            match item.get("role").text()?.unwrap_or_default() {
                "system" | "developer" => prompt.system.push(text_of(&parts)),
                "user" => prompt.say(Role::User, parts),
                "assistant" => prompt.say(Role::Assistant, parts),
                _ => return Err(item.get("role").wrong("system, developer, user or assistant")),
            }
        }
        "function_call" => {
            let call = ToolCall {
                id: item.get("call_id").string()?,
                name: item.get("name").string()?,
                arguments: item.get("arguments").text()?.unwrap_or("{}").to_string(),
            };
            prompt.say(Role::Assistant, vec![Part::ToolCall(call)]);
        }
        "function_call_output" => {
            let id = item.get("call_id").string()?;
            let parts = read_content(&item.get("output"))?;
            let result = ToolResult { name: prompt.called(&id), id, parts, is_error: false };
            prompt.say(Role::User, vec![Part::ToolResult(result)]);
        }
        // Of use to nobody but the provider whose they are.
        "reasoning" => {}
        kind => return Err(item.unsupported(&format!("an input item of type {kind:?}"))),
    }
    Ok(())
}

fn read_content(content: &Field<'_>) -> Result<Vec<Part>, BadPrompt> {
    if let Some(Value::String(text)) = content.value {
        return Ok(vec![Part::Text(text.clone())]);
    }
    let part = |part: &Field<'_>| match part.kind() {
        "input_text" | "output_text" | "text" => Ok(Part::Text(part.get("text").string()?)),
        "refusal" => Ok(Part::Text(part.get("refusal").string()?)),
        "input_image" => {
            let url = part.get("image_url");
            Ok(Part::Image(chat::image(url.text()?.ok_or_else(|| url.wrong("an address"))?)))
        }
        kind => Err(part.unsupported(&format!("content of type {kind:?}"))),
    };
    content.items()?.iter().map(part).collect()
}

fn json_mode(format: &Field<'_>) -> Result<Option<JsonMode>, BadPrompt> {
    match format.kind() {
        "" if !format.is_some() => Ok(None),
        "text" => Ok(None),
        "json_object" => Ok(Some(JsonMode::Object)),
        "json_schema" => chat::read_schema(format).map(Some),
        _ => Err(format.get("type").wrong("text, json_object or json_schema")),
    }
}

/// What a provider of this format counted.
pub fn read_usage(usage: &Value) -> Usage {
    Usage {
        input: count(usage, "input_tokens"),
        cached: count(&usage["input_tokens_details"], "cached_tokens"),
        cache_writes: 0,
        output: count(usage, "output_tokens"),
        reasoning: count(&usage["output_tokens_details"], "reasoning_tokens"),
    }
}

fn write_usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}

/// A reply as a caller reads it.
pub fn write_reply(reply: &Reply, given: &Given) -> Value {
    let mut output = Vec::new();
    let words = text_of(&reply.parts);
    if !words.is_empty() {
        output.push(message(&format!("msg_{}", given.id), "completed", &words));
    }
    let calls = reply.parts.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    });
    for (index, call) in calls.enumerate() {
        output.push(function_call(&format!("fc_{}_{index}", given.id), "completed", call));
    }
    response(given, &reply.model, reply.stop, output, Some(&reply.usage))
}

fn message(id: &str, status: &str, words: &str) -> Value {
    let content = json!({"type": "output_text", "text": words, "annotations": []});
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": [content]})
}

fn function_call(id: &str, status: &str, call: &ToolCall) -> Value {
    let ToolCall { id: call_id, name, arguments } = call;
    json!({"id": id, "type": "function_call", "status": status, "call_id": call_id, "name": name,
        "arguments": arguments})
}

/// Without usage it is one that has just begun.
fn response(given: &Given, model: &str, stop: Stop, output: Vec<Value>, usage: Option<&Usage>) -> Value {
    let (status, incomplete) = match (usage, stop) {
        (None, _) => ("in_progress", Value::Null),
        (Some(_), Stop::Length) => ("incomplete", json!({"reason": "max_output_tokens"})),
        (Some(_), Stop::Refused) => ("incomplete", json!({"reason": "content_filter"})),
        (Some(_), Stop::End | Stop::ToolCalls) => ("completed", Value::Null),
    };
    json!({
        "id": format!("resp_{}", given.id),
        "object": "response",
        "created_at": given.created,
        "status": status,
        "error": null,
        "incomplete_details": incomplete,
        "instructions": null,
        "metadata": {},
        "model": model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "store": false,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage.map(write_usage),
    })
}

/// Writes events for a caller.
#[derive(Debug)]
pub struct Writer {
    given: Given,
    model: String,
    sequence: u64,
    output: Vec<Value>,
    open: Open,
    usage: Usage,
    stop: Option<Stop>,
}

/// The item that is being written.
#[derive(Debug, Default)]
enum Open {
    #[default]
    Nothing,
    Message(String),
    Call(ToolCall),
}

impl Writer {
    /// A response that begins.
    pub fn new(given: Given) -> Writer {
        Writer {
            given,
            model: String::new(),
            sequence: 0,
            output: Vec::new(),
            open: Open::Nothing,
            usage: Usage::default(),
            stop: None,
        }
    }

    /// What an event is in this format.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, .. } => {
                self.model.clone_from(model);
                for kind in ["response.created", "response.in_progress"] {
                    let begun = response(&self.given, &self.model, Stop::End, Vec::new(), None);
                    self.emit(kind, json!({"response": begun}), out);
                }
            }
            Event::Text(text) => self.text(text, out),
            Event::Thinking(_) => {}
            Event::ToolCall { id, name } => {
                self.close(out);
                let call = ToolCall { id: id.clone(), name: name.clone(), arguments: String::new() };
                let item = function_call(&self.item_id(), "in_progress", &call);
                self.open = Open::Call(call);
                let index = self.output.len();
                self.emit("response.output_item.added", json!({"output_index": index, "item": item}), out);
            }
            Event::Arguments(text) => {
                if let Open::Call(call) = &mut self.open {
                    call.arguments.push_str(text);
                    let place = json!({"item_id": self.item_id(), "output_index": self.output.len(), "delta": text});
                    self.emit("response.function_call_arguments.delta", place, out);
                }
            }
            Event::Usage(usage) => self.usage.raise(*usage),
            Event::Stop(stop) => self.stop = Some(*stop),
            Event::Failed(failure) => {
                let code = "provider_request_failed";
                let message = super::failed(failure);
                self.emit("error", json!({"code": code, "message": message, "param": null}), out);
            }
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if !matches!(self.open, Open::Message(_)) {
            self.close(out);
            let (id, index) = (self.item_id_of("msg"), self.output.len());
            self.open = Open::Message(String::new());
            let item =
                json!({"id": id, "type": "message", "status": "in_progress", "role": "assistant", "content": []});
            self.emit("response.output_item.added", json!({"output_index": index, "item": item}), out);
            let part = json!({"type": "output_text", "text": "", "annotations": []});
            let place = json!({"item_id": id, "output_index": index, "content_index": 0, "part": part});
            self.emit("response.content_part.added", place, out);
        }
        if let Open::Message(words) = &mut self.open {
            words.push_str(text);
        }
        let place = json!({"item_id": self.item_id(), "output_index": self.output.len(), "content_index": 0,
            "delta": text, "logprobs": []});
        self.emit("response.output_text.delta", place, out);
    }

    /// Of the item that is open, or would be.
    fn item_id(&self) -> String {
        match self.open {
            Open::Message(_) => self.item_id_of("msg"),
            Open::Call(_) | Open::Nothing => self.item_id_of("fc"),
        }
    }

    fn item_id_of(&self, kind: &str) -> String {
        format!("{kind}_{}_{}", self.given.id, self.output.len())
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let (id, index) = (self.item_id(), self.output.len());
        let item = match std::mem::take(&mut self.open) {
            Open::Nothing => return,
            Open::Message(words) => {
                let place = json!({"item_id": id, "output_index": index, "content_index": 0, "text": words,
                    "logprobs": []});
                self.emit("response.output_text.done", place, out);
                let part = json!({"type": "output_text", "text": words, "annotations": []});
                let place = json!({"item_id": id, "output_index": index, "content_index": 0, "part": part});
                self.emit("response.content_part.done", place, out);
                message(&id, "completed", &words)
            }
            Open::Call(call) => {
                let place = json!({"item_id": id, "output_index": index, "name": call.name,
                    "arguments": call.arguments});
                self.emit("response.function_call_arguments.done", place, out);
                function_call(&id, "completed", &call)
            }
        };
        self.emit("response.output_item.done", json!({"output_index": index, "item": item}), out);
        self.output.push(item);
    }

    /// What comes after the last event.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        self.close(out);
        let stop = self.stop.unwrap_or_default();
        let kind = match stop {
            Stop::Length | Stop::Refused => "response.incomplete",
            Stop::End | Stop::ToolCalls => "response.completed",
        };
        let whole = response(&self.given, &self.model, stop, self.output.clone(), Some(&self.usage));
        self.emit(kind, json!({"response": whole}), out);
    }

    fn emit(&mut self, kind: &str, mut event: Value, out: &mut Vec<u8>) {
        event["type"] = kind.into();
        event["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        sse_event(kind, &event, out);
    }
}

/// What of a request the gateway itself looks at.
pub fn shaped(body: &Value) -> Shaped {
    Shaped {
        model: body.get("model").and_then(Value::as_str).map(str::to_string),
        stream: body.get("stream").and_then(Value::as_bool).unwrap_or_default(),
        max_tokens: body.get("max_output_tokens").and_then(Value::as_u64),
        answers: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Image;

    #[test]
    fn pictures_are_read_from_addresses() {
        let part = json!({"type": "input_image", "image_url": "data:image/png;base64,AAAA"});
        let body = json!({"model": "m", "input": [{"role": "user", "content": [part]}]});
        let image = Image::Data { media_type: "image/png".into(), data: "AAAA".into() };
        assert_eq!(read_prompt(&body).unwrap().turns[0].parts, [Part::Image(image)]);
    }
}
