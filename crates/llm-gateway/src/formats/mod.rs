//! Formats: what callers and providers speak, and each said in the words of the other. Pure: JSON in, JSON out.

pub mod chat;
pub mod embeddings;
pub mod gemini;
pub mod messages;
pub mod ollama;
pub mod responses;
pub mod titan;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::conversation::{BadPrompt, Event, Failure, Part, Prompt, Reply, ToolCall};

/// What callers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerFormat {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
}

/// What providers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderFormat {
    /// OpenAI's chat completions.
    Chat,
    /// Anthropic's messages.
    Messages,
    /// The same inside Bedrock, where the model and the way of answering stand in the path.
    BedrockMessages,
    /// Amazon's Titan inside Bedrock.
    BedrockTitan,
    /// Google's generateContent.
    Gemini,
    /// Ollama's chat.
    Ollama,
}

/// What a translation cannot know: it has neither clock nor dice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Part of every id that is made.
    pub id: String,
    /// Seconds since 1970.
    pub created: i64,
}

/// What of a request the gateway itself looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shaped {
    /// The model that is asked.
    pub model: Option<String>,
    /// The reply comes piece by piece.
    pub stream: bool,
    /// The longest reply, in tokens.
    pub max_tokens: Option<u64>,
    /// How many replies are wanted.
    pub answers: u64,
}

/// How a provider differs from its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quirks {
    /// What the longest reply is called in chat completions.
    pub max_tokens_field: String,
    /// The longest reply where the caller names none and the format wants one.
    pub most_output: u64,
    /// Streams of chat completions hold usage only if it is asked for.
    pub asks_for_usage: bool,
}

impl CallerFormat {
    /// What of a request the gateway itself looks at.
    pub fn shaped(self, body: &Value) -> Shaped {
        match self {
            CallerFormat::Chat => chat::shaped(body),
            CallerFormat::Responses => responses::shaped(body),
            CallerFormat::Messages => messages::shaped(body),
        }
    }

    /// What a request says.
    pub fn read_prompt(self, body: &Value) -> Result<Prompt, BadPrompt> {
        match self {
            CallerFormat::Chat => chat::read_prompt(body),
            CallerFormat::Responses => responses::read_prompt(body),
            CallerFormat::Messages => messages::read_prompt(body),
        }
    }

    /// A reply in this format.
    pub fn write_reply(self, reply: &Reply, given: &Given) -> Value {
        match self {
            CallerFormat::Chat => chat::write_reply(reply, given),
            CallerFormat::Responses => responses::write_reply(reply, given),
            CallerFormat::Messages => messages::write_reply(reply, given),
        }
    }

    /// An event that says why a stream breaks off.
    pub fn write_failure(self, failure: &Failure, out: &mut Vec<u8>) {
        Writer::new(self, Given::default(), false).write(&Event::Failed(failure.clone()), out);
    }
}

impl ProviderFormat {
    /// A request in this format.
    pub fn write_prompt(self, prompt: &Prompt, quirks: &Quirks) -> Result<Value, BadPrompt> {
        match self {
            ProviderFormat::Chat => Ok(chat::write_prompt(prompt, quirks)),
            ProviderFormat::Messages => Ok(messages::write_prompt(prompt, quirks.most_output)),
            ProviderFormat::BedrockMessages if prompt.has_image_address() => {
                Err(BadPrompt::new("/messages", "Bedrock fetches no images; send the image itself as data"))
            }
            ProviderFormat::BedrockMessages => Ok(for_bedrock(messages::write_prompt(prompt, quirks.most_output))),
            ProviderFormat::BedrockTitan => titan::write_prompt(prompt),
            ProviderFormat::Gemini => gemini::write_prompt(prompt),
            ProviderFormat::Ollama => ollama::write_prompt(prompt),
        }
    }

    /// What a reply says; one without a model's name is the asked model's.
    pub fn read_reply(self, body: &Value, model: &str, given: &Given) -> Result<Reply, Failure> {
        if let (Some(failure), true) = (chat::read_error(body), body.get("choices").is_none()) {
            return Err(failure);
        }
        let mut reply = match self {
            ProviderFormat::Chat => chat::read_reply(body)?,
            ProviderFormat::Messages | ProviderFormat::BedrockMessages => messages::read_reply(body)?,
            ProviderFormat::BedrockTitan => titan::read_reply(body)?,
            ProviderFormat::Gemini => gemini::read_reply(body, given)?,
            ProviderFormat::Ollama => ollama::read_reply(body, given)?,
        };
        if reply.model.is_empty() {
            reply.model = model.into();
        }
        Ok(reply)
    }

    /// The words in which both sides say the same.
    pub fn is(self, caller: CallerFormat) -> bool {
        matches!(
            (self, caller),
            (ProviderFormat::Chat, CallerFormat::Chat)
                | (ProviderFormat::Messages | ProviderFormat::BedrockMessages, CallerFormat::Messages)
        )
    }
}

/// A request for Messages as Bedrock takes it.
pub fn for_bedrock(mut body: Value) -> Value {
    if let Value::Object(fields) = &mut body {
        fields.shift_remove("model");
        fields.shift_remove("stream");
        fields.entry("anthropic_version").or_insert_with(|| json!("bedrock-2023-05-31"));
    }
    body
}

/// Reads the events of a provider's stream.
#[derive(Debug)]
pub enum Reader {
    /// Of chat completions.
    Chat(chat::Reader),
    /// Of Messages.
    Messages(messages::Reader),
    /// Of Titan.
    Titan(titan::Reader),
    /// Of Gemini.
    Gemini(gemini::Reader),
    /// Of Ollama.
    Ollama(ollama::Reader),
}

impl Reader {
    /// For streams of one format.
    pub fn new(format: ProviderFormat, given: &Given) -> Reader {
        match format {
            ProviderFormat::Chat => Reader::Chat(chat::Reader::default()),
            ProviderFormat::Messages | ProviderFormat::BedrockMessages => Reader::Messages(messages::Reader::default()),
            ProviderFormat::BedrockTitan => Reader::Titan(titan::Reader::default()),
            ProviderFormat::Gemini => Reader::Gemini(gemini::Reader::new(given.clone())),
            ProviderFormat::Ollama => Reader::Ollama(ollama::Reader::new(given.clone())),
        }
    }

    /// What one piece of the stream says.
    pub fn read(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), Failure> {
        match self {
            Reader::Chat(reader) => reader.read(data, events),
            Reader::Messages(reader) => reader.read(data, events),
            Reader::Titan(reader) => reader.read(data, events),
            Reader::Gemini(reader) => reader.read(data, events),
            Reader::Ollama(reader) => reader.read(data, events),
        }
    }

    /// The provider said that this was all: a stream that ends before broke off.
    pub fn is_done(&self) -> bool {
        match self {
            Reader::Chat(reader) => reader.is_done(),
            Reader::Messages(reader) => reader.is_done(),
            Reader::Titan(reader) => reader.is_done(),
            Reader::Gemini(reader) => reader.is_done(),
            Reader::Ollama(reader) => reader.is_done(),
        }
    }
}

/// Writes events into a caller's stream.
#[derive(Debug)]
pub enum Writer {
    /// Of chat completions.
    Chat(chat::Writer),
    /// Of responses.
    Responses(responses::Writer),
    /// Of Messages.
    Messages(messages::Writer),
}

impl Writer {
    /// For a caller of one format.
    pub fn new(format: CallerFormat, given: Given, include_usage: bool) -> Writer {
        match format {
            CallerFormat::Chat => Writer::Chat(chat::Writer::new(given, include_usage)),
            CallerFormat::Responses => Writer::Responses(responses::Writer::new(given)),
            CallerFormat::Messages => Writer::Messages(messages::Writer::new(given)),
        }
    }

    /// What an event is in this format.
    pub fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Writer::Chat(writer) => writer.write(event, out),
            Writer::Responses(writer) => writer.write(event, out),
            Writer::Messages(writer) => writer.write(event, out),
        }
    }

    /// What comes after the last event.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        match self {
            Writer::Chat(writer) => writer.end(out),
            Writer::Responses(writer) => writer.end(out),
            Writer::Messages(writer) => writer.end(out),
        }
    }
}

/// The reply that some events tell.
pub fn collect(events: Vec<Event>) -> Reply {
    let mut reply = Reply::default();
    for event in events {
        match event {
            Event::Start { id, model } => (reply.id, reply.model) = (id, model),
            Event::Text(text) => match reply.parts.last_mut() {
                Some(Part::Text(before)) => before.push_str(&text),
                _ => reply.parts.push(Part::Text(text)),
            },
            Event::Thinking(text) => match reply.parts.last_mut() {
                Some(Part::Thinking(before)) => before.push_str(&text),
                _ => reply.parts.push(Part::Thinking(text)),
            },
            Event::ToolCall { id, name } => {
                reply.parts.push(Part::ToolCall(ToolCall { id, name, arguments: String::new() }));
            }
            Event::Arguments(text) => {
                if let Some(Part::ToolCall(call)) = reply.parts.last_mut() {
                    call.arguments.push_str(&text);
                }
            }
            Event::Usage(usage) => reply.usage.raise(usage),
            Event::Stop(stop) => reply.stop = stop,
            Event::Failed(_) => {}
        }
    }
    reply
}

/// What callers are told of a failure, whole or in a stream.
pub fn failed(failure: &Failure) -> String {
    format!("provider request failed: {}", failure.message)
}

/// One event of a stream without names.
pub(crate) fn sse_data(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut *out, value).expect("values are always JSON");
    out.extend_from_slice(b"\n\n");
}

/// One event of a stream with names.
pub(crate) fn sse_event(name: &str, value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    sse_data(value, out);
}
