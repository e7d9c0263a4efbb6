//! platform-api.
