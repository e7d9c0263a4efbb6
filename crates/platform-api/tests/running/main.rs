//! What is deployed runs: the started binary with its runner, real agents in its sandboxes, and a model of the tests' own
//! behind its gateway.

#[path = "../api/authority.rs"]
#[expect(dead_code, reason = "what servers do wrong is shown where time is staged")]
mod authority;
#[path = "../binary/mod.rs"]
mod binary;
mod forms;
mod governed;
mod identity;
#[path = "../binary/keys.rs"]
#[expect(dead_code, reason = "keys that change are shown where time is staged")]
mod keys;
mod kills;
mod model;
mod quickstart;
mod resumed;
#[path = "../binary/runner.rs"]
mod runner;
mod second;
#[path = "../api/stub.rs"]
#[expect(dead_code, reason = "what is sent to them is shown where time is staged")]
mod stub;
mod support;
