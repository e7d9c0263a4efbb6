//! Findings: one detector a file, each a function from facts to its own findings.

pub mod entry_point;
pub mod requirements;
