//! Isolation: how far an agent is kept apart, and how far this host can do it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How an agent is kept from everything but its gateway, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// Nothing but proxy variables, which an agent may ignore.
    Advisory,
    /// Proxy variables, and the kernel refuses to open files and to connect to ports that are not the agent's.
    Landlock,
    /// A network, a file system and processes of its own.
    Netns,
}

impl Isolation {
    /// As it is spelled in answers and settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Isolation::Advisory => "advisory",
            Isolation::Landlock => "landlock",
            Isolation::Netns => "netns",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What a host gives, found out by trying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The strongest that works here.
    pub isolation: Isolation,
    /// Why it is not stronger, and what is missing beside it (limits, `/proc`), each as a sentence.
    pub notes: Vec<String>,
}
