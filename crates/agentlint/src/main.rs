//! `agentlint`: the analyzer in a developer's hands, before any deploy.

mod check;
mod cli;
mod commands;
mod config;
mod discover;
mod edits;
mod error;
mod git;
mod live;
mod lock;
mod lsp;
mod mcp;
mod output;
mod progress;
mod project;
mod report;
mod watch;

use std::io::{IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::FromArgMatches;

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
    /// Somebody sees standard error at once.
    pub watched: bool,
}

fn main() -> ExitCode {
    say_no_more_of_panics(|text| {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    });
    let parsed = cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let surroundings = surroundings(cli.global.color);
    let quiet = cli.global.quiet;
    let done = match catch_unwind(AssertUnwindSafe(|| run(cli, surroundings))) {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Done { notes: format!("error: {error}\n"), code: error.code(), ..Done::default() },
        // What there is to say has been said.
        Err(_) => Done { code: 2, ..Done::default() },
    };
    let mut done = done;
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(done.out.as_bytes()).and_then(|()| out.flush())
        // A pipe that closed early wants no more: `agentlint check | head`.
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        done = Done { notes: format!("error: cannot write standard output: {error}\n"), code: 2, ..done };
    }
    if !quiet || done.code > 1 {
        let _ = std::io::stderr().lock().write_all(done.notes.as_bytes());
    }
    ExitCode::from(done.code)
}

/// A panic's message may quote what was read, credentials too: only its place is said.
fn say_no_more_of_panics(say: impl Fn(&str) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        say(&format!("error: agentlint failed{place}: this is a defect, please report it and how it came about\n"));
    }));
}

fn run(cli: Cli, surroundings: Surroundings) -> Result<Done, Error> {
    let global = &cli.global;
    match cli.command {
        Command::Check(args) => check::run(args, global, surroundings),
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
        Command::Man { folder } => commands::man(folder.as_deref()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the rim: what the terminal and a coding assistant say of themselves")]
fn surroundings(colour: Colour) -> Surroundings {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0");
    let asked = set("FORCE_COLOR") || set("CLICOLOR_FORCE");
    let colour = match colour {
        Colour::Always => true,
        Colour::Never => false,
        // Whatever NO_COLOR says counts, and nothing of what FORCE_COLOR says but 0.
        Colour::Auto if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) => false,
        Colour::Auto => {
            let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
            asked || std::io::stdout().is_terminal() && !is_dumb
        }
    };
    let named = ["CLAUDECODE", "CURSOR_AGENT", "GEMINI_CLI", "CODEX_SANDBOX", "AI_AGENT"];
    let refused = std::env::var_os("AI_AGENT").is_some_and(|value| value == "0");
    let assistant = !refused && named.iter().any(|name| set(name));
    Surroundings { colour, assistant, watched: std::io::stderr().is_terminal() }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_panic_says_where_it_was_and_quotes_nothing() {
        let said = Arc::new(Mutex::new(String::new()));
        let own = said.clone();
        let before = std::panic::take_hook();
        say_no_more_of_panics(move |text| own.lock().unwrap().push_str(text));
        let quoted = "5cac1b890a43b5d490833fd11716268e2a78b070";
        let ended = catch_unwind(|| panic!("the text is {quoted}"));
        std::panic::set_hook(before);
        let said = said.lock().unwrap().clone();
        assert!(ended.is_err() && said.contains("src/main.rs:") && !said.contains(&quoted[..8]), "{said}");
    }

    #[test]
    fn the_help_names_every_command() {
        let command = cli::command();
        let help = command.clone().render_help().to_string();
        for own in command.get_subcommands() {
            let line = format!("  {:<11}  {}\n", own.get_name(), own.get_about().unwrap_or_default());
            assert!(help.contains(&line), "{line}{help}");
        }
    }
}
