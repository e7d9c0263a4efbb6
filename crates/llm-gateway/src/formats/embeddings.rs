//! Embeddings: OpenAI's, for callers, and what other providers call the same.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::ProviderFormat;
use crate::conversation::{BadPrompt, Failure, Usage};
use crate::json::{Field, Object, count, list};

/// What is to be embedded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// The model.
    pub model: String,
    /// The texts.
    pub texts: Vec<String>,
    /// How long each vector is; the model's own length where nobody said.
    pub dimensions: Option<u64>,
    /// Vectors go to the caller as base64 of their bytes.
    pub base64: bool,
}

/// Vectors in the order of the texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    /// One for each text.
    pub vectors: Vec<Value>,
    /// What was counted.
    pub usage: Usage,
}

/// A request as a caller sends it.
pub fn read_texts(body: &Value) -> Result<Texts, BadPrompt> {
    let body = Field::root(body);
    let texts = body.get("input").texts().map_err(|error| {
        BadPrompt::new(error.pointer, "input must be a string or a list of strings for this model's provider")
    })?;
    if texts.is_empty() {
        return Err(BadPrompt::new("/input", "input must hold at least one text"));
    }
    Ok(Texts {
        model: body.get("model").string()?,
        texts,
        dimensions: body.get("dimensions").count()?,
        base64: body.get("encoding_format").text()? == Some("base64"),
    })
}

/// A request as a provider wants it.
pub fn write_texts(texts: &Texts, format: ProviderFormat) -> Result<Value, BadPrompt> {
    let model = &texts.model;
    match format {
        ProviderFormat::Gemini => {
            let requests: Vec<Value> = texts
                .texts
                .iter()
                .map(|text| {
                    Object::default()
                        .with("model", format!("models/{model}"))
                        .with("content", json!({"parts": [{"text": text}]}))
                        .maybe("outputDimensionality", texts.dimensions)
                        .into()
                })
                .collect();
            Ok(json!({"requests": requests}))
        }
        ProviderFormat::Ollama => {
            let body = Object::default().with("model", model.clone()).with("input", texts.texts.clone());
            Ok(body.maybe("dimensions", texts.dimensions).into())
        }
        ProviderFormat::BedrockTitan => match &texts.texts[..] {
            [text] => {
                let body = Object::default().with("inputText", text.clone());
                Ok(body.maybe("dimensions", texts.dimensions).into())
            }
            _ => Err(BadPrompt::new("/input", "this model embeds one text a request")),
        },
        ProviderFormat::Chat | ProviderFormat::Messages | ProviderFormat::BedrockMessages => {
            Err(BadPrompt::new("/model", "this model's provider has no embeddings"))
        }
    }
}

/// The vectors as a provider gives them.
pub fn read_vectors(body: &Value, format: ProviderFormat, wanted: usize) -> Result<Vectors, Failure> {
    let (vectors, input): (Vec<Value>, u64) = match format {
        ProviderFormat::Gemini => (list(body, "embeddings").iter().map(|vector| vector["values"].clone()).collect(), 0),
        ProviderFormat::Ollama => (list(body, "embeddings").to_vec(), count(body, "prompt_eval_count")),
        ProviderFormat::BedrockTitan => (vec![body["embedding"].clone()], count(body, "inputTextTokenCount")),
        ProviderFormat::Chat | ProviderFormat::Messages | ProviderFormat::BedrockMessages => (Vec::new(), 0),
    };
    match vectors.len() == wanted && vectors.iter().all(Value::is_array) {
        true => Ok(Vectors { vectors, usage: Usage { input, ..Usage::default() } }),
        false => Err(Failure::bad_gateway("the answer has not one vector for each text")),
    }
}

/// The answer as a caller reads it.
pub fn write_vectors(texts: &Texts, vectors: &Vectors) -> Value {
    let data: Vec<Value> = vectors
        .vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            let vector = if texts.base64 { bytes(vector) } else { vector.clone() };
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    let tokens = vectors.usage.input;
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    json!({"object": "list", "data": data, "model": texts.model, "usage": usage})
}

/// Four bytes a number, the least significant first.
fn bytes(vector: &Value) -> Value {
    let numbers = vector.as_array().map_or(&[][..], Vec::as_slice).iter();
    let bytes: Vec<u8> =
        numbers.flat_map(|number| (number.as_f64().unwrap_or_default() as f32).to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes).into()
}
