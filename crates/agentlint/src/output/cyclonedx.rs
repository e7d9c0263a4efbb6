//! CycloneDX 1.6: models, services with their endpoints, libraries, each with the lines where it occurs.

use std::collections::{BTreeMap, BTreeSet};

use analyzer_core::Analysis;
use analyzer_core::analysis::ToolKind;
use serde_json::{Value, json};

/// Files and lines.
type Places = Vec<(String, u32)>;

pub fn render(analysis: &Analysis, shown: impl Fn(&str) -> String) -> String {
    let mut components: Vec<Value> = Vec::new();
    let mut depends: BTreeSet<String> = BTreeSet::new();
    let mut models: BTreeMap<(String, String), (BTreeSet<&str>, Places)> = BTreeMap::new();
    for usage in &analysis.model_usages {
        let model = usage.model.clone().unwrap_or_else(|| "unknown".into());
        let entry = models.entry((usage.provider.clone(), model)).or_default();
        entry.0.insert(crate::lock::role(usage.role));
        entry.1.push((shown(&usage.file), usage.line));
    }
    for ((provider, model), (roles, places)) in models {
        let reference = format!("model:{provider}/{model}");
        components.push(json!({
            "type": "machine-learning-model",
            "bom-ref": reference,
            "group": provider,
            "name": model,
            "properties": roles.iter().map(|role| json!({ "name": "agentlint:model:role", "value": role })).collect::<Vec<_>>(),
            "evidence": { "occurrences": occurrences(&places) },
        }));
        depends.insert(reference);
    }
    for package in &analysis.requirements.packages {
        let purl = purl(&package.ecosystem, &package.name);
        components.push(json!({
            "type": "library",
            "bom-ref": purl,
            "name": package.name,
            "purl": purl,
            "scope": if package.optional { "optional" } else { "required" },
            "evidence": { "occurrences": occurrences(&[(shown(&package.file), package.line)]) },
        }));
        depends.insert(purl);
    }
    let mut services: BTreeMap<String, (BTreeSet<String>, String, bool)> = BTreeMap::new();
    let mut functions = Vec::new();
    for tool in &analysis.tools {
        if tool.kind == ToolKind::Function {
            functions.push(json!({ "name": "agentlint:tool:function", "value": tool.name }));
            continue;
        }
        let entry = services.entry(tool.name.clone()).or_default();
        let base = tool.base_url.as_ref().filter(|base| !base.contains(['{', ' ']) && !base.starts_with("://"));
        if let Some(base) = base {
            let paths: Vec<String> = tool.call_sites.iter().filter_map(|site| site.path.clone()).collect();
            let endpoint =
                |path: &String| format!("{base}{}", path.replace('{', "%7B").replace('}', "%7D").replace(' ', "%20"));
            entry.0.extend(paths.iter().map(endpoint));
            if paths.is_empty() {
                entry.0.insert(base.clone());
            }
        }
        entry.1 = crate::lock::kind(tool.kind).to_owned();
        entry.2 |= base.is_some();
    }
    let mut found: Vec<Value> = Vec::new();
    for (name, (endpoints, kind, outside)) in services {
        let reference = format!("service:{name}");
        let mut service = json!({
            "bom-ref": reference,
            "name": name,
            "x-trust-boundary": outside,
            "properties": [{ "name": "agentlint:tool:kind", "value": kind }],
        });
        if !endpoints.is_empty() {
            service["endpoints"] = json!(endpoints);
        }
        found.push(service);
        depends.insert(reference);
    }
    let mut properties: Vec<Value> = analysis
        .outbound_destinations
        .iter()
        .map(|host| json!({ "name": "agentlint:destination", "value": host }))
        .chain(functions)
        .collect();
    properties.extend(
        analysis
            .notes
            .iter()
            .map(|note| json!({ "name": format!("agentlint:note:{}", note.code), "value": note.message })),
    );
    let agent = json!({ "type": "application", "bom-ref": "agent", "name": if analysis.entry_point.is_empty() { "agent" } else { &analysis.entry_point } });
    let bom = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": { "components": [{ "type": "application", "name": "agentlint", "version": env!("CARGO_PKG_VERSION") }] },
            "component": agent,
        },
        "components": components,
        "services": found,
        "dependencies": [{ "ref": "agent", "dependsOn": depends }],
        "properties": properties,
    });
    serde_json::to_string_pretty(&bom).expect("it is JSON") + "\n"
}

fn occurrences(places: &[(String, u32)]) -> Vec<Value> {
    let places: BTreeSet<&(String, u32)> = places.iter().collect();
    places.into_iter().map(|(file, line)| json!({ "location": file, "line": line })).collect()
}

fn purl(ecosystem: &str, name: &str) -> String {
    match ecosystem {
        "npm" => format!("pkg:npm/{}", name.replace('@', "%40")),
        _ => format!("pkg:pypi/{}", name.to_ascii_lowercase().replace('_', "-")),
    }
}
