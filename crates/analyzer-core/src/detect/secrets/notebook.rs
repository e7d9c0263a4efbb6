//! Secrets in notebooks: code cells are code, everything else is text; places are those of the notebook's own file.

use super::candidate::Candidate;
use super::formats::Formats;
use super::{code, text};
use crate::lang;
use crate::sources::Language;

/// Candidates of a notebook.
pub fn read(json: &str, formats: &Formats) -> Vec<Candidate> {
    let mut found = text::read(json, false, formats);
    // The names of code are those of its tree: the text of a cell says `api_key=` behind a backslash.
    for cell in cells(json) {
        let Ok(facts) = lang::read_code(&cell.code, Language::Python, None) else { continue };
        for mut candidate in code::read(&cell.code, &facts, formats) {
            let (Some(start), Some(end)) = (cell.place(candidate.span.start), cell.place(candidate.span.end)) else {
                continue;
            };
            candidate.span = start..end.max(start + 1);
            found.push(candidate);
        }
    }
    found
}

/// The code of a cell, and where each of its lines stands in the file.
struct Cell {
    code: String,
    /// Offset in the code, offset in the file.
    lines: Vec<(usize, usize)>,
    end: usize,
}

impl Cell {
    /// Escapes shift a place within its line by a few bytes; the line is right.
    fn place(&self, at: usize) -> Option<usize> {
        let index = self.lines.partition_point(|(code, _)| *code <= at).checked_sub(1)?;
        let (code, file) = self.lines[index];
        let limit = self.lines.get(index + 1).map_or(self.end, |(_, next)| *next);
        Some((file + (at - code)).min(limit))
    }
}

/// The `source` of each cell whose `cell_type` is `code`: read by strings alone, so a broken notebook still gives its
/// cells.
fn cells(json: &str) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut is_code = false;
    let mut at = 0;
    while let Some((span, after)) = string_at(json, at) {
        at = after;
        match &json[span] {
            "cell_type" => {
                let Some((value, after)) = string_at(json, at) else { break };
                is_code = &json[value] == "code";
                at = after;
            }
            "source" => {
                let mut cell = Cell { code: String::new(), lines: Vec::new(), end: at };
                let mut open = json[at..].trim_start_matches([':', ' ', '\n', '\r', '\t']).starts_with('[');
                let close = |from: usize, to: usize| json[from..to].contains(']');
                while let Some((line, after)) = string_at(json, at) {
                    if open && close(at, line.start) {
                        break;
                    }
                    let text = serde_json::from_str::<String>(&json[line.start - 1..line.end + 1]).unwrap_or_default();
                    cell.lines.push((cell.code.len(), line.start));
                    cell.code.push_str(&text);
                    (at, cell.end) = (after, line.end);
                    if !open {
                        open = false;
                        break;
                    }
                }
                let _ = open;
                if is_code {
                    cells.push(cell);
                }
            }
            _ => {}
        }
    }
    cells
}

/// The next JSON string: its content, and where it ends.
fn string_at(json: &str, at: usize) -> Option<(std::ops::Range<usize>, usize)> {
    let start = json[at..].find('"')? + at + 1;
    let bytes = json.as_bytes();
    let mut end = start;
    while *bytes.get(end)? != b'"' {
        end += 1 + usize::from(bytes[end] == b'\\');
    }
    Some((start..end, end + 1))
}
