//! Entry point: the file that starts the program.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use crate::analysis::Handler;
use crate::facts::{FileFacts, Import, Item, MODULE};
use crate::imports::Imports;
use crate::manifest::{Manifests, is_under};
use crate::sources::{Source, Sources};

/// The file that starts the program, empty when none could, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryPoint {
    /// Path as submitted.
    pub file: String,
    /// A sentence.
    pub reason: String,
    /// `python` or `node`; empty when unknown.
    pub runtime_family: String,
}

/// The file for which most speaks; of two equal ones the less deep, then the first by name.
pub fn detect(
    sources: &Sources,
    facts: &[Arc<FileFacts>],
    imports: &Imports,
    manifests: &Manifests,
    handlers: &[Handler],
) -> EntryPoint {
    let graph = Graph::new(sources, facts, imports);
    let mut handled: FxHashMap<&str, Vec<&Handler>> = FxHashMap::default();
    for handler in handlers {
        handled.entry(&handler.file).or_default().push(handler);
    }
    let mut started: FxHashMap<&str, (usize, &str)> = FxHashMap::default();
    for start in &manifests.starts {
        started.entry(&start.file).or_insert((start.rank.into(), &start.reason));
    }
    let candidates = sources.files().iter().zip(facts).enumerate().filter(|(_, (source, _))| is_program(source));
    let judged = candidates.map(|(index, (source, facts))| {
        let handlers = handled.get(&*source.path).map_or(&[][..], Vec::as_slice);
        let started = started.get(&*source.path).copied();
        let (points, reasons) = judge(source, facts, started, handlers, &graph, index);
        (points, source, reasons)
    });
    let depth = |source: &Source| source.path.matches('/').count();
    let best = judged.min_by(|(a, one, _), (b, other, _)| {
        b.cmp(a).then(depth(one).cmp(&depth(other))).then(one.path.cmp(&other.path))
    });
    best.map_or_else(EntryPoint::default, |(_, source, reasons)| EntryPoint {
        file: source.path.to_string(),
        reason: sentence(&reasons),
        runtime_family: if source.language.is_python() { "python" } else { "node" }.into(),
    })
}

fn is_program(source: &Source) -> bool {
    (source.language.is_python() || source.language.is_javascript())
        && !source.path.ends_with(".d.ts")
        && !source.path.ends_with(".pyi")
        && !is_under(&source.path, "node_modules")
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
    let exported = |name: &str| facts.exports.iter().any(|(exported, _)| **exported == *name);
    let bound = |name: &str| !facts.bindings_named(MODULE, name).is_empty() || exported(name);
    let object = entry.objects.iter().filter(|(name, _)| bound(name)).max_by_key(|(_, given)| **given);
    if let Some((name, given)) = object {
        // A weak name says something, but is no reason to give.
        add(*given, (*given >= 30).then(|| format!("it has `{name}`")));
    }
    if graph.imported[index] == 0 {
        add(entry.unimported, graph.imports[index].gt(&0).then(|| "no other file imports it".to_owned()));
    }
    add(entry.imports * graph.imports[index].min(5) as i32, None);
    add(entry.depth * source.path.matches('/').count() as i32, None);
    if is_beside(&source.path) && started.is_none() {
        add(entry.beside.points, None);
    }
    (points, reasons)
}

/// Tests, configuration, scripts: files that belong to the project but do not start it.
fn is_beside(path: &str) -> bool {
    let beside = &ENTRY.beside;
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_ascii_lowercase();
    folders.split('/').any(|folder| beside.folders.contains(&folder.to_ascii_lowercase()))
        || beside.files.contains(&stem)
        || beside.prefixes.iter().any(|prefix| stem.starts_with(prefix.as_str()))
        || beside.suffixes.iter().any(|suffix| stem.ends_with(suffix.as_str()))
}

/// How many submitted files a file imports, and how many import it.
struct Graph {
    imports: Vec<usize>,
    imported: Vec<usize>,
}

impl Graph {
    fn new(sources: &Sources, facts: &[Arc<FileFacts>], known: &Imports) -> Graph {
        let files = sources.files();
        let mut graph = Graph { imports: vec![0; files.len()], imported: vec![0; files.len()] };
        for (index, (source, facts)) in files.iter().zip(facts).enumerate() {
            let mut asked = FxHashSet::default();
            let imports = facts.imports.iter().enumerate().filter(|(_, import)| {
                let member = source.language.is_python().then_some(&import.item);
                asked.insert((&*import.module, member.and_then(item), import.type_only))
            });
            let used: FxHashSet<usize> =
                imports.filter_map(|(at, import)| target(source, import, (index, at), known)).collect();
            let used = used.into_iter().filter(|target| *target != index);
            for target in used {
                graph.imports[index] += 1;
                // A test that imports the program does not make it a library.
                graph.imported[target] += usize::from(!is_beside(&source.path) || is_beside(&files[target].path));
            }
        }
        graph
    }
}

fn item(item: &Item) -> Option<&str> {
    match item {
        Item::Member(name) => Some(name),
        _ => None,
    }
}

fn target(source: &Source, import: &Import, (file, index): (usize, usize), known: &Imports) -> Option<usize> {
    match source.language.is_javascript() {
        true if import.type_only => None,
        true => known.module(file, index),
        false => known.member(file, index).or_else(|| known.module(file, index)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    starts: Vec<i32>,
    main_guard: i32,
    top_level_call: i32,
    unimported: i32,
    imports: i32,
    depth: i32,
    handlers: BTreeMap<String, i32>,
    names: BTreeMap<String, i32>,
    folders: BTreeMap<String, i32>,
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
    use crate::lang;
    use crate::modules::Modules;

    fn answer(files: &[(&str, &str)], handlers: &[Handler]) -> EntryPoint {
        let sources = Sources::new(files.iter().map(|(path, text)| (*path, *text))).unwrap();
        let read = |file: &Source| Arc::new(lang::read(file, None).unwrap());
        let facts: Vec<_> = sources.files().iter().map(read).collect();
        let manifests = Manifests::read(&sources);
        let modules = Modules::new(&sources, &manifests);
        let imports = Imports::new(sources.files().iter().zip(facts.iter().cloned()), &modules);
        detect(&sources, &facts, &imports, &manifests, handlers)
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
