//! Described: what chat completions are asked and answered with, for the description of the API. The gateway itself passes
//! on what it does not know.
#![expect(dead_code, reason = "nothing reads these: they describe")]

use serde_json::Value;
use utoipa::ToSchema;

/// What a model is asked, in the words of OpenAI's chat completions; further fields go to the provider as they are.
#[derive(ToSchema)]
pub struct ChatCompletionRequest {
    /// The model, by the name under which a registered provider serves it.
    model: String,
    /// The conversation, oldest first.
    messages: Vec<ChatMessage>,
    /// How free its choice of words is, from 0 to 2.
    #[schema(required = false)]
    temperature: Option<f64>,
    /// The share of likely words that it chooses from.
    #[schema(required = false)]
    top_p: Option<f64>,
    /// Tokens of the answer at most.
    #[schema(required = false)]
    max_tokens: Option<u64>,
    /// One text or several, at which it stops.
    #[schema(required = false, value_type = Option<Object>)]
    stop: Option<Value>,
    /// The answer comes as server-sent events, piece by piece.
    #[schema(required = false)]
    stream: Option<bool>,
    /// From -2 to 2: how much words that were said often are avoided.
    #[schema(required = false)]
    frequency_penalty: Option<f64>,
    /// From -2 to 2: how much words that were said at all are avoided.
    #[schema(required = false)]
    presence_penalty: Option<f64>,
}

/// A message of a conversation.
#[derive(ToSchema)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or `tool`.
    role: String,
    /// A text, or parts of text and images.
    #[schema(value_type = Option<Object>)]
    content: Option<Value>,
}

/// What a model answers.
#[derive(ToSchema)]
pub struct ChatCompletion {
    /// `chatcmpl-` and more.
    id: String,
    /// `chat.completion`.
    object: String,
    /// Seconds since 1970.
    created: i64,
    /// The model.
    model: String,
    /// One, unless more were asked for.
    choices: Vec<ChatChoice>,
    /// What it took.
    usage: ChatUsage,
}

/// One answer.
#[derive(ToSchema)]
pub struct ChatChoice {
    /// From 0.
    index: u64,
    /// The answer.
    message: ChatMessage,
    /// `stop`, `length`, `tool_calls` or `content_filter`.
    finish_reason: String,
}

/// Tokens.
#[derive(ToSchema)]
pub struct ChatUsage {
    /// Of the conversation.
    prompt_tokens: u64,
    /// Of the answer.
    completion_tokens: u64,
    /// Both.
    total_tokens: u64,
}
