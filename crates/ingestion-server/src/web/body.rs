//! Bodies: read within limits of size, time and memory, and turned into a value or a 400 that says what to do.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body as Stream;
use axum::extract::{FromRef, FromRequest, Request};
use axum::http::header;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// Work on fewer bytes than this is done where it is asked for; a change of threads would cost more.
const SMALL: usize = 128 << 10;

/// Memory is counted in these units.
const ROOM: usize = 1 << 10;

/// How much of a body is read, how long we wait for it, and how much all requests together may hold.
#[derive(Debug, Clone)]
pub struct Intake {
    limit: usize,
    wait: Duration,
    room: Arc<Semaphore>,
}

/// A body as it arrived.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub bytes: Bytes,
    /// Keep it as long as memory of the body's size is in use.
    pub held: Held,
}

/// A share of the memory that all requests have together.
#[derive(Debug, Default)]
pub struct Held(Option<OwnedSemaphorePermit>);

/// A JSON body. The Content-Type is not looked at: the shortest command lines send a wrong one.
#[derive(Debug)]
pub struct Body<T> {
    /// What the JSON says.
    pub value: T,
    /// Keep it as long as memory of the body's size is in use.
    pub held: Held,
}

impl Intake {
    /// Bodies of at most `limit` bytes that arrive within `wait`; all together at most `held` bytes at one time.
    pub fn new(limit: usize, wait: Duration, held: usize) -> Intake {
        Intake { limit, wait, room: Arc::new(Semaphore::new((held / ROOM).min(Semaphore::MAX_PERMITS))) }
    }

    /// The body of a request.
    pub async fn receive(&self, request: Request) -> Result<Received, ApiError> {
        let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.limit as u64) {
            return Err(self.too_large());
        }
        match tokio::time::timeout(self.wait, self.read(request.into_body())).await {
            Ok(received) => received,
            Err(_) => Err(ApiError::SlowBody(self.wait.as_secs())),
        }
    }

    async fn read(&self, mut body: Stream) -> Result<Received, ApiError> {
        let (mut held, mut whole, mut first) = (Held::default(), BytesMut::new(), Bytes::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| ApiError::BadRequest("the request body broke off".into()))?;
            let Ok(data) = frame.into_data() else { continue };
            let size = first.len() + whole.len() + data.len();
            if size > self.limit {
                return Err(self.too_large());
            }
            held.grow(size, &self.room)?;
            // Most bodies are one piece, and that one is not copied.
            if first.is_empty() && whole.is_empty() {
                first = data;
            } else {
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&data);
            }
        }
        Ok(Received { bytes: if whole.is_empty() { first } else { whole.freeze() }, held })
    }

    fn too_large(&self) -> ApiError {
        let limit = self.limit;
        ApiError::TooLarge(format!("the request body is too large; at most {limit} bytes are allowed"))
    }
}

impl Held {
    /// Makes it stand for `bytes` bytes.
    fn grow(&mut self, bytes: usize, room: &Arc<Semaphore>) -> Result<(), ApiError> {
        const FULL: ApiError = ApiError::Busy("too many large requests at once; try again in a moment");
        let have = self.0.as_ref().map_or(0, |permit| permit.num_permits());
        let more = u32::try_from(bytes.div_ceil(ROOM).saturating_sub(have)).map_err(|_| FULL)?;
        let permit = Arc::clone(room).try_acquire_many_owned(more).map_err(|_| FULL)?;
        match &mut self.0 {
            Some(held) => held.merge(permit),
            None => self.0 = Some(permit),
        }
        Ok(())
    }
}

impl<S: Send + Sync> FromRequest<S> for Received
where
    Intake: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Received, ApiError> {
        Intake::from_ref(state).receive(request).await
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send + 'static> FromRequest<S> for Body<T>
where
    Intake: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, ApiError> {
        let Received { bytes, held } = Received::from_request(request, state).await?;
        let value = off_thread(bytes.len(), move || json(&bytes)).await??;
        Ok(Body { value, held })
    }
}

/// A JSON object as a value, or a 400 that says what is wrong.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let refuse = |text: String| Err(ApiError::BadRequest(text));
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match bytes.trim_ascii_start().first() {
        None => return refuse("the request body is empty; send a JSON object".into()),
        Some(b'{') => {}
        // Serde would take an array for a struct.
        Some(_) => return refuse("the request body must be a JSON object".into()),
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let pointer = pointer(error.path());
        match error.into_inner() {
            error if error.is_data() => ApiError::field(error.to_string(), pointer),
            error => ApiError::BadRequest(format!("the request body is not valid JSON: {error}")),
        }
    })?;
    match reader.end() {
        Ok(()) => Ok(value),
        Err(error) => refuse(format!("the request body is not valid JSON: {error}")),
    }
}

fn pointer(path: &Path) -> String {
    let step = |step: &Segment| match step {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } | Segment::Enum { variant: key } => {
            format!("/{}", key.replace('~', "~0").replace('/', "~1"))
        }
        Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

/// Runs work on `size` bytes away from the threads that serve connections, unless it is small.
pub async fn off_thread<T: Send + 'static>(
    size: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    if size <= SMALL {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| ApiError::Internal("a worker panicked".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Named {
        #[expect(dead_code, reason = "only its presence matters")]
        name: String,
    }

    fn complaint(body: &str) -> String {
        json::<Named>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_body_is_told_what_to_do() {
        assert_eq!(complaint(" "), "the request body is empty; send a JSON object");
        assert_eq!(complaint(r#"["x"]"#), "the request body must be a JSON object");
        assert!(complaint(r#"{"name": "#).starts_with("the request body is not valid JSON: EOF"));
        assert!(complaint("{}").starts_with("missing field `name`"));
        assert!(complaint(r#"{"name":"a","name":"b"}"#).starts_with("duplicate field `name`"));
    }

    #[test]
    fn a_byte_order_mark_is_no_reason_to_refuse() {
        assert!(json::<Named>("\u{feff}{\"name\":\"x\"}".as_bytes()).is_ok());
    }

    #[test]
    fn depth_is_an_error_and_not_a_crash() {
        let deep = format!("{{\"name\": {}", "[".repeat(200_000));
        assert!(complaint(&deep).contains("line 1"), "{}", complaint(&deep));
    }
}
