//! Lines of what another program writes, whatever that is.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longer lines are cut into lines of this length.
pub const LONGEST_LINE: usize = 16 << 10;

/// Lines of a stream: each without its end, and long ones in pieces.
#[derive(Debug)]
pub struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Of this stream.
    pub fn of(from: R) -> Lines<R> {
        Lines { from, buffer: vec![0; 8 << 10], line: Vec::new() }
    }

    /// Those that came next, which may be none; nothing once the stream has ended.
    pub async fn next(&mut self) -> Option<Vec<String>> {
        let length = self.from.read(&mut self.buffer).await.unwrap_or_default();
        let mut lines = Vec::new();
        let mut rest = &self.buffer[..length];
        if rest.is_empty() {
            let last = (!self.line.is_empty()).then(|| vec![text(&self.line)]);
            self.line.clear();
            return last;
        }
        while !rest.is_empty() {
            let room = LONGEST_LINE - self.line.len();
            let end = rest.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(rest.len()).min(room);
            self.line.extend_from_slice(&rest[..taken]);
            let ended = end == Some(taken);
            rest = &rest[taken + usize::from(ended)..];
            if ended || self.line.len() == LONGEST_LINE {
                lines.push(text(&self.line));
                self.line.clear();
            }
        }
        Some(lines)
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_without_end_are_cut() {
        let endless = vec![b'x'; 3 * LONGEST_LINE + 1];
        let text = [&b"first\r\n\n"[..], &endless, b"\nlast"].concat();
        let (mut lines, mut lengths) = (Lines::of(&text[..]), vec![]);
        while let Some(some) = lines.next().await {
            lengths.extend(some.iter().map(String::len));
        }
        assert_eq!(lengths, [5, 0, LONGEST_LINE, LONGEST_LINE, LONGEST_LINE, 1, 4]);
    }
}
