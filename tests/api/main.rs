//! The servers as their callers see them: in process, through the router, with a staged world.

mod analyze;
mod app;
mod batch;
mod bodies;
mod documents;
mod enrichment;
mod keys;
mod limits;
mod network;
mod operations;
mod sdk;
mod secrets;
