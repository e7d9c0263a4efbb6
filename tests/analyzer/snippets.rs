//! `fixtures/snippets/*.md`: behaviour in words and code. What a line of code must give stands on that line:
//! `# finds: tool crm env`, several parted by `;`. What it should give but does not yet: `# not yet: …`.

use std::path::Path;

use analyzer_core::{Options, Sources, analyze};

use crate::words::{Said, is_complete_kind, said};

/// One heading with its code.
struct Snippet {
    title: String,
    files: Vec<(String, String)>,
}

#[test]
fn every_snippet_finds_what_its_lines_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snippets");
    let mut failures = Vec::new();
    let mut count = 0;
    for (name, text) in test_bench::labels::sources(&folder).expect("the folder is there") {
        for snippet in parse(&text) {
            count += 1;
            failures.extend(check(&snippet).into_iter().map(|line| format!("{name}, {:?}: {line}", snippet.title)));
        }
    }
    assert!(count > 0, "no snippets below {}", folder.display());
    assert!(failures.is_empty(), "{} failures in {count} snippets\n{}", failures.len(), failures.join("\n"));
}

/// Headings of level two, and the fenced code below each: the info string is the language and, where it matters, the
/// path.
fn parse(text: &str) -> Vec<Snippet> {
    let mut snippets: Vec<Snippet> = Vec::new();
    let mut code: Option<(String, Vec<&str>)> = None;
    for line in text.lines() {
        match (&mut code, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let mut words = info.split_whitespace();
                let extension = words.next().unwrap_or("txt");
                let path = words.next().map_or_else(|| format!("agent.{extension}"), str::to_owned);
                code = Some((path, Vec::new()));
            }
            (Some(_), Some(_)) => {
                let (path, lines) = code.take().expect("a block is open");
                if let Some(snippet) = snippets.last_mut() {
                    snippet.files.push((path, lines.join("\n") + "\n"));
                }
            }
            (Some((_, lines)), None) => lines.push(line),
            (None, None) => {
                if let Some(title) = line.strip_prefix("## ") {
                    snippets.push(Snippet { title: title.to_owned(), files: Vec::new() });
                }
            }
        }
    }
    snippets.retain(|snippet| !snippet.files.is_empty());
    snippets
}

/// What a marker on a line asks for.
struct Wish {
    words: String,
    file: String,
    line: u32,
}

fn wishes(snippet: &Snippet, marker: &str) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for (file, text) in &snippet.files {
        for (index, line) in text.lines().enumerate() {
            let Some((_, after)) = line.split_once(marker) else { continue };
            for words in after.split(';').map(str::trim).filter(|words| !words.is_empty()) {
                let words = words.trim_end_matches("*/").trim_end_matches("-->").trim().to_owned();
                wishes.push(Wish { words, file: file.clone(), line: index as u32 + 1 });
            }
        }
    }
    wishes
}

fn check(snippet: &Snippet) -> Vec<String> {
    // The markers are taken out: what they say must come from the code.
    let strip = |text: &str| {
        let cut = |line: &str| {
            let at = ["# finds:", "// finds:", "# not yet:", "// not yet:"].iter().filter_map(|m| line.find(m)).min();
            line[..at.unwrap_or(line.len())].trim_end().to_owned() + "\n"
        };
        text.lines().map(cut).collect::<String>()
    };
    let files = snippet.files.iter().map(|(path, text)| (path.clone(), strip(text)));
    let sources = match Sources::new(files) {
        Ok(sources) => sources,
        Err(error) => return vec![error.to_string()],
    };
    let found = said(&analyze(&sources, &Options::default()));
    let is_there = |wish: &Wish| found.iter().any(|said| same(said, wish));
    let wanted = wishes(snippet, " finds:");
    let not_yet = wishes(snippet, " not yet:");
    let mut lines = Vec::new();
    for wish in wanted.iter().filter(|wish| !is_there(wish)) {
        lines.push(format!("{}:{} does not find {:?}", wish.file, wish.line, wish.words));
    }
    for wish in not_yet.iter().filter(|wish| is_there(wish)) {
        lines.push(format!("{}:{} finds {:?} now: say so", wish.file, wish.line, wish.words));
    }
    for extra in found.iter().filter(|said| is_complete_kind(&said.words)) {
        if !wanted.iter().any(|wish| same(extra, wish)) {
            let place = extra.place.as_ref().map(|(file, line)| format!("{file}:{line} ")).unwrap_or_default();
            lines.push(format!("{place}finds {:?} too", extra.words));
        }
    }
    lines
}

fn same(said: &Said, wish: &Wish) -> bool {
    let place = said.place.as_ref().is_none_or(|(file, line)| (file, *line) == (&wish.file, wish.line));
    said.words == wish.words && place
}
