//! A program that is nothing but a launcher, for whoever embeds a runner in another program than the platform.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_runner::launcher::main()
}
