//! `github`: workflow commands that become annotations.

use std::fmt::Write;

use crate::report::ReportV1;

pub fn render(report: &ReportV1) -> String {
    let mut out = String::new();
    for f in &report.findings {
        let command = match f.severity {
            "high" => "error",
            "medium" => "warning",
            _ => "notice",
        };
        let column =
            if f.line == f.end_line { format!(",col={},endColumn={}", f.column, f.end_column) } else { String::new() };
        let message = format!("{}\nhelp: {}", f.message, f.help);
        writeln!(
            out,
            "::{command} file={},line={},endLine={}{column},title={}::{}",
            property(&f.file),
            f.line,
            f.end_line,
            property(&format!("agentlint ({})", f.rule)),
            data(&message)
        )
        .expect("writing to a string");
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
