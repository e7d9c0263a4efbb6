//! `html`: one page that needs nothing else: findings, the flow graph, the policies, the annotated source.

use std::collections::BTreeMap;

use analyzer_core::policy::{Bases, suggest};
use askama::Template;

use super::{Checked, graph};
use crate::report::{Coverage, FindingV1, Summary};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    version: &'a str,
    summary: &'a Summary,
    findings: &'a [FindingV1],
    coverage: &'a Coverage,
    graph: String,
    policies: Vec<Policy>,
    files: Vec<File<'a>>,
}

struct Policy {
    name: String,
    rules: Vec<Rule>,
}

struct Rule {
    operations: String,
    resource: String,
    reason: String,
    places: String,
}

struct File<'a> {
    path: String,
    lines: Vec<Line<'a>>,
}

struct Line<'a> {
    number: u32,
    text: &'a str,
    findings: Vec<&'a FindingV1>,
}

/// Lines around a finding that are shown.
const AROUND: u32 = 6;

pub fn render(checked: &Checked) -> String {
    let agent = checked.project.config.agent.as_deref().unwrap_or("agent");
    let suggestion = suggest(agent, &checked.report.analysis, &Bases::new());
    let policies = suggestion.policies.into_iter().map(|policy| Policy {
        name: policy.name,
        rules: policy
            .rules
            .into_iter()
            .map(|rule| Rule {
                operations: if rule.rule.operations.is_empty() {
                    "any".into()
                } else {
                    rule.rule.operations.join(", ")
                },
                resource: rule.rule.resource.unwrap_or_default(),
                reason: rule.reason,
                places: rule
                    .evidence
                    .iter()
                    .map(|place| format!("{}:{}", checked.project.shown(&place.file), place.line))
                    .collect::<Vec<_>>()
                    .join(", "),
            })
            .collect(),
    });
    let mut by_file: BTreeMap<&str, Vec<(&FindingV1, u32)>> = BTreeMap::new();
    for (finding, own) in checked.v1.findings.iter().zip(&checked.report.findings) {
        by_file.entry(&own.file).or_default().push((finding, own.line));
    }
    let files = by_file.into_iter().map(|(path, findings)| {
        let last = checked.excerpts().lines(path);
        let near = |line: &u32| findings.iter().any(|(_, at)| line.abs_diff(*at) <= AROUND);
        let lines = (1..=last).filter(near).filter_map(|number| {
            let text = checked.excerpts().line(path, number)?;
            let here = findings.iter().filter(|(_, at)| *at == number).map(|(finding, _)| *finding).collect();
            Some(Line { number, text, findings: here })
        });
        File { path: checked.project.shown(path), lines: lines.collect() }
    });
    let page = Page {
        version: checked.v1.version,
        summary: &checked.v1.summary,
        findings: &checked.v1.findings,
        coverage: &checked.v1.coverage,
        graph: graph::svg(&checked.report.analysis),
        policies: policies.collect(),
        files: files.collect(),
    };
    page.render().expect("writing to a string")
}
