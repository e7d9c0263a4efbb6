//! Support for tests and chores that span crates.

pub mod labels;
pub mod score;
