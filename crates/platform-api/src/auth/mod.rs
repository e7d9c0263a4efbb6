//! Auth: who calls, for which workspace, what they may do, and how often.

mod caller;
mod door;
mod idempotency;
pub mod keys;
mod limits;

pub use caller::{Admin, Approve, Caller, Deploy, Identity, Read, Scope, Write};
pub use door::{ByToken, DEFAULT_WORKSPACE, Door, open, take_workspace};
pub use idempotency::{forget_old, once};
pub use keys::{FirstKeyError, Key, first_key};
pub use limits::Limits;
