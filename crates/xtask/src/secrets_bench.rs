//! `cargo xtask secrets-bench`: our secrets beside those of the scanners that people use, in one run.
//!
//! The corpus is made from a seed when it is asked for, and written below `target`. The others are installed there too,
//! each on its own, by the ordinary clients of the registries; one that cannot be is reported as that.

mod creddata;
mod ours;
mod peers;
pub(crate) mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use test_bench::secrets::{Finding, ROUNDS, Sample, Score, corpus};

use crate::run::{Done, say, target};
use peers::PEERS;
use process::Cost;

/// How much of a corpus, and beside whom.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// The corpus is the same for the same seed.
    #[arg(long, default_value_t = 20_261_127)]
    seed: u64,
    /// Contexts for each kind of credential.
    #[arg(long, default_value_t = 20)]
    per_kind: usize,
    /// Copies of each look-alike.
    #[arg(long, default_value_t = 6)]
    repeats: usize,
    /// Only the contexts and look-alikes of this round, from 1.
    #[arg(long)]
    round: Option<usize>,
    /// Only these, by name; `ours` is one.
    #[arg(long)]
    only: Vec<String>,
    /// Scan the real packages of `cargo xtask corpus` too, without those that would take an hour.
    #[arg(long)]
    big: bool,
    /// Score on a copy of Samsung's CredData instead: a folder with its `data` and `meta`.
    #[arg(long)]
    creddata: Option<PathBuf>,
    /// List what ours misses and where it is wrong, and its findings in the packages.
    #[arg(long)]
    list: bool,
    /// Scan this folder as a process of its own: how ours is measured.
    #[arg(long, hide = true)]
    scan: Option<PathBuf>,
    /// With `scan`: only the bytes, no tree.
    #[arg(long, hide = true)]
    bytes: bool,
}

/// Of so many files one is given to a scanner that would not finish all of them.
const PART: usize = 10;

/// What one scanner reports: findings by file.
type Findings = BTreeMap<String, Vec<Finding>>;

/// Makes the corpus, runs everyone, prints the table.
pub fn run(flags: &Flags) -> Done {
    if let Some(folder) = &flags.scan {
        return ours::scan(folder, flags.bytes);
    }
    let wanted = |name: &str| flags.only.is_empty() || flags.only.iter().any(|only| only == name);
    if let Some(folder) = &flags.creddata {
        return creddata::run(folder, &wanted);
    }
    let place = target().join("secrets-bench");
    let rounds = match flags.round {
        Some(round) => ROUNDS.get(round.wrapping_sub(1)..round).ok_or(format!("there are {} rounds", ROUNDS.len()))?,
        None => ROUNDS,
    };
    let samples = corpus(rounds, flags.seed, flags.per_kind, flags.repeats);
    let folder = place.join("corpus");
    write(&folder, &samples)?;
    let secrets = samples.iter().filter(|sample| sample.secret.is_some()).count();
    say(&format!("{secrets} credentials, {} look-alikes", samples.len() - secrets));
    let mut rows = vec![format!(
        "{:<26} {:>9} {:>7} {:>7} {:>7} {:>9} {:>7} {:>8} {:>6}",
        "", "precision", "recall", "F1", "hard", "provider", "false", "CPU s", "MiB"
    )];
    let mut big = Vec::new();
    let packages = crate::run::target().join("corpus");
    if wanted("ours") {
        let (findings, cost) = ours::measured(&folder, &place, false)?;
        let score = scored(&samples, &findings);
        if flags.list {
            list(&samples, &findings);
            say(&format!("{:?}", score.false_alarms));
        }
        rows.push(row("ours", &score, cost));
        if flags.big {
            big.push(ours::big(&packages, &place, flags.list)?);
            big.push(ours::big_bytes(&packages, &place)?);
        }
    }
    let part: Vec<Sample> = samples.iter().step_by(PART).cloned().collect();
    for peer in PEERS.iter().filter(|peer| wanted(peer.name)) {
        let name = format!("{} {}", peer.name, peer.version);
        let (name, samples, folder) = match peer.samples {
            false => (name, &samples, folder.clone()),
            true => (format!("{name}, 1 in {PART}"), &part, place.join("part")),
        };
        if peer.samples {
            write(&folder, samples)?;
        }
        match peer.install(&target().join("peers")).and_then(|home| peer.scan(&home, &folder, &place)) {
            Ok((findings, cost)) => rows.push(row(&name, &scored(samples, &findings), cost)),
            Err(reason) => {
                rows.push(format!("{name:<26} not measured: {reason}"));
                continue;
            }
        }
        if flags.big && !peer.slow {
            let home = peer.install(&target().join("peers"))?;
            let line = peer.scan(&home, &packages, &place).map(|(findings, cost)| {
                let count = findings.values().map(Vec::len).sum();
                big_row(&name, count, cost.cpu, ours::size(&packages), cost.peak)
            });
            big.push(line.unwrap_or_else(|reason| format!("{name:<26} not measured: {reason}")));
        }
    }
    say(&rows.join("\n"));
    if flags.big {
        let head = format!("{:<26} {:>9} {:>8} {:>13} {:>6}", "packages", "findings", "CPU s", "MB per CPU s", "MiB");
        say(&format!("{:.1} MB of real packages\n{head}\n{}", ours::size(&packages) as f64 / 1e6, big.join("\n")));
    }
    Ok(())
}

fn write(folder: &Path, samples: &[Sample]) -> Done {
    let broken = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.is_dir() {
        std::fs::remove_dir_all(folder).map_err(broken)?;
    }
    for sample in samples {
        let file = folder.join(&sample.file);
        std::fs::create_dir_all(file.parent().unwrap_or(folder)).map_err(broken)?;
        std::fs::write(file, &sample.text).map_err(broken)?;
    }
    Ok(())
}

fn scored(samples: &[Sample], findings: &Findings) -> Score {
    let mut score = Score::default();
    for sample in samples {
        score.add(sample, findings.get(&sample.file).map_or(&[], Vec::as_slice));
    }
    score
}

fn row(name: &str, score: &Score, cost: Cost) -> String {
    format!("{name:<26} {score} {:>8.2} {:>6.0}", cost.cpu, cost.peak)
}

fn big_row(name: &str, findings: usize, cpu: f64, bytes: u64, peak: f64) -> String {
    format!("{name:<26} {findings:>9} {cpu:>8.2} {:>13.1} {peak:>6.0}", bytes as f64 / 1e6 / cpu.max(0.001))
}

/// Where ours is wrong, one by one; a corpus that was made shows no real credential.
fn list(samples: &[Sample], findings: &Findings) {
    for sample in samples {
        let found = findings.get(&sample.file).map_or(&[][..], Vec::as_slice);
        let mut alone = Score::default();
        alone.add(sample, found);
        if alone.alarms() > 0 || alone.secrets.0 > alone.secrets.1 || alone.providers.0 > alone.providers.1 {
            say(&format!("[{} in {}] {found:?}\n{}", sample.kind, sample.context, sample.text));
        }
    }
}
