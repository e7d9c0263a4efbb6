//! `full`: code frames as the compiler draws them, from redacted lines.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::Checked;
use crate::report::FindingV1;

pub fn render(checked: &Checked, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(120);
    let mut out = String::new();
    for (finding, own) in checked.v1.findings.iter().zip(&checked.report.findings) {
        let (first, last) = (finding.line.saturating_sub(1).max(1), finding.end_line.min(finding.line + 6) + 1);
        let excerpts = checked.excerpts();
        let lines: Vec<&str> = (first..=last).map_while(|line| excerpts.line(&own.file, line)).collect();
        let shown = (first..).zip(&lines).any(|(line, _)| line == finding.line);
        let level = match finding.severity {
            "high" => Level::ERROR,
            "medium" | "low" => Level::WARNING,
            _ => Level::INFO,
        };
        let severity = match finding.severity {
            "high" => "error",
            "medium" => "warning",
            "low" => "low",
            _ => "info",
        };
        let level = level.with_name(severity);
        let fixable = if finding.fix.as_ref().is_some_and(|fix| fix.safe) { "[*] " } else { "" };
        let message = format!("{fixable}{}", finding.message);
        let title = level.primary_title(message.as_str()).id(finding.rule);
        let source = lines.join("\n");
        let span = span(&lines, first, finding, |line| excerpts.taken(&own.file, line));
        let place = match shown {
            true => {
                let annotation = AnnotationKind::Primary.span(span);
                title.element(
                    Snippet::source(source.as_str())
                        .line_start(first as usize)
                        .path(&finding.file)
                        .annotation(annotation),
                )
            }
            false => title.element(
                Origin::path(finding.file.as_str()).line(finding.line as usize).char_column(finding.column as usize),
            ),
        };
        let because = because(finding);
        let mut help = Group::with_title(Level::HELP.secondary_title(finding.help.as_str()));
        if let Some(because) = &because {
            help = help.element(Level::NOTE.with_name("why").message(because.as_str()));
        }
        let silence = format!("`{}`; more: agentlint explain {}", finding.ignore, finding.rule);
        let help = help.element(Level::NOTE.with_name("ignore").message(silence.as_str()));
        out.push_str(&renderer.render(&[place, help]));
        out.push_str("\n\n");
    }
    out
}

/// The chain and the confidence.
fn because(finding: &FindingV1) -> Option<String> {
    let steps: Vec<String> =
        finding.because.iter().map(|step| format!("{} ({}:{})", step.what, step.file, step.line)).collect();
    match (steps.is_empty(), finding.confidence) {
        (true, "high") => None,
        (true, confidence) => Some(format!("{confidence} confidence")),
        (false, confidence) => Some(format!("{} ({confidence} confidence)", steps.join(" -> "))),
    }
}

/// Bytes of the shown lines that a finding is about.
fn span(lines: &[&str], first: u32, finding: &FindingV1, taken: impl Fn(u32) -> i64) -> std::ops::Range<usize> {
    let offset = |line: u32, column: u32| {
        let index = (line - first) as usize;
        let before: usize = lines.iter().take(index).map(|line| line.len() + 1).sum();
        let text = lines.get(index).copied().unwrap_or("");
        before + text.char_indices().nth(column.saturating_sub(1) as usize).map_or(text.len(), |(at, _)| at)
    };
    let last = finding.end_line.min(first + lines.len().saturating_sub(1) as u32);
    let start = offset(finding.line, finding.column);
    let column = i64::from(finding.end_column) - taken(last);
    let end = match last == finding.end_line {
        true => offset(last, u32::try_from(column).unwrap_or(1)),
        false => offset(last, u32::MAX),
    };
    let all = lines.iter().map(|line| line.len() + 1).sum::<usize>().saturating_sub(1);
    let start = start.min(all);
    start..end.clamp(start, all)
}
