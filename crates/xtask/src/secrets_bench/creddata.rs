//! Samsung's CredData, as its own scripts fetch and obfuscate it: `data` with the files, `meta` with the labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::peers::PEERS;
use super::{Findings, ours};
use crate::run::{Done, say, target};

/// Categories of values that open nothing: identifiers, what is used once, addresses.
const NO_CREDENTIALS: &[&str] = &["UUID", "Nonce", "Salt", "AWS S3 Bucket"];

/// Lines of one file with one label each.
type Ranges = Vec<(u64, u64)>;

/// What people found by reading.
#[derive(Debug, Default)]
struct Labels {
    /// Credentials: file and lines, with their category.
    right: BTreeMap<(String, u64, u64), String>,
    /// Lines that look like one and hold none.
    wrong: BTreeMap<String, Ranges>,
    /// Lines that nobody decided about.
    open: BTreeMap<String, Ranges>,
}

/// Scores ours and the others on a copy of it.
pub fn run(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Done {
    let labels = read(&folder.join("meta"))?;
    let place = target().join("secrets-bench");
    std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let data = std::fs::canonicalize(folder.join("data")).map_err(|error| error.to_string())?;
    say(&format!(
        "{} credentials, {} of categories that open something\n{:<24} {:>9} {:>7} {:>7} {:>7} {:>7} {:>10} {:>8}",
        labels.right.len(),
        labels.right.values().filter(|category| opens(category)).count(),
        "",
        "precision",
        "recall",
        "F1",
        "opening",
        "F1",
        "unlabelled",
        "CPU s"
    ));
    if wanted("ours") {
        let (findings, cost) = ours::measured(&data, &place, false)?;
        say(&labels.row("ours", &findings, cost.cpu));
    }
    for peer in PEERS.iter().filter(|peer| wanted(peer.name)) {
        let name = format!("{} {}", peer.name, peer.version);
        let scanned = peer.install(&target().join("peers")).and_then(|home| peer.scan(&home, &data, &place));
        say(&match scanned {
            Ok((findings, cost)) => labels.row(&name, &findings, cost.cpu),
            Err(reason) => format!("{name:<24} not measured: {reason}"),
        });
    }
    Ok(())
}

/// A credential of this category opens something.
fn opens(category: &str) -> bool {
    !category.split(':').any(|part| NO_CREDENTIALS.contains(&part))
}

impl Labels {
    fn row(&self, name: &str, findings: &Findings, cpu: f64) -> String {
        let empty = Vec::new();
        let lines = |file: &str| findings.get(file).unwrap_or(&empty).iter().map(|found| u64::from(found.line));
        let found = |(file, from, to): &(String, u64, u64)| lines(file).any(|line| (*from..=*to).contains(&line));
        let hits: BTreeSet<_> = self.right.iter().filter(|(place, _)| found(place)).collect();
        let opening = (hits.iter().filter(|(_, c)| opens(c)).count(), self.right.values().filter(|c| opens(c)).count());
        let (mut wrong, mut unlabelled) = (0, 0);
        for (file, found) in findings {
            let within = |ranges: Option<&Ranges>, line| {
                ranges.is_some_and(|ranges| ranges.iter().any(|(from, to)| (*from..=*to).contains(&line)))
            };
            let right: Ranges =
                self.right.keys().filter(|place| place.0 == *file).map(|place| (place.1, place.2)).collect();
            for line in found.iter().map(|found| u64::from(found.line)) {
                if within(Some(&right), line) || within(self.open.get(file), line) {
                    continue;
                }
                match within(self.wrong.get(file), line) {
                    true => wrong += 1,
                    false => unlabelled += 1,
                }
            }
        }
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        let f1 = |precision: f64, recall: f64| 2.0 * precision * recall / (precision + recall).max(f64::EPSILON);
        let (precision, recall) = (share(hits.len(), hits.len() + wrong), share(hits.len(), self.right.len()));
        let (narrow, opened) = (share(opening.0, opening.0 + wrong), share(opening.0, opening.1));
        format!(
            "{name:<24} {precision:>9.3} {recall:>7.3} {:>7.3} {opened:>7.3} {:>7.3} {unlabelled:>10} {cpu:>8.2}",
            f1(precision, recall),
            f1(narrow, opened)
        )
    }
}

/// The labels of all repositories: one file of comma-separated values each.
fn read(folder: &Path) -> Result<Labels, String> {
    let mut labels = Labels::default();
    let broken = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(broken)? {
        let text = std::fs::read_to_string(entry.map_err(broken)?.path()).map_err(broken)?;
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let [.., path, from, to, truth, _, _, _, _, category] = fields[..] else { continue };
            let (Ok(from), Ok(to)) = (from.parse(), to.parse()) else { continue };
            let file = path.strip_prefix("data/").unwrap_or(path).to_owned();
            match truth {
                "T" => {
                    labels.right.insert((file, from, to), category.to_owned());
                }
                "F" => labels.wrong.entry(file).or_default().push((from, to)),
                _ => labels.open.entry(file).or_default().push((from, to)),
            }
        }
    }
    Ok(labels)
}
