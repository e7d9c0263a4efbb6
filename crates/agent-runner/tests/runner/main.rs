//! Agents built, isolated and supervised on this host, with the tools that `cargo xtask test` installs.

mod isolation;
mod node;
mod supervision;

mod support;
