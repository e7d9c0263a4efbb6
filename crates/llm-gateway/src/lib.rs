//! The way of a call to a model: what callers and providers speak, who is asked and how, what it costs.
//!
//! [`formats`], [`framing`], [`stream`] and [`meter`] are pure; [`forward`] sends. Neither has a store nor routes.

pub mod breaker;
pub mod conversation;
pub mod credentials;
pub mod exchange;
pub mod formats;
pub mod forward;
pub mod framing;
mod json;
pub mod meter;
pub mod provider;
pub mod relay;
pub mod sigv4;
pub mod stream;
