//! `gitlab`: the code quality report of merge requests.

use serde_json::{Value, json};

use crate::report::ReportV1;

pub fn render(report: &ReportV1) -> String {
    let issue = |f: &crate::report::FindingV1| -> Value {
        let severity = match f.severity {
            "high" => "critical",
            "medium" => "major",
            "low" => "minor",
            _ => "info",
        };
        json!({
            "check_name": f.rule,
            "description": format!("{}. Help: {}", f.message, f.help),
            "fingerprint": f.fingerprint,
            "severity": severity,
            "location": {
                "path": f.file,
                "positions": {
                    "begin": { "line": f.line, "column": f.column },
                    "end": { "line": f.end_line, "column": f.end_column },
                },
            },
        })
    };
    let issues: Vec<Value> = report.findings.iter().map(issue).collect();
    serde_json::to_string_pretty(&issues).expect("it is JSON") + "\n"
}
