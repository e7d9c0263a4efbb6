//! Modules: which submitted file an import means, if it means one.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::manifest::{Manifests, OwnPackage, PathAlias, folder_of, join, sources_of};
use crate::packages;
use crate::sources::{Source, Sources};

/// The submitted files as the module systems of Python and JavaScript see them.
#[derive(Debug, Default)]
pub struct Modules {
    sources: Vec<Source>,
    files: FxHashMap<String, usize>,
    /// Folders with Python files in them or below them.
    python_folders: FxHashSet<String>,
    /// Folders that a manifest makes a project of its own; the root is always one.
    projects: FxHashSet<String>,
    /// By the folder whose files know them, what fixes most first.
    aliases: FxHashMap<String, Vec<PathAlias>>,
    npm: FxHashMap<String, OwnPackage>,
    python: FxHashSet<String>,
    /// Distributions that a manifest declares: an import of that name is theirs, if nothing nearer answers.
    declared: FxHashSet<String>,
    /// Source folders that the project imports by their own names, and so does not search.
    named_folders: FxHashSet<&'static str>,
    /// The same as each file has them.
    named_by: Vec<Folders>,
    /// Where Python looks for top-level modules, by the folder of the file that asks.
    roots: FxHashMap<String, Roots>,
    /// Where a module or package of a name lies, the shallowest one.
    python_tops: FxHashMap<String, String>,
}

/// Folders that are searched for a top-level module, nearest first.
#[derive(Debug, Clone, Default)]
struct Roots {
    /// Those that Python searches.
    own: Vec<String>,
    /// Folders inside a package, and those that are packages themselves by their use.
    inner: Vec<String>,
}

/// Folders of a project that build tools and servers put on the search path.
const SOURCE_FOLDERS: [&str; 4] = ["src", "lib", "app", "backend"];

const MANIFESTS: [&str; 8] = [
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "requirements.txt",
    "Pipfile",
    "package.json",
    "deno.json",
    "tsconfig.json",
];

const EXTENSIONS: [&str; 12] = ["ts", "tsx", "js", "jsx", "mjs", "cjs", "mts", "cts", "json", "vue", "svelte", "astro"];

impl Modules {
    /// Indexes the files; the manifests say what else names them.
    pub fn new(sources: &Sources, manifests: &Manifests) -> Modules {
        let mut modules = Modules { sources: sources.files().to_vec(), ..Modules::default() };
        modules.projects.insert(String::new());
        for (index, source) in sources.files().iter().enumerate() {
            let path = &*source.path;
            modules.files.insert(path.to_owned(), index);
            if MANIFESTS.contains(&path.rsplit('/').next().unwrap_or(path)) {
                modules.projects.insert(folder_of(path).to_owned());
            }
            if path.ends_with(".py") {
                modules.top(path);
                let mut folder = folder_of(path);
                while !folder.is_empty() && modules.python_folders.insert(folder.to_owned()) {
                    folder = folder_of(folder);
                }
            }
        }
        modules.named_by = sources.files().iter().map(imported_folders).collect();
        modules.named_folders = all_named(&modules.named_by);
        let shallow = |folder: &&str| folder.matches('/').count() < 16;
        let folders: FxHashSet<&str> = sources.files().iter().map(|source| folder_of(&source.path)).collect();
        modules.roots =
            folders.into_iter().filter(shallow).map(|folder| (folder.to_owned(), modules.roots_from(folder))).collect();
        for alias in &manifests.path_aliases {
            modules.aliases.entry(alias.folder.clone()).or_default().push(alias.clone());
        }
        for aliases in modules.aliases.values_mut() {
            aliases.sort_by(longer_pattern);
            aliases.dedup();
            // Every import is held against every alias; no real project has so many.
            aliases.truncate(500);
        }
        // A project that depends on a package of its own name is not that package: `"name": "openai"` beside `openai`.
        let depends: FxHashSet<(&str, &str)> =
            manifests.npm.iter().map(|declared| (&*declared.name, folder_of(&declared.file))).collect();
        for own in &manifests.package_names {
            match own.npm {
                true if depends.contains(&(&*own.name, &*own.folder)) => {}
                true => drop(modules.npm.entry(own.name.clone()).or_insert_with(|| own.clone())),
                false => drop(modules.python.insert(own.name.clone())),
            }
        }
        let declared = manifests.python.iter().map(|declared| declared.name.replace('-', "_"));
        modules.declared = declared.filter(|name| !modules.python.contains(name)).collect();
        modules
    }

    /// The same for the same files with other texts; none where that makes a difference.
    pub(crate) fn edited(mut self, sources: &Sources) -> Option<Modules> {
        let files = sources.files();
        let same = |(now, before): (&Source, &Source)| now.path == before.path && now.language == before.language;
        if files.len() != self.sources.len() || !files.iter().zip(&self.sources).all(same) {
            return None;
        }
        for (file, now) in files.iter().enumerate().filter(|(file, now)| self.sources[*file] != **now) {
            self.named_by[file] = imported_folders(now);
        }
        self.sources = files.to_vec();
        (all_named(&self.named_by) == self.named_folders).then_some(self)
    }

    /// Source folders that the project imports by their own names.
    pub(crate) fn named_folders(&self) -> Vec<&'static str> {
        let mut folders: Vec<&str> = self.named_folders.iter().copied().collect();
        folders.sort_unstable();
        folders
    }

    /// Remembers the shallowest place of a Python file's own name, and of its package's.
    fn top(&mut self, path: &str) {
        let folder = folder_of(path);
        let stem = path[folder.len()..].trim_start_matches('/').trim_end_matches(".py");
        let (name, place) = match stem {
            "__init__" => (folder.rsplit('/').next().unwrap_or(folder), folder_of(folder)),
            stem => (stem, folder),
        };
        if name.is_empty() {
            return;
        }
        let nearer = |known: &String| known.matches('/').count() <= place.matches('/').count();
        if !self.python_tops.get(name).is_some_and(nearer) {
            self.python_tops.insert(name.to_owned(), place.to_owned());
        }
    }

    /// The file of a Python module as written in an import, which may start with dots. With an item, only the
    /// submodule that `from module import item` names: whether the module itself defines the item is not asked here.
    pub fn resolve_python(&self, importer: &str, module: &str, item: Option<&str>) -> Option<usize> {
        let dots = module.bytes().take_while(|&b| b == b'.').count();
        let name = module[dots..].replace('.', "/");
        let name = match item {
            Some(item) if name.is_empty() => item.to_owned(),
            Some(item) => format!("{name}/{item}"),
            None => name,
        };
        if dots > 0 {
            let mut folder = folder_of(importer);
            for _ in 1..dots {
                if folder.is_empty() {
                    return None;
                }
                folder = folder_of(folder);
            }
            return self.python_file(folder, &name);
        }
        let root = name.split('/').next().unwrap_or(&name);
        // A module does not import itself: the author means the package of that name.
        let other = |file: &usize| *self.sources[*file].path != *importer;
        let roots = self.python_roots(importer, root);
        let found = roots.iter().find_map(|folder| self.python_file(folder, &name).filter(other));
        found.or_else(|| match self.is_known_python(root) {
            // A folder beside the file's package may be a package's namesake, but hardly with the same modules in it.
            true if name.contains('/') => {
                self.inner_roots(importer).find_map(|folder| self.python_file(&folder, &name))
            }
            true => None,
            false => self.unknown_python(&roots, &name).filter(other),
        })
    }

    fn is_known_python(&self, root: &str) -> bool {
        packages::is_known_python(root) || packages::is_python_stdlib(root) || self.declared.contains(root)
    }

    /// A module of a name that no package has: from above the submitted folder (`repo.agents.x` for `x.py`), or from a
    /// folder that the program puts on the search path itself.
    fn unknown_python(&self, roots: &[Cow<'_, str>], name: &str) -> Option<usize> {
        // One name alone says little, unless the manifests would have declared the package.
        let enough = if self.declared.is_empty() || name.matches('/').count() > 1 { 2 } else { 1 };
        let mut below_top = name;
        for _ in 0..3 {
            let Some((_, rest)) = below_top.split_once('/') else { break };
            below_top = rest;
            let found = roots.iter().find_map(|folder| self.python_file(folder, rest));
            if let Some(file) = found.filter(|_| rest.split('/').count() >= enough) {
                return Some(file);
            }
        }
        let (root, rest) = name.split_once('/').unwrap_or((name, ""));
        self.python_tops.get(root).and_then(|folder| match rest {
            "" => self.python_file(folder, root),
            _ => self.python_file(folder, name),
        })
    }

    /// Whether a Python import asks for something of the project, even if that was not submitted.
    pub fn is_local_python(&self, importer: &str, module: &str) -> bool {
        let root = module.split('.').next().unwrap_or(module);
        if root.is_empty() || self.resolve_python(importer, module, None).is_some() {
            return true;
        }
        let known = self.is_known_python(root);
        if !known && self.python.contains(root) {
            return true;
        }
        let path = module.replace('.', "/");
        self.python_roots(importer, root).iter().any(|folder| {
            let package = self.python_folders.contains(&below(folder, &path));
            let script = || self.files.get(&below(folder, &format!("{root}.py")));
            let folder = || self.python_folders.contains(&below(folder, root));
            package || !known && (folder() || script().is_some_and(|&file| *self.sources[file].path != *importer))
        })
    }

    /// Whether `from module import item` is answered by the project. A local module of a known package's name that
    /// has no such item leaves the import to the package: the author's program runs.
    pub fn is_local_python_member(&self, importer: &str, module: &str, item: &str) -> bool {
        if self.resolve_python(importer, module, Some(item)).is_some() {
            return true;
        }
        let root = module.split('.').next().unwrap_or(module);
        if root.is_empty() || !self.is_known_python(root) {
            return self.is_local_python(importer, module);
        }
        self.resolve_python(importer, module, None).is_some_and(|file| {
            if module.len() > root.len() {
                return true;
            }
            let text = &self.sources[file].text;
            let text = text.get(..256 << 10).unwrap_or(text);
            has_word(text, item) || text.contains("import *") || text.contains("__getattr__")
        })
    }

    /// The file of a JavaScript import specifier.
    pub fn resolve_js(&self, importer: &str, specifier: &str) -> Option<usize> {
        let specifier = specifier.split('?').next().unwrap_or(specifier);
        if is_relative(specifier) {
            return self.javascript_file(&join(folder_of(importer), specifier)?);
        }
        let project = self.project(importer);
        if let Some(path) = specifier.strip_prefix('/') {
            return [project, ""].iter().find_map(|root| self.javascript_file(&join(root, path)?));
        }
        let mut aliases = self.aliases(importer, specifier).filter(|target| !target.contains(':'));
        if let Some(file) = aliases.find_map(|target| self.javascript_file(&target)) {
            return Some(file);
        }
        if let Some(path) = by_convention(specifier) {
            let roots = [project, ""].into_iter().flat_map(|root| ["", "src", "app"].map(|inside| below(root, inside)));
            return roots.into_iter().find_map(|root| self.javascript_file(&join(&root, path)?));
        }
        self.own_package(specifier).and_then(|(own, inside)| self.own_file(own, inside))
    }

    /// Whether a JavaScript import asks for something of the project, even if that was not submitted.
    pub fn is_local_js(&self, importer: &str, specifier: &str) -> bool {
        let aliased = || {
            let known = self.known_aliases(importer).filter(|alias| alias.pattern.len() > 1);
            let mut targets =
                known.filter(|alias| caught(&alias.pattern, specifier).is_some()).map(|alias| &alias.targets);
            // The nearest alias decides; one that leads out of the project names a package.
            targets.next().is_some_and(|targets| targets.iter().any(|target| !target.contains(':')))
        };
        is_relative(specifier)
            || specifier.starts_with('/')
            || by_convention(specifier).is_some()
            || aliased()
            || specifier.starts_with('#') && self.external_js(importer, specifier).is_none()
            || self.resolve_js(importer, specifier).is_some()
    }

    /// What an import map puts in the place of a specifier: `npm:openai@4`, `https://esm.sh/openai`.
    pub fn external_js(&self, importer: &str, specifier: &str) -> Option<String> {
        self.aliases(importer, specifier).find(|target| target.contains(':'))
    }

    /// Folders where Python would look for a top-level module, nearest first.
    fn python_roots(&self, importer: &str, root: &str) -> Vec<Cow<'_, str>> {
        let folder = folder_of(importer);
        let (own, inner): (Vec<Cow<str>>, Vec<Cow<str>>) = match self.roots.get(folder) {
            Some(Roots { own, inner }) => (
                own.iter().map(|root| Cow::Borrowed(root.as_str())).collect(),
                inner.iter().map(|root| Cow::Borrowed(root.as_str())).collect(),
            ),
            None => {
                let Roots { own, inner } = self.roots_from(folder);
                (own.into_iter().map(Cow::Owned).collect(), inner.into_iter().map(Cow::Owned).collect())
            }
        };
        let mut roots = own;
        if !inner.is_empty() && !self.is_known_python(root) {
            roots.extend(inner);
        }
        roots
    }

    fn inner_roots(&self, importer: &str) -> impl Iterator<Item = String> {
        let folder = folder_of(importer);
        let roots = self.roots.get(folder).cloned().unwrap_or_else(|| self.roots_from(folder));
        roots.inner.into_iter()
    }

    fn roots_from(&self, mut folder: &str) -> Roots {
        let mut roots = Roots::default();
        let mut is_first = true;
        // The outermost package above.
        let folders = std::iter::successors(Some(folder), |folder| (!folder.is_empty()).then(|| folder_of(folder)));
        let packages =
            folders.filter(|folder| !folder.is_empty() && self.files.contains_key(&below(folder, "__init__.py")));
        let top = packages.last();
        // A script's own folder is searched, and so are the folders above a package; a folder inside a package is not,
        // unless nobody knows another module of that name.
        loop {
            let (above, name) = folder.rsplit_once('/').unwrap_or(("", folder));
            let by_name = self.named_folders.contains(name) && self.projects.contains(above);
            let inside_package = by_name || self.files.contains_key(&below(folder, "__init__.py"));
            let project = self.projects.contains(folder);
            // Without a file of its own a folder of a package is one all the same, except where a script lies in it.
            let is_part = top.is_some_and(|top: &str| folder.len() > top.len());
            let inside_package = inside_package || is_part && !is_first;
            is_first = false;
            match inside_package && !project {
                true => roots.inner.push(folder.to_owned()),
                false => roots.own.push(folder.to_owned()),
            }
            if project {
                for name in SOURCE_FOLDERS {
                    let searched = !self.named_folders.contains(name);
                    if searched { &mut roots.own } else { &mut roots.inner }.push(below(folder, name));
                }
            }
            if folder.is_empty() {
                break;
            }
            folder = folder_of(folder);
        }
        roots
    }

    fn python_file(&self, folder: &str, name: &str) -> Option<usize> {
        let mut path = String::with_capacity(folder.len() + name.len() + "//__init__.py".len());
        for part in [folder, name] {
            if !path.is_empty() && !part.is_empty() {
                path.push('/');
            }
            path.push_str(part);
        }
        // A package wins over a module of the same name.
        let stem = path.len();
        path.push_str(if stem == 0 { "__init__.py" } else { "/__init__.py" });
        let package = self.files.get(&path).copied();
        package.or_else(|| {
            path.truncate(stem);
            path.push_str(".py");
            if name.is_empty() { None } else { self.files.get(&path).copied() }
        })
    }

    fn javascript_file(&self, path: &str) -> Option<usize> {
        let exact = || self.files.get(path).copied();
        let swapped = || {
            // TypeScript writes the name of the file that it will make.
            let (stem, extension) = path.rsplit_once('.')?;
            let made_from: &[&str] = match extension {
                "js" => &["ts", "tsx"],
                "jsx" => &["tsx"],
                "mjs" => &["mts"],
                "cjs" => &["cts"],
                _ => &[],
            };
            made_from.iter().find_map(|e| self.files.get(&format!("{stem}.{e}")).copied())
        };
        let extended = || EXTENSIONS.iter().find_map(|e| self.files.get(&format!("{path}.{e}")).copied());
        let index = || EXTENSIONS.iter().find_map(|e| self.files.get(&below(path, &format!("index.{e}"))).copied());
        exact().or_else(swapped).or_else(extended).or_else(index)
    }

    /// The nearest folder above a file that has a manifest.
    fn project<'a>(&self, importer: &'a str) -> &'a str {
        let mut folder = folder_of(importer);
        while !self.projects.contains(folder) {
            folder = folder_of(folder);
        }
        folder
    }

    fn known_aliases<'a>(&'a self, importer: &'a str) -> impl Iterator<Item = &'a PathAlias> + 'a {
        let folders =
            std::iter::successors(Some(folder_of(importer)), |folder| (!folder.is_empty()).then(|| folder_of(folder)));
        folders.filter_map(|folder| self.aliases.get(folder)).flatten()
    }

    /// What the aliases that a file knows make of a specifier, nearest configuration first.
    fn aliases<'a>(&'a self, importer: &'a str, specifier: &'a str) -> impl Iterator<Item = String> + 'a {
        self.known_aliases(importer).flat_map(move |alias| {
            let caught = caught(&alias.pattern, specifier);
            let targets = caught.map(|caught| {
                alias.targets.iter().map(move |target| match alias.pattern.is_empty() {
                    true => below(target, caught),
                    false => target.replacen('*', caught, 1),
                })
            });
            targets.into_iter().flatten()
        })
    }

    /// The project's own npm package that a specifier names, and the path inside it.
    fn own_package<'a>(&self, specifier: &'a str) -> Option<(&OwnPackage, &'a str)> {
        let name = npm_name(specifier);
        let inside = specifier[name.len()..].trim_start_matches('/');
        self.npm.get(name).map(|own| (own, inside))
    }

    fn own_file(&self, own: &OwnPackage, inside: &str) -> Option<usize> {
        let entries = || {
            let written = own.entries.iter().flat_map(|entry| sources_of(entry));
            written.chain(["src/index", "index"].map(|name| below(&own.folder, name))).collect()
        };
        let candidates: Vec<String> = match inside.is_empty() {
            true => entries(),
            false => ["", "src"].map(|folder| below(&below(&own.folder, folder), inside)).into(),
        };
        candidates.iter().find_map(|path| self.javascript_file(path))
    }
}

/// The package that a bare specifier names: `@scope/name/sub` → `@scope/name`.
pub fn npm_name(specifier: &str) -> &str {
    let parts = if specifier.starts_with('@') { 2 } else { 1 };
    let end = specifier.match_indices('/').nth(parts - 1).map_or(specifier.len(), |(at, _)| at);
    &specifier[..end]
}

fn is_relative(specifier: &str) -> bool {
    matches!(specifier, "." | "..") || specifier.starts_with("./") || specifier.starts_with("../")
}

/// `@/lib`, `~/lib`, SvelteKit's `$lib`: what templates call the project's own folder. No npm scope is empty.
fn by_convention(specifier: &str) -> Option<&str> {
    if specifier.starts_with("$lib/") {
        return Some(&specifier[1..]);
    }
    ["@/", "~/", "$/", "@@/"].iter().find_map(|prefix| specifier.strip_prefix(prefix))
}

/// What the star of a pattern stands for; everything, for the empty pattern.
fn caught<'a>(pattern: &str, specifier: &'a str) -> Option<&'a str> {
    match pattern.split_once('*') {
        _ if pattern.is_empty() => Some(specifier),
        None => (pattern == specifier).then_some(""),
        Some((start, end)) => specifier.strip_prefix(start)?.strip_suffix(end),
    }
}

/// The more a pattern fixes, the earlier it is asked; `baseUrl` comes last.
fn longer_pattern(a: &PathAlias, b: &PathAlias) -> std::cmp::Ordering {
    let fixed = |alias: &PathAlias| (!alias.pattern.contains('*'), alias.pattern.len());
    let base = a.pattern.is_empty().cmp(&b.pattern.is_empty());
    base.then_with(|| fixed(b).cmp(&fixed(a))).then_with(|| a.pattern.cmp(&b.pattern))
}

fn below(folder: &str, name: &str) -> String {
    match (folder.is_empty(), name.is_empty()) {
        (true, _) => name.to_owned(),
        (_, true) => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

/// Source folders, one bit for each.
type Folders = u8;

/// The source folders that a file of Python imports by their names: `from app.agents import …`.
fn imported_folders(file: &Source) -> Folders {
    static BEGINS: LazyLock<AhoCorasick> = LazyLock::new(|| {
        let begins =
            |folder| [format!("from {folder}."), format!("import {folder}."), format!("from {folder} import ")];
        AhoCorasick::new(SOURCE_FOLDERS.into_iter().flat_map(begins)).expect("a dozen short texts")
    });
    let mut found = 0;
    if file.language.is_python() {
        for begin in BEGINS.find_iter(&*file.text) {
            let before = file.text[..begin.start()].trim_end_matches([' ', '\t']);
            if begin.start() == 0 || before.ends_with('\n') {
                found |= 1 << (begin.pattern().as_usize() / 3);
            }
        }
    }
    found
}

fn all_named(by_file: &[Folders]) -> FxHashSet<&'static str> {
    let all = by_file.iter().fold(0, |all, folders| all | folders);
    SOURCE_FOLDERS.into_iter().enumerate().filter(|(at, _)| all >> at & 1 == 1).map(|(_, folder)| folder).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Project(Sources, Modules);

    impl Project {
        fn new(files: &[(&str, &str)]) -> Project {
            let sources = Sources::new(files.iter().map(|(path, text)| (*path, *text))).unwrap();
            let modules = Modules::new(&sources, &Manifests::read(&sources));
            Project(sources, modules)
        }

        fn of(paths: &[&str]) -> Project {
            Project::new(&paths.iter().map(|path| (*path, "")).collect::<Vec<_>>())
        }

        fn path(&self, file: Option<usize>) -> &str {
            file.map_or("", |file| &self.0.files()[file].path)
        }

        fn python(&self, importer: &str, module: &str, item: Option<&str>) -> &str {
            self.path(self.1.resolve_python(importer, module, item))
        }

        fn js(&self, importer: &str, specifier: &str) -> &str {
            self.path(self.1.resolve_js(importer, specifier))
        }
    }

    #[test]
    fn dots_count_folders() {
        let p = Project::of(&["a/__init__.py", "a/b/__init__.py", "a/b/c.py", "a/d.py"]);
        assert_eq!(p.python("a/b/c.py", ".", None), "a/b/__init__.py");
        assert_eq!(p.python("a/b/c.py", "..d", None), "a/d.py");
        assert_eq!(p.python("a/b/c.py", "..", Some("d")), "a/d.py");
        assert_eq!(p.python("a/b/c.py", "....x", None), "");
        assert!(p.1.is_local_python("a/b/c.py", "....x"));
    }

    #[test]
    fn packages_are_found_from_the_root_from_src_and_beside_a_script() {
        let p = Project::of(&["src/pkg/__init__.py", "src/pkg/m.py", "tools/run.py", "tools/side.py", "main.py"]);
        assert_eq!(p.python("main.py", "pkg.m", None), "src/pkg/m.py");
        assert_eq!(p.python("main.py", "pkg", Some("m")), "src/pkg/m.py");
        assert_eq!(p.python("main.py", "src.pkg.m", None), "src/pkg/m.py");
        assert_eq!(p.python("tools/run.py", "side", None), "tools/side.py");
        assert_eq!(p.python("main.py", "side", None), "tools/side.py", "no package is called so");
        assert_eq!(p.python("main.py", "tools", Some("side")), "tools/side.py");
    }

    #[test]
    fn a_file_inside_a_package_does_not_hide_a_known_package() {
        let p = Project::of(&[
            "app/__init__.py",
            "app/llms/__init__.py",
            "app/llms/openai.py",
            "app/llms/use.py",
            "app/llms/mine.py",
        ]);
        assert_eq!(p.python("app/llms/use.py", "openai", None), "");
        assert!(!p.1.is_local_python("app/llms/use.py", "openai"));
        assert_eq!(p.python("app/llms/use.py", "mine", None), "app/llms/mine.py");
        assert_eq!(p.python("app/llms/use.py", "llms.openai", None), "app/llms/openai.py");
    }

    #[test]
    fn a_folder_of_a_package_hides_no_known_package_below_it() {
        let p =
            Project::of(&["chat/__init__.py", "chat/handlers/openai/__init__.py", "chat/handlers/openai/speech.py"]);
        assert_eq!(p.python("chat/handlers/openai/speech.py", "openai", None), "");
        assert_eq!(
            p.python("chat/handlers/openai/speech.py", "handlers.openai", None),
            "chat/handlers/openai/__init__.py"
        );
    }

    #[test]
    fn a_script_beside_a_file_of_a_packages_name_imports_the_file() {
        let p =
            Project::new(&[("main.py", ""), ("openai.py", "import openai\nclass Gpt: pass"), ("docs/redis/x.md", "")]);
        assert_eq!(p.python("main.py", "openai", None), "openai.py");
        assert!(p.1.is_local_python_member("main.py", "openai", "Gpt"));
        assert!(!p.1.is_local_python_member("main.py", "openai", "OpenAI"));
        assert_eq!(p.python("openai.py", "openai", None), "", "a module does not import itself");
        assert!(!p.1.is_local_python("openai.py", "openai"));
        assert!(!p.1.is_local_python("main.py", "redis"), "a folder without Python is no module");
    }

    #[test]
    fn a_folder_named_like_a_package_answers_only_for_what_it_has() {
        let p = Project::of(&["agents/planner.py", "main.py"]);
        assert!(p.1.is_local_python_member("main.py", "agents.planner", "plan"));
        assert!(p.1.is_local_python_member("main.py", "agents", "planner"));
        assert!(!p.1.is_local_python_member("agents/planner.py", "agents", "Agent"));
        assert!(!p.1.is_local_python("main.py", "agents.mcp"));
        assert!(p.1.is_local_python("main.py", "agents"));
    }

    #[test]
    fn unsubmitted_files_of_own_packages_stay_local() {
        let p = Project::of(&["crew_app/main.py", "crew_app/a.py"]);
        assert!(p.1.is_local_python("crew_app/main.py", "crew_app.gone"));
        assert!(!p.1.is_local_python("crew_app/main.py", "other_app"));
    }

    #[test]
    fn a_name_that_no_package_has_is_looked_for_everywhere() {
        let p =
            Project::of(&["orchestration/work_flow.py", "demo/run_it.py", "loop.py", "tools/edit.py", "requests.py"]);
        assert_eq!(p.python("demo/run_it.py", "work_flow", None), "orchestration/work_flow.py");
        assert_eq!(p.python("loop.py", "python.my_repo_demo.tools", Some("edit")), "tools/edit.py");
        assert_eq!(p.python("tools/edit.py", "my_repo_demo.loop", None), "", "it could be a package");
        let q = Project::new(&[("requirements.txt", "openai\nnewsdk"), ("loop.py", ""), ("tools/edit.py", "")]);
        assert_eq!(
            q.python("tools/edit.py", "my_repo_demo.loop", None),
            "loop.py",
            "the submitted folder is the package"
        );
        assert_eq!(q.python("tools/edit.py", "newsdk.loop", None), "", "a declared package is not");
        assert_eq!(p.python("loop.py", "openai.tools.edit", None), "", "packages keep their names");
        assert!(p.1.is_local_python_member("loop.py", "my_repo_demo.tools.edit", "x"));
    }

    #[test]
    fn relative_specifiers_are_guessed_as_bundlers_do() {
        let p = Project::of(&["src/a.ts", "src/b.tsx", "src/c/index.js", "src/d.mts", "src/e.json", "src/f.js"]);
        for (specifier, path) in [
            ("./a", "src/a.ts"),
            ("./a.js", "src/a.ts"),
            ("./b", "src/b.tsx"),
            ("./b.js", "src/b.tsx"),
            ("./c", "src/c/index.js"),
            ("./d.mjs", "src/d.mts"),
            ("./e.json", "src/e.json"),
            ("../src/f", "src/f.js"),
            ("./f.js?raw", "src/f.js"),
            ("./gone", ""),
            ("../../f", ""),
        ] {
            assert_eq!(p.js("src/a.ts", specifier), path, "{specifier}");
            assert!(p.1.is_local_js("src/a.ts", specifier));
        }
    }

    #[test]
    fn aliases_workspaces_and_the_packages_own_name_are_local() {
        let p = Project::new(&[
            ("package.json", r##"{"name": "root", "imports": {"#db/*": "./src/db/*.ts", "#z": "zod"}}"##),
            (
                "tsconfig.json",
                r#"{"compilerOptions": {"baseUrl": ".", "paths": {"@lib/*": ["src/lib/*"], "*": ["types/*"]}}}"#,
            ),
            ("packages/core/package.json", r#"{"name": "@acme/core", "main": "dist/index.js"}"#),
            ("packages/core/src/index.ts", ""),
            ("packages/core/src/util.ts", ""),
            ("src/lib/x.ts", ""),
            ("src/db/pool.ts", ""),
            ("src/main.ts", ""),
        ]);
        for (specifier, path) in [
            ("@lib/x", "src/lib/x.ts"),
            ("#db/pool", "src/db/pool.ts"),
            ("@acme/core", "packages/core/src/index.ts"),
            ("@acme/core/util", "packages/core/src/util.ts"),
            ("src/lib/x", "src/lib/x.ts"),
            ("@/lib/x", "src/lib/x.ts"),
            ("openai", ""),
        ] {
            assert_eq!(p.js("src/main.ts", specifier), path, "{specifier}");
        }
        assert!(p.1.is_local_js("src/main.ts", "@lib/gone") && p.1.is_local_js("src/main.ts", "@/gone"));
        assert!(!p.1.is_local_js("src/main.ts", "openai") && !p.1.is_local_js("src/main.ts", "#z"));
        assert_eq!(p.1.external_js("src/main.ts", "#z").as_deref(), Some("npm:zod"));
    }

    #[test]
    fn import_maps_may_lead_out_of_the_project() {
        let p = Project::new(&[
            ("fn/import_map.json", r#"{"imports": {"openai": "https://esm.sh/openai@4", "lib/": "./lib/"}}"#),
            ("fn/lib/a.ts", ""),
            ("fn/main.ts", ""),
        ]);
        assert_eq!(p.js("fn/main.ts", "lib/a.ts"), "fn/lib/a.ts");
        assert_eq!(p.1.external_js("fn/main.ts", "openai").as_deref(), Some("https://esm.sh/openai@4"));
        assert!(!p.1.is_local_js("fn/main.ts", "openai"));
        assert_eq!(npm_name("@a/b/c/d"), "@a/b");
        assert_eq!(npm_name("a/b"), "a");
    }

    const NAME: &str = "(\\.{1,3}|/|a|b|é|@|~|#|\\*|_|openai|__init__|\\?|:){0,8}";

    proptest! {
        #[test]
        fn no_import_panics_and_none_means_its_own_file(name in NAME, item in NAME, path in "(a|b|é)(/(a|b|é)){0,3}\\.(py|ts)") {
            let p = Project::new(&[
                (&*path, ""),
                ("a/b/__init__.py", ""),
                ("b.py", ""),
                ("a/index.ts", ""),
                ("tsconfig.json", r#"{"compilerOptions": {"baseUrl": ".", "paths": {"@*": ["*"], "é": ["a"]}}}"#),
                ("package.json", r##"{"name": "a", "imports": {"#*": "./*"}}"##),
            ].into_iter().collect::<std::collections::BTreeMap<_, _>>().into_iter().collect::<Vec<_>>());
            for item in [None, Some(&*item)] {
                if !name.starts_with('.') {
                    prop_assert_ne!(p.python(&path, &name, item), &*path);
                }
            }
            p.1.is_local_python_member(&path, &name, &item);
            p.1.is_local_python(&path, &name);
            p.1.is_local_js(&path, &name);
            p.1.external_js(&path, &name);
        }
    }
}
