//! `cargo xtask command-times`: how long each command of the linter takes, from its start to its end.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::run::{Done, cargo, give, root, say, target, watch};

/// How often each command is run.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Runs of each; the table has the fastest and the median.
    #[arg(long, default_value_t = 20)]
    runs: usize,
}

/// Files of the two projects.
const SIZES: [usize; 2] = [10, 500];

/// Each command as a user types it; the last two as an editor and an assistant start them.
const COMMANDS: [&[&str]; 22] = [
    &["--version"],
    &["check"],
    &["check", "--pedantic", "-o", "json"],
    &["check", "-o", "sarif"],
    &["check", "-o", "html"],
    &["check", "--diff", "HEAD"],
    &["check", "--diff-fixes", "--unsafe-fixes"],
    &["check", "agent.py"],
    &["baseline"],
    &["inspect"],
    &["inspect", "-o", "table"],
    &["inspect", "-o", "svg"],
    &["inspect", "-o", "cyclonedx"],
    &["policy"],
    &["lock"],
    &["lock", "--check"],
    &["diff", "agent.lock"],
    &["diff", "HEAD"],
    &["explain", "unbounded-url"],
    &["schema", "config"],
    &["lsp"],
    &["mcp"],
];

/// Builds, makes both projects, runs everything in turns, prints a table.
pub fn run(flags: &Flags) -> Done {
    watch(cargo().args(["build", "--release", "--locked", "--package", "agentlint"]))?;
    let binary = target().join("release/agentlint");
    let projects = SIZES.map(project);
    let mut rows = Vec::new();
    for command in COMMANDS {
        let mut row = format!("| `agentlint {}` |", command.join(" "));
        for project in &projects {
            let project = project.as_ref().map_err(Clone::clone)?;
            let [fastest, median, processor] = time(&binary, command, project, flags.runs.max(1))?.map(tenths);
            row += &format!(" {fastest} ms | {median} ms | {processor} ms |");
        }
        say(&row);
        rows.push(row);
    }
    let head = SIZES.map(|size| format!(" {size} files, fastest | median | processor |")).concat();
    give(&format!("| command |{head}\n|---|{}\n{}", "---|".repeat(3 * SIZES.len()), rows.join("\n")))
}

fn tenths(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

/// An agent of so many files in a repository of its own, with a lock.
fn project(size: usize) -> Result<PathBuf, String> {
    let folder = target().join(format!("command-times/{size}"));
    let said = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(said)?;
    }
    let agents = test_bench::labels::sources(&root().join("fixtures/agents")).map_err(|error| error.to_string())?;
    let agents: Vec<_> = agents.iter().filter(|(path, _)| path.contains("/input/")).collect();
    let rounds = (0..).flat_map(|round| agents.iter().map(move |(path, text)| (format!("r{round}/{path}"), text)));
    let agent = "import requests\n\nrequests.post(\"https://api.stripe.com/v1/refunds\", timeout=10)\n".to_owned();
    let own = [("agent.py".to_owned(), &agent)];
    for (path, text) in own.into_iter().chain(rounds).take(size) {
        let path = folder.join(path.replace("/input/", "/"));
        std::fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(said)?;
        std::fs::write(path, text).map_err(said)?;
    }
    let git = |args: &[&str]| {
        let name = ["-c", "user.name=T", "-c", "user.email=t@t.t"];
        watch(Command::new("git").args(name).args(args).current_dir(&folder))
    };
    git(&["init", "--quiet"])?;
    git(&["add", "--all"])?;
    git(&["commit", "--quiet", "--message", "all"])?;
    watch(Command::new(target().join("release/agentlint")).args(["lock", "--quiet"]).current_dir(&folder))?;
    Ok(folder)
}

/// The fastest and the median of some runs, for others use the machine too, and the mean of their processor time.
fn time(binary: &Path, args: &[&str], project: &Path, runs: usize) -> Result<[Duration; 3], String> {
    let said = conversation(args, project)?;
    let input = project.join(".git/conversation");
    std::fs::write(&input, said).map_err(|error| error.to_string())?;
    let mut times = Vec::new();
    let before = processor();
    for _ in 0..runs {
        let input = std::fs::File::open(&input).map_err(|error| error.to_string())?;
        let mut command = Command::new(binary);
        command.args(args).current_dir(project).stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
        let began = now();
        let status = command.status().map_err(|error| error.to_string())?;
        times.push(began.elapsed());
        if !matches!(status.code(), Some(0 | 1)) {
            return Err(format!("`agentlint {}` ended with {status}", args.join(" ")));
        }
    }
    let processor = processor().saturating_sub(before) / u32::try_from(runs).unwrap_or(u32::MAX);
    times.sort();
    Ok([times[0], times[times.len() / 2], processor])
}

/// Processor time of the processes that this one has waited for, as the kernel counts it: in hundredths of a second. None
/// where there is no such file.
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks(13) + ticks(14)) * 10)
}

#[expect(clippy::disallowed_methods, reason = "this chore asks the clock: that is what it is for")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// What a client of a server says from its start to its end; nothing for other commands.
fn conversation(args: &[&str], project: &Path) -> Result<String, String> {
    use serde_json::json;
    let uri = |path: &str| format!("file://{}/{path}", project.display());
    Ok(match args {
        ["lsp"] => {
            let hover = json!({"textDocument": {"uri": uri("agent.py")}, "position": {"line": 2, "character": 20}});
            let messages = [
                json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}, "rootUri": uri("")}}),
                json!({"jsonrpc": "2.0", "method": "initialized", "params": {}}),
                json!({"jsonrpc": "2.0", "id": 2, "method": "textDocument/hover", "params": hover}),
                json!({"jsonrpc": "2.0", "id": 3, "method": "shutdown"}),
                json!({"jsonrpc": "2.0", "method": "exit"}),
            ];
            let framed = messages.map(|message| message.to_string());
            framed.map(|text| format!("Content-Length: {}\r\n\r\n{text}", text.len())).concat()
        }
        ["mcp"] => {
            let files = test_bench::labels::sources(project).map_err(|error| error.to_string())?;
            let files: serde_json::Map<String, serde_json::Value> = files
                .into_iter()
                .filter(|(path, _)| !path.starts_with(".git/"))
                .map(|(path, text)| (path, text.into()))
                .collect();
            let client = json!({"name": "times", "version": "1"});
            let asked = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
            let messages = [
                json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": asked}),
                json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
                json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "analyze", "arguments": {"files": files}}}),
            ];
            messages.map(|message| message.to_string() + "\n").concat()
        }
        _ => String::new(),
    })
}
