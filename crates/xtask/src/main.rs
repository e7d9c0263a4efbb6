//! The workspace's chores: `cargo xtask <chore>`, one file each.

mod command_times;
mod corpus;
mod curves;
mod memcheck;
mod peers;
mod postgres;
mod run;
mod score;
mod secrets_bench;
mod show;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The workspace's chores.
#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Install what the tests need, and run them all.
    Test(test::Flags),
    /// Fetch real packages to measure with.
    Corpus(corpus::Flags),
    /// Compare the analyzer with labels made by reading.
    Score(score::Flags),
    /// Compare our secrets with those of other scanners.
    SecretsBench(secrets_bench::Flags),
    /// Say how long each command of the linter takes.
    CommandTimes(command_times::Flags),
    /// Run a command beside a PostgreSQL server of its own.
    Postgres(postgres::Flags),
    /// Draw how the cost of an analysis grows.
    Curves(curves::Flags),
    /// Watch the memory of an analysis of hostile files.
    Memcheck(memcheck::Flags),
    /// Compare the analyzer's time and memory with that of other tools.
    Peers(peers::Flags),
    /// Print the analysis of a file or folder.
    Show(show::Flags),
}

fn main() -> ExitCode {
    let done = match Flags::parse().chore {
        Chore::Test(flags) => test::run(&flags),
        Chore::Corpus(flags) => corpus::run(&flags),
        Chore::Score(flags) => score::run(&flags),
        Chore::SecretsBench(flags) => secrets_bench::run(&flags),
        Chore::CommandTimes(flags) => command_times::run(&flags),
        Chore::Postgres(flags) => postgres::run(&flags),
        Chore::Curves(flags) => curves::run(&flags),
        Chore::Memcheck(flags) => memcheck::run(&flags),
        Chore::Peers(flags) => peers::run(&flags),
        Chore::Show(flags) => show::run(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            run::say(&format!("failed: {problem}"));
            ExitCode::FAILURE
        }
    }
}
