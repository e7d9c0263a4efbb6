//! Support for tests and chores that span crates.

pub mod corpus;
pub mod hostile;
pub mod labels;
pub mod score;
pub mod secrets;
