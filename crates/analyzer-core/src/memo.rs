//! Answers about single files that are kept from one analysis of a session to the next.
//!
//! Whoever asks the same of every file asks through [`each`]. While he asks about one, what he reads of the project is
//! noted: texts of files, who calls into them, what others answered. As long as nothing of that has changed, the answer
//! is given again. Answers are functions of what was noted, so that the way by which files came to be what they are
//! never shows. What is not noted must be the same for the whole life of a memo: [`Memo::begin`] says what that is.
//!
//! Without a memo nothing is noted, nothing is kept, and all files are asked in parallel.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use crate::manifest::Manifests;
use crate::modules::Modules;
use crate::sources::{Language, Source, Sources};

/// What an answer may depend on, each of it of one file or one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// Text and facts of a file.
    Text,
    /// Classes that extend those of a file.
    Subclasses,
    /// Calls of the functions of a file.
    Callers,
    /// Constructions of the classes of a file.
    Constructions,
    /// What the calls of a file call, at first look.
    Callees,
    /// Known calls of a file.
    Sites,
    /// Addresses of a file.
    Outbound,
    /// A variable that the program sets, by name.
    Variable,
    /// A place outside that the program fills, by key.
    Placed,
    /// Whether there is any.
    AnyPlaced,
    /// A member that stands for something else, by name.
    Alias,
    /// Members that are asked about where they may stand for something else.
    Members,
    /// A package that some file imports, by name.
    Imported,
    /// Addresses that are assigned to a library as a whole.
    Configured,
    /// All values that are secrets.
    Secrets,
    /// Functions of a file that the model may call.
    Callable,
    /// What the project's own MCP servers call themselves.
    OwnServers,
    /// Calls of a file that rules look for.
    Watched,
    /// Findings that were made.
    Findings,
    /// Texts without a credential.
    Clean,
    /// What manifests say.
    Manifests,
    /// Which import means which file.
    Modules,
}

/// How many there are.
const KINDS: usize = On::Modules as usize + 1;

/// What is asked of every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Extends,
    Variables,
    Places,
    Callees,
    Members,
    Aliases,
    Sites,
    Assigned,
    Outbound,
    Imports,
    Objects,
    Requirements,
    Handlers,
    Models,
    HandedOn,
    ClientHosts,
    Services,
    OwnServers,
    Servers,
    Definitions,
    Dispatch,
    Prompts,
    Frameworks,
    EnvVars,
    Requests,
    Uses,
    Secrets,
    Redacted,
    Excerpts,
    Watched,
    Decided,
}

/// Names share so many places: two of one place change together, which costs an answer and changes none.
const PLACES: u64 = 4_096;

/// Answers that depend on more are asked anew each time.
const MOST: usize = 2_000;

/// What one answer read: a kind and a place.
type Read = u32;

/// Kinds stand in the upper bits.
const SHIFT: u32 = 27;

/// An answer and what it depends on.
struct Answer {
    of: Box<[Read]>,
    /// The analysis in which it was last known to hold.
    held: u32,
    value: Arc<dyn Any + Send + Sync>,
}

/// What holds for all answers of a memo; when any of it changes, all of them are forgotten.
#[derive(PartialEq)]
pub(crate) struct Frame {
    /// Paths in order, so that numbers of files mean the same; what a text is read as.
    pub files: Vec<(Arc<str>, Language)>,
    /// What manifests declare.
    pub manifests: Arc<Manifests>,
    /// Folders that are imported by their names.
    pub folders: Vec<&'static str>,
    /// The project's own knowledge.
    pub pack: [u8; 32],
    /// All calls are of interest, not only those that a rule names.
    pub all: bool,
}

/// Kept answers. It holds one for each file and each thing that is asked of files, and never grows beyond.
#[derive(Default)]
pub(crate) struct Memo {
    now: u32,
    frame: Option<Frame>,
    sources: Vec<Source>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: FxHashMap<Asked, Vec<Option<Answer>>>,
    /// In which analysis something last changed, by kind and place.
    changed: [Vec<u32>; KINDS],
    /// What was compared last, by kind.
    compared: FxHashMap<u8, Box<dyn Any + Send + Sync>>,
}

thread_local! {
    /// What the answer in the making has read so far.
    static READ: RefCell<Option<FxHashSet<Read>>> = const { RefCell::new(None) };
}

/// The place of a name.
pub(crate) fn place(name: &str) -> usize {
    let mut hasher = FxHasher::default();
    name.hash(&mut hasher);
    (hasher.finish() % PLACES) as usize
}

/// Something is being read.
pub(crate) fn note(on: On, place: usize) {
    READ.with_borrow_mut(|read| {
        if let Some(read) = read {
            read.insert((on as u32) << SHIFT | place as u32);
        }
    });
}

/// An answer is in the making.
pub(crate) fn is_asking() -> bool {
    READ.with_borrow(Option::is_some)
}

/// Asks the same of every file. The asker is given nothing but what he may read, so that nothing goes unnoted.
pub(crate) fn each<C: Sync, T: Send + Sync + 'static>(
    memo: Option<&Memo>,
    files: usize,
    asked: Asked,
    of: &C,
    ask: fn(&C, usize) -> T,
) -> Vec<Arc<T>> {
    match memo {
        Some(memo) => memo.each(files, asked, of, ask, |_, _, _| {}),
        None => (0..files).into_par_iter().map(|file| Arc::new(ask(of, file))).collect(),
    }
}

/// The same for what others depend on: it has changed where the answer is another one.
pub(crate) fn each_told<C: Sync, T: Send + Sync + PartialEq + 'static>(
    memo: Option<&Memo>,
    files: usize,
    asked: Asked,
    on: On,
    of: &C,
    ask: fn(&C, usize) -> T,
) -> Vec<Arc<T>> {
    let Some(memo) = memo else { return each(memo, files, asked, of, ask) };
    memo.each(files, asked, of, ask, |changed, before, (file, after)| {
        if before != Some(after) {
            changed.push((on, file));
        }
    })
}

impl Memo {
    /// What manifests say of these files: as before, unless another file is there or one of them changed.
    pub(crate) fn manifests(&self, sources: &Sources) -> Arc<Manifests> {
        type Before = (Vec<Source>, BTreeSet<Arc<str>>, Arc<Manifests>);
        let files = sources.files();
        let before = self.take::<Before>(On::Manifests).filter(|(before, read, _)| {
            let same = |(now, before): (&Source, &Source)| {
                now.path == before.path && (now.text == before.text || !read.contains(&now.path))
            };
            files.len() == before.len() && files.iter().zip(before).all(same)
        });
        let (read, manifests) = before.map_or_else(
            || {
                let (manifests, read) = Manifests::read_noting(sources);
                (read, Arc::new(manifests))
            },
            |(_, read, manifests)| (read, manifests),
        );
        self.keep::<Before>(On::Manifests, (files.to_vec(), read, manifests.clone()));
        manifests
    }

    /// Which import means which file: as before, unless that changed.
    pub(crate) fn modules(&self, sources: &Sources, manifests: &Arc<Manifests>) -> Arc<Modules> {
        type Before = (Arc<Manifests>, Arc<Modules>);
        let before = self.take::<Before>(On::Modules).filter(|(before, _)| Arc::ptr_eq(before, manifests));
        let before = before.and_then(|(_, modules)| Arc::into_inner(modules)?.edited(sources));
        let modules = Arc::new(before.unwrap_or_else(|| Modules::new(sources, manifests)));
        self.keep::<Before>(On::Modules, (manifests.clone(), modules.clone()));
        modules
    }

    /// Begins an analysis. What the frame holds is the same for all answers that are kept, with the knowledge and the
    /// options that the session was opened with; each text that is another one has changed.
    pub(crate) fn begin(&mut self, frame: Frame, sources: &Sources) {
        let files = sources.files();
        let now = self.now.wrapping_add(1);
        if self.frame.as_ref() != Some(&frame) || now == 0 {
            let about_all: Vec<_> =
                [On::Manifests, On::Modules].map(|on| (on, self.kept().compared.remove(&(on as u8)))).into();
            *self = Memo { now: 1, frame: Some(frame), sources: files.to_vec(), ..Memo::default() };
            let about_all = about_all.into_iter().filter_map(|(on, kept)| Some((on as u8, kept?)));
            self.kept().compared.extend(about_all);
            return;
        }
        self.now = now;
        let changed = files.iter().zip(&self.sources).enumerate().filter(|(_, (now, before))| now != before);
        let changed: Vec<usize> = changed.map(|(file, _)| file).collect();
        for &file in &changed {
            self.sources[file] = files[file].clone();
        }
        let mut kept = self.kept();
        kept.mark(now, changed.into_iter().map(|file| (On::Text, file)));
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something is so now; what differs from the last time has changed. `differs` names the places.
    pub(crate) fn compare<V: Send + 'static + Sync>(
        &self,
        on: On,
        value: V,
        differs: impl FnOnce(&V, &V) -> Vec<usize>,
    ) {
        let mut kept = self.kept();
        let before = kept.compared.remove(&(on as u8));
        let places = match before.as_ref().and_then(|before| before.downcast_ref::<V>()) {
            Some(before) => differs(before, &value),
            None => Vec::new(),
        };
        kept.mark(self.now, places.into_iter().map(|place| (on, place)));
        kept.compared.insert(on as u8, Box::new(value));
    }

    /// Takes what was kept as a whole.
    pub(crate) fn take<V: 'static>(&self, on: On) -> Option<V> {
        let kept = self.kept().compared.remove(&(on as u8))?;
        kept.downcast::<V>().ok().map(|value| *value)
    }

    /// Keeps something as a whole, for who finds out himself what of it still holds.
    pub(crate) fn keep<V: Send + Sync + 'static>(&self, on: On, value: V) {
        self.kept().compared.insert(on as u8, Box::new(value));
    }

    /// What was compared last.
    pub(crate) fn last<V: Clone + 'static>(&self, on: On) -> Option<V> {
        self.kept().compared.get(&(on as u8)).and_then(|last| last.downcast_ref::<V>()).cloned()
    }

    fn each<C: Sync, T: Send + Sync + 'static>(
        &self,
        files: usize,
        asked: Asked,
        of: &C,
        ask: fn(&C, usize) -> T,
        tell: impl Fn(&mut Vec<(On, usize)>, Option<&T>, (usize, &T)),
    ) -> Vec<Arc<T>> {
        let mut kept = self.kept();
        let mut answers = kept.answers.remove(&asked).unwrap_or_default();
        answers.resize_with(files, || None);
        let mut stale = Vec::new();
        for (file, slot) in answers.iter_mut().enumerate() {
            match slot {
                Some(answer) if kept.holds(answer) => answer.held = self.now,
                _ => stale.push(file),
            }
        }
        drop(kept);
        let anew = |file: usize| (file, recorded(file, || ask(of, file)));
        let anew: Vec<(usize, Recorded<T>)> = match stale.len() {
            0 | 1 => stale.into_iter().map(anew).collect(),
            _ => stale.into_par_iter().map(anew).collect(),
        };
        let mut changed = Vec::new();
        for (file, (value, of)) in anew {
            let before = answers[file].as_ref().and_then(|answer| answer.value.downcast_ref::<T>());
            tell(&mut changed, before, (file, &value));
            answers[file] = Some(Answer { of, held: self.now, value: Arc::new(value) });
        }
        let typed = |answer: &Option<Answer>| {
            let value = answer.as_ref().map(|answer| answer.value.clone());
            value.and_then(|value| value.downcast::<T>().ok()).expect("every file was asked this")
        };
        let values = answers.iter().map(typed).collect();
        let mut kept = self.kept();
        kept.mark(self.now, changed.into_iter());
        kept.answers.insert(asked, answers);
        values
    }
}

impl Kept {
    fn mark(&mut self, now: u32, places: impl Iterator<Item = (On, usize)>) {
        for (on, place) in places {
            let kind = &mut self.changed[on as usize];
            if kind.len() <= place {
                kind.resize(place + 1, 0);
            }
            kind[place] = now;
        }
    }

    fn holds(&self, answer: &Answer) -> bool {
        let changed = |read: &Read| {
            let (kind, place) = ((read >> SHIFT) as usize, (read & ((1 << SHIFT) - 1)) as usize);
            self.changed[kind].get(place).copied().unwrap_or(0)
        };
        answer.of.len() <= MOST && answer.of.iter().all(|read| changed(read) <= answer.held)
    }
}

/// An answer, and what was read for it.
type Recorded<T> = (T, Box<[Read]>);

/// Asks, and notes what is read: the file itself in any case.
fn recorded<T>(file: usize, ask: impl FnOnce() -> T) -> Recorded<T> {
    let outer = READ.replace(Some(FxHashSet::from_iter([(On::Text as u32) << SHIFT | file as u32])));
    debug_assert!(outer.is_none(), "an answer is not asked for inside of another");
    let value = ask();
    let read = READ.replace(outer).unwrap_or_default();
    (value, read.into_iter().collect())
}

/// Places of files whose entries of a map are others than before.
pub(crate) fn differing<K: Eq + Hash, V: PartialEq>(
    before: &FxHashMap<K, V>,
    now: &FxHashMap<K, V>,
    place: impl Fn(&K) -> usize,
) -> Vec<usize> {
    let other = now.iter().filter(|(key, value)| before.get(key) != Some(value)).map(|(key, _)| place(key));
    let gone = before.keys().filter(|key| !now.contains_key(key)).map(&place);
    other.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Texts(Vec<u32>);

    fn frame(files: usize) -> Frame {
        let files = (0..files).map(|file| (Arc::from(file.to_string()), Language::Text)).collect();
        Frame { files, manifests: Arc::default(), folders: Vec::new(), pack: [0; 32], all: false }
    }

    fn sources(texts: &[u32]) -> Sources {
        Sources::new(texts.iter().enumerate().map(|(file, text)| (file.to_string(), text.to_string()))).unwrap()
    }

    /// The sum of a file and the one behind it.
    fn sum(texts: &Texts, file: usize) -> u32 {
        crate::work::done(1);
        let next = (file + 1) % texts.0.len();
        note(On::Text, next);
        texts.0[file] + texts.0[next]
    }

    fn ask(memo: &mut Memo, texts: &[u32]) -> (Vec<u32>, u64) {
        memo.begin(frame(texts.len()), &sources(texts));
        let texts = Texts(texts.to_vec());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let ask = || each(Some(memo), texts.0.len(), Asked::Sites, &texts, sum);
        let (sums, asked) = pool.install(|| crate::work::counted(ask));
        (sums.iter().map(|sum| **sum).collect(), asked)
    }

    #[test]
    fn only_what_read_something_that_changed_is_asked_again() {
        let mut memo = Memo::default();
        assert_eq!(ask(&mut memo, &[1, 2, 3, 4]), (vec![3, 5, 7, 5], 4));
        assert_eq!(ask(&mut memo, &[1, 2, 3, 4]), (vec![3, 5, 7, 5], 0));
        assert_eq!(ask(&mut memo, &[1, 2, 9, 4]), (vec![3, 11, 13, 5], 2));
        assert_eq!(ask(&mut memo, &[1, 2, 9]), (vec![3, 11, 10], 3), "numbers of files mean others");
    }

    #[test]
    fn what_changed_while_nobody_asked_is_asked_again() {
        let mut memo = Memo::default();
        ask(&mut memo, &[1, 2, 3]);
        memo.begin(frame(3), &sources(&[1, 5, 3]));
        assert_eq!(ask(&mut memo, &[1, 5, 3]), (vec![6, 8, 4], 2));
    }
}
