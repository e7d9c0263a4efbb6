//! `concise`: one line a finding.

use std::fmt::Write;

use crate::report::ReportV1;

pub fn render(report: &ReportV1) -> String {
    let mut out = String::new();
    for f in &report.findings {
        let fix = if f.fix.as_ref().is_some_and(|fix| fix.safe) { "[*] " } else { "" };
        writeln!(out, "{}:{}:{}: {} {}[{}] {fix}{}", f.file, f.line, f.column, f.code, f.severity, f.rule, f.message)
            .expect("writing to a string");
    }
    out
}
