//! `junit`: a test suite per file, a failed test per finding.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::report::{FindingV1, ReportV1};

pub fn render(report: &ReportV1) -> String {
    let mut files: BTreeMap<&str, Vec<&FindingV1>> = BTreeMap::new();
    for finding in &report.findings {
        files.entry(&finding.file).or_default().push(finding);
    }
    let count = report.findings.len();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let tests = count.max(1);
    writeln!(out, "<testsuites name=\"agentlint\" tests=\"{tests}\" failures=\"{count}\" errors=\"0\">")
        .expect("writing to a string");
    if files.is_empty() {
        out.push_str("  <testsuite name=\"agentlint\" tests=\"1\" failures=\"0\" errors=\"0\">\n    <testcase name=\"all rules\" classname=\"agentlint\"/>\n  </testsuite>\n");
    }
    for (file, findings) in files {
        let (file, count) = (escape(file), findings.len());
        writeln!(out, "  <testsuite name=\"{file}\" tests=\"{count}\" failures=\"{count}\" errors=\"0\">")
            .expect("writing to a string");
        for f in findings {
            let text = escape(&format!("{}:{}:{}: {}\nhelp: {}", f.file, f.line, f.column, f.message, f.help));
            writeln!(
                out,
                "    <testcase name=\"{} line {}\" classname=\"{file}\">\n      <failure type=\"{}\" message=\"{}\">{text}</failure>\n    </testcase>",
                f.rule,
                f.line,
                f.severity,
                escape(&f.message)
            )
            .expect("writing to a string");
        }
        out.push_str("  </testsuite>\n");
    }
    out + "</testsuites>\n"
}

/// Text for XML: what XML cannot hold is left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            c if (c as u32) < 0x20 && c != '\t' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}
