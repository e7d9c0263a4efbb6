//! Relay: a provider's stream on its way to the caller. It takes from the provider only when the caller takes from it,
//! puts together what is ready, and ends the provider's work when the caller leaves.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use tokio::time::{Instant, Sleep, sleep};

use crate::conversation::{Failure, Usage};
use crate::stream::Stream;

/// What is put together is handed on at this size, ready or not.
const LARGEST: usize = 64 << 10;

/// What a stream came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// What the provider counted.
    pub usage: Usage,
    /// Bytes of text that came.
    pub written: u64,
}

type AtEnd = Box<dyn FnOnce(Tally) + Send + Sync>;

/// The body of an answer that comes piece by piece.
pub struct Relay {
    incoming: Option<Incoming>,
    stream: Stream,
    silence: Duration,
    timer: Pin<Box<Sleep>>,
    /// Something came since the timer was set.
    came: bool,
    at_end: Option<AtEnd>,
}

impl Relay {
    /// `at_end` is called once: at the stream's end, or when the caller leaves.
    pub fn new(incoming: Incoming, stream: Stream, silence: Duration, at_end: AtEnd) -> Relay {
        let timer = Box::pin(sleep(silence));
        Relay { incoming: Some(incoming), stream, silence, timer, came: false, at_end: Some(at_end) }
    }

    fn end(&mut self) {
        self.incoming = None;
        if let Some(at_end) = self.at_end.take() {
            at_end(Tally { usage: self.stream.usage(), written: self.stream.written() });
        }
    }

    /// Nothing came for as long as a provider may be silent.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            if !std::mem::take(&mut self.came) {
                return true;
            }
            self.timer.as_mut().reset(Instant::now() + self.silence);
        }
        false
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        let mut out = Vec::new();
        while let Some(incoming) = &mut this.incoming {
            match Pin::new(incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    this.came = true;
                    if let Ok(data) = frame.into_data() {
                        this.stream.push(&data, &mut out);
                    }
                    if this.stream.is_ended() {
                        this.end();
                    }
                    if out.len() >= LARGEST {
                        break;
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    this.stream.fail(Failure::bad_gateway("the provider's stream broke off"), &mut out);
                    this.end();
                }
                Poll::Ready(None) => {
                    this.stream.finish(&mut out);
                    this.end();
                }
                Poll::Pending if !out.is_empty() => break,
                Poll::Pending if this.is_silent(cx) => {
                    let seconds = this.silence.as_secs();
                    let failure = Failure::bad_gateway(format!("nothing came from the provider for {seconds} seconds"));
                    this.stream.fail(failure, &mut out);
                    this.end();
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        match out.is_empty() {
            true => Poll::Ready(None),
            false => Poll::Ready(Some(Ok(Frame::data(out.into())))),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("stream", &self.stream).finish_non_exhaustive()
    }
}
