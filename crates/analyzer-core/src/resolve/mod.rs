//! All files together: what a callee stands for, and what an expression evaluates to.
//!
//! Two questions, two total and bounded functions: [`Project::refer`] and [`Project::values`]. Unknown is an answer,
//! and so is "one of these": branches and several callers give alternatives. Every question has a budget of steps, so
//! that no program, however entangled, costs more than a constant.

mod callees;
mod classes;
mod files;
mod imports;
mod inquiry;
mod kept;
mod names;
mod params;
mod placed;
mod text;
pub mod url;
mod values;

use std::sync::{Arc, OnceLock};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::facts::*;
use crate::imports::Imports;
use crate::knowledge::index::{Hit, RuleKind, Symbol};
use crate::knowledge::schema::ArgRef;
use crate::knowledge::{Entry, Knowledge};
use crate::memo::{self, Asked, Memo, On};
use crate::modules::Modules;
use crate::packages::is_test;
use crate::sources::{Language, Source};
use crate::work;

pub use callees::Callee;
use callees::FirstLook;
pub use inquiry::Inquiry;
use kept::Kept;
use placed::Placed;
pub use values::{Known, Piece, Value};

/// Steps one question may take.
const FUEL: u32 = 3_000;
/// Bytes of text that one question may build: sixty doublings of a letter are an exabyte.
const TEXT: usize = 1 << 20;
/// Steps after which a question is tangled.
const PATIENCE: u32 = 500;
/// How deep one question may go.
const DEPTH: u32 = 40;
/// Alternatives of one answer.
const MANY: usize = 8;
/// Alternatives where all of them are asked for: the tools of a list.
const ALL: usize = 256;

/// A file of the project.
pub struct File<'a> {
    /// As submitted.
    pub source: &'a Source,
    /// What it says.
    pub facts: Arc<FileFacts>,
}

/// An expression of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Index of the file.
    pub file: usize,
    /// The expression in it.
    pub expr: ExprId,
}

/// A call that is being looked into: its arguments are what the parameters stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// File and function that is called.
    pub function: (usize, FunctionId),
    /// The call.
    pub call: At,
    /// The frame that the call's own arguments are read in.
    pub outer: Option<Arc<Frame>>,
}

/// Frames, innermost first.
pub type Frames = Option<Arc<Frame>>;

/// What an expression stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ref {
    /// Something outside the submitted files, and the calls on the way to it.
    External(Symbol, Vec<(At, Frames)>),
    /// A submitted function, and the instance it is called on.
    Function(usize, FunctionId),
    /// A submitted class.
    Class(usize, ClassId),
    /// An instance of a submitted class, and the call that made it.
    Instance(usize, ClassId, Option<(At, Frames)>),
    /// A submitted module.
    Module(usize),
    /// A Python package path of which only a part is known: seen from a file.
    Package(usize, String),
    /// A literal or another expression that has a value rather than a meaning.
    Expr(At, Frames),
    /// Nobody knows.
    Unknown,
}

/// The state of one question.
pub struct Question {
    fuel: u32,
    /// What a question of its kind begins with.
    given: u32,
    /// Alternatives that it wants.
    many: usize,
    depth: u32,
    /// Bytes of text that may still be built.
    text: usize,
    /// Star imports that were followed for a name in vain, or are being followed.
    stars: FxHashSet<(usize, String)>,
    /// What was found so far, once the question is tangled; nothing yet for what is being asked.
    refs: FxHashMap<At, Option<Vec<Ref>>>,
    values: FxHashMap<At, Option<Vec<Known>>>,
    /// Keywords that functions hand on, which were looked for in vain or are being looked for.
    handed: FxHashSet<(usize, FunctionId, String)>,
    /// The answer depends on who calls or constructs something.
    open: bool,
    /// A limit was met, or something that is being asked already.
    cut: bool,
    /// The deepest step so far.
    deepest: u32,
    /// Answers of earlier questions.
    kept: Kept,
}

/// What the questions of one phase about one file may cost together. Ordinary code needs a small part of it; where calls
/// go in circles, each question would spend all that one may, and from here on gets little.
pub struct Allowance {
    left: u64,
    given: u32,
    kept: Kept,
}

impl Allowance {
    /// Steps per call that are always there.
    const LEAST: u32 = 48;

    /// For a file with so many calls.
    pub fn new(calls: usize) -> Self {
        Allowance { left: 200_000 + 100 * calls as u64, given: 0, kept: Kept::default() }
    }

    /// A question with what it may cost.
    fn question(&mut self) -> Question {
        self.given = u32::try_from(self.left).unwrap_or(FUEL).clamp(Self::LEAST, FUEL);
        Question { kept: std::mem::take(&mut self.kept), ..Question::with(self.given) }
    }

    fn pay(&mut self, question: Question) {
        self.left = self.left.saturating_sub(u64::from(self.given - question.fuel));
        self.kept = question.kept;
    }

    /// Nothing is left but the least.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }
}

impl Question {
    fn new() -> Self {
        Question::with(FUEL)
    }

    /// For every alternative there is, not for the first few.
    fn wide() -> Self {
        Question { many: ALL, ..Question::with(8 * FUEL) }
    }

    fn with(fuel: u32) -> Self {
        Question {
            fuel,
            given: fuel.max(FUEL),
            many: MANY,
            depth: 0,
            text: TEXT,
            stars: FxHashSet::default(),
            refs: FxHashMap::default(),
            values: FxHashMap::default(),
            handed: FxHashSet::default(),
            open: false,
            cut: false,
            deepest: 0,
            kept: Kept::default(),
        }
    }

    /// Goes one level deeper, unless the budget is spent.
    fn step(&mut self) -> bool {
        if self.fuel == 0 || self.depth >= DEPTH {
            self.cut = true;
            return false;
        }
        work::done(1);
        self.fuel -= 1;
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        true
    }

    /// So many steps were taken that the same is probably asked again and again: answers are remembered from here on.
    fn is_tangled(&self) -> bool {
        self.fuel + PATIENCE < self.given
    }

    /// Takes so much of the text that may be built, if there is as much left.
    fn may_build(&mut self, bytes: usize) -> bool {
        let enough = bytes <= self.text;
        self.text = self.text.saturating_sub(bytes);
        work::done(bytes / 64);
        enough
    }

    fn back(&mut self) {
        self.depth -= 1;
    }
}

/// A call with its frames.
type Caller = At;

/// Classes by the class that they extend, each with its file.
type Subclasses = FxHashMap<(usize, ClassId), Vec<(usize, ClassId)>>;

/// All submitted files, and what is known of the world.
pub struct Project<'a> {
    /// The files, sorted by path.
    files: Vec<File<'a>>,
    /// What is known.
    pub knowledge: &'a Knowledge,
    /// What imports mean.
    pub imports: Imports<'a>,
    /// Submitted calls of submitted functions.
    callers: Arc<FxHashMap<(usize, FunctionId), Vec<Caller>>>,
    /// Submitted constructions of submitted classes.
    constructions: Arc<FxHashMap<(usize, ClassId), Vec<At>>>,
    /// Submitted classes by the submitted class they extend.
    subclasses: Arc<Subclasses>,
    /// Calls that declare options of the command line, by option, for the files where somebody asked.
    options: Vec<OnceLock<FxHashMap<String, Vec<u32>>>>,
    /// Calls of the constructor of a base class by their scope, for the files where somebody asked.
    base_calls: Vec<OnceLock<FxHashMap<ScopeId, ExprId>>>,
    /// The files that test the program.
    tests: Vec<bool>,
    /// Variables that the program sets itself.
    variables: Arc<FxHashMap<String, At>>,
    /// What the program puts into places outside it.
    placed: Arc<Placed>,
    /// Calls that make lists grow, by the last name of the list, for the files where somebody asked.
    growing: Vec<OnceLock<FxHashMap<Sym, Vec<u32>>>>,
    /// What the calls of each file call.
    callees: Vec<Arc<FirstLook>>,
    /// Members that stand for something of another name.
    aliases: FxHashSet<String>,
    /// Answers of earlier analyses of a session.
    pub(crate) memo: Option<&'a Memo>,
    /// How much is known of the calls among the files.
    stage: Stage,
}

/// What is known already: answers depend on nothing that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Files,
    Subclasses,
    Placed,
    Callers,
}

impl<'a> Project<'a> {
    /// All files together; the calls among them are found in parallel.
    pub fn new(files: Vec<File<'a>>, knowledge: &'a Knowledge, modules: &'a Modules) -> Project<'a> {
        Project::with_memo(files, knowledge, modules, None)
    }

    /// The same with what earlier analyses answered.
    pub(crate) fn with_memo(
        files: Vec<File<'a>>,
        knowledge: &'a Knowledge,
        modules: &'a Modules,
        memo: Option<&'a Memo>,
    ) -> Project<'a> {
        let imports = Imports::new(files.iter().map(|file| (file.source, file.facts.clone())), modules);
        let growing = files.iter().map(|_| OnceLock::new()).collect();
        let options = files.iter().map(|_| OnceLock::new()).collect();
        let base_calls = files.iter().map(|_| OnceLock::new()).collect();
        let tests = files.iter().map(|file| is_test(&file.source.path, &file.facts)).collect();
        let mut project = Project {
            files,
            knowledge,
            imports,
            callers: Arc::default(),
            constructions: Arc::default(),
            subclasses: Arc::default(),
            growing,
            options,
            base_calls,
            callees: Vec::new(),
            aliases: FxHashSet::default(),
            tests,
            variables: Arc::default(),
            placed: Arc::default(),
            memo,
            stage: Stage::Files,
        };
        let extends = project.each(Asked::Extends, Project::extends);
        let mut subclasses = Subclasses::default();
        for (base, class) in extends.iter().flat_map(|of_file| of_file.iter()) {
            subclasses.entry(*base).or_default().push(*class);
        }
        project.subclasses = Arc::new(subclasses);
        project.stage = Stage::Subclasses;
        project.tell(On::Subclasses, &project.subclasses, |(file, _)| *file);
        // What a test passes says nothing of the program.
        let set = project.each(Asked::Variables, |project, file| match project.is_test(file) {
            true => Vec::new(),
            false => project.sets_variables(file),
        });
        let places = project.each(Asked::Places, |project, file| match project.is_test(file) {
            true => Vec::new(),
            false => project.places(file),
        });
        let mut placed = Placed::default();
        for (key, holder, at) in places.iter().flat_map(|of_file| of_file.iter()) {
            let there = placed.entry(key.clone()).or_default().entry(holder.clone()).or_default();
            if there.len() < MANY {
                there.push(*at);
            }
        }
        project.placed = Arc::new(placed);
        project.stage = Stage::Placed;
        project.tell(On::Placed, &project.placed, |key| memo::place(key));
        if let Some(memo) = memo {
            let differs = |before: &bool, now: &bool| if before == now { Vec::new() } else { vec![0] };
            memo.compare(On::AnyPlaced, project.placed.is_empty(), differs);
        }
        let files = project.files.len();
        project.callees = memo::each_told(memo, files, Asked::Callees, On::Callees, &project, Project::first_look);
        let mut variables: FxHashMap<String, At> = FxHashMap::default();
        for (name, at) in set.iter().flat_map(|of_file| of_file.iter()) {
            variables.entry(name.clone()).or_insert(*at);
        }
        project.variables = Arc::new(variables);
        project.aliases = project.find_aliases();
        let mut callers: FxHashMap<(usize, FunctionId), Vec<Caller>> = FxHashMap::default();
        let mut constructions: FxHashMap<(usize, ClassId), Vec<At>> = FxHashMap::default();
        let program = project.callees.iter().enumerate().filter(|(file, _)| !project.tests[*file]);
        for (target, call) in program.flat_map(|(_, looked)| &looked.submitted) {
            match *target {
                Ref::Function(file, id) => callers.entry((file, id)).or_default().push(*call),
                Ref::Class(file, class) => {
                    constructions.entry((file, class)).or_default().push(*call);
                    if let Some(init) = project.constructor(file, class) {
                        callers.entry(init).or_default().push(*call);
                    }
                }
                _ => {}
            }
        }
        (project.callers, project.constructions) = (Arc::new(callers), Arc::new(constructions));
        project.stage = Stage::Callers;
        project.tell(On::Callers, &project.callers, |(file, _)| *file);
        project.tell(On::Constructions, &project.constructions, |(file, _)| *file);
        project.tell(On::Variable, &project.variables, |name| memo::place(name));
        project
    }

    /// Asks the same of every file.
    fn each<T: Send + Sync + 'static>(&self, asked: Asked, ask: fn(&Self, usize) -> T) -> Vec<Arc<T>> {
        memo::each(self.memo, self.files.len(), asked, self, ask)
    }

    /// Says what is so now to those whose answers depend on it.
    fn tell<K, V>(&self, on: On, now: &Arc<FxHashMap<K, V>>, place: fn(&K) -> usize)
    where
        K: Eq + std::hash::Hash + Send + Sync + 'static,
        V: PartialEq + Send + Sync + 'static,
    {
        if let Some(memo) = self.memo {
            memo.compare(on, now.clone(), |before, now| memo::differing(before, now, place));
        }
    }

    /// Something is read on which the answer in the making depends.
    #[inline]
    pub(crate) fn note(&self, on: On, place: usize) {
        if self.memo.is_some() {
            memo::note(on, place);
        }
    }

    /// The submitted classes of a file, each with the submitted class it extends.
    fn extends(&self, file: usize) -> Vec<((usize, ClassId), (usize, ClassId))> {
        let mut pairs = Vec::new();
        for (index, class) in self.facts(file).classes.iter().enumerate() {
            for &expr in &class.bases {
                for reference in self.refer(At { file, expr }, &None) {
                    if let Ref::Class(f, c) = reference {
                        pairs.push(((f, c), (file, ClassId(index as u32))));
                    }
                }
            }
        }
        pairs
    }

    /// Submitted classes that extend a submitted class.
    fn subclasses(&self, file: usize, class: ClassId) -> &[(usize, ClassId)] {
        if self.stage >= Stage::Subclasses {
            self.note(On::Subclasses, file);
        }
        self.subclasses.get(&(file, class)).map_or(&[], Vec::as_slice)
    }

    /// What an expression stands for, at the expense of an allowance.
    pub fn refer_within(&self, at: At, allowance: &mut Allowance) -> Vec<Ref> {
        let mut question = allowance.question();
        let refs = self.refer_in(at, &None, &mut question);
        allowance.pay(question);
        refs
    }

    /// What an expression evaluates to, at the expense of an allowance: all of it, such as each address of a list.
    pub fn values_within(&self, at: At, frames: &Frames, allowance: &mut Allowance) -> Vec<Known> {
        let mut question = Question { many: ALL, ..allowance.question() };
        let known = self.values_in(at, frames, &mut question);
        allowance.pay(question);
        known
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// All files, for whoever looks at all of them each time.
    pub(crate) fn files(&self) -> &[File<'a>] {
        debug_assert!(!memo::is_asking(), "who asks about one file names what he reads");
        &self.files
    }

    /// The same, for whoever says himself what he read.
    pub(crate) fn unnoted_files(&self) -> &[File<'a>] {
        &self.files
    }

    /// A file as submitted.
    pub fn source(&self, file: usize) -> &'a Source {
        self.note(On::Text, file);
        self.files[file].source
    }

    /// The language of a file.
    pub fn language(&self, file: usize) -> Language {
        self.files[file].source.language
    }

    /// The file of a path.
    pub fn file(&self, path: &str) -> Option<usize> {
        self.files.binary_search_by(|file| (*file.source.path).cmp(path)).ok()
    }

    /// Facts of a file.
    #[inline]
    pub fn facts(&self, file: usize) -> &FileFacts {
        self.note(On::Text, file);
        &self.files[file].facts
    }

    /// The file tests the program and is no part of it.
    pub fn is_test(&self, file: usize) -> bool {
        self.note(On::Text, file);
        self.tests[file]
    }

    /// Path of a file.
    pub fn path(&self, file: usize) -> &str {
        &self.files[file].source.path
    }

    /// The call behind an expression.
    pub fn call(&self, at: At) -> Option<&Call> {
        self.facts(at.file).call(at.expr)
    }

    /// Line of an expression.
    pub fn line(&self, at: At) -> u32 {
        self.facts(at.file).expr(at.expr).line
    }

    /// Submitted calls of a submitted function.
    pub fn callers(&self, file: usize, function: FunctionId) -> &[At] {
        if self.stage >= Stage::Callers {
            self.note(On::Callers, file);
        }
        self.callers.get(&(file, function)).map_or(&[], Vec::as_slice)
    }

    /// Submitted constructions of a submitted class.
    pub fn constructions(&self, file: usize, class: ClassId) -> &[At] {
        if self.stage >= Stage::Callers {
            self.note(On::Constructions, file);
        }
        self.constructions.get(&(file, class)).map_or(&[], Vec::as_slice)
    }

    /// The function that runs when a class is constructed.
    pub fn constructor(&self, file: usize, class: ClassId) -> Option<(usize, FunctionId)> {
        let facts = self.facts(file);
        let scope = facts.classes[class.0 as usize].scope;
        ["__init__", "constructor"].iter().find_map(|name| match facts.bindings_named(scope, name).last()?.value {
            Bound::Function(id) => Some((file, id)),
            _ => None,
        })
    }

    /// Rules that name the symbol an expression stands for, with the reference they matched.
    pub fn hits(&self, at: At, frames: &Frames) -> Vec<(Hit, Ref)> {
        let mut found: Vec<(Hit, Ref)> = Vec::new();
        for reference in self.refer(at, frames) {
            if let Ref::External(symbol, _) = &reference {
                let symbol = self.as_callee(symbol.clone(), at.file);
                for hit in self.knowledge.lookup(&symbol) {
                    if !found.iter().any(|(known, _)| *known == hit) {
                        found.push((hit, reference.clone()));
                    }
                }
            }
        }
        found
    }

    /// A symbol as rules name it: in the language of the file where its base is not known, the default export where a
    /// whole module is called.
    pub fn as_callee(&self, mut symbol: Symbol, file: usize) -> Symbol {
        if symbol.is_unknown() {
            symbol = symbol.in_language(self.is_python(file));
        }
        match symbol.is_module() && !symbol.is_python() {
            true => symbol.default_export(),
            false => symbol,
        }
    }

    /// The rules of one kind that a symbol matches.
    pub fn rules<'k>(&'k self, symbol: &Symbol, kind: RuleKind) -> impl Iterator<Item = (&'k Entry, u32)> + 'k {
        let hits = self.knowledge.lookup(symbol);
        hits.into_iter().filter(move |hit| hit.kind == kind).map(|hit| (self.knowledge.entry(hit.entry), hit.rule))
    }

    /// The expression that stands at one of these places of a call; the first that is given counts.
    pub fn argument(&self, call: At, frames: &Frames, places: &[ArgRef]) -> Option<(At, Frames)> {
        self.argument_in(call, frames, places, &mut Question::new())
    }

    fn argument_in(&self, call: At, frames: &Frames, places: &[ArgRef], q: &mut Question) -> Option<(At, Frames)> {
        let given = places.iter().find_map(|place| self.argument_at(call, frames, place, q));
        given.or_else(|| {
            // `MyAgent(config)` of a class whose constructor hands that on: `super().__init__(llm_config=config)`.
            let (file, class) = self.constructed(call)?;
            let (function, base) = self.told_to_base(file, class).filter(|(_, base)| *base != call && q.step())?;
            let frame = Some(Arc::new(Frame { function: (file, function), call, outer: frames.clone() }));
            let found = places.iter().find_map(|place| self.argument_at(base, &frame, place, q));
            q.back();
            found
        })
    }

    fn argument_at(&self, at: At, frames: &Frames, place: &ArgRef, q: &mut Question) -> Option<(At, Frames)> {
        let facts = self.facts(at.file);
        let call = facts.call(at.expr)?;
        match place {
            ArgRef::Position(wanted) => {
                let positional = call.args.iter().filter(|arg| arg.name.is_none());
                let arg = positional.clone().nth(*wanted)?;
                let spread_before =
                    positional.take(*wanted + 1).any(|a| matches!(facts.kind(a.value), ExprKind::Spread(_)));
                (!spread_before).then(|| (At { file: at.file, expr: arg.value }, frames.clone()))
            }
            ArgRef::Name(path) => {
                let mut parts = path.split('.');
                let first = parts.next()?;
                let mut found = match first.parse() {
                    Ok(index) => self.argument_at(at, frames, &ArgRef::Position(index), q)?,
                    Err(_) => self.named_argument(at, frames, call, first, q)?,
                };
                for part in parts {
                    found = match part.strip_prefix('<').and_then(|part| part.strip_suffix('>')) {
                        Some(extension) => (self.file_named(&found, extension, q)?, None),
                        None => self.element_in(&found, part, q).or_else(|| self.given_back(&found, part, q))?,
                    };
                }
                Some(found)
            }
        }
    }

    /// `useFactory: () => ({ url })`: the value at a key of what a function gives back.
    fn given_back(&self, function: &(At, Frames), key: &str, q: &mut Question) -> Option<(At, Frames)> {
        let functions = self.refer_in(function.0, &function.1, q).into_iter();
        let mut returns = functions.flat_map(|reference| match reference {
            Ref::Function(file, id) => {
                let returns = &self.facts(file).functions[id.0 as usize].returns;
                returns.iter().take(MANY).map(|&expr| At { file, expr }).collect()
            }
            _ => Vec::new(),
        });
        returns.find_map(|at| self.element_in(&(at, None), key, q))
    }

    /// Keyword argument, key of an object argument, or key of something spread into the call.
    fn named_argument(
        &self,
        at: At,
        frames: &Frames,
        call: &Call,
        name: &str,
        q: &mut Question,
    ) -> Option<(At, Frames)> {
        let facts = self.facts(at.file);
        let here = |expr| (At { file: at.file, expr }, frames.clone());
        for arg in &call.args {
            if arg.name.is_some_and(|sym| facts.name(sym) == name) {
                return Some(here(arg.value));
            }
        }
        let python = self.is_python(at.file);
        for arg in call.args.iter().filter(|arg| arg.name.is_none()) {
            let holder = match *facts.kind(arg.value) {
                ExprKind::Spread(inner) => here(inner),
                _ if python => continue,
                _ => here(arg.value),
            };
            if let Some(found) = self.element_in(&holder, name, q) {
                return Some(found);
            }
        }
        None
    }

    /// The value at a key of a literal dict or object, or at an index of a list, however many names away it stands.
    pub fn element(&self, holder: &(At, Frames), key: &str) -> Option<(At, Frames)> {
        self.element_in(holder, key, &mut Question::new())
    }

    fn element_in(&self, holder: &(At, Frames), key: &str, q: &mut Question) -> Option<(At, Frames)> {
        if let Some(assigned) = self.assigned_item(holder.0, key) {
            return Some((assigned, holder.1.clone()));
        }
        if let Some(passed) = self.passed_on(holder, key, q) {
            return Some(passed);
        }
        self.refer_in(holder.0, &holder.1, q).into_iter().find_map(|reference| match reference {
            Ref::Expr(at, frames) => self.literal_element(at, &frames, key, q),
            // `agent.name` of `Agent(name="planner")`: what a constructor outside was told. A model's own says it itself.
            Ref::External(symbol, calls) if symbol.display().ends_with("()") => {
                let hits = self.knowledge.lookup(&symbol.callee());
                let (call, frames) =
                    calls.last().filter(|_| key == "name" || !hits.iter().any(|h| h.kind == RuleKind::Model))?;
                let facts = self.facts(call.file);
                let told =
                    self.call(*call)?.args.iter().find(|arg| arg.name.is_some_and(|sym| facts.name(sym) == key))?;
                Some((At { file: call.file, expr: told.value }, frames.clone()))
            }
            _ => None,
        })
    }

    /// `**options` of the function that this stands in: the argument of that name, of the call being looked into or
    /// of the first caller that gives one.
    fn passed_on(&self, holder: &(At, Frames), key: &str, q: &mut Question) -> Option<(At, Frames)> {
        let (at, frames) = holder;
        let (function, index) = self.parameter_of(*at)?;
        let facts = self.facts(at.file);
        let params = &facts.functions[function.0 as usize].params;
        // What a parameter of its own takes never arrives in `**options`.
        let is_taken = |param: &Param| param.name.is_some_and(|name| facts.name(name) == key);
        if params[index as usize].kind != ParamKind::Keywords || params.iter().any(is_taken) {
            return None;
        }
        // A function that hands on to itself is asked once.
        if !q.handed.insert((at.file, function, key.to_owned())) || !q.step() {
            return None;
        }
        q.open = true;
        let frame = frames.as_ref().filter(|frame| frame.function == (at.file, function));
        let callers = match frame {
            Some(frame) => vec![(frame.call, frame.outer.clone())],
            None => self.callers(at.file, function).iter().take(q.many * 2).map(|call| (*call, None)).collect(),
        };
        let given = |(call, frames): (At, Frames), q: &mut Question| {
            let the_call = self.call(call)?;
            self.named_argument(call, &frames, the_call, key, q)
        };
        let found = callers.into_iter().find_map(|caller| given(caller, q));
        q.back();
        if found.is_some() {
            q.handed.remove(&(at.file, function, key.to_owned()));
        }
        found
    }

    /// `payload["model"] = "x"` and `payload.model = "x"` on the name that is asked about.
    fn assigned_item(&self, holder: At, key: &str) -> Option<At> {
        let facts = self.facts(holder.file);
        let ExprKind::Name(name) = *facts.kind(holder.expr) else { return None };
        let scope = facts.scope_of(holder.expr);
        let same = |base: ExprId| {
            matches!(*facts.kind(base), ExprKind::Name(sym) if sym == name) && facts.scope_of(base) == scope
        };
        let before = facts.place_assignments.iter().rev().filter(|assignment| assignment.target < holder.expr);
        let found = before.take(4_096).find(|assignment| match *facts.kind(assignment.target) {
            ExprKind::Index(base, index) => same(base) && facts.text(index) == Some(key),
            ExprKind::Attr(base, member) => same(base) && facts.name(member) == key,
            _ => false,
        })?;
        Some(At { file: holder.file, expr: found.value })
    }

    /// Keys and values of a literal dict or object, spreads included.
    pub fn pairs(&self, at: At, frames: &Frames) -> Vec<(Option<String>, At, Frames)> {
        self.pairs_in(at, frames, &mut Question::new())
    }

    fn pairs_in(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<(Option<String>, At, Frames)> {
        let mut pairs = Vec::new();
        let mut work = vec![(at, frames.clone(), 0)];
        while let Some((at, frames, depth)) = work.pop() {
            let facts = self.facts(at.file);
            let ExprKind::Dict(items) = facts.kind(at.expr) else { continue };
            for &(key, value) in items.iter().take(4_096) {
                let value = At { file: at.file, expr: value };
                match key {
                    Some(key) => {
                        let text = match facts.kind(key) {
                            ExprKind::Text(text) | ExprKind::Number(text) => Some(facts.text_of(*text).to_owned()),
                            _ => self.text_in(At { file: at.file, expr: key }, &frames, q),
                        };
                        pairs.push((text, value, frames.clone()));
                    }
                    None if depth < 4 => {
                        let value = match *facts.kind(value.expr) {
                            ExprKind::Spread(inner) => At { file: at.file, expr: inner },
                            _ => value,
                        };
                        for reference in self.refer_in(value, &frames, q) {
                            if let Ref::Expr(at, frames) = reference {
                                work.push((at, frames, depth + 1));
                            }
                        }
                    }
                    None => {}
                }
            }
        }
        pairs
    }

    fn literal_element(&self, at: At, frames: &Frames, key: &str, q: &mut Question) -> Option<(At, Frames)> {
        match self.facts(at.file).kind(at.expr) {
            ExprKind::Dict(items) => {
                // Most keys are literals, and nothing spread into the dict comes before them.
                let facts = self.facts(at.file);
                let is_literal = |key: ExprId| matches!(facts.kind(key), ExprKind::Text(_) | ExprKind::Number(_));
                let first = items.iter().take(4_096).position(|&(own, _)| match own.map(|own| facts.kind(own)) {
                    Some(ExprKind::Text(text) | ExprKind::Number(text)) => facts.text_of(*text) == key,
                    _ => false,
                });
                work::done(first.unwrap_or(items.len().min(4_096)));
                let before = &items[..first.unwrap_or(items.len())];
                if before.iter().all(|(key, _)| key.is_some_and(is_literal)) {
                    return first.map(|index| (At { file: at.file, expr: items[index].1 }, frames.clone()));
                }
                let pairs = self.pairs_in(at, frames, q);
                pairs.into_iter().find(|(k, ..)| k.as_deref() == Some(key)).map(|(_, at, frames)| (at, frames))
            }
            ExprKind::List(items) => {
                let index: usize = key.parse().ok()?;
                Some((At { file: at.file, expr: *items.get(index)? }, frames.clone()))
            }
            // `dict(model="x")`, `SomeConfig(model="x")`.
            ExprKind::Call(_) => {
                let call = self.call(at)?;
                let facts = self.facts(at.file);
                let arg = call.args.iter().find(|arg| arg.name.is_some_and(|sym| facts.name(sym) == key))?;
                Some((At { file: at.file, expr: arg.value }, frames.clone()))
            }
            _ => None,
        }
    }

    /// `list(TOOLS.values())`, `build_tools()`: the values of the map, the lists that the function returns.
    fn returned_lists(&self, at: At, q: &mut Question, work: &mut Vec<(At, Frames, i32)>, depth: i32) -> bool {
        let facts = self.facts(at.file);
        let Some(call) = facts.call(at.expr) else { return false };
        if let ExprKind::Attr(base, method) = *facts.kind(call.callee)
            && facts.name(method) == "values"
        {
            for reference in self.refer_in(At { file: at.file, expr: base }, &None, q) {
                if let Ref::Expr(map, frames) = reference {
                    let values = self.pairs_in(map, &frames, q);
                    work.extend(values.into_iter().rev().map(|(_, value, frames)| (value, frames, 100)));
                }
            }
            return true;
        }
        let mut found = false;
        for reference in self.refer_in(At { file: at.file, expr: call.callee }, &None, q) {
            if let Ref::Function(file, id) = reference {
                let frame = Frame { function: (file, id), call: at, outer: None };
                let inner = Some(Arc::new(frame));
                for &expr in self.facts(file).functions[id.0 as usize].returns.iter().rev().take(MANY) {
                    work.push((At { file, expr }, inner.clone(), depth + 1));
                    found = true;
                }
            }
        }
        found
    }

    /// What is put into a list by calls on its name: `TOOLS.append(x)`, `tools.push(...more)`; lists are marked.
    fn grown(&self, at: At) -> Vec<(At, bool)> {
        let facts = self.facts(at.file);
        let same = |id: ExprId| match (facts.kind(at.expr), facts.kind(id)) {
            (ExprKind::Name(a), ExprKind::Name(b)) => a == b,
            (ExprKind::Attr(_, a), ExprKind::Attr(_, b)) => a == b,
            _ => false,
        };
        let (ExprKind::Name(last) | ExprKind::Attr(_, last)) = *facts.kind(at.expr) else { return Vec::new() };
        let growing = self.growing[at.file].get_or_init(|| growing(facts));
        let mut grown = Vec::new();
        for &call in growing.get(&last).map_or(&[][..], Vec::as_slice) {
            work::done(1);
            let call = &facts.calls[call as usize];
            let ExprKind::Attr(base, method) = *facts.kind(call.callee) else { continue };
            let whole = facts.name(method) == "extend";
            if same(base) {
                for arg in &call.args {
                    let (value, whole) = match *facts.kind(arg.value) {
                        ExprKind::Spread(inner) => (inner, true),
                        _ => (arg.value, whole),
                    };
                    grown.push((At { file: at.file, expr: value }, whole));
                }
            }
        }
        grown.reverse(); // They come off the stack in order.
        grown
    }

    /// Elements of a literal list or of the values of a literal dict, spreads and concatenations included.
    pub fn elements(&self, at: At, frames: &Frames) -> Vec<(At, Frames)> {
        self.elements_in(at, frames, &mut Question::new())
    }

    fn elements_in(&self, at: At, frames: &Frames, q: &mut Question) -> Vec<(At, Frames)> {
        let mut out = Vec::new();
        let mut work = vec![(at, frames.clone(), 0)];
        while let Some((at, frames, depth)) = work.pop() {
            if depth > 6 || out.len() > 4_096 {
                continue;
            }
            let facts = self.facts(at.file);
            let here = |expr| At { file: at.file, expr };
            match facts.kind(at.expr) {
                ExprKind::List(items) | ExprKind::Concat(items) => {
                    let is_list = matches!(facts.kind(at.expr), ExprKind::List(_));
                    for &item in items.iter().rev() {
                        match *facts.kind(item) {
                            ExprKind::Spread(inner) => work.push((here(inner), frames.clone(), depth + 1)),
                            _ if is_list => work.push((here(item), frames.clone(), 100)),
                            _ => work.push((here(item), frames.clone(), depth + 1)),
                        }
                    }
                }
                ExprKind::Either(a, b) | ExprKind::Cond(a, b) => {
                    work.push((here(*b), frames.clone(), depth + 1));
                    work.push((here(*a), frames.clone(), depth + 1));
                }
                ExprKind::Call(_) if depth < 5 && self.returned_lists(at, q, &mut work, depth) => {}
                _ => {
                    work.extend(
                        self.grown(at).into_iter().map(|(at, whole)| (at, None, if whole { depth + 1 } else { 100 })),
                    );
                    for reference in self.refer_in(at, &frames, q) {
                        match reference {
                            Ref::Expr(to, frames) if to != at => work.push((to, frames, depth + 1)),
                            _ => {}
                        }
                    }
                }
            }
            // Elements come off the stack in order, marked by their depth.
            while let Some((at, frames, 100)) = work.last().cloned() {
                work.pop();
                out.push((at, frames));
            }
        }
        out
    }
}

/// Calls of methods that put something into a list, by the last name of what they are called on.
fn growing(facts: &FileFacts) -> FxHashMap<Sym, Vec<u32>> {
    let mut growing: FxHashMap<Sym, Vec<u32>> = FxHashMap::default();
    for (index, call) in facts.calls.iter().enumerate() {
        let ExprKind::Attr(base, method) = *facts.kind(call.callee) else { continue };
        let (ExprKind::Name(last) | ExprKind::Attr(_, last)) = *facts.kind(base) else { continue };
        if matches!(facts.name(method), "append" | "push" | "add" | "unshift" | "extend") {
            growing.entry(last).or_default().push(index as u32);
        }
    }
    growing
}
