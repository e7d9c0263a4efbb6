//! `agentlint`: the analyzer in a developer's hands, before any deploy.

mod check;
mod cli;
mod commands;
mod config;
mod discover;
mod edits;
mod error;
mod git;
mod lock;
mod lsp;
mod mcp;
mod output;
mod project;
mod report;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Colour, Command};
use error::Error;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a command prints, and how the process ends.
#[derive(Debug, Default)]
pub struct Done {
    /// For standard output.
    pub out: String,
    /// For standard error.
    pub notes: String,
    /// The exit code.
    pub code: u8,
}

impl Done {
    /// Only text, and a good end.
    pub fn text(out: impl Into<String>) -> Done {
        Done { out: out.into(), ..Done::default() }
    }
}

/// What the surroundings ask for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Surroundings {
    /// Colour on standard output.
    pub colour: bool,
    /// A coding assistant runs the command.
    pub assistant: bool,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let surroundings = surroundings(cli.global.color);
    let quiet = cli.global.quiet;
    let done = run(cli, surroundings).unwrap_or_else(|error| Done {
        notes: format!("error: {error}\n"),
        code: error.code(),
        ..Done::default()
    });
    // A pipe that closed early wants no more: `agentlint check | head`.
    let _ = std::io::stdout().lock().write_all(done.out.as_bytes());
    if !quiet || done.code > 1 {
        let _ = std::io::stderr().lock().write_all(done.notes.as_bytes());
    }
    ExitCode::from(done.code)
}

fn run(cli: Cli, surroundings: Surroundings) -> Result<Done, Error> {
    let global = &cli.global;
    match cli.command {
        Command::Check(args) => check::run(&args, global, surroundings),
        Command::Inspect(args) => commands::inspect(&args, global),
        Command::Policy(args) => commands::policy(&args, global),
        Command::Lock(args) => commands::lock(&args, global),
        Command::Diff(args) => commands::diff(&args, global),
        Command::Explain(args) => commands::explain(&args),
        Command::Baseline(args) => check::baseline(&args, global),
        Command::Init(args) => commands::init(&args),
        Command::Lsp => lsp::run(global),
        Command::Mcp => mcp::run(),
        Command::Completions { shell } => Ok(commands::completions(shell)),
        Command::Schema { of } => Ok(commands::schema(of)),
        Command::Man => commands::man(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the rim: what the terminal and a coding assistant say of themselves")]
fn surroundings(colour: Colour) -> Surroundings {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    let asked = set("FORCE_COLOR") || set("CLICOLOR_FORCE");
    let colour = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => !set("NO_COLOR") && (asked || std::io::stdout().is_terminal()),
    };
    let named = ["CLAUDECODE", "CURSOR_AGENT", "GEMINI_CLI", "CODEX_SANDBOX", "AI_AGENT"];
    let refused = std::env::var_os("AI_AGENT").is_some_and(|value| value == "0");
    Surroundings { colour, assistant: !refused && named.iter().any(|name| set(name)) }
}
