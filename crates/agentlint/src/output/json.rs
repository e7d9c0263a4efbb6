//! `json` and `jsonl`: the report for programs.

use crate::report::ReportV1;

pub fn pretty(report: &ReportV1) -> String {
    serde_json::to_string_pretty(report).expect("a report is JSON") + "\n"
}

/// A finding a line, then the summary.
pub fn lines(report: &ReportV1) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        out.push_str(&serde_json::to_string(finding).expect("a finding is JSON"));
        out.push('\n');
    }
    let last = serde_json::json!({ "schema": report.schema, "summary": report.summary, "coverage": report.coverage });
    out + &last.to_string() + "\n"
}
