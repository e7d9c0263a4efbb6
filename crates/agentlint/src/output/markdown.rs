//! `markdown`: for pull requests and issues.

use std::fmt::Write;

use super::Checked;
use super::graph;

pub fn render(checked: &Checked) -> String {
    let report = checked.v1;
    let s = &report.summary;
    let mut out = String::new();
    let files = if s.files == 1 { "file" } else { "files" };
    writeln!(out, "### agentlint: {} findings in {} {files}\n", s.findings, s.files).expect("writing to a string");
    if !report.findings.is_empty() {
        out.push_str("| | Rule | Place | What and what to do |\n|---|---|---|---|\n");
        for f in &report.findings {
            let text = format!("{}. *{}.*", cell(&f.message), cell(&f.help));
            writeln!(out, "| {} | `{}` | `{}:{}` | {text} |", f.severity, f.rule, cell(&f.file), f.line)
                .expect("writing to a string");
        }
        out.push('\n');
    }
    if !report.coverage.complete {
        out.push_str("Not everything could be read:\n\n");
        for note in report.coverage.notes.iter().take(20) {
            writeln!(out, "- `{}`: {}", cell(&note.file), cell(&note.message)).expect("writing to a string");
        }
        out.push('\n');
    }
    out.push_str("<details><summary>What the agent touches</summary>\n\n```mermaid\n");
    out.push_str(&graph::mermaid(&checked.report.analysis));
    out.push_str("```\n\n</details>\n");
    out
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ").replace('<', "&lt;")
}
