//! A session that follows a project: what did not change between two looks is not read again.

use std::collections::BTreeMap;
use std::sync::Arc;

use analyzer_core::{Analysis, Options, Session};

use crate::error::Error;
use crate::project::Project;

/// The session and what it was given.
pub struct Live {
    /// The session.
    pub session: Session,
    texts: BTreeMap<String, Arc<str>>,
    packs: Vec<BTreeMap<String, String>>,
}

impl Live {
    /// Without files.
    pub fn new() -> Live {
        Live { session: Session::new(Options::default()), texts: BTreeMap::new(), packs: Vec::new() }
    }

    /// Gives the session the files as they are now; what is new, a file an entry: `agent.py changed`.
    pub fn take_in(&mut self, project: &Project) -> Vec<String> {
        // Other knowledge is another session, though the files may be the same.
        if self.packs != project.pack_texts {
            self.session = Session::new(project.options());
            self.packs = project.pack_texts.clone();
            self.texts.iter().for_each(|(path, text)| self.session.set(path, text.clone()));
        }
        let now: BTreeMap<String, Arc<str>> =
            project.sources.files().iter().map(|source| (source.path.to_string(), source.text.clone())).collect();
        let mut news = Vec::new();
        for (path, text) in &now {
            match self.texts.get(path) {
                Some(before) if before == text => continue,
                Some(_) => news.push(format!("{} changed", project.shown(path))),
                None => news.push(format!("{} is new", project.shown(path))),
            }
            self.session.set(path, text.clone());
        }
        for path in self.texts.keys().filter(|path| !now.contains_key(*path)) {
            self.session.remove(path);
            news.push(format!("{} is gone", project.shown(path)));
        }
        self.texts = now;
        news
    }

    /// What the agent of a project touches.
    pub fn analysis(&mut self, project: &Project) -> Result<Analysis, Error> {
        self.take_in(project);
        self.session.analysis().map_err(|error| Error::Usage(error.to_string()))
    }
}
