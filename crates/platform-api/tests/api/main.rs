//! The control plane as its callers see it: in process, through the router, over both engines of the store.

mod auth;
mod deploy;
mod support;
mod tools;
