//! `sarif`: SARIF 2.1.0 as code scanning services take it.

use analyzer_core::lint::RULES;
use serde_json::{Value, json};

use crate::report::{FindingV1, ReportV1, first_paragraph};

pub fn render(report: &ReportV1) -> String {
    let used: Vec<&str> = report.findings.iter().map(|finding| finding.rule).collect();
    let rules: Vec<_> = RULES.iter().filter(|rule| used.contains(&rule.name)).collect();
    let index = |name: &str| rules.iter().position(|rule| rule.name == name);
    let described: Vec<Value> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.name,
                "name": pascal(rule.name),
                "shortDescription": { "text": sentence(rule.summary) },
                "fullDescription": { "text": first_paragraph(rule.name) },
                "help": { "text": rule.text, "markdown": rule.text },
                "defaultConfiguration": { "level": level(crate::report::word(rule.severity)) },
                "properties": {
                    "tags": ["security", "ai-agent", rule.group()],
                    "precision": "high",
                    "security-severity": score(crate::report::word(rule.severity)),
                },
            })
        })
        .collect();
    let results: Vec<Value> = report.findings.iter().map(|finding| result(finding, index(finding.rule))).collect();
    let notifications: Vec<Value> = report
        .coverage
        .notes
        .iter()
        .map(|note| {
            let mut notification = json!({
                "descriptor": { "id": note.code },
                "level": "note",
                "message": { "text": note.message },
            });
            if !note.file.is_empty() {
                notification["locations"] = json!([{
                    "physicalLocation": {
                        "artifactLocation": artifact(&note.file),
                        "region": { "startLine": note.line.max(1) },
                    },
                }]);
            }
            notification
        })
        .collect();
    let sarif = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "agentlint",
                "semanticVersion": report.version,
                "rules": described,
            } },
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": { "SRCROOT": { "description": { "text": "The folder that was checked." } } },
            "invocations": [{ "executionSuccessful": true, "toolExecutionNotifications": notifications }],
            "results": results,
        }],
    });
    serde_json::to_string_pretty(&sarif).expect("it is JSON") + "\n"
}

fn result(finding: &FindingV1, rule: Option<usize>) -> Value {
    let mut region = json!({
        "startLine": finding.line,
        "startColumn": finding.column,
        "endLine": finding.end_line,
        "endColumn": finding.end_column,
    });
    if let Some(excerpt) = &finding.excerpt {
        region["snippet"] = json!({ "text": excerpt });
    }
    let place = |file: &str, region: Value| json!({ "physicalLocation": { "artifactLocation": artifact(file), "region": region } });
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": level(finding.severity),
        "message": { "text": format!("{}. {}.", sentence(&finding.message).trim_end_matches('.'), sentence(&finding.help).trim_end_matches('.')) },
        "locations": [place(&finding.file, region)],
        "partialFingerprints": { "primaryLocationLineHash": finding.fingerprint, "agentlint/v1": finding.fingerprint },
        "properties": { "confidence": finding.confidence, "code": finding.code },
    });
    if !finding.because.is_empty() {
        let steps: Vec<Value> = finding
            .because
            .iter()
            .map(|step| {
                let mut location = place(&step.file, json!({ "startLine": step.line.max(1) }));
                location["message"] = json!({ "text": step.what });
                json!({ "location": location })
            })
            .collect();
        result["codeFlows"] = json!([{ "threadFlows": [{ "locations": steps }] }]);
    }
    result
}

/// A path as a relative URI.
fn artifact(path: &str) -> Value {
    let mut uri = String::new();
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(byte as char),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    json!({ "uri": uri, "uriBaseId": "SRCROOT" })
}

fn level(severity: &str) -> &'static str {
    match severity {
        "high" => "error",
        "medium" => "warning",
        _ => "note",
    }
}

/// As code scanning orders them: 9.0 and more is critical, 7.0 high, 4.0 medium.
fn score(severity: &str) -> &'static str {
    match severity {
        "high" => "8.0",
        "medium" => "5.0",
        "low" => "3.0",
        _ => "1.0",
    }
}

fn pascal(name: &str) -> String {
    name.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect()
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}
