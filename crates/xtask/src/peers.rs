//! `cargo xtask peers`: what people run today, on the same files and in the same run as ours: wall time, processor time,
//! memory. Each is installed by its name from PyPI at a pinned version; nothing is asked of a server while it runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::run::{Done, cargo, give, root, say, target, watch};
use crate::secrets_bench::process::{self, Cost};

/// How to measure.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Runs of each, in turns; the table has the fastest.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// A linter that is built already, instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// Another tool.
struct Peer {
    name: &'static str,
    package: &'static str,
    /// What it is compared in.
    job: &'static str,
    /// Program and arguments: `{in}` the files, `{rules}` the folder of the patterns, `{out}` a file of its own.
    command: &'static [&'static str],
}

const PEERS: &[Peer] = &[
    Peer {
        name: "AIROM",
        package: "airom==0.5.0",
        job: "agents",
        command: &["airom", "fs", "{in}", "--offline", "--no-progress", "-o", "json={out}"],
    },
    Peer {
        name: "agent-bom",
        package: "agent-bom==0.110.0",
        job: "agents",
        command: &["agent-bom", "code", "{in}", "-f", "json"],
    },
    Peer { name: "ai-agentbom", package: "ai-agentbom==0.8.0", job: "agents", command: &["agentbom", "scan", "{in}"] },
    Peer {
        name: "aibom-scanner",
        package: "aibom-scanner==1.3.5",
        job: "agents",
        command: &["aibom-scanner", "scan", "-p", "{in}", "-f", "json"],
    },
    Peer {
        name: "ast-grep",
        package: "ast-grep-cli==0.51.1",
        job: "three patterns",
        command: &["ast-grep", "scan", "--no-ignore", "hidden", "-r", "{rules}/ast-grep.yml", "{in}", "--json=stream"],
    },
    Peer {
        name: "semgrep",
        package: "semgrep==1.182.0",
        job: "three patterns",
        command: &[
            "semgrep",
            "scan",
            "--metrics",
            "off",
            "--disable-version-check",
            "--no-git-ignore",
            "--max-target-bytes",
            "0",
            "--config",
            "{rules}/semgrep.yml",
            "{in}",
            "--json",
        ],
    },
    Peer {
        name: "pipreqs",
        package: "pipreqs==0.5.0",
        job: "requirements",
        command: &["pipreqs", "--use-local", "--force", "--savepath", "{out}", "{in}"],
    },
    Peer {
        name: "deptry",
        package: "deptry==0.25.1",
        job: "requirements",
        command: &["deptry", "--json-output", "{out}", "{in}"],
    },
];

/// The same three questions for both engines.
const RULES: [(&str, &str); 2] = [
    (
        "ast-grep.yml",
        "id: requests\nlanguage: python\nrule: { pattern: requests.get($$$) }\n---\nid: completions\nlanguage: python\n\
         rule: { pattern: $C.chat.completions.create($$$) }\n---\nid: environment\nlanguage: python\n\
         rule: { pattern: os.getenv($$$) }\n",
    ),
    (
        "semgrep.yml",
        "rules:\n\
         - { id: requests, languages: [python], severity: INFO, message: m, pattern: requests.get(...) }\n\
         - { id: completions, languages: [python], severity: INFO, message: m, pattern: $C.chat.completions.create(...) }\n\
         - { id: environment, languages: [python], severity: INFO, message: m, pattern: os.getenv(...) }\n",
    ),
];

/// Installs what is missing, runs everything in turns, prints a table for each set of files.
pub fn run(flags: &Flags) -> Done {
    let folder = target().join("peers");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    for (name, text) in RULES {
        std::fs::write(folder.join(name), text).map_err(|error| error.to_string())?;
    }
    let ours = match &flags.binary {
        Some(binary) => binary.clone(),
        None => {
            watch(cargo().args(["build", "--release", "--locked", "--package", "agentlint"]))?;
            target().join("release/agentlint")
        }
    };
    let peers: Vec<(&Peer, Result<PathBuf, String>)> =
        PEERS.iter().map(|peer| (peer, install(peer, &folder))).collect();
    let agents = copied(&root().join("fixtures/agents"), &folder.join("files/agents"))?;
    let package = test_bench::corpus::folder(target()).join("python/crewai==0.95.0");
    let mut tables = Vec::new();
    for (what, files) in [("our own agents", agents), ("the package crewai", package)] {
        if !files.is_dir() {
            say(&format!("{} is not there: cargo xtask corpus", files.display()));
            continue;
        }
        let mut rows: Vec<(String, Option<(Duration, Cost)>)> = Vec::new();
        for round in 0..flags.runs.max(1) {
            let mut all = vec![("agentlint | all".to_owned(), Ok(inspect(&ours, &files)))];
            for (peer, home) in &peers {
                let command = home.as_ref().map(|home| peer_command(peer, home, &folder, &files));
                all.push((format!("{} | {}", peer.package, peer.job), command.map_err(Clone::clone)));
            }
            for (at, (name, command)) in all.into_iter().enumerate() {
                let took = command.and_then(|mut command| timed(&mut command));
                let took = took.map_err(|problem| say(&format!("{name}: {problem}"))).ok();
                match round {
                    0 => rows.push((name, took)),
                    _ => rows[at].1 = rows[at].1.into_iter().chain(took).min_by(|a, b| a.1.cpu.total_cmp(&b.1.cpu)),
                }
            }
        }
        let row = |(name, took): &(String, Option<(Duration, Cost)>)| match took {
            Some((wall, cost)) => {
                format!("| {name} | {:.2} s | {:.2} s | {:.0} MB |", wall.as_secs_f64(), cost.cpu, cost.peak)
            }
            None => format!("| {name} | | | |"),
        };
        let rows: Vec<String> = rows.iter().map(row).collect();
        let head = format!("| {what} | job | wall | processor | memory |\n|---|---|---|---|---|");
        tables.push(format!("{head}\n{}", rows.join("\n")));
    }
    give(&tables.join("\n\n"))
}

fn inspect(ours: &Path, files: &Path) -> Command {
    let mut command = Command::new(ours);
    command.args(["inspect", "-o", "json"]).arg(files);
    command
}

fn peer_command(peer: &Peer, home: &Path, folder: &Path, files: &Path) -> Command {
    let out = folder.join(format!("{}.out", peer.name));
    let mut words = peer.command.iter().map(|word| {
        let word = word.replace("{in}", &files.to_string_lossy()).replace("{out}", &out.to_string_lossy());
        word.replace("{rules}", &folder.to_string_lossy())
    });
    let mut command = Command::new(home.join("bin").join(words.next().unwrap_or_default()));
    command.args(words).current_dir(folder);
    command
}

fn timed(command: &mut Command) -> Result<(Duration, Cost), String> {
    #[expect(clippy::disallowed_methods, reason = "a chore measures time")]
    let start = std::time::Instant::now();
    let cost = process::run(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    Ok((start.elapsed(), cost))
}

/// An environment of its own for each, since what they depend on disagrees.
fn install(peer: &Peer, folder: &Path) -> Result<PathBuf, String> {
    let home = folder.join(peer.package);
    if !home.join("installed").exists() {
        watch(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
        let pip = ["install", "--quiet", "--disable-pip-version-check"];
        let installed = watch(Command::new(home.join("bin/pip")).args(pip).arg(peer.package));
        installed.map_err(|problem| {
            say(&problem);
            format!("{} cannot be installed here", peer.package)
        })?;
        std::fs::write(home.join("installed"), "").map_err(|error| error.to_string())?;
    }
    Ok(home)
}

/// The agents as they are submitted, without what is said about them.
fn copied(from: &Path, to: &Path) -> Result<PathBuf, String> {
    let said = |error: std::io::Error| format!("{}: {error}", to.display());
    if to.exists() {
        std::fs::remove_dir_all(to).map_err(said)?;
    }
    for (path, text) in test_bench::labels::sources(from)? {
        let Some((agent, file)) = path.split_once("/input/") else { continue };
        let place = to.join(agent).join(file);
        std::fs::create_dir_all(place.parent().unwrap_or(to)).map_err(said)?;
        std::fs::write(place, text).map_err(said)?;
    }
    Ok(to.to_owned())
}
