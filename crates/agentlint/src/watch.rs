//! `check --watch`: the report again whenever a file changes, until Ctrl-C.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::check::{look, now, reported};
use crate::cli::{self, Global};
use crate::error::Error;
use crate::live::Live;
use crate::output::Output;
use crate::project::Project;
use crate::{Done, Surroundings, config, git};

/// An editor that saves writes several times; what follows within this time is one change.
const QUIET: Duration = Duration::from_millis(40);
/// A folder that never comes to rest is looked at this often.
const PATIENCE: Duration = Duration::from_millis(500);

/// What happens to a watcher.
enum Event {
    /// These paths changed; the second ones may be watched no longer.
    Changed(Vec<PathBuf>, Vec<PathBuf>),
    /// Ctrl-C.
    Stopped,
}

/// Reports until Ctrl-C; ends as the last report does.
pub fn run(args: &cli::Check, outputs: &[Output], global: &Global, surroundings: Surroundings) -> Result<Done, Error> {
    if args.scope.is_stdin() {
        return Err(Error::Usage("--watch needs files: standard input does not change".into()));
    }
    let (tell, heard) = channel();
    let mut watch = Watch::new(args, outputs, global, tell.clone())?;
    stop_on_interrupt(tell)?;
    let mut kept = Kept { live: Live::new(), said: None };
    loop {
        let began = now();
        // What changed before its folder was watched is seen by the second look.
        let mut project = Project::load(&args.scope, global);
        if watch.follow(project.as_ref().ok())? {
            project = Project::load(&args.scope, global);
        }
        let said = project.and_then(|project| {
            let news = kept.take_in(&project);
            let looked = look(&project, args, |project, rules, no_ignores| {
                project.lint_in(&mut kept.live.session, rules, no_ignores)
            })?;
            Ok((news, reported(&project, &looked, args, outputs, global, surroundings, began)?))
        });
        let (news, done) = match said {
            Ok((news, done)) => (news, done),
            Err(error) if watch.is_gone() => return Err(error),
            Err(error) => (None, Done { notes: format!("error: {error}\n"), code: error.code(), ..Done::default() }),
        };
        if let Some(head) = kept.head(news, &done)
            && show(&head, &done, global.quiet).is_err()
        {
            // Nobody reads on: `agentlint check --watch | head`.
            return Ok(Done { code: done.code, ..Done::default() });
        }
        if !watch.wait(&heard) {
            return Ok(Done { code: done.code, ..Done::default() });
        }
    }
}

/// The report under its first line, on a clear screen where there is a screen.
fn show(head: &str, done: &Done, quiet: bool) -> std::io::Result<()> {
    let (mut out, mut notes) = (std::io::stdout().lock(), std::io::stderr().lock());
    if out.is_terminal() {
        out.write_all(b"\x1b[2J\x1b[3J\x1b[H")?;
        out.flush()?;
    }
    if !quiet {
        writeln!(notes, "{head}")?;
    }
    out.write_all(done.out.as_bytes())?;
    out.flush()?;
    if !quiet || done.code > 1 {
        notes.write_all(done.notes.as_bytes())?;
    }
    notes.flush()
}

/// Ctrl-C is an event from here on; a second one ends the process wherever it is.
fn stop_on_interrupt(tell: Sender<Event>) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Usage(format!("--watch cannot wait for Ctrl-C: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let (ready, wait) = channel();
    let listen = move || {
        runtime.block_on(async {
            let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
            // Only what was asked once is listened to.
            let asked = std::future::poll_fn(|context| std::task::Poll::Ready(interrupt.as_mut().poll(context))).await;
            let _ = ready.send(());
            if asked.is_pending() {
                let _ = interrupt.await;
            }
            let _ = tell.send(Event::Stopped);
            let _ = tokio::signal::ctrl_c().await;
            #[expect(clippy::disallowed_methods, reason = "whoever asks twice does not want to wait for an analysis")]
            std::process::exit(130);
        });
    };
    std::thread::Builder::new().name("interrupt".into()).spawn(listen).map_err(failed)?;
    // Its thread ended before it listened: Ctrl-C ends the process as it does any other.
    let _ = wait.recv();
    Ok(())
}

/// What is kept between two reports.
struct Kept {
    live: Live,
    /// What was said last.
    said: Option<(String, String, u8)>,
}

impl Kept {
    /// Gives the session the files as they are now: a line on what is new, where something is.
    fn take_in(&mut self, project: &Project) -> Option<String> {
        match &self.live.take_in(project)[..] {
            [] => None,
            [one] => Some(one.clone()),
            [one, more @ ..] => Some(format!("{one}, and {} more", more.len())),
        }
    }

    /// The first line of a report; none when neither a file nor the report is another one.
    fn head(&mut self, news: Option<String>, done: &Done) -> Option<String> {
        // The summary says how long it took, which is never the same.
        let notes: String = done.notes.split(' ').filter(|word| word.parse::<u128>().is_err()).collect();
        let said = Some((done.out.clone(), notes, done.code));
        let is_first = self.said.is_none();
        let is_same = self.said == said;
        self.said = said;
        match (is_first, news) {
            (true, _) => Some("watching; Ctrl-C ends".into()),
            (false, Some(news)) => Some(news),
            (false, None) if is_same => None,
            (false, None) => Some("what is configured changed".into()),
        }
    }
}

/// The folders that are watched: those whose files are read, and those that hold what is configured.
struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    /// Of other folders only these files matter.
    aside: BTreeSet<PathBuf>,
    /// Written by ourselves.
    own: BTreeSet<PathBuf>,
    root: PathBuf,
    inside: BTreeSet<PathBuf>,
}

impl Watch {
    fn new(args: &cli::Check, outputs: &[Output], global: &Global, tell: Sender<Event>) -> Result<Watch, Error> {
        let hear = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let lost = match event.kind {
                // Reading is no change, and we read.
                EventKind::Access(_) => return,
                EventKind::Remove(_) | EventKind::Modify(notify::event::ModifyKind::Name(_)) => event.paths.clone(),
                _ => Vec::new(),
            };
            // Nobody listens any more when the process ends.
            let _ = tell.send(Event::Changed(event.paths, lost));
        };
        let watcher = notify::recommended_watcher(hear).map_err(|error| Error::Usage(format!("--watch: {error}")))?;
        let root = Project::root_of(&args.scope.paths)?;
        let root = std::fs::canonicalize(&root).map_err(|error| Error::Read(root.clone(), error))?;
        let mut aside: BTreeSet<PathBuf> =
            if global.isolated { BTreeSet::new() } else { config::candidates(&root).into_iter().collect() };
        aside.extend(global.config.iter().filter_map(|given| std::fs::canonicalize(given).ok()));
        aside.extend(args.baseline.iter().filter_map(|file| std::fs::canonicalize(file).ok()));
        if args.staged || args.diff.is_some() {
            let git = git::folder(&root)?;
            aside.extend(["index", "HEAD"].map(|name| git.join(name)));
        }
        let own = outputs.iter().filter_map(|output| std::path::absolute(output.file.as_ref()?).ok()).collect();
        Ok(Watch { watcher, folders: BTreeSet::new(), aside, own, root, inside: BTreeSet::new() })
    }

    /// Watches the folders of the project as it is now; whether one of them was not watched before.
    fn follow(&mut self, project: Option<&Project>) -> Result<bool, Error> {
        if let Some(project) = project {
            let below = |folder: &PathBuf| self.root.join(folder.strip_prefix(&project.root).unwrap_or(folder));
            self.inside = project.folders.iter().map(below).collect();
        }
        self.inside.insert(self.root.clone());
        let beside = self.aside.iter().filter_map(|file| file.parent()).map(Path::to_owned);
        let wanted: BTreeSet<PathBuf> = self.inside.iter().cloned().chain(beside).collect();
        for gone in self.folders.difference(&wanted) {
            let _ = self.watcher.unwatch(gone);
        }
        let mut is_new = false;
        let mut folders: BTreeSet<PathBuf> = self.folders.intersection(&wanted).cloned().collect();
        for folder in wanted {
            if folders.contains(&folder) {
                continue;
            }
            match self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => is_new |= folders.insert(folder),
                // It vanished in between.
                Err(_) if !folder.is_dir() => {}
                Err(error) => return Err(Error::Usage(format!("cannot watch {}: {error}", folder.display()))),
            }
        }
        self.folders = folders;
        Ok(is_new)
    }

    /// Waits for a change that matters and for the quiet after it; false when there is nothing more to wait for.
    fn wait(&mut self, heard: &Receiver<Event>) -> bool {
        let mut matters = false;
        let mut began = now();
        loop {
            let event = match matters {
                false => heard.recv().map_err(|_| RecvTimeoutError::Disconnected),
                true if began.elapsed() > PATIENCE => return true,
                true => heard.recv_timeout(QUIET),
            };
            match event {
                Ok(Event::Stopped) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => return true,
                Ok(Event::Changed(paths, lost)) => {
                    for path in lost {
                        if self.folders.remove(&path) {
                            let _ = self.watcher.unwatch(&path);
                        }
                    }
                    if !matters && paths.iter().any(|path| self.matters(path)) {
                        matters = true;
                        began = now();
                    }
                }
            }
        }
    }

    fn matters(&self, path: &Path) -> bool {
        let is_inside = path.parent().is_some_and(|folder| self.inside.contains(folder)) || path == self.root;
        (is_inside || self.aside.contains(path)) && !self.own.contains(path)
    }

    fn is_gone(&self) -> bool {
        !self.root.is_dir()
    }
}
