//! Static analysis of AI agents: source files in, an [`Analysis`] out.
//!
//! Nothing here reads a file, a clock or a socket, and nothing runs the code it looks at. The same input gives the
//! same answer, whatever the number of threads or the order of the files.
//!
//! ```
//! use analyzer_core::{Options, Sources, analyze};
//!
//! let agent = "import requests\nrequests.get('https://api.stripe.com/v1/charges')\n";
//! let sources = Sources::new([("agent.py", agent)])?;
//! let analysis = analyze(&sources, &Options::default());
//! assert_eq!(analysis.tools[0].name, "stripe-api");
//! assert_eq!(analysis.outbound_destinations, ["api.stripe.com"]);
//! # Ok::<(), analyzer_core::SourcesError>(())
//! ```

pub mod analysis;
mod depth;
pub mod detect;
pub mod facts;
pub mod imports;
pub mod knowledge;
pub mod lang;
pub mod lint;
pub mod manifest;
mod memo;
pub mod modules;
mod packages;
pub mod packs;
pub mod policy;
pub mod resolve;
pub mod session;
pub mod sites;
pub mod sources;
pub mod work;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

pub use analysis::Analysis;
use analysis::{ModelProvider, Note, Stats};
use detect::graph::Graph;
use facts::FileFacts;
pub use knowledge::Knowledge;
use manifest::Manifests;
use memo::{Frame, Memo};
use modules::Modules;
use packs::Applied;
pub use packs::Pack;
use resolve::{File, Project};
pub use session::Session;
use sites::Context;
pub use sources::{Language, Limits, Sources, SourcesError};

/// What a caller may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is known of the world; the embedded knowledge by default.
    pub knowledge: Arc<Knowledge>,
    /// What is known beyond it, the stronger packs later.
    pub packs: Vec<Arc<Pack>>,
    /// The pack among the submitted files counts too, and more than all others.
    pub project_pack: bool,
    /// Key of the secrets' fingerprints; the committed salt when empty.
    pub fingerprint_key: Vec<u8>,
    /// Set it from another thread to stop; the answer is then marked as cancelled.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            knowledge: knowledge::builtin(),
            packs: Vec::new(),
            project_pack: true,
            fingerprint_key: Vec::new(),
            cancel: None,
        }
    }
}

impl Options {
    /// What makes answers to the same files differ; none for the defaults.
    fn digest(&self) -> Option<[u8; 32]> {
        let packs: Vec<[u8; 32]> =
            self.packs.iter().filter(|pack| !pack.is_empty()).map(|pack| pack.digest()).collect();
        if packs.is_empty() && self.project_pack && self.fingerprint_key.is_empty() {
            return None;
        }
        let mut hash = Sha256::new_with_prefix([u8::from(self.project_pack)]);
        hash.update((self.fingerprint_key.len() as u64).to_le_bytes());
        hash.update(&self.fingerprint_key);
        packs.iter().for_each(|digest| hash.update(digest));
        Some(hash.finalize().into())
    }
}

/// What the agent in these files touches.
pub fn analyze(sources: &Sources, options: &Options) -> Analysis {
    let read = |sources: &Sources| read(sources, options.cancel.as_deref());
    look_at(sources, options, None, read, None::<fn(&lint::view::Looked)>).0
}

/// The same, and what somebody makes of everything that is known then; nothing when the analysis was cancelled.
pub(crate) fn look<T>(
    sources: &Sources,
    options: &Options,
    then: impl FnOnce(&lint::view::Looked) -> T,
) -> (Analysis, Option<T>) {
    look_at(sources, options, None, |sources| read(sources, options.cancel.as_deref()), Some(then))
}

/// All steps of an analysis, with what a session remembers of the last one. `read` gives the facts of each file, in the order of the sources.
pub(crate) fn look_at<T>(
    sources: &Sources,
    options: &Options,
    memo: Option<&mut Memo>,
    read: impl FnOnce(&Sources) -> Result<Vec<Arc<FileFacts>>, lang::Cancelled>,
    then: Option<impl FnOnce(&lint::view::Looked) -> T>,
) -> (Analysis, Option<T>) {
    let (own, refused) = if options.project_pack { Pack::of_project(sources) } else { Default::default() };
    let packs = Applied::new(&options.knowledge, options.packs.iter().map(Arc::as_ref).chain([&own]));
    let mut analysis = Analysis { id: id(sources, options), stats: stats(sources), ..Analysis::default() };
    let installed = sources.files().iter().filter(|file| packages::is_installed(&file.path)).count();
    let written = (installed > 0).then(|| sources.without(packages::is_installed));
    let sources = written.as_ref().unwrap_or(sources);
    // Files that are taken out keep their names, so that an import of one is no package.
    let hidden = packs.has_exclusions().then(|| sources.hiding(|path| packs.excludes(path)));
    let visible = packs.has_exclusions().then(|| sources.without(|path| packs.excludes(path)));
    let submitted = sources.files().len();
    let sources = hidden.as_ref().unwrap_or(sources);
    let visible = visible.as_ref().unwrap_or(sources);
    let Ok(facts) = read(sources) else {
        analysis.cancelled = true;
        return (analysis, None);
    };
    analysis.notes = notes(sources, &facts);
    analysis.notes.extend(refused);
    analysis.notes.extend(excluded(submitted - visible.files().len()));
    analysis.notes.extend(left_out_as_installed(installed));
    let manifests = memo.as_ref().map_or_else(|| Arc::new(Manifests::read(visible)), |memo| memo.manifests(visible));
    analysis.notes.extend(manifests.notes.iter().cloned());
    let modules = match &memo {
        Some(memo) => memo.modules(sources, &manifests),
        None => Arc::new(Modules::new(sources, &manifests)),
    };
    let files =
        sources.files().iter().zip(&facts).map(|(source, facts)| File { source, facts: facts.clone() }).collect();
    let frame = || Frame {
        files: sources.files().iter().map(|file| (file.path.clone(), file.language)).collect(),
        manifests: manifests.clone(),
        folders: modules.named_folders(),
        pack: own.digest(),
        all: then.is_some(),
    };
    let memo = memo.map(|memo| {
        memo.begin(frame(), sources);
        &*memo
    });
    let project = Project::with_memo(files, &packs.knowledge, &modules, memo);
    let cx = if then.is_some() { Context::with_all_calls(&project) } else { Context::new(&project) };
    let graph = Graph::with_memo(&project.imports, memo);
    analysis.handlers = detect::handlers::detect(&cx);
    let entry = detect::entry_point::detect(sources, &facts, &graph, &manifests, &analysis.handlers, memo);
    let main = sources.files().iter().position(|file| *file.path == *entry.file);
    let reading = graph.reading_order(main);
    let models = detect::models::detect(&cx);
    analysis.notes.extend(detect::unknowns::notes(&cx, &models));
    analysis.notes.sort();
    let services = detect::tools::services(&cx);
    let servers = detect::mcp::detect(&cx);
    let functions = detect::functions::detect(&cx);
    let mut destinations = detect::destinations::detect(&cx, &models, &services);
    for host in servers.iter().filter_map(|server| Some((server.host.clone()?, &server.tool))) {
        if !destinations.iter().any(|known| known.host == host.0) {
            destinations.push(analysis::Destination {
                host: host.0,
                file: host.1.file.clone(),
                line: host.1.line,
                implied_by: None,
                // Where it is, the address says; which server it is, is another matter.
                confidence: analysis::Confidence::High,
                evidence: host.1.evidence.clone(),
            });
        }
    }
    destinations.sort_by(|a, b| a.host.cmp(&b.host));
    analysis.tools = detect::tools::detect(&cx, &services, servers, functions);
    analysis.outbound_destinations = destinations.iter().map(|d| d.host.clone()).collect();
    analysis.destinations = destinations;
    analysis.model_usages = detect::models::merged(models);
    analysis.model_providers = model_providers(&analysis);
    analysis.entry_point.clone_from(&entry.file);
    analysis.entry_point_reason.clone_from(&entry.reason);
    analysis.runtime_family.clone_from(&entry.runtime_family);
    let (requirements, detected, optional) = detect::requirements::detect(&project.imports, &manifests, memo);
    analysis.requirements = requirements;
    analysis.detected_requirements = detected;
    analysis.optional_requirements = optional;
    analysis.frameworks = detect::frameworks::detect(&cx);
    analysis.framework = analysis.frameworks.first().map(|f| f.name.clone()).unwrap_or_default();
    analysis.env_vars = detect::env_vars::detect(&cx);
    analysis.execution = detect::handlers::execution(&analysis.handlers, &analysis.entry_point);
    analysis.prompts = detect::prompts::detect(&cx, &reading);
    analysis.system_prompt_suggestion = analysis.prompts.first().map(|p| p.text.clone()).unwrap_or_default();
    let own_formats = packs.formats();
    let formats = own_formats.as_ref().unwrap_or_else(|| detect::secrets::Formats::builtin());
    let found = detect::secrets::Found::with_memo(sources, &facts, formats, memo);
    detect::redact::redact(&mut analysis, &found, formats);
    let redacted = then.as_ref().map(|_| found.redact(sources, formats));
    let hiding = found.hiding();
    analysis.secrets = found.report(sources, &facts, formats, &options.fingerprint_key);
    detect::secrets::link(&mut analysis, formats, &packs.knowledge);
    packs.judge(&mut analysis.secrets);
    let made = then.zip(redacted).map(|(then, redacted)| {
        let looked = lint::view::Looked {
            sources,
            redacted,
            hiding: &hiding,
            cx: &cx,
            manifests: &manifests,
            analysis: &analysis,
            rivals: &entry.rivals,
        };
        then(&looked)
    });
    (analysis, made)
}

/// Whether the name of a variable says that it holds a credential: `OPENAI_API_KEY`, `GITHUB_PAT`, `DATABASE_URL`.
pub fn may_hold_credential(name: &str) -> bool {
    detect::secrets::speaks_of_credential(name)
}

/// Analyses of this process use so many threads from now on; false when they have begun already.
pub fn threads(count: usize) -> bool {
    rayon::ThreadPoolBuilder::new().num_threads(count).build_global().is_ok()
}

/// Begins to read what is embedded, once a process; who has something else to do meanwhile waits less for it.
pub fn prepare() {
    rayon::spawn(|| drop(knowledge::builtin()));
    rayon::spawn(|| {
        detect::secrets::Formats::builtin();
    });
}

/// What each file says, in the order of the sources.
fn read(sources: &Sources, cancel: Option<&AtomicBool>) -> Result<Vec<Arc<FileFacts>>, lang::Cancelled> {
    let files = sources.files();
    let mut order: Vec<usize> = (0..files.len()).collect();
    // A large file that is begun last keeps one thread busy while the others have nothing to do.
    order.sort_by_key(|&file| std::cmp::Reverse(files[file].text.len()));
    let read = |file: usize| Ok((file, Arc::new(lang::read(&files[file], cancel)?)));
    let mut facts = order.into_par_iter().with_max_len(1).map(read).collect::<Result<Vec<_>, _>>()?;
    facts.sort_unstable_by_key(|(file, _)| *file);
    Ok(facts.into_iter().map(|(_, facts)| facts).collect())
}

/// The same files for a reader outside, such as a model: without their credentials, and without what the packs exclude.
pub fn redacted(sources: &Sources, options: &Options) -> Sources {
    let own = if options.project_pack { Pack::of_project(sources).0 } else { Pack::default() };
    let packs = Applied::new(&options.knowledge, options.packs.iter().map(Arc::as_ref).chain([&own]));
    let Ok(facts) = read(sources, options.cancel.as_deref()) else {
        return Sources::default();
    };
    let own_formats = packs.formats();
    let formats = own_formats.as_ref().unwrap_or_else(|| detect::secrets::Formats::builtin());
    detect::secrets::redact(sources, &facts, formats)
        .without(|path| packs.excludes(path) || packages::is_installed(path))
}

fn id(sources: &Sources, options: &Options) -> String {
    let mut digest = sources.digest();
    if let Some(options) = options.digest() {
        digest = Sha256::new_with_prefix(digest).chain_update(options).finalize().into();
    }
    let hex: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("analysis-{hex}")
}

fn stats(sources: &Sources) -> Stats {
    Stats {
        files: sources.files().len(),
        bytes: sources.files().iter().map(|file| file.text.len()).sum(),
        parsed: sources.files().iter().filter(|file| file.language != Language::Text).count(),
    }
}

fn excluded(count: usize) -> Option<Note> {
    let message = format!("{count} files were left out, as the rule pack asks");
    (count > 0).then(|| Note { file: String::new(), line: 0, code: "excluded".into(), message })
}

fn left_out_as_installed(count: usize) -> Option<Note> {
    let message = format!("{count} files of installed packages were left out");
    (count > 0).then(|| Note { file: String::new(), line: 0, code: "installed".into(), message })
}

fn notes(sources: &Sources, facts: &[Arc<FileFacts>]) -> Vec<Note> {
    let mut notes = Vec::new();
    for (file, facts) in sources.files().iter().zip(facts) {
        let mut note = |code: &str, message: &str| {
            notes.push(Note { file: file.path.to_string(), line: 0, code: code.into(), message: message.into() });
        };
        if facts.over_budget {
            note(
                "budget",
                "parsing costs more than the file's size allows (an unclosed string?): only strings and imports were read",
            );
        } else if facts.has_errors {
            note("syntax", "a part of the file does not parse: the rest was read");
        }
    }
    notes
}

fn model_providers(analysis: &Analysis) -> Vec<ModelProvider> {
    let mut pairs: Vec<ModelProvider> = analysis
        .model_usages
        .iter()
        .filter(|usage| usage.role != analysis::Role::Default)
        .flat_map(|usage| {
            let models = [&usage.model].into_iter().cloned().chain(usage.alternatives.iter().cloned().map(Some));
            models.map(|model| ModelProvider { provider: usage.provider.clone(), model })
        })
        .collect();
    pairs.sort();
    pairs.dedup();
    pairs
}
