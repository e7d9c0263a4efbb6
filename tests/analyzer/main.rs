//! The analyzer from outside: knowledge proves itself, laws hold, fixtures answer.

mod agents;
mod hostile;
mod knowledge;
mod laws;
mod packs;
mod page;
mod policies;
mod readme;
mod rules;
mod secrets;
mod snippets;
mod words;
