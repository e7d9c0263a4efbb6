//! Findings: one detector a file, each a function from facts to its own findings.

pub mod requirements;
