//! ingestion-server.
