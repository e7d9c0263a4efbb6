//! Secrets in notebooks: code cells are code, everything else is text; places are those of the notebook's own file.

use super::candidate::Candidate;
use super::formats::Formats;
use super::{code, scan, text};
use crate::facts::FileFacts;

/// Places of one value that are looked at, and how far from where its line would be.
const MOST: usize = 64;
const REACH: usize = 4096;

/// Candidates of a notebook.
pub fn read(json: &str, facts: &FileFacts, formats: &Formats) -> Vec<Candidate> {
    let mut found = text::read(json, false, formats);
    // The names of code are those of its tree: the text of a cell says `api_key=` behind a backslash.
    let Some(cells) = &facts.code else { return found };
    let starts = |text: &str| -> Vec<usize> {
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
    };
    let (of_code, of_file) = (starts(cells), starts(json));
    let place = |at: usize| {
        let line = of_code.partition_point(|start| *start <= at).checked_sub(1)?;
        let start = *of_file.get(line)?;
        let end = of_file.get(line + 1).map_or(json.len(), |next| next - 1);
        // Behind the indentation and the quote; escapes shift a place within its line by a few bytes.
        let quote = json[start..end].find('"').map_or(0, |quote| quote + 1);
        Some((start + quote + (at - of_code[line])).min(end))
    };
    for mut candidate in code::read(cells, facts, formats) {
        let (Some(start), Some(end)) = (place(candidate.span.start), place(candidate.span.end)) else { continue };
        candidate.span = start..end.max(start + 1);
        // A cell that is one text has all its lines on one: there its value says where it stands.
        let value = candidate.value.expose();
        let from = scan::floor(json, start.saturating_sub(REACH));
        let window = &json[from..scan::floor(json, start + REACH)];
        let here = |at: usize| !json[at.min(start)..at.max(start)].contains('\n');
        let nearest =
            window.match_indices(value).take(MOST).map(|(at, _)| from + at).min_by_key(|at| at.abs_diff(start));
        if let Some(at) = nearest.filter(|at| !here(*at)) {
            candidate.span = at..at + value.len();
        }
        found.push(candidate);
    }
    found
}
