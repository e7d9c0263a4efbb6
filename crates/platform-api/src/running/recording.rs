//! Recording: what an agent was answered in a run, so that the run can begin again. A run that goes on after a pause does
//! everything once more; what it did before is answered from here and not done twice.
//!
//! A call is known by its method, its address and the hash of its body; the same call twice is known by its order. As long
//! as a run has not paused, this is in memory; from then on each call that may have an effect is in the store before it is
//! made, and its answer before the agent has the end of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use futures_util::stream;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::invocation::Invocation;
use crate::app::App;

/// Bytes of one answer, and of all answers of a run, that are kept.
const MOST_OF_ONE: usize = 1 << 20;
const MOST: usize = 8 << 20;

/// What a call is known by when it comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Method and address.
    place: String,
    /// SHA-256 of the body.
    payload: String,
    /// Somebody may see later that it was made.
    has_effect: bool,
}

/// A call that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    key: Key,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Outcome {
    /// Nobody knows it yet.
    UnderWay,
    /// Nobody will: the answer was too large, or not read to its end.
    Lost,
    /// It was not made after all.
    NotMade,
    /// It was this.
    Answered(Answer),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    /// Base64.
    body: String,
}

/// What is known of a call that an agent makes.
#[derive(Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is to be made.
    Nothing,
    /// It was made before, and this was the answer.
    Answered(Answer),
    /// It was made before, and nobody knows what became of it.
    Unknown,
    /// At this point the run made a call of another payload before.
    Changed,
}

/// The call that a run waited with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The call.
    pub key: Key,
    /// What the agent was told.
    pub told: Value,
}

/// The calls of one run.
#[derive(Debug, Default)]
pub struct Recording {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    /// Those of the entries, from the first on, that an earlier invocation made: has each come again?
    before: Vec<bool>,
    bytes: usize,
    /// Numbers of entries that the store does not have as they are.
    unsaved: Vec<usize>,
    /// The store is to have them.
    is_kept: bool,
    /// What the run paused at in this invocation.
    paused: Option<Waiting>,
    /// What it paused at before this invocation, until that is done.
    resumes: Option<Waiting>,
    replayed: u64,
}

impl Key {
    /// A call of a tool, by its normal address.
    pub fn tool(method: &Method, url: &str, body: &[u8]) -> Key {
        Key { place: format!("{method} {url}"), payload: hash(body), has_effect: !method.is_safe() }
    }

    /// A question to a model, which costs money and changes nothing.
    pub fn model(place: String, body: &[u8]) -> Key {
        Key { place, payload: hash(body), has_effect: false }
    }

    /// Somebody may see later that it was made.
    pub fn has_effect(&self) -> bool {
        self.has_effect
    }

    /// The same method and address.
    fn is_alike(&self, other: &Key) -> bool {
        self.place == other.place
    }
}

impl Answer {
    fn new(status: StatusCode, headers: &axum::http::HeaderMap, body: &[u8]) -> Answer {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_string);
        let headers = headers.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect();
        Answer { status: status.as_u16(), headers, body: BASE64.encode(body) }
    }

    /// To be given again.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(BASE64.decode(self.body).unwrap_or_default()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY);
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

impl Recording {
    /// Of a run that goes on, with what it did before and the call that it waited with.
    pub fn resumed(entries: Vec<Entry>, resumes: Waiting) -> Recording {
        let before = vec![false; entries.len()];
        let inner = Inner { entries, before, is_kept: true, resumes: Some(resumes), ..Inner::default() };
        Recording { inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a call; each time that it was made is told once.
    pub fn known(&self, key: &Key) -> Known {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let left = |at: &usize| !inner.before[*at] && inner.entries[*at].outcome != Outcome::NotMade;
        if let Some(at) = (0..inner.before.len()).filter(left).find(|at| inner.entries[*at].key == *key) {
            inner.before[at] = true;
            return match &inner.entries[at].outcome {
                Outcome::Answered(answer) => {
                    inner.replayed += 1;
                    Known::Answered(answer.clone())
                }
                Outcome::UnderWay | Outcome::Lost if key.has_effect => Known::Unknown,
                Outcome::UnderWay | Outcome::Lost | Outcome::NotMade => Known::Nothing,
            };
        }
        let waits = inner.resumes.as_ref().filter(|waits| waits.key.is_alike(key));
        if waits.is_some_and(|waits| waits.key == *key) {
            return Known::Nothing;
        }
        let made = |at: usize| inner.entries[at].key.has_effect && inner.entries[at].key.is_alike(key);
        match key.has_effect && (waits.is_some() || (0..inner.before.len()).filter(left).any(made)) {
            true => Known::Changed,
            false => Known::Nothing,
        }
    }

    /// A call is made; the number of its entry, if it is to have one.
    pub fn begin(&self, key: &Key) -> Option<usize> {
        let mut inner = self.inner();
        // What had no effect, a run that begins again simply does again.
        if inner.paused.is_some() && !key.has_effect {
            return None;
        }
        if inner.resumes.as_ref().is_some_and(|waits| waits.key == *key) {
            // From here on nothing was done before.
            inner.resumes = None;
            inner.before.fill(true);
        }
        let at = inner.entries.len();
        inner.entries.push(Entry { key: key.clone(), outcome: Outcome::UnderWay });
        inner.unsaved.push(at);
        Some(at)
    }

    /// How a call ended.
    fn end(&self, at: usize, answer: Option<Answer>) {
        let mut inner = self.inner();
        let size = answer.as_ref().map_or(0, |answer| answer.body.len());
        let outcome = match answer {
            Some(answer) if inner.bytes + size <= MOST => Outcome::Answered(answer),
            _ => Outcome::Lost,
        };
        inner.bytes += size;
        inner.entries[at].outcome = outcome;
        inner.unsaved.push(at);
    }

    /// A call that was begun could not be made: it lacks something that its user must give first.
    pub fn not_made(&self, key: &Key) {
        let mut inner = self.inner();
        let is_it = |entry: &Entry| entry.key == *key && entry.outcome == Outcome::UnderWay;
        if let Some(at) = inner.entries.iter().rposition(is_it) {
            inner.entries[at].outcome = Outcome::NotMade;
            inner.unsaved.push(at);
        }
    }

    /// Whether a call that was begun was made too.
    pub fn is_made(&self, at: usize) -> bool {
        self.inner().entries[at].outcome != Outcome::NotMade
    }

    /// Nobody will know how a call ended.
    pub fn lost(&self, at: usize) {
        self.end(at, None);
    }

    /// Each call that may have an effect is to be in the store before it is made.
    pub fn is_kept(&self) -> bool {
        self.inner().is_kept
    }

    /// From now on the store is to have what the run does, and what it did.
    pub fn keep(&self) {
        self.inner().is_kept = true;
    }

    /// The run waits with a call.
    pub fn pause(&self, at: Waiting) {
        self.inner().paused = Some(at);
    }

    /// It waits no more, if it did: what it waited for came while the agent was still being asked.
    pub fn goes_on(&self) -> bool {
        self.inner().paused.take().is_some()
    }

    /// Whether it is this call that the run waits with.
    pub fn waits_at(&self, key: &Key) -> bool {
        self.inner().paused.as_ref().is_some_and(|waits| waits.key == *key)
    }

    /// What the run waits with, for every other call that may have an effect.
    pub fn waits_before(&self, key: &Key) -> Option<Value> {
        let inner = self.inner();
        inner.paused.as_ref().filter(|waits| key.has_effect && waits.key != *key).map(|waits| waits.told.clone())
    }

    /// What the store does not have and is to have; it has it then, unless [`Recording::not_saved`] says otherwise.
    pub fn unsaved(&self) -> Vec<(usize, Entry)> {
        let mut inner = self.inner();
        if !inner.is_kept {
            return Vec::new();
        }
        let mut numbers = std::mem::take(&mut inner.unsaved);
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|at| (at, inner.entries[at].clone())).collect()
    }

    /// The store has not got these after all.
    pub fn not_saved(&self, entries: &[(usize, Entry)]) {
        self.inner().unsaved.extend(entries.iter().map(|(at, _)| *at));
    }

    /// How many calls were answered from here.
    pub fn replayed(&self) -> u64 {
        self.inner().replayed
    }
}

/// An answer on its way to an agent, and the entry that it is for.
struct Heard {
    app: App,
    invocation: Arc<Invocation>,
    at: usize,
    status: StatusCode,
    headers: axum::http::HeaderMap,
    /// None once it was too large.
    bytes: Option<Vec<u8>>,
    /// How many are to come, where that is known.
    left: Option<u64>,
    body: Body,
    is_over: bool,
}

/// Keeps an answer while it is given on.
pub fn keep(app: &App, invocation: &Arc<Invocation>, at: usize, response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let left = body.size_hint().exact();
    let heard = Heard {
        app: app.clone(),
        invocation: Arc::clone(invocation),
        at,
        status: parts.status,
        headers: parts.headers.clone(),
        bytes: Some(Vec::new()),
        left,
        body,
        is_over: false,
    };
    if let Some(length) = left.filter(|length| *length > 0) {
        parts.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    let pieces = stream::unfold(Some(heard), |heard| async move {
        let mut heard = heard?;
        loop {
            match heard.body.frame().await {
                Some(Ok(frame)) => {
                    // Trailers are not for agents.
                    let Ok(data) = frame.into_data() else { continue };
                    heard.hear(&data);
                    if heard.left == Some(0) {
                        heard.end().await;
                    }
                    return Some((Ok::<Bytes, axum::Error>(data), Some(heard)));
                }
                Some(Err(error)) => return Some((Err(error), None)),
                None => {
                    heard.end().await;
                    return None;
                }
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

impl Heard {
    fn hear(&mut self, data: &Bytes) {
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        self.bytes.take_if(|bytes| bytes.len() + data.len() > MOST_OF_ONE);
        if let Some(bytes) = &mut self.bytes {
            bytes.extend_from_slice(data);
        }
    }

    /// The whole of it was heard; the store has it, if it is to, before the agent has its end.
    async fn end(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let answer = self.bytes.take().map(|bytes| Answer::new(self.status, &self.headers, &bytes));
        let recording = &self.invocation.recording;
        recording.end(self.at, answer);
        if recording.is_kept()
            && let Err(error) = self.invocation.write(&self.app, async |_, _| Ok(())).await
        {
            warn!(%error, run = self.invocation.run, "an answer is not kept yet");
        }
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        if !self.is_over {
            self.invocation.recording.lost(self.at);
        }
    }
}

fn hash(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str, body: &str) -> Key {
        Key::tool(&Method::POST, &format!("https://bank.test{path}"), body.as_bytes())
    }

    fn answer(text: &str) -> Answer {
        Answer::new(StatusCode::OK, &axum::http::HeaderMap::new(), text.as_bytes())
    }

    /// A run that made these calls and then waited with `waits`.
    fn resumed(made: &[(Key, Option<&str>)], waits: Key) -> Recording {
        let first = Recording::default();
        for (key, said) in made {
            let at = first.begin(key).unwrap();
            if let Some(said) = said {
                first.end(at, Some(answer(said)));
            }
        }
        assert!(first.unsaved().is_empty(), "nothing is written as long as a run goes on");
        first.keep();
        let entries = first.unsaved().into_iter().map(|(_, entry)| entry).collect();
        Recording::resumed(entries, Waiting { key: waits, told: Value::Null })
    }

    #[test]
    fn what_was_done_is_answered_again_once_for_each_time() {
        let twice = post("/orders", "1");
        let made = [(twice.clone(), Some("first")), (twice.clone(), Some("second"))];
        let run = resumed(&made, post("/refunds", "20"));
        assert_eq!(run.known(&twice), Known::Answered(answer("first")));
        assert_eq!(run.known(&twice), Known::Answered(answer("second")));
        assert_eq!(run.known(&twice), Known::Nothing);
        assert_eq!(run.replayed(), 2);
    }

    #[test]
    fn what_nobody_knows_the_end_of_is_not_done_again_unless_it_has_no_effect() {
        let get = Key::tool(&Method::GET, "https://bank.test/orders", b"");
        let made = [(post("/orders", "1"), None), (get.clone(), None)];
        let run = resumed(&made, post("/refunds", "20"));
        assert_eq!(run.known(&post("/orders", "1")), Known::Unknown);
        assert_eq!(run.known(&get), Known::Nothing);
    }

    #[test]
    fn what_could_not_be_made_is_made_when_the_run_goes_on() {
        let first = Recording::default();
        let mail = post("/mails", "x");
        let at = first.begin(&mail).unwrap();
        first.not_made(&mail);
        assert!(!first.is_made(at));
        first.keep();
        let entries = first.unsaved().into_iter().map(|(_, entry)| entry).collect();
        let run = Recording::resumed(entries, Waiting { key: mail.clone(), told: Value::Null });
        assert_eq!(run.known(&mail), Known::Nothing);
    }

    #[test]
    fn another_payload_where_something_was_done_or_waits_is_told() {
        let run = resumed(&[(post("/orders", "1"), Some("made"))], post("/refunds", "20"));
        assert_eq!(run.known(&post("/orders", "2")), Known::Changed);
        assert_eq!(run.known(&post("/refunds", "21")), Known::Changed);
        assert_eq!(run.known(&post("/mails", "new")), Known::Nothing);
        assert_eq!(run.known(&Key::model("chat".into(), b"asks anew")), Known::Nothing);
    }

    #[test]
    fn what_waited_is_done_and_what_follows_is_new() {
        let run = resumed(&[(post("/refunds", "10"), Some("made"))], post("/refunds", "20"));
        // Whoever goes on in the middle never comes by the first one.
        assert_eq!(run.known(&post("/refunds", "20")), Known::Nothing);
        run.begin(&post("/refunds", "20")).unwrap();
        assert_eq!(run.known(&post("/refunds", "30")), Known::Nothing);
    }

    #[test]
    fn a_run_that_waits_does_nothing_else_that_has_an_effect() {
        let run = Recording::default();
        let waits = Waiting { key: post("/refunds", "20"), told: "wait".into() };
        assert_eq!(run.waits_before(&post("/mails", "x")), None);
        run.pause(waits);
        assert_eq!(run.waits_before(&post("/mails", "x")), Some("wait".into()));
        assert_eq!(run.waits_before(&post("/refunds", "20")), None, "it may be allowed by now");
        assert_eq!(run.waits_before(&Key::model("chat".into(), b"")), None);
        assert!(run.goes_on() && !run.goes_on());
        assert_eq!(run.waits_before(&post("/mails", "x")), None);
    }

    #[test]
    fn more_than_is_kept_is_lost_and_said_so() {
        let run = Recording::default();
        let large = Answer { body: "x".repeat(MOST / 2 + 1), ..answer("") };
        for _ in 0..2 {
            let at = run.begin(&post("/orders", "1")).unwrap();
            run.end(at, Some(large.clone()));
        }
        run.keep();
        let outcomes: Vec<bool> =
            run.unsaved().iter().map(|(_, entry)| matches!(entry.outcome, Outcome::Answered(_))).collect();
        assert_eq!(outcomes, [true, false]);
    }

    #[test]
    fn what_the_store_did_not_take_is_offered_again() {
        let run = Recording::default();
        run.begin(&post("/orders", "1"));
        run.keep();
        let unsaved = run.unsaved();
        assert!(run.unsaved().is_empty());
        run.not_saved(&unsaved);
        assert_eq!(run.unsaved(), unsaved);
    }
}
