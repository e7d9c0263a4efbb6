//! Sources: what was submitted, after the checks that everything past this door relies on.

use std::collections::BTreeMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// How much one submission may hold. Each refusal names the limit and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Number of files.
    pub files: usize,
    /// Bytes of all files together.
    pub bytes: usize,
    /// Bytes of one path.
    pub path: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { files: 20_000, bytes: 256 << 20, path: 1_024 }
    }
}

/// Why a submission was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourcesError {
    /// Absolute, escaping, empty or unprintable.
    #[error("file path {path:?} is not allowed: {reason}")]
    BadPath {
        /// The path as submitted, shortened.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two paths name one file.
    #[error("file path {0:?} is submitted twice (paths are compared after removing `./` and `//`)")]
    Duplicate(String),
    /// More files than the limit.
    #[error("too many files: {count} submitted, at most {limit} allowed; leave out what the agent does not need")]
    TooMany {
        /// Files submitted.
        count: usize,
        /// Files allowed.
        limit: usize,
    },
    /// More bytes than the limit.
    #[error("files are too large: {bytes} bytes submitted, at most {limit} allowed; leave out data and build output")]
    TooLarge {
        /// Bytes submitted.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// The languages that have a grammar, and the texts that are read in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Language {
    /// Python.
    Python,
    /// JavaScript and JSX.
    JavaScript,
    /// TypeScript.
    TypeScript,
    /// TypeScript with JSX.
    Tsx,
    /// A Jupyter notebook: its code cells are Python.
    Notebook,
    /// A single-file component (Vue, Svelte, Astro): its scripts are TypeScript.
    Component,
    /// Everything else: manifests, configuration, prose.
    Text,
}

impl Language {
    /// By file name, then by shebang.
    pub fn of(path: &str, text: &str) -> Language {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
        match extension.as_deref() {
            Some("py" | "pyi" | "pyw") => Language::Python,
            Some("js" | "mjs" | "cjs" | "jsx") => Language::JavaScript,
            Some("ts" | "mts" | "cts") => Language::TypeScript,
            Some("tsx") => Language::Tsx,
            Some("ipynb") => Language::Notebook,
            Some("vue" | "svelte" | "astro") => Language::Component,
            Some(_) => Language::Text,
            None => match text.lines().next() {
                Some(line) if line.starts_with("#!") && line.contains("python") => Language::Python,
                Some(line) if line.starts_with("#!") && (line.contains("node") || line.contains("bun")) => {
                    Language::JavaScript
                }
                Some(line) if line.starts_with("#!") && (line.contains("deno") || line.contains("tsx")) => {
                    Language::TypeScript
                }
                _ => Language::Text,
            },
        }
    }

    /// Python's module and naming rules apply.
    pub fn is_python(self) -> bool {
        matches!(self, Language::Python | Language::Notebook)
    }

    /// JavaScript's module and naming rules apply.
    pub fn is_javascript(self) -> bool {
        matches!(self, Language::JavaScript | Language::TypeScript | Language::Tsx | Language::Component)
    }
}

/// One submitted file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Normalised relative path, `/` between its parts.
    pub path: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// Its language.
    pub language: Language,
}

/// The submitted files, sorted by path. Whoever holds one holds clean relative paths within the limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Files by path, within the default [`Limits`].
    pub fn new<P, T>(files: impl IntoIterator<Item = (P, T)>) -> Result<Sources, SourcesError>
    where
        P: AsRef<str>,
        T: Into<Arc<str>>,
    {
        Sources::with_limits(files, &Limits::default())
    }

    /// Files by path, within the given limits.
    pub fn with_limits<P, T>(files: impl IntoIterator<Item = (P, T)>, limits: &Limits) -> Result<Sources, SourcesError>
    where
        P: AsRef<str>,
        T: Into<Arc<str>>,
    {
        let mut by_path = BTreeMap::new();
        let (mut count, mut bytes) = (0, 0);
        for (path, text) in files {
            let (path, text): (_, Arc<str>) = (clean_path(path.as_ref(), limits)?, text.into());
            count += 1;
            bytes += text.len();
            if by_path.insert(path.clone(), text).is_some() {
                return Err(SourcesError::Duplicate(path));
            }
        }
        if count > limits.files {
            return Err(SourcesError::TooMany { count, limit: limits.files });
        }
        if bytes > limits.bytes {
            return Err(SourcesError::TooLarge { bytes, limit: limits.bytes });
        }
        let files = by_path
            .into_iter()
            .map(|(path, text)| Source { language: Language::of(&path, &text), path: path.into(), text })
            .collect();
        Ok(Sources { files })
    }

    /// The files, sorted by path.
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// With another text for a file; none when no file has this very path, or there would be too much text.
    pub(crate) fn edited(mut self, path: &str, text: &Arc<str>) -> Option<Sources> {
        let at = self.files.binary_search_by(|file| (*file.path).cmp(path)).ok()?;
        self.files[at].text = text.clone();
        self.files[at].language = Language::of(path, text);
        let bytes: usize = self.files.iter().map(|file| file.text.len()).sum();
        (bytes <= Limits::default().bytes).then_some(self)
    }

    /// Without the files of these paths.
    pub fn without(&self, is_out: impl Fn(&str) -> bool) -> Sources {
        Sources { files: self.files.iter().filter(|file| !is_out(&file.path)).cloned().collect() }
    }

    /// With the files of these paths in name only: nothing is in them.
    pub fn hiding(&self, is_out: impl Fn(&str) -> bool) -> Sources {
        let hide = |file: &Source| match is_out(&file.path) {
            true => Source { text: Arc::from(""), language: Language::Text, ..file.clone() },
            false => file.clone(),
        };
        Sources { files: self.files.iter().map(hide).collect() }
    }

    /// The same files with other texts.
    pub fn rewritten<T: Into<Arc<str>>>(&self, text: impl Fn(usize, &Source) -> T) -> Sources {
        let rewrite = |(index, file): (usize, &Source)| Source { text: text(index, file).into(), ..file.clone() };
        Sources { files: self.files.iter().enumerate().map(rewrite).collect() }
    }

    /// SHA-256 over paths and texts: equal for equal submissions, whatever the order they came in.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for file in &self.files {
            for part in [&file.path, &file.text] {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part.as_bytes());
            }
        }
        hash.finalize().into()
    }
}

/// `./src//agent.py` is `src/agent.py`; whatever could leave the project's folder is refused.
fn clean_path(path: &str, limits: &Limits) -> Result<String, SourcesError> {
    let refuse = |reason| {
        let path = path.chars().take(80).collect();
        Err(SourcesError::BadPath { path, reason })
    };
    if path.len() > limits.path {
        return refuse("it is too long");
    }
    if path.chars().any(|c| c.is_control()) {
        return refuse("it holds a control character");
    }
    let path = path.replace('\\', "/");
    let drive = path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic();
    if path.starts_with('/') || drive {
        return refuse("it is absolute; submit paths relative to the project");
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return refuse("it leaves the project with `..`"),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return refuse("it is empty");
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_or_refused() {
        let limits = Limits::default();
        assert_eq!(clean_path("./src//a.py", &limits).unwrap(), "src/a.py");
        assert_eq!(clean_path("src\\a.py", &limits).unwrap(), "src/a.py");
        for bad in ["", ".", "/etc/passwd", "../a.py", "a/../../b.py", "C:\\x.py", "a\0b.py"] {
            assert!(clean_path(bad, &limits).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_file_cannot_be_submitted_under_two_spellings() {
        let twice = Sources::new([("a.py", ""), ("./a.py", "")]);
        assert_eq!(twice, Err(SourcesError::Duplicate("a.py".into())));
    }

    #[test]
    fn limits_name_themselves() {
        let limits = Limits { files: 1, bytes: 10, path: 100 };
        let many = Sources::with_limits([("a", ""), ("b", "")], &limits).unwrap_err();
        assert!(many.to_string().contains("at most 1"), "{many}");
        let large = Sources::with_limits([("a", "12345678901")], &limits).unwrap_err();
        assert!(large.to_string().contains("at most 10"), "{large}");
    }

    #[test]
    fn order_of_submission_does_not_matter() {
        let one = Sources::new([("a", "1"), ("b", "2")]).unwrap();
        let two = Sources::new([("b", "2"), ("a", "1")]).unwrap();
        assert_eq!(one.digest(), two.digest());
    }

    #[test]
    fn language_is_known_by_name_or_shebang() {
        assert_eq!(Language::of("a/b.TSX", ""), Language::Tsx);
        assert_eq!(Language::of("run", "#!/usr/bin/env python3\n"), Language::Python);
        assert_eq!(Language::of("Dockerfile", "FROM x"), Language::Text);
    }
}
