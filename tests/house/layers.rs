//! Who knows what, and who must never know it.

use crate::tree::{sources, text};

/// Fails for every file below `folder` that says one of `words`, but for those below `except`.
fn never(folder: &str, except: &str, words: &[&str]) {
    let files = sources(folder);
    assert!(!files.is_empty(), "nothing below {folder}");
    for (path, text) in files.iter().filter(|(path, _)| except.is_empty() || !path.starts_with(except)) {
        for (n, line) in text.lines().enumerate() {
            let said = words.iter().find(|word| line.contains(*word));
            assert!(said.is_none(), "{}:{}: {}", path.display(), n + 1, line.trim());
        }
    }
}

const CORE: &str = "crates/analyzer-core/src";

#[test]
fn only_lang_knows_tree_sitter() {
    never("crates", "crates/analyzer-core/src/lang", &["tree_sitter"]);
}

#[test]
fn detectors_see_no_syntax_tree() {
    // Facts are what they see; `lang` is where trees become facts.
    if sources(CORE).iter().any(|(path, _)| path.starts_with("crates/analyzer-core/src/detect")) {
        never("crates/analyzer-core/src/detect", "", &["tree_sitter", "crate::lang", "lang::"]);
    }
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    // Addresses and durations are plain data; sockets and clocks are not.
    let modules = ["fs", "io", "env", "process", "thread"].map(|module| format!("std::{module}"));
    let types =
        ["TcpStream", "TcpListener", "UdpSocket", "ToSocketAddrs", "SystemTime", "Instant::", "tokio::", "async fn"];
    let rim: Vec<_> = modules.iter().map(String::as_str).chain(types).collect();
    never(CORE, "", &rim);
}

#[test]
fn dependencies_point_one_way() {
    let manifest = |name: &str| text(format!("crates/{name}/Cargo.toml").as_ref()).unwrap();
    for (inner, outer) in [
        ("analyzer-core", &["ingestion-server", "platform-api", "tokio", "axum", "hyper", "tracing"][..]),
        ("ingestion-server", &["platform-api", "agentlint"]),
        ("llm-gateway", &["analyzer-core", "ingestion-server", "platform-api", "axum", "sqlx"]),
        ("agentlint", &["ingestion-server", "platform-api", "axum", "hyper"]),
    ] {
        for name in outer {
            let depends = manifest(inner).lines().any(|line| line.starts_with(name));
            assert!(!depends, "{inner} depends on {name}");
        }
    }
}

#[test]
fn the_http_vocabulary_knows_no_analysis() {
    never("crates/ingestion-server/src/web", "", &["analyzer_core", "crate::engine", "crate::wire", "crate::cache"]);
}

#[test]
fn only_one_file_of_each_calls_others() {
    let clients = ["client::legacy", "reqwest", "TcpStream::connect"];
    never("crates/ingestion-server/src", "crates/ingestion-server/src/web/outbound.rs", &clients);
    never("crates/llm-gateway/src", "crates/llm-gateway/src/forward.rs", &clients);
    never("crates/platform-api/src", "", &clients);
}

#[test]
fn translations_know_neither_clock_nor_network() {
    let rim = ["breaker.rs", "credentials.rs", "forward.rs", "relay.rs", "sigv4.rs"];
    for (path, text) in
        sources("crates/llm-gateway/src").iter().filter(|(path, _)| !rim.iter().any(|rim| path.ends_with(rim)))
    {
        let words = ["tokio::", "hyper::", "std::time", "async fn"];
        let said = words.iter().find(|word| text.contains(*word));
        assert!(said.is_none(), "{}: {said:?}", path.display());
    }
}

#[test]
fn tests_do_not_sleep() {
    let words = [["thread::", "sleep"].concat(), ["time::", "sleep("].concat()];
    never("tests", "", &words.each_ref().map(String::as_str));
}
