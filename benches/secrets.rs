//! The secret pass against the limit of a scan over bytes: reading each byte once.
//!
//! `cargo bench --bench secrets`; with `cargo xtask corpus`, over real packages, else over agents that are made.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use analyzer_core::detect::secrets::{Formats, detect};
use analyzer_core::facts::FileFacts;
use analyzer_core::{Limits, Sources, lang};
use divan::Bencher;
use divan::counter::BytesCount;
use test_bench::{corpus, secrets};

/// As the servers have it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// A few megabytes: what is measured should be the work, not the memory behind it.
const ENOUGH: usize = 8_000_000;

static FILES: LazyLock<Sources> = LazyLock::new(|| {
    #[expect(clippy::disallowed_methods, reason = "the binary reads cargo's environment")]
    let target = std::env::var("CARGO_TARGET_DIR").map_or_else(
        |_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target"),
        |path| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path),
    );
    let mut files = corpus::load(&corpus::folder(target), "python").expect("readable");
    if files.is_empty() {
        let samples = secrets::corpus(secrets::ROUNDS, 1, 200, 20);
        files = samples.into_iter().map(|sample| (sample.file, sample.text)).collect();
    }
    let mut bytes = 0;
    files.retain(|(_, text)| {
        bytes += text.len();
        bytes <= ENOUGH
    });
    let limits = Limits { files: usize::MAX, bytes: usize::MAX, ..Limits::default() };
    Sources::with_limits(files, &limits).expect("clean paths")
});

fn bytes() -> BytesCount {
    BytesCount::new(FILES.files().iter().map(|file| file.text.len()).sum::<usize>())
}

/// The limit: one addition for each byte, which the compiler does many at a time.
#[divan::bench]
fn each_byte_read(bencher: Bencher<'_, '_>) {
    let read = || FILES.files().iter().flat_map(|f| f.text.as_bytes()).map(|byte| u64::from(*byte)).sum::<u64>();
    bencher.counter(bytes()).bench(read);
}

/// The limit of anything that must see lines: one byte searched for.
#[divan::bench]
fn lines_counted(bencher: Bencher<'_, '_>) {
    bencher.counter(bytes()).bench(|| FILES.files().iter().map(|file| file.text.lines().count()).sum::<usize>());
}

/// The one pass over the bytes, and judgement where it stops: what files without a tree cost.
#[divan::bench]
fn secrets_in_bytes(bencher: Bencher<'_, '_>) {
    let mut blind = FileFacts::default();
    blind.over_budget = true;
    let blind = Arc::new(blind);
    let facts: Vec<Arc<FileFacts>> = FILES.files().iter().map(|_| blind.clone()).collect();
    let one = one();
    let found = || detect(&FILES, &facts, Formats::builtin(), b"").len();
    bencher.counter(bytes()).bench_local(|| one.install(found));
}

/// The same where the trees are there already.
#[divan::bench]
fn secrets_in_trees(bencher: Bencher<'_, '_>) {
    let read = |file| Arc::new(lang::read(file, None).expect("nobody cancels"));
    let facts: Vec<Arc<FileFacts>> = FILES.files().iter().map(read).collect();
    let one = one();
    let found = || detect(&FILES, &facts, Formats::builtin(), b"").len();
    bencher.counter(bytes()).bench_local(|| one.install(found));
}

/// One thread, so that the figures are processor time.
fn one() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(1).stack_size(16 << 20).build().expect("a thread")
}

/// An automaton and 300 issuers, once a process.
#[divan::bench]
fn formats_read() -> usize {
    Formats::read(analyzer_core::knowledge::FILES.iter().copied().filter(|(path, _)| path.contains("/secrets/")))
        .map_or(0, |_| 1)
}
