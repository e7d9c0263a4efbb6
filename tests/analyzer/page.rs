//! An analysis as a page that a reviewer reads: what, where, how sure, and the chain that shows it.

use std::fmt::Write;

use analyzer_core::Analysis;
use analyzer_core::analysis::{Confidence, Step};

/// The page.
pub fn page(analysis: &Analysis) -> String {
    let mut page = String::new();
    line(&mut page, 0, &format!("entry point: {} ({})", or_none(&analysis.entry_point), analysis.entry_point_reason));
    line(&mut page, 0, &format!("execution: tier {} ({})", analysis.execution.tier, analysis.execution.reason));
    section(&mut page, "tools", &analysis.tools, |page, tool| {
        let kind = format!("{:?}", tool.kind).to_lowercase();
        let address = [&tool.base_url, &tool.detected_url_pattern, &tool.default_url];
        let address: Vec<&str> = address.into_iter().flatten().map(String::as_str).collect();
        let place = format!("{}:{}", tool.file, tool.line);
        line(page, 1, &format!("{} [{kind}] {place}{}  {}", tool.name, sure(tool.confidence), address.join(" ← ")));
        for site in &tool.call_sites {
            let request = [&site.method, &site.path].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
            line(page, 2, format!("{}:{} {} {request}", site.file, site.line, site.call).trim_end());
        }
        chain(page, &tool.evidence);
    });
    section(&mut page, "models", &analysis.model_usages, |page, usage| {
        let role = format!("{:?}", usage.role).to_lowercase();
        let model = usage.model.as_deref().unwrap_or("unknown");
        let from = if usage.default_from_env { " (default of a variable)" } else { "" };
        let place = format!("{}:{}", usage.file, usage.line);
        let head = format!("{} {model}{from} [{role}] {place}{}", usage.provider, sure(usage.confidence));
        line(page, 1, &format!("{head}  in `{}`", usage.variable_name));
        if !usage.alternatives.is_empty() {
            line(page, 2, &format!("or {}", usage.alternatives.join(", ")));
        }
        chain(page, &usage.evidence);
    });
    section(&mut page, "destinations", &analysis.destinations, |page, destination| {
        let by = destination.implied_by.as_ref().map(|by| format!("  implied by `{by}`")).unwrap_or_default();
        let place = format!("{}:{}", destination.file, destination.line);
        line(page, 1, &format!("{} {place}{}{by}", destination.host, sure(destination.confidence)));
        chain(page, &destination.evidence);
    });
    section(&mut page, "secrets", &analysis.secrets, |page, secret| {
        let provider = secret.provider.as_deref().unwrap_or("unknown issuer");
        let place = format!("{}:{}:{}", secret.file, secret.line, secret.column);
        let severity = format!("{:?}", secret.severity).to_lowercase();
        line(
            page,
            1,
            &format!(
                "{} of {provider} [{severity}] {place}{} {}",
                secret.kind,
                sure(secret.confidence),
                secret.preview
            ),
        );
        line(page, 2, &format!("{} ({})", secret.description, secret.reasons.join(", ")));
        for opens in &secret.opens {
            let kind = serde_json::to_string(&opens.kind).expect("a word");
            line(page, 2, &format!("opens {} {} {}:{}", kind.trim_matches('"'), opens.name, opens.file, opens.line));
        }
    });
    section(&mut page, "requirements", &analysis.requirements.packages, |page, package| {
        let optional = if package.optional { " (optional)" } else { "" };
        let declared = package.declared_in.as_ref().map(|file| format!(", declared in {file}")).unwrap_or_default();
        let place = format!("{}:{}", package.file, package.line);
        line(page, 1, &format!("{}{optional} for `{}` {place}{declared}", package.specifier, package.import));
    });
    let lists = [("missing", &analysis.requirements.missing), ("unused", &analysis.requirements.unused)];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        line(&mut page, 0, &format!("{name}: {}", list.join(", ")));
    }
    section(&mut page, "prompts", &analysis.prompts, |page, prompt| {
        let text: String = prompt.text.chars().take(100).collect::<String>().replace('\n', "\\n");
        line(page, 1, &format!("{}:{} of `{}`: {text}", prompt.file, prompt.line, prompt.used_by));
    });
    section(&mut page, "frameworks", &analysis.frameworks, |page, framework| {
        line(page, 1, &format!("{} {}:{}", framework.name, framework.file, framework.line));
    });
    section(&mut page, "handlers", &analysis.handlers, |page, handler| {
        line(page, 1, &format!("{} `{}` {}:{}", handler.kind, handler.name, handler.file, handler.line));
    });
    section(&mut page, "environment", &analysis.env_vars, |page, env| {
        let default = if env.has_default { " (has a default)" } else { "" };
        line(page, 1, &format!("{}{default} {}:{}", env.name, env.file, env.line));
    });
    section(&mut page, "notes", &analysis.notes, |page, note| {
        line(page, 1, &format!("{}:{} {}: {}", note.file, note.line, note.code, note.message));
    });
    page
}

fn section<T>(page: &mut String, name: &str, items: &[T], show: impl Fn(&mut String, &T)) {
    if !items.is_empty() {
        line(page, 0, name);
        items.iter().for_each(|item| show(page, item));
    }
}

fn line(page: &mut String, depth: usize, text: &str) {
    writeln!(page, "{}{}", "  ".repeat(depth), text.trim_end()).expect("writing to a string");
}

fn chain(page: &mut String, steps: &[Step]) {
    let steps: Vec<String> = steps.iter().map(|step| format!("{} {}:{}", step.what, step.file, step.line)).collect();
    line(page, 2, &format!("because {}", steps.join(" → ")));
}

fn sure(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::High => "",
        Confidence::Medium => " (medium)",
        Confidence::Low => " (low)",
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}
