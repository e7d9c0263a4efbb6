//! Python's manifests: requirements files, pyproject, setup, Pipfile, conda environments.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::text::{folder_of, join, yaml_lines};
use super::{OwnPackage, Reader, start};
use crate::facts::{ExprKind, FileFacts, MODULE};
use crate::lang;
use crate::packages::{is_dev_group, normalize};
use crate::sources::Source;

/// What one requirement asks for; markers and versions are kept as text, nothing is evaluated.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub name: &'a str,
    pub extras: Vec<&'a str>,
    /// Version, address, marker: what stands behind the name and the extras.
    rest: &'a str,
}

impl<'a> Asked<'a> {
    /// `name[extras]>=1; marker`, `name @ url`, and the addresses that name what they hold.
    pub fn read(written: &'a str) -> Option<Asked<'a>> {
        let written = written.split(" --hash").next().unwrap_or(written).trim().trim_end_matches('\\').trim_end();
        let is_address = written.contains("://") && !written.contains('@') || named_by_address(written).is_some();
        if is_address && !written.contains(" @ ") || written.starts_with(['.', '/', '~']) {
            return named_by_address(written).map(|name| Asked { name, extras: Vec::new(), rest: written });
        }
        let end = written.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')));
        let (name, rest) = written.split_at(end.unwrap_or(written.len()));
        let rest = rest.trim_start();
        let extras = rest.strip_prefix('[').and_then(|inner| inner.split_once(']'));
        let (extras, rest) = match extras {
            Some((extras, rest)) => (extras.split(',').map(str::trim).collect(), rest.trim_start()),
            None => (Vec::new(), rest),
        };
        let valid = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.ends_with(|c: char| c.is_ascii_alphanumeric())
            && (rest.is_empty() || rest.starts_with(['=', '<', '>', '!', '~', ';', '@', '(', ',']));
        valid.then_some(Asked { name, extras, rest })
    }

    /// One spelling for all manifests: `name[extras]>=1; marker`, `name @ address`.
    pub fn specifier(&self) -> String {
        let extras = if self.extras.is_empty() { String::new() } else { format!("[{}]", self.extras.join(",")) };
        let (version, marker) = self.rest.split_once(';').unwrap_or((self.rest, ""));
        let version: String = match version.trim().strip_prefix('@') {
            Some(address) => format!(" @ {}", address.trim()),
            None if version.contains("://") => format!(" @ {}", version.trim()),
            None => version.chars().filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')')).collect(),
        };
        let marker = if marker.is_empty() { String::new() } else { format!("; {}", marker.trim()) };
        format!("{}{extras}{version}{marker}", self.name)
    }
}

/// `…#egg=name`, `git+https://host/owner/name.git@tag`, `…/name-1.0-py3-none-any.whl`.
fn named_by_address(address: &str) -> Option<&str> {
    if !address.contains("://") {
        return None;
    }
    if let Some((_, egg)) = address.split_once("#egg=") {
        return egg.split(['&', '[', ' ']).next().filter(|name| !name.is_empty());
    }
    let address = address.split(['#', ';', ' ', '?']).next()?;
    let last = address.trim_end_matches('/').rsplit('/').next()?;
    let name = match last.strip_suffix(".whl").or(last.strip_suffix(".tar.gz")) {
        Some(file) => file.split('-').next()?,
        None if address.starts_with("git+") => last.split('@').next()?.trim_end_matches(".git"),
        None => return None,
    };
    (!name.is_empty()).then_some(name)
}

/// `requirements.txt`, `requirements-dev.txt`, `requirements/base.txt`, `dev-requirements.in`.
pub(super) fn is_requirements(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some(stem) = name.strip_suffix(".txt").or(name.strip_suffix(".in")) else { return false };
    let stem = stem.to_ascii_lowercase();
    stem.contains("requirements") || stem == "reqs" || folder_of(path).rsplit('/').next() == Some("requirements")
}

pub(super) fn requirements(cx: &mut Reader, source: &Source) {
    let dev = is_dev_group(source.path.rsplit('/').next().unwrap_or(""));
    for line in lines(&source.text) {
        if let Some(editable) = option(&line, &["-e", "--editable"]) {
            cx.declare_python(&source.path, editable, dev, false);
        } else if !line.starts_with('-') {
            cx.declare_python(&source.path, &line, dev, false);
        }
    }
}

/// Files that requirements files include under names that say nothing.
pub(super) fn includes(cx: &mut Reader) {
    let mut seen = BTreeSet::new();
    let sources = cx.sources;
    let mut queue: Vec<&Source> = sources.files().iter().filter(|file| is_requirements(&file.path)).collect();
    while let Some(source) = queue.pop() {
        cx.read.borrow_mut().insert(source.path.clone());
        if !seen.insert(&source.path) {
            continue;
        }
        if !is_requirements(&source.path) {
            requirements(cx, source);
        }
        for line in lines(&source.text) {
            let named = option(&line, &["-r", "--requirement"]);
            let path = named.and_then(|named| join(folder_of(&source.path), named));
            queue.extend(path.and_then(|path| cx.source(&path)));
        }
    }
    cx.found.python.sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
    cx.found.npm.sort_by(|a, b| (&a.name, &a.file).cmp(&(&b.name, &b.file)));
}

/// Logical lines: comments gone, continuations joined.
fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = match line.trim_start().starts_with('#') {
            true => "",
            false => line.split(" #").next().unwrap_or(line).trim(),
        };
        match line.strip_suffix('\\') {
            Some(part) => open.extend([part.trim_end(), " "]),
            None => {
                open.push_str(line);
                lines.push(std::mem::take(&mut open));
            }
        }
    }
    lines.push(open);
    lines.retain(|line| !line.trim().is_empty());
    lines
}

/// The value of `-r file`, `-rfile`, `--requirement=file`.
fn option<'a>(line: &'a str, names: &[&str]) -> Option<&'a str> {
    let line = line.trim_start();
    let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
    Some(rest.trim_start_matches(['=', ' ', '\t']).trim())
}

pub(super) fn pyproject(cx: &mut Reader, source: &Source) {
    let Some(table) = cx.toml(source) else { return };
    let path = &source.path;
    let at = |keys: &[&str]| get(&table, keys);
    for name in [&["project", "name"][..], &["tool", "poetry", "name"]] {
        if let Some(Value::String(name)) = at(name) {
            own(cx, name, path);
        }
    }
    each_text(at(&["project", "dependencies"]), |written| cx.declare_python(path, written, false, false));
    for (group, list) in tables(at(&["project", "optional-dependencies"])) {
        each_text(Some(list), |written| cx.declare_python(path, written, is_dev_group(group), true));
    }
    for (_, list) in tables(at(&["dependency-groups"])).chain(tables(at(&["tool", "pdm", "dev-dependencies"]))) {
        each_text(Some(list), |written| cx.declare_python(path, written, true, false));
    }
    each_text(at(&["tool", "uv", "dev-dependencies"]), |written| cx.declare_python(path, written, true, false));
    poetry(cx, path, at(&["tool", "poetry", "dependencies"]), false);
    poetry(cx, path, at(&["tool", "poetry", "dev-dependencies"]), true);
    for (group, body) in tables(at(&["tool", "poetry", "group"])) {
        poetry(cx, path, body.get("dependencies"), group != "main");
    }
    for keys in [&["project", "scripts"][..], &["project", "gui-scripts"], &["tool", "poetry", "scripts"]] {
        for (name, target) in tables(at(keys)) {
            let target = target.as_str().or_else(|| target.get("callable")?.as_str());
            if let Some(target) = target {
                start::command(cx, 3, source, target, &format!("script `{name}`"));
            }
        }
    }
    for (keys, what) in [(&["tool", "crewai", "entry"][..], "crewai"), (&["tool", "fastapi", "entrypoint"], "fastapi")]
    {
        if let Some(Value::String(target)) = at(keys) {
            start::command(cx, 1, source, target, &format!("`tool.{what}`"));
        }
    }
}

fn own(cx: &mut Reader, name: &str, path: &str) {
    let folder = folder_of(path).to_owned();
    let name = normalize(name).replace('-', "_");
    cx.found.package_names.push(OwnPackage { name, folder, entries: Vec::new(), npm: false });
}

fn get<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (first, rest) = keys.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(*key))
}

fn tables(value: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> {
    value.and_then(Value::as_table).into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn each_text(value: Option<&Value>, mut each: impl FnMut(&str)) {
    for text in value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        each(text);
    }
}

/// Poetry's and Pipfile's tables: `name = "^1.2"`, `name = { version = "^1.2", extras = ["x"] }`.
fn poetry(cx: &mut Reader, path: &str, packages: Option<&Value>, dev: bool) {
    for (name, asked) in tables(packages).filter(|(name, _)| *name != "python") {
        let asked = asked.as_array().and_then(|several| several.first()).unwrap_or(asked);
        let version = asked.as_str().or_else(|| asked.get("version")?.as_str()).unwrap_or("");
        let mut extras = Vec::new();
        each_text(asked.get("extras"), |extra| extras.push(extra.to_owned()));
        let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
        let optional = asked.get("optional").and_then(Value::as_bool).unwrap_or(false);
        let address = ["git", "url"].iter().find_map(|key| Some((key, asked.get(*key)?.as_str()?)));
        let written = match address {
            Some((&"git", address)) => format!("{name}{extras} @ git+{address}"),
            Some((_, address)) => format!("{name}{extras} @ {address}"),
            None => format!("{name}{extras}{}", pep440(version)),
        };
        cx.declare_python(path, &written, dev, optional);
    }
}

/// Poetry's `^1.2` is `>=1.2,<2.0`, `~1.2` is `>=1.2,<1.3`, a bare `1.2` is `==1.2`, `*` is nothing.
fn pep440(version: &str) -> String {
    let version = version.split("||").next().unwrap_or("").trim();
    let one = |part: &str| -> String {
        let part = part.trim();
        let (sign, number) = part.split_at(part.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(part.len()));
        match sign.trim() {
            "^" | "~" => format!(">={number},<{}", upper(number, sign == "~")),
            "" | "=" if number.is_empty() || part == "*" => String::new(),
            "" | "=" => format!("=={number}"),
            "*" => String::new(),
            sign => format!("{sign}{number}"),
        }
    };
    version.split(',').map(one).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",")
}

fn upper(number: &str, tilde: bool) -> String {
    let leading =
        |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0u64);
    let parts: Vec<u64> = number.split('.').take(3).map(leading).collect();
    let first = parts.iter().position(|&part| part > 0).unwrap_or(parts.len().saturating_sub(1));
    let bumped = if tilde { parts.len().saturating_sub(1).min(1) } else { first };
    let mut out: Vec<String> = parts[..bumped].iter().map(u64::to_string).collect();
    out.push(parts.get(bumped).map_or(1, |part| part.saturating_add(1)).to_string());
    if out.len() == 1 {
        out.push("0".into());
    }
    out.join(".")
}

pub(super) fn pipfile(cx: &mut Reader, source: &Source) {
    let Some(table) = cx.toml(source) else { return };
    poetry(cx, &source.path, table.get("packages"), false);
    poetry(cx, &source.path, table.get("dev-packages"), true);
}

pub(super) fn setup_cfg(cx: &mut Reader, source: &Source) {
    let (mut section, mut key) = ("", "");
    for line in source.text.lines() {
        let content = line.split(" #").next().unwrap_or(line).trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = content.strip_prefix('[').filter(|_| !line.starts_with(char::is_whitespace)) {
            (section, key) = (name.trim_end_matches(']').trim(), "");
            continue;
        }
        let value = match line.starts_with(char::is_whitespace) {
            true => content,
            false => {
                let (name, value) = content.split_once('=').unwrap_or((content, ""));
                key = name.trim();
                value.trim()
            }
        };
        match section {
            "metadata" if key == "name" => own(cx, value, &source.path),
            "options" if key == "install_requires" => cx.declare_python(&source.path, value, false, false),
            "options.extras_require" => cx.declare_python(&source.path, value, is_dev_group(key), true),
            _ => {}
        }
    }
}

pub(super) fn setup_py(cx: &mut Reader, source: &Source) {
    let Ok(facts) = lang::read(source, None) else { return };
    for call in &facts.calls {
        for arg in &call.args {
            let Some(name) = arg.name else { continue };
            match facts.name(name) {
                "install_requires" => {
                    for written in texts(&facts, arg.value) {
                        cx.declare_python(&source.path, written, false, false);
                    }
                }
                "name" => {
                    if let Some(name) = facts.text(arg.value) {
                        own(cx, name, &source.path);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The texts of a list, written in place or under a name of the module.
fn texts(facts: &FileFacts, list: crate::facts::ExprId) -> Vec<&str> {
    let list = match facts.kind(list) {
        ExprKind::Name(name) => match facts.bindings_in(MODULE, *name).last().map(|binding| binding.value) {
            Some(crate::facts::Bound::Expr(value)) => value,
            _ => list,
        },
        _ => list,
    };
    match facts.kind(list) {
        ExprKind::List(items) => items.iter().filter_map(|item| facts.text(*item)).collect(),
        _ => Vec::new(),
    }
}

/// `dependencies` of a conda environment and the `pip` list inside.
pub(super) fn environment(cx: &mut Reader, source: &Source) {
    let (mut inside, mut pip) = (false, None);
    for line in yaml_lines(&source.text) {
        if !line.item && line.indent == 0 {
            inside = line.key == "dependencies";
            pip = None;
        } else if inside && line.item {
            match pip {
                _ if line.key == "pip" => pip = Some(line.indent),
                Some(outer) if line.indent > outer => cx.declare_python(&source.path, line.value, false, false),
                _ => {
                    pip = None;
                    let name = line.value.split(['=', '<', '>', ' ', '[']).next().unwrap_or("");
                    let name = name.rsplit("::").next().unwrap_or(name);
                    if !matches!(name, "python" | "pip") {
                        cx.declare_python(&source.path, name, false, false);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_name_extras_and_the_rest_as_written() {
        for (line, name, extras) in [
            ("requests", "requests", &[][..]),
            ("crewai[tools, agentops] >=0.80,<1 ; python_version < '3.13'", "crewai", &["tools", "agentops"]),
            ("discord.py==2.3", "discord.py", &[]),
            ("torch @ https://x.org/torch-2.whl", "torch", &[]),
            ("git+https://github.com/acme/widget.git@v1#egg=acme-widget", "acme-widget", &[]),
            ("git+https://github.com/acme/widget.git@v1", "widget", &[]),
            ("https://x.org/numpy-1.0-cp39-none-any.whl", "numpy", &[]),
            ("flask==1.0 --hash=sha256:00", "flask", &[]),
            ("a (>=1.0)", "a", &[]),
        ] {
            let asked = Asked::read(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((asked.name, &asked.extras[..]), (name, extras), "{line}");
        }
        let specifier = |line| Asked::read(line).unwrap().specifier();
        assert_eq!(
            specifier("a [ x , y ] ( >=1.0 , <2 ) ;python_version<'3.9'"),
            "a[x,y]>=1.0,<2; python_version<'3.9'"
        );
        assert_eq!(specifier("git+ssh://git@h.org/o/w.git@v1"), "w @ git+ssh://git@h.org/o/w.git@v1");
        assert_eq!(specifier("w@https://h.org/w.zip"), "w @ https://h.org/w.zip");
        for line in ["", "-x", "./local", "two words", "..", "[x]", "<<<<<<< HEAD", "é"] {
            assert_eq!(Asked::read(line), None, "{line}");
        }
    }

    #[test]
    fn poetry_versions_are_rewritten_for_pip() {
        for (poetry, pip) in [
            ("^1.2", ">=1.2,<2.0"),
            ("^0.3.4", ">=0.3.4,<0.4"),
            ("~1.2.3", ">=1.2.3,<1.3"),
            ("~1", ">=1,<2.0"),
            ("*", ""),
            ("1.2", "==1.2"),
            (">=1,<2", ">=1,<2"),
            ("^99999999999999999999", ">=99999999999999999999,<1.0"),
        ] {
            assert_eq!(pep440(poetry), pip, "{poetry}");
        }
    }
}
