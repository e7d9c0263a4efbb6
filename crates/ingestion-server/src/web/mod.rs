//! The HTTP vocabulary: errors, bodies, keys, log, metrics, settings. The platform reuses it; none of it knows what an
//! analysis is.

pub mod body;
pub mod error;
pub mod keys;
mod linger;
pub mod log;
pub mod metrics;
pub mod outbound;
pub mod reach;
pub mod serve;
pub mod settings;
pub mod shell;
mod stall;
pub mod tls;
pub mod traces;
pub mod world;

pub use body::{Body, Intake, Received};
pub use error::{ApiError, Envelope, FieldError, Refusal};
pub use keys::Keys;
pub use metrics::Metrics;
pub use outbound::Outbound;
pub use reach::Reach;
pub use serve::Peer;
pub use settings::Settings;
pub use shell::RequestId;
pub use traces::Traces;
pub use world::World;
