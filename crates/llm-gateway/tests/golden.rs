//! What every case is in every format: requests of callers as each provider wants them, answers of providers as each
//! caller reads them, whole and streamed. A case is a file; what it becomes stands beside it.

use std::fs;
use std::path::{Path, PathBuf};

use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use llm_gateway::formats::{CallerFormat, Given, ProviderFormat, Quirks};
use llm_gateway::framing::Framing;
use llm_gateway::stream::Stream;
use serde_json::{Value, json};

const CALLERS: [(&str, CallerFormat); 3] =
    [("chat", CallerFormat::Chat), ("messages", CallerFormat::Messages), ("responses", CallerFormat::Responses)];

const PROVIDERS: [(&str, ProviderFormat); 6] = [
    ("chat", ProviderFormat::Chat),
    ("messages", ProviderFormat::Messages),
    ("bedrock_messages", ProviderFormat::BedrockMessages),
    ("bedrock_titan", ProviderFormat::BedrockTitan),
    ("gemini", ProviderFormat::Gemini),
    ("ollama", ProviderFormat::Ollama),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/gateway").join(name)
}

fn given() -> Given {
    Given { id: "0".into(), created: 1_771_841_730 }
}

/// Name, ending and bytes of each case in a folder.
fn cases(folder: &Path) -> Vec<(String, String, Vec<u8>)> {
    let mut cases: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending != "snap"))
        .map(|path| {
            let part = |part: Option<&std::ffi::OsStr>| part.unwrap().to_str().unwrap().to_string();
            (part(path.file_stem()), part(path.extension()), fs::read(&path).unwrap())
        })
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn keep(folder: &Path, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn every_request_is_what_each_provider_wants() {
    let quirks = Quirks { max_tokens_field: "max_tokens".into(), most_output: 4_096, asks_for_usage: true };
    for (name, caller) in CALLERS {
        let folder = folder("asks").join(name);
        for (case, _, bytes) in cases(&folder) {
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            for (provider, format) in PROVIDERS {
                let written = caller.read_prompt(&body).and_then(|prompt| format.write_prompt(&prompt, &quirks));
                let text = match written {
                    Ok(body) => pretty(&body),
                    Err(error) => format!("400 {}: {}", error.pointer, error.message),
                };
                keep(&folder, &format!("{case}.{provider}"), &text);
            }
        }
    }
}

#[test]
fn every_whole_answer_is_what_each_caller_reads() {
    for (provider, format) in PROVIDERS {
        let folder = folder("answers").join(provider);
        for (case, _, bytes) in cases(&folder).into_iter().filter(|(_, ending, _)| ending == "json") {
            let body: Value = serde_json::from_slice(&bytes).unwrap();
            for (name, caller) in CALLERS {
                let text = match format.read_reply(&body, "m", &given()) {
                    Ok(reply) => pretty(&caller.write_reply(&reply, &given())),
                    Err(failure) => format!("{} {}", failure.status, failure.message),
                };
                keep(&folder, &format!("{case}.{name}"), &text);
            }
        }
    }
}

/// As AWS sends it: each line the payload of a message.
fn event_stream(lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in String::from_utf8_lossy(lines).lines() {
        let payload = json!({"bytes": BASE64_STANDARD.encode(line)}).to_string();
        let message = Message::new(payload)
            .add_header(Header::new(":message-type", HeaderValue::String("event".into())))
            .add_header(Header::new(":event-type", HeaderValue::String("chunk".into())));
        aws_smithy_eventstream::frame::write_message_to(&message, &mut out).unwrap();
    }
    out
}

/// The streams of a provider as they come, each with how it is cut.
fn streams(provider: &str) -> Vec<(String, Framing, Vec<u8>)> {
    let cases = cases(&folder("answers").join(provider)).into_iter();
    let cut = cases.filter_map(|(case, ending, bytes)| match ending.as_str() {
        "sse" => Some((case, Framing::Sse, bytes)),
        "lines" => Some((case, Framing::Lines, bytes)),
        "events" => Some((case, Framing::EventStream, event_stream(&bytes))),
        _ => None,
    });
    cut.collect()
}

fn answered(mut stream: Stream, pieces: &[&[u8]]) -> String {
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_stream_is_what_each_caller_reads_wherever_it_is_cut() {
    for (provider, format) in PROVIDERS {
        for (case, framing, bytes) in streams(provider) {
            for (name, caller) in CALLERS {
                let stream = || Stream::translated((format, framing), caller, "m", &given(), true);
                let whole = answered(stream(), &[&bytes]);
                keep(&folder("answers").join(provider), &format!("{case}.stream.{name}"), &whole);
                let single: Vec<&[u8]> = bytes.chunks(1).collect();
                assert_eq!(answered(stream(), &single), whole, "{provider} {case} {name}");
                for cut in 0..=bytes.len() {
                    let (first, second) = bytes.split_at(cut);
                    assert_eq!(answered(stream(), &[first, second]), whole, "{provider} {case} {name} {cut}");
                }
            }
        }
    }
}

#[test]
fn a_stream_that_ends_anywhere_ends_with_an_error_or_was_whole() {
    for (provider, format) in PROVIDERS {
        for (case, framing, bytes) in streams(provider) {
            for (name, caller) in CALLERS {
                for end in 0..bytes.len() {
                    let stream = Stream::translated((format, framing), caller, "m", &given(), false);
                    let text = answered(stream, &[&bytes[..end]]);
                    let ends = ["[DONE]", "message_stop", "response.completed", "response.incomplete"];
                    let is_whole = ends.iter().any(|mark| text.contains(mark));
                    let is_failed = text.contains("provider request failed");
                    assert!(is_whole != is_failed, "{provider} {case} {name} {end}: {text}");
                }
            }
        }
    }
}

#[test]
fn a_stream_of_the_callers_own_format_passes_as_it_is() {
    for (provider, caller) in [("chat", CallerFormat::Chat), ("messages", CallerFormat::Messages)] {
        for (case, _, bytes) in streams(provider) {
            let text = String::from_utf8(bytes.clone()).unwrap();
            for cut in 0..=bytes.len() {
                let (first, second) = bytes.split_at(cut);
                let same = answered(Stream::same(caller, true), &[first, second]);
                assert!(same.starts_with(&text), "{provider} {case} {cut}");
                // One that broke off has an error event behind it.
                let failed = "provider request failed: the provider's stream broke off";
                let broke = case == "broken-off" || case == "no-json";
                assert_eq!(same.contains(failed), broke, "{provider} {case}: {same}");
            }
        }
    }
}

#[test]
fn usage_that_nobody_asked_for_is_counted_and_not_shown() {
    let (_, _, bytes) = streams("chat").into_iter().find(|(case, ..)| case == "text").unwrap();
    let mut stream = Stream::same(CallerFormat::Chat, false);
    let mut out = Vec::new();
    stream.push(&bytes, &mut out);
    stream.finish(&mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(!text.contains("\"choices\":[]") && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert_eq!((stream.usage().input, stream.usage().output), (12, 5));
}
