//! The control plane as its callers see it: in process, through the router, over both engines of the store.

mod account;
mod analyses;
mod approvals;
mod approvers;
mod assistant;
mod auth;
mod authority;
mod catalog;
mod client;
mod connectors;
mod coverage;
mod credentials;
mod deploy;
mod documented;
mod documents;
mod errors;
mod gateway;
mod identity;
#[path = "../binary/keys.rs"]
mod keys;
mod later;
mod law;
mod loops;
mod models;
mod oauth;

mod openapi;
mod plans;
mod policies;
mod properties;
mod quiet;
mod record;
mod runs;
mod second;
mod staged;
mod streams;
mod stub;
mod support;
mod tiers;
mod tools;
mod usage;
mod webhooks;
