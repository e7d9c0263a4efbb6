//! `cargo xtask score`: the analyzer against labels made by reading.

use std::collections::BTreeMap;
use std::path::PathBuf;

use analyzer_core::{Options, Sources, analyze};
use test_bench::labels::{self, Label, Part};
use test_bench::score::{CATEGORIES, Score, score};

use crate::run::{Done, root, say, target};

/// Which labels, and where the agents lie.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Folder with one folder per labelled agent; those that are missing are listed with the place to fetch them from.
    #[arg(long)]
    sources: Option<PathBuf>,
    /// Which part: `learn`, or `held`, of which only figures are printed.
    #[arg(long, default_value = "learn")]
    part: String,
    /// Only this agent.
    #[arg(long)]
    only: Option<String>,
    /// The agents of our own writing, in `fixtures/agents`, instead.
    #[arg(long)]
    own: bool,
    /// List misses and extras of this category only.
    #[arg(long)]
    category: Option<String>,
    /// How many are right by category and confidence; of labels that may be looked at, by kind of evidence too.
    #[arg(long)]
    evidence: bool,
}

/// Scores, misses and extras.
pub fn run(flags: &Flags) -> Done {
    let (folder, all) = match flags.own {
        true => (root().join("fixtures/agents"), labels::load_own(&root().join("fixtures/agents"))?),
        false => {
            let folder = flags.sources.clone().unwrap_or_else(|| target().join("agents"));
            (folder, labels::load(&root().join("fixtures/labels"))?)
        }
    };
    let part = match flags.part.as_str() {
        "learn" => Part::Learn,
        "held" => Part::Held,
        other => return Err(format!("{other:?} is no part of the labels: learn, held")),
    };
    let mut total = Score::default();
    let (mut scored, mut perfect, mut absent) = (0, 0, Vec::new());
    for (id, label) in &all {
        let wanted = flags.own || label.part == part;
        if !wanted || flags.only.as_ref().is_some_and(|only| only != id) {
            continue;
        }
        let agent = if flags.own { folder.join(id).join("input") } else { folder.join(id) };
        if !agent.is_dir() {
            absent.push((id, label));
            continue;
        }
        let files = labels::sources(&agent)?.into_iter().filter(|(path, _)| label.covers(path));
        let sources = Sources::new(files).map_err(|error| format!("{id}: {error}"))?;
        let analysis = analyze(&sources, &Options::default());
        let of_agent = score(label, &analysis);
        scored += 1;
        perfect += usize::from(of_agent.is_perfect());
        if flags.own || part == Part::Learn {
            list(id, &of_agent, flags.category.as_deref());
        }
        total.add(&of_agent);
    }
    if flags.evidence {
        by_evidence(&total, flags.own || part == Part::Learn);
    }
    if scored > 0 {
        table(&total, scored, perfect);
    }
    report_absent(&absent, &folder);
    Ok(())
}

fn list(id: &str, score: &Score, category: Option<&str>) {
    let mut lines = Vec::new();
    for name in CATEGORIES.iter().filter(|name| category.is_none_or(|c| c == **name)) {
        let count = &score.strict[name];
        lines.extend(count.misses.iter().map(|miss| format!("  - {name}: {miss}")));
        lines.extend(count.extras.iter().map(|extra| format!("  + {name}: {extra}")));
    }
    if !lines.is_empty() {
        say(&format!("{id}\n{}", lines.join("\n")));
    }
}

fn table(total: &Score, scored: usize, perfect: usize) {
    let mut rows =
        vec![format!("{:<15} {:>9} {:>9} {:>9} {:>11}", "category", "precision", "recall", "strict F1", "lenient F1")];
    for name in CATEGORIES {
        let (strict, lenient) = (&total.strict[name], &total.lenient[name]);
        rows.push(format!(
            "{name:<15} {:>9.3} {:>9.3} {:>9.3} {:>11.3}",
            strict.precision(),
            strict.recall(),
            strict.f1(),
            lenient.f1()
        ));
    }
    rows.push(format!("macro F1 {:.3}; {perfect} of {scored} agents without a miss or extra", total.macro_f1()));
    for (confidence, (right, all)) in total.confidence.iter().rev() {
        rows.push(format!("confidence {confidence:?}: {right} of {all} right ({:.3})", *right as f64 / *all as f64));
    }
    say(&rows.join("\n"));
}

/// Shares by category and confidence, and, of labels that may be looked at, by kind of evidence.
fn by_evidence(total: &Score, in_detail: bool) {
    let share = |right: usize, all: usize| right as f64 / all as f64;
    let mut sums: BTreeMap<(&str, String), (usize, usize)> = BTreeMap::new();
    let mut rows = vec![format!("{:>5} {:>5} {:>6}  evidence", "right", "all", "share")];
    for ((category, confidence, kind), (right, all)) in &total.evidence {
        let slot = sums.entry((category, format!("{confidence:?}"))).or_default();
        *slot = (slot.0 + right, slot.1 + all);
        if in_detail {
            rows.push(format!("{right:>5} {all:>5} {:>6.3}  {category} {confidence:?}: {kind}", share(*right, *all)));
        }
    }
    for ((category, confidence), (right, all)) in sums {
        rows.push(format!("{right:>5} {all:>5} {:>6.3}  {category} {confidence}", share(right, all)));
    }
    say(&rows.join("\n"));
}

fn report_absent(absent: &[(&String, &Label)], folder: &std::path::Path) {
    if absent.is_empty() {
        return;
    }
    let mut by_repository: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (id, label) in absent {
        let line = format!("  {}/{id}: commit {}, folder {:?}", folder.display(), label.commit, label.path);
        by_repository.entry(&label.repository).or_default().push(line);
    }
    say(&format!("{} agents are not at hand; fetch them to be scored:", absent.len()));
    for (repository, lines) in by_repository {
        say(&format!("{repository}\n{}", lines.join("\n")));
    }
}
