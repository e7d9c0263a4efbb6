//! Linger: a body that nobody wanted is read to its end before the answer, so that its sender gets to see the answer.
//!
//! Many clients send everything before they read; to them a connection that is closed in between is just broken.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A sender who pauses for this long is not waited for.
const PAUSE: Duration = Duration::from_secs(2);

/// A request's body in two hands: the handler's, and ours for what the handler leaves.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    body: Incoming,
    touched: bool,
}

impl Shared {
    /// The body of a request that just arrived.
    pub fn new(body: Incoming) -> Shared {
        Shared(Arc::new(Mutex::new(Inner { body, touched: false })))
    }

    /// Reads on for at most `most` bytes, if the handler is done with it. A sender who asks before sending
    /// (`Expect: 100-continue`) and was not told to go on has sent nothing.
    pub async fn finish(mut self, most: usize, asks_first: bool) {
        let done = |inner: &Inner| inner.body.is_end_stream() || (asks_first && !inner.touched);
        if Arc::strong_count(&self.0) > 1 || done(&self.lock()) {
            return;
        }
        let mut seen = 0;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(PAUSE, self.frame()).await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > most {
                return;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for Shared {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut inner = self.lock();
        inner.touched = true;
        Pin::new(&mut inner.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().body.size_hint()
    }
}
