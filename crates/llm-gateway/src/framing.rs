//! Framing: where one piece of a stream ends and the next begins, in each of the three ways in use. Bytes may come cut
//! anywhere; what is held of an unfinished piece is bounded.

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{Buf, BytesMut};
use serde_json::Value;

use crate::conversation::Failure;
use crate::json::text;

/// The longest piece.
pub const LONGEST: usize = 8 << 20;

/// The ways in which streams are cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// One JSON a line.
    Lines,
    /// AWS' event streams, whose payloads hold the provider's JSON in base64.
    EventStream,
}

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it says; empty for a comment.
    pub data: String,
    /// As it came, the mark of its end included. Empty for event streams, which nobody passes on.
    pub raw: Vec<u8>,
}

/// Cuts a stream into pieces.
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    buffer: BytesMut,
    /// So much of the buffer holds no end of a piece.
    seen: usize,
    /// What of an event stream's piece was read.
    message: MessageFrameDecoder,
}

impl Decoder {
    /// For one stream.
    pub fn new(framing: Framing) -> Decoder {
        Decoder { framing, buffer: BytesMut::new(), seen: 0, message: MessageFrameDecoder::new() }
    }

    /// More of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole piece.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Failure> {
        let frame = match self.framing {
            Framing::Sse => self.next_event(),
            Framing::Lines => self.next_line(),
            Framing::EventStream => return self.next_message(),
        };
        if frame.is_none() && self.buffer.len() > LONGEST {
            self.buffer.clear();
            self.seen = 0;
            return Err(Failure::bad_gateway(format!("the provider sent a piece of more than {LONGEST} bytes")));
        }
        Ok(frame)
    }

    /// What is left when the stream has ended: a last piece without the mark of its end.
    pub fn rest(&mut self) -> Option<Frame> {
        if self.framing == Framing::EventStream || self.buffer.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        let raw = self.buffer.split().to_vec();
        self.seen = 0;
        Some(match self.framing {
            Framing::Sse => Frame { data: sse_data(&raw), raw },
            Framing::Lines | Framing::EventStream => Frame { data: String::from_utf8_lossy(&raw).into_owned(), raw },
        })
    }

    fn next_event(&mut self) -> Option<Frame> {
        let end = match event_end(&self.buffer, self.seen) {
            Some(end) => end,
            None => {
                // A mark of four bytes may have begun.
                self.seen = self.buffer.len().saturating_sub(3);
                return None;
            }
        };
        self.seen = 0;
        let raw = self.buffer.split_to(end).to_vec();
        Some(Frame { data: sse_data(&raw), raw })
    }

    fn next_line(&mut self) -> Option<Frame> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.buffer[self.seen..]) else {
                self.seen = self.buffer.len();
                return None;
            };
            let raw = self.buffer.split_to(self.seen + end + 1).to_vec();
            self.seen = 0;
            let data = String::from_utf8_lossy(&raw).trim().to_string();
            if !data.is_empty() {
                return Some(Frame { data, raw });
            }
        }
    }

    fn next_message(&mut self) -> Result<Option<Frame>, Failure> {
        let broken = |_| Failure::bad_gateway("the provider's event stream is broken");
        // The length stands first: a piece that is too long is not waited for.
        if self.buffer.len() >= 4 && self.seen == 0 {
            let length = (&self.buffer[..4]).get_u32() as usize;
            if !(16..=LONGEST).contains(&length) {
                return Err(Failure::bad_gateway("the provider's event stream is broken"));
            }
        }
        let before = self.buffer.len();
        let decoded = self.message.decode_frame(&mut self.buffer);
        let message = match decoded.map_err(broken)? {
            DecodedFrame::Incomplete => {
                // The decoder has taken the beginning away.
                self.seen = usize::from(self.buffer.len() < before || self.seen > 0);
                return Ok(None);
            }
            DecodedFrame::Complete(message) => message,
        };
        self.seen = 0;
        let named = |name: &str| {
            let header = message.headers().iter().find(|header| header.name().as_str() == name);
            header.and_then(|header| header.value().as_string().ok()).map(|value| value.as_str().to_string())
        };
        let payload: Value = serde_json::from_slice(message.payload()).unwrap_or_default();
        if named(":message-type").is_some_and(|kind| kind != "event") {
            let told = text(&payload, "message").to_string();
            let kind = named(":exception-type").unwrap_or_else(|| "exception".into());
            return Err(Failure::bad_gateway(if told.is_empty() { kind } else { told }));
        }
        let data = BASE64_STANDARD.decode(text(&payload, "bytes")).unwrap_or_default();
        Ok(Some(Frame { data: String::from_utf8_lossy(&data).into_owned(), raw: Vec::new() }))
    }
}

/// Where the first event of some bytes ends: behind two ends of line, of whichever kind.
fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = memchr::memchr2(b'\n', b'\r', &bytes[at..]) {
        let first = end_of_line(bytes, at + found)?;
        if let Some(b'\n' | b'\r') = bytes.get(first) {
            // A carriage return at the very end may be half of an end of line.
            return end_of_line(bytes, first);
        }
        at = first;
    }
    None
}

/// Behind the end of line at `at`; none while its second half may be missing.
fn end_of_line(bytes: &[u8], at: usize) -> Option<usize> {
    match (bytes[at], bytes.get(at + 1)) {
        (b'\r', Some(b'\n')) => Some(at + 2),
        (b'\r', None) => None,
        _ => Some(at + 1),
    }
}

/// The joined data lines of an event.
fn sse_data(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut data = String::new();
    for line in text.split(['\n', '\r']) {
        let Some(rest) = line.strip_prefix("data:") else { continue };
        if !data.is_empty() {
            data.push('\n');
        }
        data.push_str(rest.strip_prefix(' ').unwrap_or(rest));
    }
    data
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(framing: Framing, pieces: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::new(framing);
        let mut frames = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(frame) = decoder.next_frame().unwrap() {
                frames.push(frame.data);
            }
        }
        frames.extend(decoder.rest().map(|frame| frame.data));
        frames
    }

    #[test]
    fn events_end_at_any_kind_of_blank_line() {
        let stream = b"data: a\n\ndata: b\r\n\r\n: ping\n\ndata:c\ndata: d\r\rdata: e";
        assert_eq!(frames(Framing::Sse, &[stream]), ["a", "b", "", "c\nd", "e"]);
        let lines = b"{\"a\":1}\n\n{\"b\":2}\r\n{\"c\":3}";
        assert_eq!(frames(Framing::Lines, &[lines]), ["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
    }

    #[test]
    fn a_piece_without_end_is_refused_and_not_kept() {
        for framing in [Framing::Sse, Framing::Lines] {
            let mut decoder = Decoder::new(framing);
            let piece = vec![b'x'; 1 << 20];
            let mut refused = false;
            for _ in 0..20 {
                decoder.push(&piece);
                refused |= decoder.next_frame().is_err();
                assert!(decoder.buffer.len() <= LONGEST + piece.len());
            }
            assert!(refused, "{framing:?}");
        }
        let mut decoder = Decoder::new(Framing::EventStream);
        decoder.push(&[0xff; 12]);
        assert!(decoder.next_frame().is_err());
    }

    proptest! {
        #[test]
        fn where_bytes_are_cut_changes_nothing(cuts in prop::collection::vec(0usize..60, 0..12)) {
            let stream = "event: x\r\ndata: ä\r\n\r\ndata: b\n\n: c\n\ndata: d\r\rdata: e\n\n".as_bytes();
            let mut cuts = cuts;
            cuts.extend([0, stream.len()]);
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(stream.len()));
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(frames(Framing::Sse, &pieces), frames(Framing::Sse, &[stream]));
        }

        #[test]
        fn no_bytes_make_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
            for framing in [Framing::Sse, Framing::Lines, Framing::EventStream] {
                let mut decoder = Decoder::new(framing);
                for piece in &pieces {
                    decoder.push(piece);
                    while let Ok(Some(_)) = decoder.next_frame() {}
                }
                decoder.rest();
            }
        }
    }
}
