//! Exchange: one request and its answer, between a caller's format and a provider's. Pure.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::conversation::{BadPrompt, Failure, Part, Reply, Usage};
use crate::formats::{CallerFormat, Given, ProviderFormat, chat, embeddings, for_bedrock, messages, responses};
use crate::framing::Framing;
use crate::provider::{Asks, Serves};
use crate::stream::Stream;

/// What is known of a request while its answer comes.
#[derive(Debug, Clone)]
pub struct Exchange {
    caller: CallerFormat,
    model: String,
    given: Given,
    wants_usage: bool,
    way: Way,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    /// Both speak the same, and the provider's stream is cut as the caller's.
    Same,
    /// Both speak the same, in other envelopes.
    Reframed(ProviderFormat, Framing),
    Translated(ProviderFormat, Framing),
}

/// What goes to the provider.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// What it is asked for.
    pub asks: Asks,
    /// The body.
    pub body: Bytes,
    /// Both speak the same: headers of the caller that belong to the format may go on.
    pub is_same: bool,
}

impl Exchange {
    /// What is sent for a caller's request, given parsed and as it came.
    pub fn begin(
        caller: CallerFormat,
        serves: &Serves,
        body: &Value,
        raw: &Bytes,
        given: Given,
    ) -> Result<(Exchange, Outgoing), BadPrompt> {
        let shaped = caller.shaped(body);
        let model = shaped.model.unwrap_or_default();
        let wants_usage = chat::wants_usage(body);
        let quirks = serves.quirks();
        let is_same = serves.passes(caller);
        let (format, framing) = (serves.format, serves.framing());
        let asks = match (caller, is_same, shaped.stream) {
            (CallerFormat::Responses, true, _) => Asks::Responses,
            (_, _, true) => Asks::Stream,
            (_, _, false) => Asks::Chat,
        };
        let body = match (is_same, format, caller) {
            (false, ..) => {
                let prompt = caller.read_prompt(body)?;
                Bytes::from(format.write_prompt(&prompt, &quirks)?.to_string())
            }
            (true, ProviderFormat::BedrockMessages, _) => Bytes::from(for_bedrock(body.clone()).to_string()),
            (true, _, CallerFormat::Chat) if shaped.stream && !wants_usage && quirks.asks_for_usage => {
                let mut body = body.clone();
                match &mut body["stream_options"] {
                    Value::Object(options) => drop(options.insert("include_usage".into(), true.into())),
                    options => *options = json!({"include_usage": true}),
                }
                Bytes::from(body.to_string())
            }
            (true, ..) => raw.clone(),
        };
        let way = match (is_same, framing) {
            (true, Framing::Sse) => Way::Same,
            (true, _) => Way::Reframed(format, framing),
            (false, _) => Way::Translated(format, framing),
        };
        Ok((Exchange { caller, model, given, wants_usage, way }, Outgoing { asks, body, is_same }))
    }

    /// A whole answer, with what was counted.
    pub fn reply(&self, body: Bytes) -> Result<(Bytes, Usage), Failure> {
        match self.way {
            Way::Same | Way::Reframed(..) => {
                let usage = counted(self.caller, &body)?;
                Ok((body, usage))
            }
            Way::Translated(format, _) => {
                let value: Value = serde_json::from_slice(&body).map_err(|_| no_json())?;
                let mut reply = format.read_reply(&value, &self.model, &self.given)?;
                estimate(&mut reply);
                Ok((Bytes::from(self.caller.write_reply(&reply, &self.given).to_string()), reply.usage))
            }
        }
    }

    /// An answer that comes piece by piece.
    pub fn stream(&self) -> Stream {
        match self.way {
            Way::Same => Stream::same(self.caller, self.wants_usage),
            Way::Reframed(format, framing) | Way::Translated(format, framing) => {
                Stream::translated((format, framing), self.caller, &self.model, &self.given, self.wants_usage)
            }
        }
    }
}

fn no_json() -> Failure {
    Failure::bad_gateway("the answer is no JSON")
}

/// A provider that counts nothing is counted by what it wrote.
fn estimate(reply: &mut Reply) {
    if reply.usage.output == 0 {
        let written = reply.parts.iter().map(|part| match part {
            Part::Text(text) | Part::Thinking(text) => text.len(),
            Part::ToolCall(call) => call.name.len() + call.arguments.len(),
            Part::Image(_) | Part::ToolResult(_) => 0,
        });
        reply.usage.output = crate::meter::estimated(written.sum::<usize>() as u64);
    }
}

/// What an answer in the caller's own format says of itself.
fn counted(caller: CallerFormat, body: &[u8]) -> Result<Usage, Failure> {
    #[derive(Deserialize)]
    struct Counted {
        usage: Option<Value>,
    }
    let counted: Counted = serde_json::from_slice(body).map_err(|_| no_json())?;
    let read = match caller {
        CallerFormat::Chat => chat::read_usage,
        CallerFormat::Responses => responses::read_usage,
        CallerFormat::Messages => messages::read_usage,
    };
    Ok(counted.usage.as_ref().map(read).unwrap_or_default())
}

/// Texts that become vectors.
#[derive(Debug, Clone)]
pub struct Embedding {
    texts: Option<(embeddings::Texts, ProviderFormat)>,
}

impl Embedding {
    /// What is sent for a caller's request.
    pub fn begin(serves: &Serves, body: &Value, raw: &Bytes) -> Result<(Embedding, Bytes), BadPrompt> {
        if !serves.offers(Asks::Embeddings) {
            return Err(BadPrompt::new("/model", "this model's provider has no embeddings"));
        }
        if serves.format == ProviderFormat::Chat {
            return Ok((Embedding { texts: None }, raw.clone()));
        }
        let texts = embeddings::read_texts(body)?;
        let sent = embeddings::write_texts(&texts, serves.format)?;
        Ok((Embedding { texts: Some((texts, serves.format)) }, Bytes::from(sent.to_string())))
    }

    /// The answer, with what was counted.
    pub fn reply(&self, body: Bytes) -> Result<(Bytes, Usage), Failure> {
        let Some((texts, format)) = &self.texts else {
            let usage = counted(CallerFormat::Chat, &body)?;
            return Ok((body, usage));
        };
        let value: Value = serde_json::from_slice(&body).map_err(|_| no_json())?;
        let mut vectors = embeddings::read_vectors(&value, *format, texts.texts.len())?;
        if vectors.usage.input == 0 {
            let bytes: usize = texts.texts.iter().map(String::len).sum();
            vectors.usage.input = crate::meter::estimated(bytes as u64);
        }
        Ok((Bytes::from(embeddings::write_vectors(texts, &vectors).to_string()), vectors.usage))
    }
}
