//! `agent`: terse, for coding assistants: what, where, what to do, how to go on.

use std::fmt::Write;

use crate::report::ReportV1;

pub fn render(report: &ReportV1) -> String {
    let mut out = String::new();
    for f in &report.findings {
        writeln!(out, "{}:{}:{} {} {} {}", f.file, f.line, f.column, f.severity, f.rule, f.message)
            .expect("writing to a string");
        writeln!(out, "help: {}", f.help).expect("writing to a string");
    }
    let s = &report.summary;
    let safe = report.findings.iter().filter(|f| f.fix.as_ref().is_some_and(|fix| fix.safe)).count();
    writeln!(out, "{} findings in {} files", s.findings, s.files).expect("writing to a string");
    if safe > 0 {
        writeln!(out, "help: {safe} can be repaired by `agentlint check --fix`").expect("writing to a string");
    }
    if s.findings > 0 {
        out.push_str("help: `agentlint explain RULE` has the reason and an example; never print a secret's value\n");
    }
    out
}
