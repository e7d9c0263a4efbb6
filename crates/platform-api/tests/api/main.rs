//! The control plane as its callers see it: in process, through the router, over both engines of the store.

mod approvals;
mod auth;
mod connectors;
mod documents;
mod runs;
mod support;
mod tools;
