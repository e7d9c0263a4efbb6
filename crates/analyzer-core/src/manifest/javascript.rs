//! JavaScript's manifests: package.json, Deno's configuration, TypeScript's paths.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::text::{folder_of, join};
use super::{Declared, OwnPackage, PathAlias, Reader, start};
use crate::sources::Source;

pub(super) fn package(cx: &mut Reader, source: &Source) {
    let Some(package) = cx.json(source) else { return };
    for (key, dev, optional) in [
        ("dependencies", false, false),
        ("devDependencies", true, false),
        ("peerDependencies", false, true),
        ("optionalDependencies", false, true),
    ] {
        for (name, range) in entries(package.get(key)) {
            let specifier = match range.as_str() {
                Some(range) if !range.is_empty() => format!("{name}@{range}"),
                _ => name.clone(),
            };
            let (name, file) = (name.clone(), source.path.to_string());
            cx.found.npm.push(Declared { name, specifier, extras: Vec::new(), dev, optional, file });
        }
    }
    let folder = folder_of(&source.path);
    if let Some(name) = package.get("name").and_then(Value::as_str).filter(|name| !name.is_empty()) {
        let mut targets = Vec::new();
        for key in ["source", "main", "module", "types"] {
            targets.extend(package.get(key).and_then(Value::as_str));
        }
        addresses(package.get("exports").and_then(|exports| exports.get(".").or(Some(exports))), &mut targets);
        let entries = targets.into_iter().filter_map(|target| join(folder, target)).collect();
        let own = OwnPackage { name: name.to_owned(), folder: folder.to_owned(), entries, npm: true };
        cx.found.package_names.push(own);
    }
    for (pattern, target) in entries(package.get("imports")) {
        let mut targets = Vec::new();
        addresses(Some(target), &mut targets);
        alias(cx, folder, pattern, &targets, folder);
    }
    starts(cx, source, &package);
}

/// What `npm start` runs counts more than `main`, which counts more than what runs in development.
fn starts(cx: &mut Reader, source: &Source, package: &Value) {
    let known = cx.found.starts.len();
    for (key, &rank) in &SCRIPTS.starts {
        if let Some(command) = package.get("scripts").and_then(|scripts| scripts.get(key)?.as_str()) {
            start::command(cx, rank, source, command, &format!("script `{key}`"));
        }
    }
    // Of scripts with names of their own, the first that starts something.
    for (key, command) in entries(package.get("scripts")) {
        let is_chore = SCRIPTS.chores.prefixes.iter().any(|chore| key.starts_with(chore.as_str()));
        if let (Some(command), false, true) = (command.as_str(), is_chore, cx.found.starts.len() == known) {
            start::command(cx, 4, source, command, &format!("script `{key}`"));
        }
    }
    if let Some(main) = package.get("main").and_then(Value::as_str) {
        start::command(cx, 2, source, main, "`main`");
    }
    match package.get("bin") {
        Some(Value::String(file)) => start::command(cx, 2, source, file, "`bin`"),
        bin => {
            for (name, file) in entries(bin) {
                start::command(cx, 2, source, file.as_str().unwrap_or(""), &format!("`bin` {name}"));
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scripts {
    starts: BTreeMap<String, u8>,
    chores: Chores,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chores {
    prefixes: Vec<String>,
}

static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| {
    toml::from_str(include_str!("../../knowledge/packages/npm-scripts.toml")).expect("a test reads every embedded list")
});

/// `imports` and `scopes` of an import map; `tasks` that start something.
pub(super) fn deno(cx: &mut Reader, source: &Source) {
    let Some(config) = cx.json(source) else { return };
    let folder = folder_of(&source.path);
    let scopes = entries(config.get("scopes")).map(|(_, imports)| imports);
    for imports in config.get("imports").into_iter().chain(scopes) {
        for (pattern, target) in entries(Some(imports)) {
            let Some(target) = target.as_str() else { continue };
            // A key that ends in a slash stands for everything below it.
            let star = if pattern.ends_with('/') { "*" } else { "" };
            alias(cx, folder, &format!("{pattern}{star}"), &[&format!("{target}{star}")], folder);
        }
    }
    for (name, task) in entries(config.get("tasks")).filter(|(name, _)| matches!(name.as_str(), "start" | "dev")) {
        start::command(cx, 1, source, task.as_str().unwrap_or(""), &format!("task `{name}`"));
    }
}

/// `compilerOptions.paths` and `baseUrl`, with what the files under `extends` add.
pub(super) fn tsconfig(cx: &mut Reader, source: &Source) {
    let folder = folder_of(&source.path).to_owned();
    let mut at = source;
    // A chain of `extends` is short; eight links stop a circle.
    for _ in 0..8 {
        let Some(config) = cx.json(at) else { return };
        let here = folder_of(&at.path);
        let options = config.get("compilerOptions");
        let base = options.and_then(|o| o.get("baseUrl")?.as_str()).and_then(|base| join(here, base));
        for (pattern, targets) in entries(options.and_then(|o| o.get("paths"))) {
            let targets: Vec<&str> = targets.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            alias(cx, &folder, pattern, &targets, base.as_deref().unwrap_or(here));
        }
        if let Some(base) = base {
            cx.found.path_aliases.push(PathAlias {
                folder: folder.clone(),
                pattern: String::new(),
                targets: vec![base],
            });
        }
        let next = config.get("extends").and_then(Value::as_str).filter(|name| name.starts_with('.'));
        let next = next.and_then(|name| join(here, name));
        let next = next.and_then(|path| cx.source(&path).or_else(|| cx.source(&format!("{path}.json"))));
        match next {
            // Many files may extend one; a large one would be read many times.
            Some(next) if next.text.len() <= 64 << 10 => at = next,
            _ => return,
        }
    }
}

fn alias(cx: &mut Reader, folder: &str, pattern: &str, targets: &[&str], base: &str) {
    let target = |target: &&str| match target.contains(':') {
        true => Some((*target).to_owned()),
        // A bare target names a package, of an import map or of `imports`.
        false if pattern.starts_with('#') && !target.starts_with('.') => Some(format!("npm:{target}")),
        false => join(base, target),
    };
    let targets: Vec<String> = targets.iter().filter_map(target).collect();
    if !pattern.is_empty() && !targets.is_empty() {
        cx.found.path_aliases.push(PathAlias { folder: folder.to_owned(), pattern: pattern.to_owned(), targets });
    }
}

/// Every address in a tree of conditions: `{"import": "./a.js", "node": {"default": "./b.js"}}`.
fn addresses<'a>(value: Option<&'a Value>, found: &mut Vec<&'a str>) {
    match value {
        Some(Value::String(address)) => found.push(address),
        Some(Value::Object(conditions)) => conditions.values().for_each(|value| addresses(Some(value), found)),
        Some(Value::Array(several)) => several.iter().for_each(|value| addresses(Some(value), found)),
        _ => {}
    }
}

fn entries(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// Built files stand for their sources: `dist/index.js` for `src/index.ts`.
pub(crate) fn sources_of(path: &str) -> Vec<String> {
    let mut found = vec![path.to_owned()];
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let unbuilt: Vec<String> = {
        let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        let built = |part: &&str| matches!(*part, "dist" | "build" | "out" | "lib" | ".output" | "target");
        match parts.iter().position(built) {
            Some(at) => ["src", ""]
                .iter()
                .map(|instead| {
                    let kept = parts.iter().enumerate().map(|(i, part)| if i == at { *instead } else { *part });
                    kept.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
                })
                .chain([parts[..at].join("/") + if at > 0 { "/src" } else { "src" }])
                .collect(),
            None => vec![folder.to_owned()],
        }
    };
    for folder in unbuilt {
        for extension in ["ts", "tsx", "mts", "js", "mjs", "cjs", "cts", "jsx"] {
            let slash = if folder.is_empty() { "" } else { "/" };
            found.push(format!("{folder}{slash}{stem}.{extension}"));
        }
    }
    found
}
