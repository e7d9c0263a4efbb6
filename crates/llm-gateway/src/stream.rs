//! Stream: a provider's stream as the caller's, piece by piece. Where both speak the same it is passed on as it comes;
//! else each piece is read and written anew. Either way it is counted, and one that breaks off ends with an error event.

use memchr::memmem;
use serde_json::Value;

use crate::conversation::{Event, Failure, Usage};
use crate::formats::{CallerFormat, Given, ProviderFormat, Reader, Writer, chat, messages, responses};
use crate::framing::{Decoder, Frame, Framing};

/// What comes out where bytes go in.
#[derive(Debug)]
pub struct Stream {
    caller: CallerFormat,
    decoder: Decoder,
    way: Way,
    usage: Usage,
    /// Bytes of text that were written, for providers that count nothing.
    written: u64,
    ended: bool,
}

#[derive(Debug)]
enum Way {
    /// Both speak the same.
    Same {
        /// The end was seen.
        done: bool,
        /// The caller did not ask for the piece that holds nothing but usage.
        hide_usage: bool,
    },
    Translated {
        reader: Box<Reader>,
        writer: Box<Writer>,
        model: String,
    },
}

impl Stream {
    /// Passed on as it comes; the chunk that holds nothing but usage only if the caller asked for one.
    pub fn same(caller: CallerFormat, wants_usage: bool) -> Stream {
        let way = Way::Same { done: false, hide_usage: caller == CallerFormat::Chat && !wants_usage };
        Stream::new(caller, Framing::Sse, way)
    }

    /// Read and written anew.
    pub fn translated(
        (provider, framing): (ProviderFormat, Framing),
        caller: CallerFormat,
        model: &str,
        given: &Given,
        wants_usage: bool,
    ) -> Stream {
        let reader = Box::new(Reader::new(provider, given));
        let writer = Box::new(Writer::new(caller, given.clone(), wants_usage));
        Stream::new(caller, framing, Way::Translated { reader, writer, model: model.into() })
    }

    fn new(caller: CallerFormat, framing: Framing, way: Way) -> Stream {
        Stream { caller, decoder: Decoder::new(framing), way, usage: Usage::default(), written: 0, ended: false }
    }

    /// More of the provider's stream; what the caller gets of it is put at the end of `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.decoder.push(bytes);
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => self.take(&frame, out),
                Ok(None) => return,
                Err(failure) => self.fail(failure, out),
            }
            if self.ended {
                return;
            }
        }
    }

    /// The provider's stream is at its end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        if let Some(frame) = self.decoder.rest() {
            self.take(&frame, out);
        }
        let done = match &self.way {
            Way::Same { done, .. } => *done,
            Way::Translated { reader, .. } => reader.is_done(),
        };
        match (&mut self.way, done, self.ended) {
            (_, _, true) => {}
            (_, false, _) => self.fail(Failure::bad_gateway("the provider's stream broke off"), out),
            (Way::Same { .. }, true, _) => {}
            (Way::Translated { writer, .. }, true, _) => writer.end(out),
        }
        self.ended = true;
    }

    /// The provider's stream does not go on: an error event instead of silence.
    pub fn fail(&mut self, failure: Failure, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        match &mut self.way {
            Way::Same { .. } => self.caller.write_failure(&failure, out),
            Way::Translated { writer, .. } => writer.write(&Event::Failed(failure), out),
        }
    }

    /// Nothing will come any more.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What the provider counted so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Bytes of text that came, which stand for tokens where the provider counts none.
    pub fn written(&self) -> u64 {
        self.written
    }

    fn take(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        match &mut self.way {
            Way::Same { done, hide_usage } => {
                let seen = glance(self.caller, &frame.data);
                *done |= seen.done;
                self.usage.raise(seen.usage);
                self.written += frame.data.len() as u64 / ENVELOPE;
                if !(*hide_usage && seen.only_usage) {
                    out.extend_from_slice(&frame.raw);
                    // The last event may lack the mark of its end, which another may need.
                    if !frame.raw.ends_with(b"\n") && !frame.raw.ends_with(b"\r") {
                        out.extend_from_slice(b"\n\n");
                    }
                }
            }
            Way::Translated { reader, writer, model } => {
                if frame.data.is_empty() {
                    return;
                }
                let mut events = Vec::new();
                let read = reader.read(&frame.data, &mut events);
                for event in &mut events {
                    match event {
                        Event::Start { model: own, .. } if own.is_empty() => own.clone_from(model),
                        Event::Usage(usage) => self.usage.raise(*usage),
                        Event::Text(text) | Event::Arguments(text) | Event::Thinking(text) => {
                            self.written += text.len() as u64;
                        }
                        _ => {}
                    }
                    writer.write(event, out);
                }
                if let Err(failure) = read {
                    self.fail(failure, out);
                }
            }
        }
    }
}

/// A piece of a chat completion is mostly envelope; so many of its bytes hold one of text.
const ENVELOPE: u64 = 40;

/// What a look at one piece tells.
#[derive(Debug, Default)]
struct Seen {
    done: bool,
    only_usage: bool,
    usage: Usage,
}

/// Pieces are many and most of them words: only one that may say something else is read.
fn glance(caller: CallerFormat, data: &str) -> Seen {
    let bytes = data.as_bytes();
    let has = |needle: &str| memmem::find(bytes, needle.as_bytes()).is_some();
    let mut seen = Seen::default();
    match caller {
        CallerFormat::Chat => {
            seen.done = data.trim() == "[DONE]" || has("\"finish_reason\":\"") || has("\"finish_reason\": \"");
            if has("\"usage\"") && !has("\"usage\":null") {
                let chunk: Value = serde_json::from_str(data).unwrap_or_default();
                if let Some(usage) = chunk.get("usage").filter(|usage| usage.is_object()) {
                    seen.usage = chat::read_usage(usage);
                    seen.only_usage = chunk["choices"].as_array().is_some_and(Vec::is_empty);
                }
            }
            // An error that the provider itself sent ends the stream too.
            seen.done |= has("\"error\"") && chat::read_error(&parse(data)).is_some();
        }
        CallerFormat::Messages => {
            if has("message_stop") || has("\"usage\"") || has("\"error\"") {
                let event = parse(data);
                seen.done = matches!(event["type"].as_str(), Some("message_stop" | "error"));
                let usage = event.get("usage").or_else(|| event["message"].get("usage"));
                seen.usage = usage.map(messages::read_usage).unwrap_or_default();
            }
        }
        CallerFormat::Responses => {
            if has("response.completed") || has("response.incomplete") || has("response.failed") || has("\"error\"") {
                let event = parse(data);
                let kind = event["type"].as_str().unwrap_or_default();
                let last = ["response.completed", "response.incomplete", "response.failed", "error"];
                seen.done = last.contains(&kind);
                seen.usage = event["response"].get("usage").map(responses::read_usage).unwrap_or_default();
            }
        }
    }
    seen
}

fn parse(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_default()
}
