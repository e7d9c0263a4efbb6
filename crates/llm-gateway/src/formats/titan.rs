//! Titan: Amazon's own text models inside Bedrock, which know neither roles nor functions.

use serde_json::{Value, json};

use crate::conversation::{BadPrompt, Event, Failure, Part, Prompt, Reply, Role, Stop, Usage, text_of};
use crate::json::{Object, count, list, text};

/// A request as the provider wants it: the conversation as a text that ends where the model goes on.
pub fn write_prompt(prompt: &Prompt) -> Result<Value, BadPrompt> {
    let no = |pointer: &str, what: &str| BadPrompt::new(pointer, format!("this model takes no {what}"));
    if !prompt.tools.is_empty() {
        return Err(no("/tools", "tools"));
    }
    let mut words = String::new();
    for text in &prompt.system {
        words.push_str(text);
        words.push_str("\n\n");
    }
    for turn in &prompt.turns {
        if !turn.parts.iter().all(|part| matches!(part, Part::Text(_) | Part::Thinking(_))) {
            return Err(no("/messages", "content but text"));
        }
        words.push_str(match turn.role {
            Role::User => "User: ",
            Role::Assistant => "Bot: ",
        });
        words.push_str(&text_of(&turn.parts));
        words.push('\n');
    }
    words.push_str("Bot:");
    let config = Object::default()
        .maybe("maxTokenCount", prompt.max_tokens)
        .maybe("temperature", prompt.temperature.clone())
        .maybe("topP", prompt.top_p.clone())
        .list("stopSequences", prompt.stop.iter().cloned().map(Value::from).collect());
    Ok(json!({"inputText": words, "textGenerationConfig": Value::from(config)}))
}

/// A reply as the provider gives it.
pub fn read_reply(body: &Value) -> Result<Reply, Failure> {
    let result = list(body, "results").first();
    let result = result.ok_or_else(|| Failure::bad_gateway("the answer has no results"))?;
    let usage =
        Usage { input: count(body, "inputTextTokenCount"), output: count(result, "tokenCount"), ..Usage::default() };
    let parts = vec![Part::Text(text(result, "outputText").trim_start().into())];
    let stop = read_stop(text(result, "completionReason"));
    Ok(Reply { parts, stop, usage, ..Reply::default() })
}

fn read_stop(reason: &str) -> Stop {
    match reason {
        "LENGTH" => Stop::Length,
        "CONTENT_FILTERED" => Stop::Refused,
        _ => Stop::End,
    }
}

/// Reads the provider's chunks.
#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    done: bool,
    input: u64,
}

impl Reader {
    /// One event of the stream.
    pub fn read(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), Failure> {
        let chunk: Value = serde_json::from_str(data)
            .map_err(|_| Failure::bad_gateway("the provider sent an event that is no JSON"))?;
        let mut words = text(&chunk, "outputText");
        if !self.started {
            self.started = true;
            events.push(Event::Start { id: String::new(), model: String::new() });
            words = words.trim_start();
        }
        if !words.is_empty() {
            events.push(Event::Text(words.into()));
        }
        self.input = self.input.max(count(&chunk, "inputTextTokenCount"));
        if let Some(reason) = chunk.get("completionReason").and_then(Value::as_str) {
            self.done = true;
            let output = count(&chunk, "totalOutputTextTokenCount");
            events.push(Event::Usage(Usage { input: self.input, output, ..Usage::default() }));
            events.push(Event::Stop(read_stop(reason)));
        }
        Ok(())
    }

    /// The provider said that this was all.
    pub fn is_done(&self) -> bool {
        self.done
    }
}
