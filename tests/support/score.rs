//! The scorer: an analysis against a label, strictly (file, line, name, model, provider, role) and leniently (names).

use std::collections::BTreeMap;

use analyzer_core::Analysis;
use analyzer_core::analysis::{Confidence, Step};

use crate::labels::Label;

/// What is scored, in the order in which it is printed.
pub const CATEGORIES: [&str; 7] =
    ["tools", "model_usages", "destinations", "secrets", "requirements", "entry_point", "system_prompt"];

/// Hits, misses and extras of one category.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Count {
    /// Labelled and found.
    pub hits: usize,
    /// Labelled and not found.
    pub misses: Vec<String>,
    /// Found and not labelled.
    pub extras: Vec<String>,
}

impl Count {
    /// Adds the figures of another agent.
    pub fn add(&mut self, other: &Count) {
        self.hits += other.hits;
        self.misses.extend(other.misses.iter().cloned());
        self.extras.extend(other.extras.iter().cloned());
    }

    /// Share of what was found that is labelled.
    pub fn precision(&self) -> f64 {
        ratio(self.hits, self.hits + self.extras.len())
    }

    /// Share of what is labelled that was found.
    pub fn recall(&self) -> f64 {
        ratio(self.hits, self.hits + self.misses.len())
    }

    /// Harmonic mean of precision and recall; 1 when there was nothing to find and nothing was found.
    pub fn f1(&self) -> f64 {
        ratio(2 * self.hits, 2 * self.hits + self.misses.len() + self.extras.len())
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// The score of one agent: strict and lenient counts by category.
#[derive(Debug, Clone, Default)]
pub struct Score {
    /// By file, line and all.
    pub strict: BTreeMap<&'static str, Count>,
    /// By name.
    pub lenient: BTreeMap<&'static str, Count>,
    /// Of the findings of each confidence: right ones, all.
    pub confidence: BTreeMap<Confidence, (usize, usize)>,
    /// The same by category, confidence and kind of evidence: by what chain of links a finding came about.
    pub evidence: BTreeMap<(&'static str, Confidence, String), (usize, usize)>,
}

impl Score {
    /// Adds another agent's.
    pub fn add(&mut self, other: &Score) {
        for category in CATEGORIES {
            self.strict.entry(category).or_default().add(&other.strict[category]);
            self.lenient.entry(category).or_default().add(&other.lenient[category]);
        }
        for (confidence, (right, all)) in &other.confidence {
            let slot = self.confidence.entry(*confidence).or_default();
            *slot = (slot.0 + right, slot.1 + all);
        }
        for (kind, (right, all)) in &other.evidence {
            let slot = self.evidence.entry(kind.clone()).or_default();
            *slot = (slot.0 + right, slot.1 + all);
        }
    }

    /// No miss and no extra.
    pub fn is_perfect(&self) -> bool {
        self.strict.values().all(|count| count.misses.is_empty() && count.extras.is_empty())
    }

    /// Mean of the categories' F1, strict.
    pub fn macro_f1(&self) -> f64 {
        self.strict.values().map(Count::f1).sum::<f64>() / self.strict.len().max(1) as f64
    }
}

/// Something to be matched: what it is called, where it may stand.
struct Item {
    name: String,
    file: String,
    lines: Vec<u32>,
    confidence: Confidence,
    /// Kind of evidence.
    kind: String,
}

impl Item {
    fn shown(&self) -> String {
        match self.lines.first() {
            Some(line) => format!("{} @ {}:{line}", self.name, self.file),
            None => self.name.clone(),
        }
    }

    /// The same with how sure it is and why.
    fn explained(&self) -> String {
        format!("{} ({:?}, {})", self.shown(), self.confidence, self.kind)
    }
}

/// Compares an analysis with a label.
pub fn score(label: &Label, analysis: &Analysis) -> Score {
    let mut score = Score::default();
    let tools = label.tool.iter().map(|t| item(&t.name, &t.file, t.line, &t.also_lines)).collect();
    let found_tools = analysis.tools.iter().map(|t| {
        let kind = format!("{:?}: {}", t.kind, chain(&t.evidence)).to_ascii_lowercase();
        found(t.name.clone(), &t.file, t.line, t.confidence, kind)
    });
    let found_tools = found_tools.collect();
    both(&mut score, "tools", tools, found_tools);
    let name = |provider: &str, model: Option<&str>, role: &str| format!("{provider} {} {role}", model.unwrap_or("?"));
    let usages = label
        .model_usage
        .iter()
        .map(|u| item(&name(&u.provider, u.model.as_deref(), &u.role), &u.file, u.line, &u.also_lines))
        .collect();
    let found_usages = analysis
        .model_usages
        .iter()
        .map(|u| {
            let role = format!("{:?}", u.role).to_ascii_lowercase();
            let known = if u.model.is_some() { "model known" } else { "model unknown" };
            let kind = format!("{known}: {}", chain(&u.evidence));
            found(name(&u.provider, u.model.as_deref(), &role), &u.file, u.line, u.confidence, kind)
        })
        .collect();
    both(&mut score, "model_usages", usages, found_usages);
    let hosts = label.destinations.iter().map(|host| plain(host)).collect();
    let found_hosts = analysis.destinations.iter().map(|d| {
        let named = if d.implied_by.is_some() { "implied" } else { "named" };
        Item { confidence: d.confidence, kind: format!("{named}: {}", chain(&d.evidence)), ..plain(&d.host) }
    });
    let found_hosts = found_hosts.collect();
    both(&mut score, "destinations", hosts, found_hosts);
    let secrets = label.secret.iter().map(|s| item("secret", &s.file, s.line, &s.also_lines)).collect();
    let found_secrets = analysis
        .secrets
        .iter()
        .map(|s| found("secret".into(), &s.file, s.line, s.confidence, s.reasons.join(", ")))
        .collect();
    both(&mut score, "secrets", secrets, found_secrets);
    let requirements = label.requirements.iter().map(|name| plain(&normal(name))).collect();
    let found_requirements = analysis
        .detected_requirements
        .iter()
        .chain(&analysis.optional_requirements)
        .map(|specifier| plain(&normal(distribution(specifier))))
        .collect::<Vec<Item>>();
    // Labels name what runs; an optional package is neither asked for nor wrong.
    let optional: Vec<String> =
        analysis.optional_requirements.iter().map(|specifier| normal(distribution(specifier))).collect();
    let requirements: Vec<Item> = requirements;
    let found_requirements = found_requirements
        .into_iter()
        .filter(|item| !optional.contains(&item.name) || requirements.iter().any(|wanted| wanted.name == item.name))
        .collect();
    both(&mut score, "requirements", requirements, found_requirements);
    let entry = single(&label.entry_point, &label.entry_point_also, &analysis.entry_point, |wanted, got| wanted == got);
    let prompt = single(&label.system_prompt, &label.system_prompt_also, &analysis.system_prompt_suggestion, begins);
    for (category, count) in [("entry_point", entry), ("system_prompt", prompt)] {
        score.strict.insert(category, count.clone());
        score.lenient.insert(category, count);
    }
    score
}

fn item(name: &str, file: &str, line: u32, also: &[u32]) -> Item {
    let lines = [line].into_iter().chain(also.iter().copied()).collect();
    Item { lines, file: file.to_owned(), ..plain(name) }
}

fn found(name: String, file: &str, line: u32, confidence: Confidence, kind: String) -> Item {
    Item { name, file: file.to_owned(), lines: vec![line], confidence, kind }
}

fn plain(name: &str) -> Item {
    let (file, lines, kind) = (String::new(), Vec::new(), String::new());
    Item { name: name.to_owned(), file, lines, confidence: Confidence::High, kind }
}

/// The kinds of links of a chain, without the names that stand between backticks.
fn chain(evidence: &[Step]) -> String {
    let kind = |step: &Step| {
        let words = step.what.split('`').step_by(2).collect::<Vec<_>>().join("…");
        words.trim().to_owned()
    };
    let mut kinds: Vec<String> = evidence.iter().map(kind).collect();
    kinds.dedup();
    kinds.join(" ← ")
}

/// Pairs off labelled and found items, each once.
fn both(score: &mut Score, category: &'static str, wanted: Vec<Item>, got: Vec<Item>) {
    let strict = |w: &Item, g: &Item| {
        w.name == g.name
            && w.file == g.file
            && (w.lines.is_empty() || w.lines.iter().any(|line| g.lines.contains(line)))
    };
    let lenient = |w: &Item, g: &Item| w.name.eq_ignore_ascii_case(&g.name);
    let (count, right) = pair(&wanted, &got, &strict);
    for (item, right) in got.iter().zip(right) {
        let slot = score.confidence.entry(item.confidence).or_default();
        *slot = (slot.0 + usize::from(right), slot.1 + 1);
        let slot = score.evidence.entry((category, item.confidence, item.kind.clone())).or_default();
        *slot = (slot.0 + usize::from(right), slot.1 + 1);
    }
    score.strict.insert(category, count);
    score.lenient.insert(category, pair(&wanted, &got, &lenient).0);
}

fn pair(wanted: &[Item], got: &[Item], same: &dyn Fn(&Item, &Item) -> bool) -> (Count, Vec<bool>) {
    let mut used = vec![false; got.len()];
    let mut count = Count::default();
    for item in wanted {
        match (0..got.len()).find(|&i| !used[i] && same(item, &got[i])) {
            Some(i) => {
                used[i] = true;
                count.hits += 1;
            }
            None => count.misses.push(item.shown()),
        }
    }
    let extras = got.iter().zip(&used).filter(|(_, used)| !**used);
    count.extras = extras.map(|(item, _)| item.explained()).collect();
    (count, used)
}

fn single(wanted: &str, also: &[String], got: &str, same: impl Fn(&str, &str) -> bool) -> Count {
    let mut count = Count::default();
    let right = same(wanted, got) || also.iter().any(|other| same(other, got));
    match (wanted.is_empty(), got.is_empty()) {
        (true, true) => {}
        _ if right && !got.is_empty() => count.hits = 1,
        (false, true) => count.misses.push(shorten(wanted)),
        (true, false) => count.extras.push(shorten(got)),
        (false, false) => {
            count.misses.push(shorten(wanted));
            count.extras.push(shorten(got));
        }
    }
    count
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect::<String>().replace('\n', "\\n")
}

/// The first words agree, white space aside.
fn begins(wanted: &str, got: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (wanted, got) = (words(wanted), words(got));
    !wanted.is_empty() && got.starts_with(wanted.trim_end())
}

/// `openai[extra]>=1.0` is `openai`.
fn distribution(specifier: &str) -> &str {
    let from = usize::from(specifier.starts_with('@'));
    let end =
        specifier[from..].find(['[', '=', '<', '>', '!', '~', ' ', ';', '@']).map_or(specifier.len(), |at| at + from);
    &specifier[..end]
}

fn normal(name: &str) -> String {
    if name.starts_with('@') { name.to_owned() } else { name.to_ascii_lowercase().replace(['_', '.'], "-") }
}
