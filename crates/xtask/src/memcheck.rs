//! `cargo xtask memcheck`: hostile files under valgrind, since the grammars and the parser are C.
//!
//! Built without mimalloc, whose blocks valgrind does not know.

use std::process::Command;

use crate::run::{Done, cargo, root, say, target, watch};

/// What to watch.
#[derive(Debug, clap::Args)]
pub struct Flags {
    /// Folder of the files, from the root of the repository.
    #[arg(long, default_value = "fixtures/hostile")]
    folder: String,
}

/// Fails when memory is read or written that is not there, or read before it is written.
pub fn run(flags: &Flags) -> Done {
    watch(cargo().args(["build", "--locked", "--package", "analyzer-core", "--example", "projects"]))?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=memcheck", "--error-exitcode=9", "--main-stacksize=67108864"]);
    valgrind.arg(target().join("debug/examples/projects")).arg(&flags.folder).current_dir(root());
    watch(&mut valgrind)?;
    say("no error");
    Ok(())
}
