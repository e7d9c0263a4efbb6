//! The sentences of docs/ARCHITECTURE.md, kept true.

mod documents;
mod layers;
mod tree;
