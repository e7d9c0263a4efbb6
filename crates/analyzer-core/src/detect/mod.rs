//! Detectors: each reads the facts, returns its findings, and knows no other detector.

pub mod secrets;
