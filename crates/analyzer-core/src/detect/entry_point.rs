//! Entry point: the file that starts the program.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use super::graph::Graph;
use crate::analysis::Handler;
use crate::facts::{FileFacts, MODULE};
use crate::manifest::Manifests;
use crate::memo::{self, Asked, Memo};
use crate::sources::{Language, Source, Sources};

/// The file that starts the program, empty when none could, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryPoint {
    /// Path as submitted.
    pub file: String,
    /// A sentence.
    pub reason: String,
    /// `python` or `node`; empty when unknown.
    pub runtime_family: String,
    /// Files for which as much speaks, and that no place or name sets apart.
    pub rivals: Vec<String>,
}

/// The file for which most speaks; of two equal ones the less deep, then the first by name.
pub(crate) fn detect(
    sources: &Sources,
    facts: &[Arc<FileFacts>],
    graph: &Graph,
    manifests: &Manifests,
    handlers: &[Handler],
    memo: Option<&Memo>,
) -> EntryPoint {
    let mut handled: FxHashMap<&str, Vec<&Handler>> = FxHashMap::default();
    for handler in handlers {
        handled.entry(&handler.file).or_default().push(handler);
    }
    let mut started: FxHashMap<&str, (usize, &str)> = FxHashMap::default();
    for start in &manifests.starts {
        started.entry(&start.file).or_insert((start.rank.into(), &start.reason));
    }
    let objects = memo::each(memo, facts.len(), Asked::Objects, &facts, |facts, file| object(&facts[file]));
    let candidates = sources.files().iter().zip(facts).enumerate().filter(|(_, (source, _))| is_program(source));
    let judged = candidates.map(|(index, (source, facts))| {
        let handlers = handled.get(&*source.path).map_or(&[][..], Vec::as_slice);
        let started = started.get(&*source.path).copied();
        let (points, reasons) = judge(source, facts, *objects[index], started, handlers, graph, index);
        (points, source, reasons)
    });
    let depth = |source: &Source| source.path.matches('/').count();
    let mut judged: Vec<_> = judged.collect();
    judged.sort_by(|(a, one, _), (b, other, _)| {
        b.cmp(a).then(depth(one).cmp(&depth(other))).then(one.path.cmp(&other.path))
    });
    // Two files that nothing speaks for are no choice.
    let equal = |other: &&(i32, &Source, Vec<String>)| {
        judged.first().is_some_and(|(points, best, reasons)| {
            *points == other.0 && depth(best) == depth(other.1) && !reasons.is_empty()
        })
    };
    let rivals = judged.iter().skip(1).take_while(equal).map(|(_, source, _)| source.path.to_string()).collect();
    judged.first().map_or_else(EntryPoint::default, |(_, source, reasons)| EntryPoint {
        file: source.path.to_string(),
        rivals,
        reason: sentence(reasons),
        runtime_family: if source.language.is_python() { "python" } else { "node" }.into(),
    })
}

fn is_program(source: &Source) -> bool {
    (source.language.is_python() || source.language.is_javascript())
        && !source.path.ends_with(".d.ts")
        && !source.path.ends_with(".pyi")
}

fn sentence(reasons: &[String]) -> String {
    let mut text = match reasons {
        [] => "No other file is more likely.".to_owned(),
        reasons => reasons.join("; ") + ".",
    };
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn judge(
    source: &Source,
    facts: &FileFacts,
    object: Option<(&str, i32)>,
    started: Option<(usize, &str)>,
    handlers: &[&Handler],
    graph: &Graph,
    index: usize,
) -> (i32, Vec<String>) {
    let entry = &*ENTRY;
    let mut points = 0;
    let mut reasons = Vec::new();
    let mut add = |given: i32, reason: Option<String>| {
        points += given;
        reasons.extend(reason);
    };
    if let Some((rank, reason)) = started {
        add(entry.starts[rank.min(entry.starts.len() - 1)], Some(reason.to_owned()));
    }
    if let Some(line) = facts.main_guard {
        add(entry.main_guard, Some(format!("it has a main guard at line {line}")));
    }
    if let Some(line) = facts.first_top_level_call {
        add(entry.top_level_call, facts.main_guard.is_none().then(|| format!("it runs from line {line}")));
    }
    let best = handlers.iter().map(|handler| (entry.handlers.get(&handler.kind).copied().unwrap_or(0), handler.line));
    let best = handlers.iter().zip(best).max_by_key(|(_, (points, line))| (*points, std::cmp::Reverse(*line)));
    if let Some((handler, (given, line))) = best {
        add(given, Some(format!("it defines `{}` at line {line}", handler.name)));
    }
    let name = source.path.rsplit('/').next().unwrap_or(&source.path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_ascii_lowercase();
    if let Some(given) = entry.names.get(&stem) {
        add(*given, (*given > 0).then(|| format!("`{name}` is a conventional name")));
    }
    let served = source.path.split('/').rev().skip(1).find_map(|folder| entry.folders.get(folder));
    add(served.copied().unwrap_or(0), None);
    let place = source.path.rsplit_once('.').map_or(&*source.path, |(place, _)| place);
    if let Some(given) = entry.pages.get(place.strip_prefix("src/").unwrap_or(place)) {
        add(*given, Some(format!("`{name}` is the page at the root")));
    }
    if let Some((name, given)) = object {
        // A weak name says something, but is no reason to give.
        add(given, (given >= 30).then(|| format!("it has `{name}`")));
    }
    let imports = graph.imports(index).len();
    if graph.imported(index) == 0 {
        add(entry.unimported, (imports > 0).then(|| "no other file imports it".to_owned()));
    }
    add(entry.imports * imports.min(5) as i32, None);
    add(entry.depth * source.path.matches('/').count() as i32, None);
    if source.path.ends_with(".ipynb") {
        add(entry.notebook, None);
    }
    if source.language == Language::Component {
        add(entry.component, None);
    }
    if graph.is_beside(index) && started.is_none() {
        add(entry.beside.points, None);
    }
    (points, reasons)
}

/// The telling name that a file gives something, and what that counts.
fn object(facts: &FileFacts) -> Option<(&'static str, i32)> {
    let exported = |name: &str| facts.exports.iter().any(|(exported, _)| **exported == *name);
    let bound = |name: &str| !facts.bindings_named(MODULE, name).is_empty() || exported(name);
    let objects = ENTRY.objects.iter().filter(|(name, _)| bound(name));
    objects.max_by_key(|(_, given)| **given).map(|(name, given)| (name.as_str(), *given))
}

/// Tests, configuration, scripts: files that belong to the project but do not start it.
pub(super) fn is_beside(path: &str) -> bool {
    let beside = &ENTRY.beside;
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_ascii_lowercase();
    folders.split('/').any(|folder| beside.folders.contains(&folder.to_ascii_lowercase()))
        || beside.files.contains(&stem)
        || beside.prefixes.iter().any(|prefix| stem.starts_with(prefix.as_str()))
        || beside.suffixes.iter().any(|suffix| stem.ends_with(suffix.as_str()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    starts: Vec<i32>,
    main_guard: i32,
    notebook: i32,
    component: i32,
    top_level_call: i32,
    unimported: i32,
    imports: i32,
    depth: i32,
    handlers: BTreeMap<String, i32>,
    names: BTreeMap<String, i32>,
    folders: BTreeMap<String, i32>,
    pages: BTreeMap<String, i32>,
    objects: BTreeMap<String, i32>,
    beside: Beside,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    folders: FxHashSet<String>,
    files: FxHashSet<String>,
    prefixes: Vec<String>,
    suffixes: Vec<String>,
    points: i32,
}

static ENTRY: LazyLock<Entry> = LazyLock::new(|| {
    toml::from_str(include_str!("../../knowledge/packages/entry.toml")).expect("a test reads every embedded list")
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imports::Imports;
    use crate::lang;
    use crate::modules::Modules;

    fn answer(files: &[(&str, &str)], handlers: &[Handler]) -> EntryPoint {
        let sources = Sources::new(files.iter().map(|(path, text)| (*path, *text))).unwrap();
        let read = |file: &Source| Arc::new(lang::read(file, None).unwrap());
        let facts: Vec<_> = sources.files().iter().map(read).collect();
        let manifests = Manifests::read(&sources);
        let modules = Modules::new(&sources, &manifests);
        let imports = Imports::new(sources.files().iter().zip(facts.iter().cloned()), &modules);
        detect(&sources, &facts, &Graph::new(&imports), &manifests, handlers, None)
    }

    const GUARD: &str = "if __name__ == '__main__':\n    run()\n";

    #[test]
    fn what_a_manifest_starts_comes_first() {
        let files = [("Dockerfile", "FROM x\nCMD [\"python\", \"serve.py\"]"), ("serve.py", ""), ("main.py", GUARD)];
        let entry = answer(&files, &[]);
        assert_eq!((&*entry.file, &*entry.runtime_family), ("serve.py", "python"));
        assert_eq!(
            entry.reason,
            "`CMD` of Dockerfile starts it; no other file imports it.".replace("; no other file imports it", "")
        );
    }

    #[test]
    fn the_file_that_nobody_imports_starts_the_others() {
        let files = [("a.py", "import b"), ("b.py", GUARD), ("c.py", "x = 1")];
        assert_eq!(answer(&files, &[]).file, "b.py", "a main guard says more");
        let files = [("a.py", "import b\nb.f()"), ("b.py", "def f(): pass")];
        assert_eq!(answer(&files, &[]).file, "a.py");
    }

    #[test]
    fn tests_and_configuration_do_not_start_programs() {
        let files =
            [("src/index.ts", "run()"), ("src/index.test.ts", "import './index'; test()"), ("vite.config.ts", "f()")];
        let entry = answer(&files, &[]);
        assert_eq!((&*entry.file, &*entry.runtime_family), ("src/index.ts", "node"));
        assert_eq!(entry.reason, "It runs from line 1; `index.ts` is a conventional name.");
    }

    #[test]
    fn a_handler_makes_the_difference() {
        let handler = Handler { name: "app".into(), kind: "web_app".into(), file: "y.py".into(), line: 3 };
        let entry = answer(&[("x.py", ""), ("y.py", "")], &[handler]);
        assert_eq!((&*entry.file, &*entry.reason), ("y.py", "It defines `app` at line 3."));
    }

    #[test]
    fn without_a_program_there_is_no_entry_point() {
        assert_eq!(answer(&[("README.md", "# x")], &[]), EntryPoint::default());
        assert_eq!(answer(&[("x.py", "")], &[]).reason, "No other file is more likely.");
    }
}
