//! A session: files that change, and what the analyzer says of them now. What a file says is read once for each text of
//! it, so that an edit costs reading one file.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::facts::FileFacts;
use crate::lint::{LintOptions, Report};
use crate::memo::Memo;
use crate::sources::{Source, Sources, SourcesError};
use crate::{Analysis, Options, lang, lint, look_at};

/// Files of an editor or a watched folder. After any edits the answer is the one that the same files get anew.
pub struct Session {
    options: Options,
    files: BTreeMap<String, Arc<str>>,
    /// The same as they are analyzed, once they were asked for.
    sources: Option<Sources>,
    /// What each file says, and the text that says it, by path.
    read: Vec<(Source, Arc<FileFacts>)>,
    /// What was answered of each file, and why it still holds.
    memo: Memo,
}

impl Session {
    /// Without files.
    pub fn new(options: Options) -> Session {
        Session { options, files: BTreeMap::new(), sources: None, read: Vec::new(), memo: Memo::default() }
    }

    /// Adds a file or gives it another text.
    pub fn set(&mut self, path: &str, text: impl Into<Arc<str>>) {
        let text = text.into();
        self.sources = self.sources.take().and_then(|sources| sources.edited(path, &text));
        self.files.insert(path.to_owned(), text);
    }

    /// Takes a file away.
    pub fn remove(&mut self, path: &str) {
        self.files.remove(path);
        self.sources = None;
    }

    /// The text of a file.
    pub fn text(&self, path: &str) -> Option<&Arc<str>> {
        self.files.get(path)
    }

    /// The files as they are now.
    pub fn sources(&self) -> Result<Sources, SourcesError> {
        match &self.sources {
            Some(sources) => Ok(sources.clone()),
            None => Sources::new(self.files.iter().map(|(path, text)| (path.as_str(), text.clone()))),
        }
    }

    /// What the agent touches now.
    pub fn analysis(&mut self) -> Result<Analysis, SourcesError> {
        Ok(self.look(None::<fn(&lint::view::Looked)>)?.0)
    }

    /// What is wrong with it now.
    pub fn lint(&mut self, lint: &LintOptions) -> Result<Report, SourcesError> {
        Ok(lint::report(self.look(Some(|looked: &lint::view::Looked| lint::check(looked, lint)))?))
    }

    fn look<T>(
        &mut self,
        then: Option<impl FnOnce(&lint::view::Looked) -> T>,
    ) -> Result<(Analysis, Option<T>), SourcesError> {
        let (sources, options) = (self.sources()?, self.options.clone());
        self.sources = Some(sources.clone());
        let mut memo = std::mem::take(&mut self.memo);
        let looked = look_at(&sources, &options, Some(&mut memo), |sources| self.facts(sources), then);
        self.memo = memo;
        Ok(looked)
    }

    /// Reads what was not read yet, and forgets what is gone.
    fn facts(&mut self, sources: &Sources) -> Result<Vec<Arc<FileFacts>>, lang::Cancelled> {
        let cancel = self.options.cancel.as_deref();
        let known = &self.read;
        let facts: Vec<Arc<FileFacts>> = sources
            .files()
            .par_iter()
            .map(|file| match known.binary_search_by(|(read, _)| read.path.cmp(&file.path)) {
                Ok(at) if known[at].0 == *file => Ok(known[at].1.clone()),
                _ => lang::read(file, cancel).map(Arc::new),
            })
            .collect::<Result<_, _>>()?;
        let entries = sources.files().iter().zip(&facts);
        self.read = entries.map(|(file, facts)| (file.clone(), facts.clone())).collect();
        Ok(facts)
    }
}
