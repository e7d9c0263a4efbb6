//! Gemini: Google's generateContent.

use serde_json::{Value, json};

use super::Given;
use crate::conversation::{
    BadPrompt, Event, Failure, Image, JsonMode, Part, Prompt, Reply, Role, Stop, ToolChoice, Turn, Usage, object,
    text_of,
};
use crate::json::{Object, count, list, text};

/// A call's id holds the provider's signature of the thoughts behind it, which must come back with the call.
const SIGNATURE: &str = "__signature__";

/// A request as the provider wants it; the model is in the path.
pub fn write_prompt(prompt: &Prompt) -> Result<Value, BadPrompt> {
    let system: Vec<Value> = prompt.system.iter().map(|text| json!({"text": text})).collect();
    let declarations: Vec<Value> = prompt
        .tools
        .iter()
        .map(|tool| {
            Object::default()
                .with("name", tool.name.clone())
                .maybe("description", tool.description.clone())
                .with("parametersJsonSchema", tool.parameters.clone())
                .into()
        })
        .collect();
    let tools = match declarations.is_empty() {
        true => Vec::new(),
        false => vec![json!({"functionDeclarations": declarations})],
    };
    let calling = prompt.tool_choice.as_ref().map(|choice| match choice {
        ToolChoice::Auto => json!({"mode": "AUTO"}),
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Named(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    });
    let (media_type, schema) = match &prompt.json {
        None => (None, None),
        Some(JsonMode::Object) => (Some("application/json"), None),
        Some(JsonMode::Schema { schema, .. }) => (Some("application/json"), Some(schema.clone())),
    };
    let config = Object::default()
        .maybe("temperature", prompt.temperature.clone())
        .maybe("topP", prompt.top_p.clone())
        .maybe("topK", prompt.top_k.clone())
        .maybe("maxOutputTokens", prompt.max_tokens)
        .list("stopSequences", prompt.stop.iter().cloned().map(Value::from).collect())
        .maybe("seed", prompt.seed.clone())
        .maybe("frequencyPenalty", prompt.frequency_penalty.clone())
        .maybe("presencePenalty", prompt.presence_penalty.clone())
        .maybe("responseMimeType", media_type)
        .maybe("responseJsonSchema", schema);
    Ok(Object::default()
        .maybe("systemInstruction", (!system.is_empty()).then(|| json!({"parts": system})))
        .with("contents", prompt.turns.iter().filter_map(write_turn).collect::<Vec<_>>())
        .list("tools", tools)
        .maybe("toolConfig", calling.map(|calling| json!({"functionCallingConfig": calling})))
        .maybe("generationConfig", (!config.is_empty()).then(|| Value::from(config)))
        .into())
}

fn write_turn(turn: &Turn) -> Option<Value> {
    let parts: Vec<Value> = turn.parts.iter().flat_map(write_part).collect();
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "model",
    };
    (!parts.is_empty()).then(|| json!({"role": role, "parts": parts}))
}

fn write_part(part: &Part) -> Vec<Value> {
    match part {
        Part::Text(text) if text.is_empty() => Vec::new(),
        Part::Text(text) => vec![json!({"text": text})],
        Part::Thinking(_) => Vec::new(),
        Part::Image(Image::Url(url)) => vec![json!({"fileData": {"fileUri": url}})],
        Part::Image(Image::Data { media_type, data }) => {
            vec![json!({"inlineData": {"mimeType": media_type, "data": data}})]
        }
        Part::ToolCall(call) => {
            let function = json!({"name": call.name, "args": object(&call.arguments)});
            let signature = call.id.split_once(SIGNATURE).map(|(_, signature)| signature);
            let part = Object::default().with("functionCall", function);
            vec![part.maybe("thoughtSignature", signature).into()]
        }
        Part::ToolResult(result) => {
            let words = text_of(&result.parts);
            let response = match serde_json::from_str(&words) {
                Ok(Value::Object(map)) => Value::Object(map),
                _ if result.is_error => json!({"error": words}),
                _ => json!({"result": words}),
            };
            let mut parts = vec![json!({"functionResponse": {"name": result.name, "response": response}})];
            // What a function answers is an object: pictures stand beside it.
            parts.extend(result.parts.iter().filter(|part| matches!(part, Part::Image(_))).flat_map(write_part));
            parts
        }
    }
}

/// A reply as the provider gives it. Calls have no ids of their own there.
pub fn read_reply(body: &Value, given: &Given) -> Result<Reply, Failure> {
    let mut reader = Reader::new(given.clone());
    let mut events = Vec::new();
    reader.read_value(body, &mut events)?;
    if !reader.is_done() {
        return Err(Failure::bad_gateway("the answer has no candidates"));
    }
    Ok(super::collect(events))
}

/// Reads the provider's chunks.
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

    /// One event of the stream.
    pub fn read(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), Failure> {
        let chunk: Value = serde_json::from_str(data)
            .map_err(|_| Failure::bad_gateway("the provider sent an event that is no JSON"))?;
        self.read_value(&chunk, events)
    }

    fn read_value(&mut self, chunk: &Value, events: &mut Vec<Event>) -> Result<(), Failure> {
        if let Some(failure) = super::chat::read_error(chunk) {
            return Err(failure);
        }
        if !self.started {
            self.started = true;
            let (id, model) = (text(chunk, "responseId").into(), text(chunk, "modelVersion").into());
            events.push(Event::Start { id, model });
        }
        let candidate = list(chunk, "candidates").first();
        for part in candidate.map_or(&[][..], |candidate| list(&candidate["content"], "parts")) {
            self.read_part(part, events);
        }
        if let Some(usage) = chunk.get("usageMetadata") {
            events.push(Event::Usage(read_usage(usage)));
        }
        let reason = candidate.and_then(|candidate| candidate.get("finishReason")).and_then(Value::as_str);
        let blocked = chunk["promptFeedback"].get("blockReason").is_some_and(Value::is_string);
        let stop = match reason {
            Some("STOP") if self.calls > 0 => Some(Stop::ToolCalls),
            Some("STOP" | "FINISH_REASON_UNSPECIFIED") => Some(Stop::End),
            Some("MAX_TOKENS") => Some(Stop::Length),
            Some(_) => Some(Stop::Refused),
            None => blocked.then_some(Stop::Refused),
        };
        if let Some(stop) = stop {
            self.done = true;
            events.push(Event::Stop(stop));
        }
        Ok(())
    }

    fn read_part(&mut self, part: &Value, events: &mut Vec<Event>) {
        if let Some(call) = part.get("functionCall") {
            let mut id = format!("call_{}_{}", self.given.id, self.calls);
            self.calls += 1;
            if let Some(signature) = part.get("thoughtSignature").and_then(Value::as_str) {
                id = format!("{id}{SIGNATURE}{signature}");
            }
            events.push(Event::ToolCall { id, name: text(call, "name").into() });
            let arguments = call.get("args").map_or_else(|| "{}".into(), Value::to_string);
            events.push(Event::Arguments(arguments));
        } else if !text(part, "text").is_empty() {
            let text = text(part, "text").to_string();
            events.push(match part.get("thought") == Some(&Value::Bool(true)) {
                true => Event::Thinking(text),
                false => Event::Text(text),
            });
        }
    }

    /// The provider said that this was all.
    pub fn is_done(&self) -> bool {
        self.done
    }
}

fn read_usage(usage: &Value) -> Usage {
    let thoughts = count(usage, "thoughtsTokenCount");
    Usage {
        input: count(usage, "promptTokenCount") + count(usage, "toolUsePromptTokenCount"),
        cached: count(usage, "cachedContentTokenCount"),
        cache_writes: 0,
        output: count(usage, "candidatesTokenCount") + thoughts,
        reasoning: thoughts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::ToolCall;

    #[test]
    fn the_signature_of_a_call_comes_back_with_it() {
        let given = Given { id: "x".into(), created: 0 };
        let call = json!({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"});
        let body = json!({"candidates": [{"content": {"parts": [call]}, "finishReason": "STOP"}]});
        let reply = read_reply(&body, &given).unwrap();
        let [Part::ToolCall(ToolCall { id, .. })] = &reply.parts[..] else { panic!("{reply:?}") };
        assert_eq!(id, "call_x_0__signature__c2ln");
        assert_eq!(write_part(&reply.parts[0]), [call]);
    }
}
