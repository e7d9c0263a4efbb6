//! The analyzer from outside: knowledge proves itself, laws hold, fixtures answer.

mod knowledge;
