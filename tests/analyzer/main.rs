//! The analyzer from outside: knowledge proves itself, laws hold, fixtures answer.

mod agents;
mod hostile;
mod knowledge;
mod laws;
mod page;
mod snippets;
mod words;
