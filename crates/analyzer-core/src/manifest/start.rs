//! What starts the program, by the files that start it.

use serde_json::Value;

use super::Reader;
use super::javascript::sources_of;
use super::text::{folder_of, join, yaml_lines};
use crate::sources::Source;

/// `graphs` name files: `{"agent": "./src/agent.py:graph"}`.
pub(super) fn langgraph(cx: &mut Reader, source: &Source) {
    let Some(config) = cx.json(source) else { return };
    for key in ["graphs", "http"] {
        for (name, target) in config.get(key).and_then(Value::as_object).into_iter().flatten() {
            let target = target.as_str().or_else(|| target.get("path")?.as_str()).unwrap_or("");
            let rank = if key == "graphs" { 0 } else { 3 };
            command(cx, rank, source, target, &format!("`{key}.{name}`"));
        }
    }
    if let Some(list) = config.get("dependencies").and_then(Value::as_array) {
        let path = source.path.to_string();
        for written in list.iter().filter_map(Value::as_str) {
            cx.declare_python(&path, written, false, false);
        }
    }
}

pub(super) fn wrangler(cx: &mut Reader, source: &Source) {
    let main = match source.path.ends_with(".toml") {
        true => cx.toml(source).and_then(|config| Some(config.get("main")?.as_str()?.to_owned())),
        false => cx.json(source).and_then(|config| Some(config.get("main")?.as_str()?.to_owned())),
    };
    if let Some(main) = main {
        command(cx, 0, source, &main, "`main`");
    }
}

/// `handler: src/handler.main` of a function; CloudFormation writes `Handler` beside `CodeUri`.
pub(super) fn serverless(cx: &mut Reader, source: &Source) {
    let mut code = "";
    for line in yaml_lines(&source.text) {
        match line.key {
            "CodeUri" => code = line.value,
            "handler" | "Handler" => {
                let module = line.value.rsplit_once('.').map_or(line.value, |(module, _)| module);
                let places = [module.to_owned(), format!("{code}/{module}"), module.replace('.', "/")];
                for place in places.iter().flat_map(|place| [format!("{place}.py"), format!("{place}.js")]) {
                    if let Some(file) = found(cx, folder_of(&source.path), &place) {
                        let reason = format!("`{}` of {} names it", line.key, source.path);
                        cx.start(0, file, reason);
                        break;
                    }
                }
            }
            _ => {}
        }
    }
}

pub(super) fn runagents(cx: &mut Reader, source: &Source) {
    for line in yaml_lines(&source.text) {
        if matches!(line.key, "entry_point" | "entrypoint" | "entryPoint" | "entry" | "main" | "file" | "script") {
            command(cx, 0, source, line.value, &format!("`{}`", line.key));
        }
    }
}

pub(super) fn procfile(cx: &mut Reader, source: &Source) {
    for line in source.text.lines() {
        if let Some((kind, started)) = line.split_once(':').filter(|(kind, _)| !kind.starts_with('#')) {
            let rank = if kind == "web" { 0 } else { 1 };
            command(cx, rank, source, started, &format!("`{kind}`"));
        }
    }
}

/// The last `CMD` or `ENTRYPOINT`, and packages that `pip install` names.
pub(super) fn dockerfile(cx: &mut Reader, source: &Source) {
    let text = source.text.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut starts = Vec::new();
    for line in text.lines().map(str::trim) {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match word.to_ascii_uppercase().as_str() {
            "FROM" => starts.clear(),
            word @ ("CMD" | "ENTRYPOINT") => starts.push((word.to_owned(), rest.to_owned())),
            "RUN" => {
                for installed in rest.split(['&', ';', '|']).filter_map(|part| part.split_once("pip install ")) {
                    pip_install(cx, source, installed.1);
                }
            }
            _ => {}
        }
    }
    for (word, rest) in starts {
        command(cx, 1, source, &rest, &format!("`{word}`"));
    }
}

fn pip_install(cx: &mut Reader, source: &Source, words: &str) {
    let mut words = words.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
    while let Some(word) = words.next() {
        match word {
            "-r" | "-c" | "-e" | "-i" | "-t" | "--index-url" | "--extra-index-url" | "--target" => {
                words.next();
            }
            word if word.starts_with(['-', '.', '$', '#']) || word.contains('/') => {}
            word => cx.declare_python(&source.path, word, false, false),
        }
    }
}

/// The first word of a command that is, or stands for, a submitted file.
pub(super) fn command(cx: &mut Reader, rank: u8, source: &Source, text: &str, what: &str) {
    let folder = folder_of(&source.path);
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']' | ',' | '=' | '`'));
    let mut before = "";
    for word in words.filter(|word| !word.is_empty()).take(64) {
        let file = match before == "-m" {
            true => module(cx, folder, word),
            false => file(cx, folder, word),
        };
        if let Some(file) = file {
            cx.start(rank, file, format!("{what} of {} starts it", source.path));
            return;
        }
        before = word;
    }
}

/// `src/index.ts`, `dist/index.js`, `app.main:app`, `./graph.py:graph`.
fn file(cx: &Reader, folder: &str, word: &str) -> Option<String> {
    let (path, attribute) = match word.split_once(':') {
        Some((path, attribute)) if !attribute.starts_with('/') => (path, Some(attribute)),
        _ => (word, None),
    };
    let code = path.rsplit_once('.').is_some_and(|(_, extension)| {
        matches!(extension, "py" | "js" | "ts" | "mjs" | "cjs" | "mts" | "cts" | "jsx" | "tsx")
    });
    match code {
        true => found(cx, folder, path),
        false if attribute.is_some() => module(cx, folder, path),
        // `node dist/server`, `"main": "index"`; a bare word such as `build` is a command.
        false if path.starts_with("./") || path.contains('/') => {
            let places = [format!("{path}.js"), format!("{path}/index.js"), format!("{path}/__main__.py")];
            places.iter().find_map(|place| found(cx, folder, place))
        }
        false => None,
    }
}

fn found(cx: &Reader, folder: &str, path: &str) -> Option<String> {
    // In an image the project lies in a folder of its own: `/app/main.py`.
    let path = path.trim_start_matches('/');
    let inside = path.split_once('/').map(|(_, rest)| rest);
    [Some(path), inside].into_iter().flatten().find_map(|path| {
        let path = join(folder, path)?;
        let names = if path.ends_with(".py") { vec![path] } else { sources_of(&path) };
        names.into_iter().find(|name| cx.exists(name))
    })
}

/// `pkg.mod` as `python -m` and the servers read it, also under `src`.
fn module(cx: &Reader, folder: &str, name: &str) -> Option<String> {
    let path = name.split(':').next().unwrap_or(name).replace('.', "/");
    let ends = ["/__main__.py", ".py", "/__init__.py"];
    ["", "src/"].iter().find_map(|root| {
        ends.iter().find_map(|end| {
            let path = join(folder, &format!("{root}{path}{end}"))?;
            cx.exists(&path).then_some(path)
        })
    })
}
