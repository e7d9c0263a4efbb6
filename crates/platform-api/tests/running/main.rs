//! What is deployed runs: the started binary with its runner, real agents in its sandboxes, and a model of the tests' own
//! behind its gateway.

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
mod support;
