//! Conversation: what every format says in its own words. A request is read into it from the caller's format and written
//! from it in the provider's; a reply goes the other way, whole or as events.

use serde_json::{Map, Number, Value};

/// What a model is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prompt {
    /// The model.
    pub model: String,
    /// Instructions that stand above the conversation.
    pub system: Vec<String>,
    /// The conversation, oldest first.
    pub turns: Vec<Turn>,
    /// Functions that the model may call.
    pub tools: Vec<Tool>,
    /// Whether it must.
    pub tool_choice: Option<ToolChoice>,
    /// It may call several at once; none where nobody said.
    pub parallel_tool_calls: Option<bool>,
    /// The longest reply, in tokens.
    pub max_tokens: Option<u64>,
    /// Sampling.
    pub temperature: Option<Number>,
    /// Sampling.
    pub top_p: Option<Number>,
    /// Sampling.
    pub top_k: Option<Number>,
    /// Sampling.
    pub seed: Option<Number>,
    /// Sampling.
    pub frequency_penalty: Option<Number>,
    /// Sampling.
    pub presence_penalty: Option<Number>,
    /// Texts at which the reply ends.
    pub stop: Vec<String>,
    /// The reply must be JSON.
    pub json: Option<JsonMode>,
    /// How much it thinks: `low`, `medium`, `high`.
    pub effort: Option<String>,
    /// Whom the provider may hold responsible.
    pub user: Option<String>,
    /// The reply comes piece by piece.
    pub stream: bool,
}

/// What one side said.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Which side.
    pub role: Role,
    /// What.
    pub parts: Vec<Part>,
}

/// The two sides; what tools answered is said by the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// A piece of what was said.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Words.
    Text(String),
    /// A picture.
    Image(Image),
    /// The model's thoughts, which are not sent on.
    Thinking(String),
    /// The model calls a function.
    ToolCall(ToolCall),
    /// What a function answered.
    ToolResult(ToolResult),
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Where it is.
    Url(String),
    /// What it is.
    Data {
        /// `image/png`.
        media_type: String,
        /// Base64.
        data: String,
    },
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// What its answer refers to.
    pub id: String,
    /// The function.
    pub name: String,
    /// A JSON object, as text: models write it, and it need not be whole.
    pub arguments: String,
}

/// The answer of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// The call.
    pub id: String,
    /// The function, where a call of that id is in the conversation.
    pub name: String,
    /// The answer.
    pub parts: Vec<Part>,
    /// It failed.
    pub is_error: bool,
}

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// A JSON Schema of its arguments.
    pub parameters: Value,
    /// Arguments must follow the schema exactly.
    pub strict: Option<bool>,
}

/// Whether the model must call a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    Auto,
    /// It must not.
    None,
    /// Any.
    Required,
    /// This one.
    Named(String),
}

/// The reply must be JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonMode {
    /// Any object.
    Object,
    /// What a schema describes.
    Schema {
        /// The schema's name.
        name: String,
        /// The schema.
        schema: Value,
        /// The reply must follow it exactly.
        strict: Option<bool>,
    },
}

/// What a model answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// Its id at the provider; empty where the provider gives none.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// Text, thoughts, calls.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub stop: Stop,
    /// What was read and written.
    pub usage: Usage,
}

/// Why a reply ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stop {
    /// All is said.
    #[default]
    End,
    /// It was as long as it may be.
    Length,
    /// Functions are to be called.
    ToolCalls,
    /// The provider would not go on.
    Refused,
}

/// Tokens, as the provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read, those from a cache and those put into one included.
    pub input: u64,
    /// Of these, read from a cache.
    pub cached: u64,
    /// Of these, put into a cache.
    pub cache_writes: u64,
    /// Written, thoughts included.
    pub output: u64,
    /// Of these, thoughts.
    pub reasoning: u64,
}

impl Usage {
    /// Nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Usage::default()
    }

    /// Providers count up while they stream: the greater figure holds.
    pub fn raise(&mut self, other: Usage) {
        self.input = self.input.max(other.input);
        self.cached = self.cached.max(other.cached);
        self.cache_writes = self.cache_writes.max(other.cache_writes);
        self.output = self.output.max(other.output);
        self.reasoning = self.reasoning.max(other.reasoning);
    }
}

/// A reply while it comes.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The provider answers.
    Start {
        /// The reply's id; empty where the provider gives none.
        id: String,
        /// The model that answers.
        model: String,
    },
    /// More words.
    Text(String),
    /// More thoughts.
    Thinking(String),
    /// A call of a function begins; the one before it, if any, is complete.
    ToolCall {
        /// What its answer refers to.
        id: String,
        /// The function.
        name: String,
    },
    /// More of the arguments of the call that began last.
    Arguments(String),
    /// Counted so far.
    Usage(Usage),
    /// Why it ended.
    Stop(Stop),
    /// It broke off.
    Failed(Failure),
}

/// Why a provider did not answer, or not to the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status that stands for it.
    pub status: u16,
    /// The provider's own words, or ours.
    pub message: String,
}

impl Failure {
    /// Answered with 502: whoever was asked did not do what they should.
    pub fn bad_gateway(message: impl Into<String>) -> Failure {
        Failure { status: 502, message: message.into() }
    }
}

/// Why a request cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadPrompt {
    /// Where, as a JSON pointer.
    pub pointer: String,
    /// What, and what to do.
    pub message: String,
}

impl BadPrompt {
    /// At `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> BadPrompt {
        BadPrompt { pointer: pointer.into(), message: message.into() }
    }
}

impl Prompt {
    /// Two turns of one side are one: some providers want sides to alternate, and none minds.
    pub(crate) fn say(&mut self, role: Role, parts: Vec<Part>) {
        match self.turns.last_mut() {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => self.turns.push(Turn { role, parts }),
        }
    }

    /// A picture is at an address, which somebody would have to fetch.
    pub(crate) fn has_image_address(&self) -> bool {
        let is_address = |part: &Part| matches!(part, Part::Image(Image::Url(_)));
        self.turns.iter().flat_map(|turn| &turn.parts).any(|part| match part {
            Part::ToolResult(result) => result.parts.iter().any(is_address),
            part => is_address(part),
        })
    }

    /// Which function a call of that id was for.
    pub(crate) fn called(&self, id: &str) -> String {
        let calls = self.turns.iter().rev().flat_map(|turn| &turn.parts);
        let named = calls.filter_map(|part| match part {
            Part::ToolCall(call) if call.id == id => Some(call.name.clone()),
            _ => None,
        });
        named.into_iter().next().unwrap_or_default()
    }
}

/// The words of some parts, joined.
pub(crate) fn text_of(parts: &[Part]) -> String {
    let words = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    words.collect::<Vec<_>>().join("")
}

/// Arguments as an object; what is no object becomes an empty one, since every provider wants one.
pub(crate) fn object(arguments: &str) -> Value {
    match serde_json::from_str(arguments) {
        Ok(Value::Object(map)) => Value::Object(map),
        _ => Value::Object(Map::new()),
    }
}
