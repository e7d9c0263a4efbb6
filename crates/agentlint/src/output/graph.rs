//! The flow graph: the agent in the middle, models on the left, tools on the right; as Mermaid and as a picture.

use std::collections::BTreeSet;
use std::fmt::Write;

use analyzer_core::Analysis;

use crate::lock;

/// What stands around the agent.
struct Graph {
    agent: String,
    models: Vec<(String, String)>,
    tools: Vec<(String, String)>,
}

impl Graph {
    fn new(analysis: &Analysis) -> Graph {
        let models: BTreeSet<(String, String)> = analysis
            .model_usages
            .iter()
            .map(|usage| {
                let model = usage.model.as_deref().unwrap_or("unknown");
                (format!("{}/{model}", usage.provider), lock::role(usage.role).to_owned())
            })
            .collect();
        let tools: BTreeSet<(String, String)> =
            analysis.tools.iter().map(|tool| (tool.name.clone(), lock::kind(tool.kind).to_owned())).collect();
        let entry = analysis.entry_point.rsplit('/').next().unwrap_or_default();
        let agent = if entry.is_empty() { "agent".to_owned() } else { entry.to_owned() };
        Graph { agent, models: models.into_iter().collect(), tools: tools.into_iter().collect() }
    }
}

/// For documents that draw Mermaid.
pub fn mermaid(analysis: &Analysis) -> String {
    let graph = Graph::new(analysis);
    let label = |text: &str| text.replace(['"', '\n'], "'").replace(['[', ']', '{', '}', '<', '>', '`'], "");
    let mut out = String::from("flowchart LR\n");
    writeln!(out, "  agent([\"{}\"])", label(&graph.agent)).expect("writing to a string");
    for (index, (name, role)) in graph.models.iter().enumerate() {
        writeln!(out, "  m{index}[(\"{}\")] ---|{role}| agent", label(name)).expect("writing to a string");
    }
    for (index, (name, kind)) in graph.tools.iter().enumerate() {
        writeln!(out, "  agent -->|{kind}| t{index}[\"{}\"]", label(name)).expect("writing to a string");
    }
    out
}

/// As a picture of its own, without fonts, scripts or links.
pub fn svg(analysis: &Analysis) -> String {
    const ROW: usize = 34;
    const MOST: usize = 24;
    let graph = Graph::new(analysis);
    let rows = graph.models.len().min(MOST + 1).max(graph.tools.len().min(MOST + 1)).max(1);
    let height = rows * ROW + 40;
    let middle = height / 2;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 860 {height}\" role=\"img\" aria-label=\"What the agent touches\" font-family=\"system-ui, sans-serif\" font-size=\"13\">\n"
    );
    let column = |items: &[(String, String)], x: usize, edge: usize, out: &mut String| {
        let shown = items.len().min(MOST);
        let mut rows: Vec<(String, String)> = items[..shown].to_vec();
        if items.len() > shown {
            rows.push((format!("and {} more", items.len() - shown), String::new()));
        }
        let top = middle as i64 - (rows.len() * ROW) as i64 / 2;
        for (index, (name, kind)) in rows.iter().enumerate() {
            let y = top + (index * ROW) as i64;
            let center = y + 13;
            let (from, to) = if edge > x { (x + 260, 360) } else { (500, x) };
            let bend = (from + to) / 2;
            let (start, end) = if edge > x { (center, middle as i64) } else { (middle as i64, center) };
            let _ = writeln!(
                out,
                "<path d=\"M{from} {start}C{bend} {start} {bend} {end} {to} {end}\" fill=\"none\" stroke=\"#8a94a6\"/>"
            );
            let name: String = name.chars().take(30).collect();
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"260\" height=\"26\" rx=\"6\" fill=\"#eef2f8\" stroke=\"#8a94a6\"/><text x=\"{}\" y=\"{}\" fill=\"#1a2233\">{}</text><text x=\"{}\" y=\"{}\" fill=\"#5a6478\" text-anchor=\"end\" font-size=\"11\">{}</text>",
                x + 10,
                y + 18,
                escape(&name),
                x + 250,
                y + 18,
                escape(kind)
            );
        }
    };
    column(&graph.models, 20, 360, &mut out);
    column(&graph.tools, 580, 500, &mut out);
    let _ = writeln!(
        out,
        "<rect x=\"360\" y=\"{}\" width=\"140\" height=\"36\" rx=\"18\" fill=\"#1f3a5f\"/><text x=\"430\" y=\"{}\" fill=\"#fff\" text-anchor=\"middle\">{}</text>",
        middle - 18,
        middle + 5,
        escape(&graph.agent.chars().take(18).collect::<String>())
    );
    out + "</svg>\n"
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
