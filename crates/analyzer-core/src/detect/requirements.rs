//! Requirements: the packages that the code imports.

use rustc_hash::FxHashSet;
use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::analysis::{Requirement, Requirements};
use crate::facts::{Import, Item};
use crate::imports::Imports;
use crate::manifest::{Declared, Manifests};
use crate::memo::{self, Asked, Memo};
use crate::modules::{Modules, npm_name};
use crate::packages::{self, normalize};
use crate::sources::Source;

/// The packages with their evidence, the specifiers to install, and those that the code can do without.
pub(crate) fn detect(
    known: &Imports,
    manifests: &Manifests,
    memo: Option<&Memo>,
) -> (Requirements, Vec<String>, Vec<String>) {
    let asked = memo::each(memo, known.count(), Asked::Requirements, &(known, manifests), of_file);
    let mut packages: BTreeMap<(&str, &str), Requirement> = BTreeMap::new();
    for package in asked.iter().flat_map(|of_file| of_file.iter()) {
        match packages.get_mut(&(package.name.as_str(), package.ecosystem.as_str())) {
            Some(known) => known.optional &= package.optional,
            None => drop(packages.insert((&package.name, &package.ecosystem), package.clone())),
        }
    }
    let packages: Vec<Requirement> = packages.into_values().collect();
    let (missing, unused) = compare(&packages, manifests);
    let written = |optional: bool| {
        let asked = packages.iter().filter(|package| package.optional == optional);
        let mut written: Vec<String> = asked.map(install).collect();
        written.sort();
        written.dedup();
        written
    };
    let (detected, optional) = (written(false), written(true));
    (Requirements { packages, missing, unused }, detected, optional)
}

/// The packages that a file asks for, one after the other.
fn of_file((known, manifests): &(&Imports, &Manifests), file: usize) -> Vec<Requirement> {
    let (source, facts) = known.file(file);
    let package = |index: usize, import: &Import| match source.language {
        language if language.is_python() => {
            let local = || known.is_local_python(file, index);
            python(source, import, local, manifests)
        }
        language if language.is_javascript() => javascript(source, import, known.modules, manifests),
        _ => None,
    };
    // A build script is a manifest: what it imports, it builds with.
    if source.path.rsplit('/').next() == Some("setup.py") {
        return Vec::new();
    }
    // One package is often imported for many members; what decides is asked once a file.
    let mut asked = FxHashSet::default();
    let imports = facts.imports.iter().enumerate().filter(|(_, import)| {
        let item = match &import.item {
            Item::Member(item) if source.language.is_python() => Some(&**item),
            _ => None,
        };
        // A type checker's import is optional in Python and erased in TypeScript.
        let erased = import.type_only && source.language.is_javascript();
        !erased && !import.module.is_empty() && asked.insert((&*import.module, item, import.conditional))
    });
    let mut found: Vec<Requirement> = Vec::new();
    for (import, package) in imports.filter_map(|(index, import)| Some((import, package(index, import)?))) {
        match found.iter_mut().find(|known| known.name == package.name && known.ecosystem == package.ecosystem) {
            Some(known) => known.optional &= import.conditional,
            None => found.push(requirement(source, import, package)),
        }
    }
    found
}

/// The ranges of npm packages stay in their package.json: a requirement of npm is a name.
fn install(package: &Requirement) -> String {
    match package.ecosystem.as_str() {
        NPM => package.name.clone(),
        _ => package.specifier.clone(),
    }
}

const PYPI: &str = "pypi";
const NPM: &str = "npm";

/// A package as an import asks for it.
struct Package<'a> {
    ecosystem: &'static str,
    name: String,
    declared: Option<&'a Declared>,
    /// The import, or the import map, is its own declaration: `npm:openai@4`.
    addressed: Option<String>,
}

fn requirement(source: &Source, import: &Import, package: Package) -> Requirement {
    let Package { ecosystem, name, declared, addressed } = package;
    Requirement {
        specifier: match declared {
            Some(declared) => declared.specifier.clone(),
            None if addressed.is_some() => addressed.clone().unwrap_or_default(),
            None if ecosystem == PYPI => packages::documented_specifier(&name).unwrap_or(&name).to_owned(),
            None => name.clone(),
        },
        declared_in: match declared {
            Some(declared) => Some(declared.file.clone()),
            None => addressed.map(|_| source.path.to_string()),
        },
        name,
        ecosystem: ecosystem.into(),
        import: import.module.to_string(),
        file: source.path.to_string(),
        line: import.line,
        optional: import.conditional,
    }
}

/// The distribution behind an import: what a manifest declares first, then what the tables say, then the name itself.
fn python<'a>(
    source: &Source,
    import: &Import,
    local: impl Fn() -> bool,
    manifests: &'a Manifests,
) -> Option<Package<'a>> {
    let module = &*import.module;
    let root = module.split('.').next().unwrap_or(module);
    let item = match &import.item {
        Item::Member(item) => Some(&**item),
        _ => None,
    };
    if root.is_empty() || packages::is_python_stdlib(root) || local() {
        return None;
    }
    let declared = |name: &str| manifests.python_declared(name, &source.path);
    let known = packages::distribution(module, item);
    let own_name = normalize(root);
    let name = known.as_deref().unwrap_or(&own_name);
    let chosen = declared(name)
        .or_else(|| packages::alternatives(name).iter().find_map(|other| declared(other)))
        .or_else(|| {
            declared(&own_name)
                .filter(|_| known.is_none() || !packages::is_shared_namespace(root))
                .filter(|shim| !packages::covered_by(&shim.name, &[]).any(|real| real == name))
        })
        .or_else(|| if known.is_none() { spelt_otherwise(&own_name).find_map(|name| declared(&name)) } else { None });
    if chosen.is_none() && known.is_none() && (packages::is_own_module_name(root) || root.starts_with('_')) {
        return None;
    }
    let name = chosen.map_or(name, |declared| &declared.name).to_owned();
    Some(Package { ecosystem: PYPI, name, declared: chosen, addressed: None })
}

/// How distributions are called whose module has the plain name.
fn spelt_otherwise(name: &str) -> impl Iterator<Item = String> {
    ["python-{}", "{}-python", "py{}", "{}-py", "{}-sdk", "{}-client", "{}-ai"]
        .iter()
        .map(move |form| form.replace("{}", name))
}

/// The npm package behind a specifier: the specifier itself says, after aliases and registries' prefixes.
fn javascript<'a>(
    source: &Source,
    import: &Import,
    modules: &Modules,
    manifests: &'a Manifests,
) -> Option<Package<'a>> {
    let specifier: Cow<str> = match modules.external_js(&source.path, &import.module) {
        Some(instead) => Cow::Owned(instead),
        None => Cow::Borrowed(&*import.module),
    };
    let addressed = match specifier.split_once(':') {
        Some(("npm", package)) => Some(package.trim_start_matches('/')),
        Some(("https" | "http", address)) => Some(on_a_package_host(address)?),
        Some(_) => return None,
        None => None,
    };
    let written = addressed.map_or(&*specifier, npm_name);
    let name = npm_name(unversioned(written));
    // Types are erased; an import map that leads to them asks for nothing at run time.
    if name.starts_with("@types/") {
        return None;
    }
    let declared = manifests.npm_declared(name, &source.path);
    if !is_npm_name(name)
        || packages::is_javascript_builtin(written)
        || addressed.is_none() && declared.is_none() && modules.is_local_js(&source.path, &import.module)
    {
        return None;
    }
    Some(Package { ecosystem: NPM, name: name.to_owned(), declared, addressed: addressed.map(|_| written.to_owned()) })
}

/// `esm.sh/v135/openai@4.2/es2022/x` → `openai@4.2/es2022/x`; other hosts serve files, not packages.
fn on_a_package_host(address: &str) -> Option<&str> {
    let (host, path) = address.trim_start_matches('/').split_once('/')?;
    let path = match host {
        "esm.sh" | "cdn.skypack.dev" | "unpkg.com" | "esm.run" | "ga.jspm.io" | "esm.unpkg.com" => path,
        "cdn.jsdelivr.net" => path.strip_prefix("npm/")?,
        _ => return None,
    };
    let path = path.trim_start_matches("npm:").trim_start_matches("stable/").trim_start_matches('*');
    let pinned = path.split_once('/').filter(|(version, _)| {
        version.strip_prefix('v').is_some_and(|v| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit()))
    });
    Some(pinned.map_or(path, |(_, rest)| rest).split(['?', '#']).next().unwrap_or(path))
}

/// `openai@4/x` → `openai`, `@a/b@1` → `@a/b`.
fn unversioned(package: &str) -> &str {
    let at = package.char_indices().skip(1).find(|(_, c)| *c == '@').map_or(package.len(), |(at, _)| at);
    &package[..at]
}

fn is_npm_name(name: &str) -> bool {
    let bare = match name.strip_prefix('@') {
        Some(scoped) => match scoped.split_once('/') {
            Some((scope, bare)) if !scope.is_empty() => bare,
            _ => return false,
        },
        None => name,
    };
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    bare.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && name.len() <= 214 && bare.bytes().all(allowed)
}

/// What the code imports and no manifest names, and what a manifest names and nothing uses.
fn compare(packages: &[Requirement], manifests: &Manifests) -> (Vec<String>, Vec<String>) {
    let covered: FxHashSet<&str> =
        manifests.python.iter().flat_map(|declared| packages::covered_by(&declared.name, &declared.extras)).collect();
    let asked = packages.iter().filter(|package| !package.optional && package.declared_in.is_none());
    let missing = asked.filter(|package| match package.ecosystem.as_str() {
        PYPI => !manifests.python.is_empty() && !covered.contains(package.name.as_str()),
        _ => !manifests.npm.is_empty(),
    });
    let mut missing: Vec<String> = missing.map(|package| package.name.clone()).collect();
    let used = |ecosystem: &str| -> FxHashSet<&str> {
        packages.iter().filter(|package| package.ecosystem == ecosystem).map(|package| package.name.as_str()).collect()
    };
    let (pypi, npm) = (used(PYPI), used(NPM));
    let idle_python = manifests.python.iter().filter(|declared| {
        let brought = || packages::covered_by(&declared.name, &declared.extras).any(|brought| pypi.contains(brought));
        !pypi.contains(declared.name.as_str()) && !packages::is_python_tool(&declared.name) && !brought()
    });
    let idle_npm = manifests
        .npm
        .iter()
        .filter(|declared| !npm.contains(declared.name.as_str()) && !packages::is_npm_tool(&declared.name));
    let own: FxHashSet<&str> = manifests.package_names.iter().map(|own| own.name.as_str()).collect();
    let frozen = frozen(manifests, &pypi);
    let idle = idle_python.chain(idle_npm).filter(|declared| {
        let lists_needs = !declared.file.contains("Dockerfile") && !frozen.contains(declared.file.as_str());
        let own = own.contains(declared.name.replace('-', "_").as_str()) || own.contains(declared.name.as_str());
        lists_needs && !own && !declared.dev && !declared.optional
    });
    let mut unused: Vec<String> = idle.map(|declared| declared.name.clone()).collect();
    for names in [&mut missing, &mut unused] {
        names.sort();
        names.dedup();
    }
    (missing, unused)
}

/// Files that list an environment (`pip freeze`) rather than what the code asks for: all pinned, and mostly brought by
/// other packages. That nothing imports an entry of theirs means nothing.
fn frozen<'a>(manifests: &'a Manifests, used: &FxHashSet<&str>) -> FxHashSet<&'a str> {
    let mut files: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for declared in &manifests.python {
        let (all, pinned, imported) = files.entry(&declared.file).or_default();
        *all += 1;
        *pinned += usize::from(declared.specifier.contains("=="));
        *imported += usize::from(used.contains(declared.name.as_str()));
    }
    let frozen =
        files.into_iter().filter(|(_, (all, pinned, imported))| *all >= 8 && pinned == all && imported * 3 < *all);
    frozen.map(|(file, _)| file).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lang;
    use crate::sources::Sources;

    fn answer(files: &[(&str, &str)]) -> (Requirements, Vec<String>, Vec<String>) {
        let sources = Sources::new(files.iter().map(|(path, text)| (*path, *text))).unwrap();
        let read = |file: &Source| Arc::new(lang::read(file, None).unwrap());
        let facts: Vec<_> = sources.files().iter().map(read).collect();
        let manifests = Manifests::read(&sources);
        let modules = Modules::new(&sources, &manifests);
        let imports = Imports::new(sources.files().iter().zip(facts.iter().cloned()), &modules);
        detect(&imports, &manifests, None)
    }

    fn detected(files: &[(&str, &str)]) -> Vec<String> {
        answer(files).1
    }

    #[test]
    fn imports_become_distributions() {
        let code = "import os, requests\nfrom PIL import Image\nfrom google.cloud import storage\nimport openai, fastapi\n\
                    from dotenv import load_dotenv\nimport some_new_thing\nfrom . import x\nfrom utils import y";
        assert_eq!(
            detected(&[("a.py", code)]),
            [
                "fastapi[standard]",
                "google-cloud-storage",
                "openai>=1.0",
                "pillow",
                "python-dotenv",
                "requests",
                "some-new-thing"
            ]
        );
    }

    #[test]
    fn a_manifests_specifier_and_its_choice_of_distribution_win() {
        let manifest = "openai==1.2.3\npsycopg2\npinecone-client>=2\ncrewai[tools]>=0.80\npyautogen\ndiscord.py\n";
        let code = "import openai, psycopg2, pinecone, crewai, crewai_tools, autogen, discord";
        let (found, names, _) = answer(&[("requirements.txt", manifest), ("a.py", code)]);
        assert_eq!(
            names,
            [
                "crewai-tools",
                "crewai[tools]>=0.80",
                "discord.py",
                "openai==1.2.3",
                "pinecone-client>=2",
                "psycopg2",
                "pyautogen"
            ]
        );
        assert_eq!((found.missing, found.unused), (vec![], vec![]), "the extra brings crewai-tools");
    }

    #[test]
    fn a_shim_is_named_by_what_it_brings_and_an_unknown_module_by_its_client() {
        let manifest = "bs4\nacmeflow-sdk>=2\n";
        let (found, names, _) = answer(&[("requirements.txt", manifest), ("a.py", "import bs4, acmeflow.flows")]);
        assert_eq!(names, ["acmeflow-sdk>=2", "beautifulsoup4"]);
        assert_eq!((found.missing, found.unused), (vec![], vec![]));
    }

    #[test]
    fn what_the_code_can_do_without_is_optional() {
        let code = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas\ntry:\n    import redis\n\
                    except ImportError:\n    redis = None\ntry:\n    import httpx\nexcept ImportError:\n    httpx = None\n";
        let (_, names, optional) = answer(&[("a.py", code), ("b.py", "import httpx")]);
        assert_eq!(names, ["httpx"]);
        assert_eq!(optional, ["pandas", "redis"]);
    }

    #[test]
    fn npm_packages_are_named_by_their_specifiers() {
        let code = "import OpenAI from 'openai';\nimport { a } from '@scope/pkg/sub';\nimport fs from 'node:fs';\n\
                    import path from 'path';\nimport type { T } from 'types-only';\nimport x from './x';\n\
                    import y from '@/y';\nconst z = require('lodash/get');\nimport 'npm:chalk@5/x';\n\
                    import e from 'https://esm.sh/v135/zod@3.1?target=es2022';\nimport d from 'https://deno.land/std/x.ts';\n\
                    import w from 'cloudflare:workers';\nimport j from 'jsr:@std/assert';";
        assert_eq!(detected(&[("a.ts", code)]), ["@scope/pkg", "chalk", "lodash", "openai", "zod"]);
    }

    #[test]
    fn import_maps_name_packages() {
        let map = r#"{"imports": {"ai": "https://esm.sh/ai@2.2.13", "lib/": "./lib/"}}"#;
        let code = "import { x } from 'ai';\nimport y from 'lib/y.ts';";
        let (found, names, _) = answer(&[
            ("import_map.json", map),
            ("f/index.ts", code),
            ("package.json", "{\"dependencies\": {\"x\": \"1\"}}"),
        ]);
        assert_eq!(names, ["ai"]);
        assert_eq!(found.packages[0].specifier, "ai@2.2.13");
        assert_eq!(found.missing, [""; 0], "an address declares itself");
    }

    #[test]
    fn missing_and_unused_entries_are_reported() {
        let python = "flask\npandas>=2\npytest\ngunicorn\n";
        let (found, ..) = answer(&[("requirements.txt", python), ("a.py", "import flask, numpy")]);
        assert_eq!((found.missing, found.unused), (vec!["numpy".into()], vec!["pandas".into()]));
        let node =
            r#"{"dependencies": {"zod": "^3", "express": "4", "@types/node": "1"}, "devDependencies": {"x": "1"}}"#;
        let (found, names, _) = answer(&[("package.json", node), ("a.ts", "import 'zod'; import 'openai';")]);
        assert_eq!(names, ["openai", "zod"]);
        assert_eq!((found.missing, found.unused), (vec!["openai".into()], vec!["express".into()]));
        assert_eq!(found.packages[1].specifier, "zod@^3");
        let frozen: String = (0..9).map(|n| format!("dep{n}==1\n")).collect();
        let (found, ..) = answer(&[("requirements.txt", &frozen), ("a.py", "import dep0")]);
        assert_eq!(found.unused, [""; 0], "a frozen environment lists what nothing imports");
        let (found, ..) = answer(&[("a.py", "import numpy")]);
        assert_eq!(found.missing, [""; 0], "without a manifest nothing is missing from it");
    }

    #[test]
    fn submitted_modules_are_no_packages() {
        let files = [
            ("agents/__init__.py", ""),
            ("agents/planner.py", "from agents import Agent\nfrom agents.writer import write"),
            ("agents/writer.py", ""),
            ("main.py", "from agents.planner import plan\nimport github, config"),
            ("github.py", ""),
        ];
        assert_eq!(detected(&files), ["openai-agents"]);
    }
}
