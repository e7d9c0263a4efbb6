//! Findings: one detector a file, each a function from the shared context to its own findings. Detectors know neither
//! each other nor syntax trees.

pub mod destinations;
pub mod entry_point;
pub mod env_vars;
pub mod frameworks;
pub mod functions;
pub mod graph;
pub mod handlers;
pub mod mcp;
pub mod models;
pub mod prompts;
pub mod redact;
pub mod requirements;
pub mod secrets;
pub mod tools;
pub mod unknowns;
