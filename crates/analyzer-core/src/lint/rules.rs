//! All rules, by group: 1 credentials, 2 network, 3 models, 4 tools and what the model decides, 5 packages, 6 the project.

use super::view::{Draft, Seen};
use super::{Severity, credentials, execution, models, network, packages, project, servers, tools};

/// A lint rule.
pub struct Rule {
    /// Short code; never given to another rule.
    pub code: &'static str,
    /// Name in kebab case; never changed.
    pub name: &'static str,
    /// How bad what it finds is, where the finding does not say.
    pub severity: Severity,
    /// Only on request: it says something useful, but not to everybody.
    pub pedantic: bool,
    /// One line.
    pub summary: &'static str,
    /// What it finds, why that matters, with a hit, a near miss and a repair.
    pub text: &'static str,
    pub(super) check: fn(&Seen, &mut Vec<Draft>),
}

impl Rule {
    /// The group's name.
    pub fn group(&self) -> &'static str {
        match self.code.as_bytes()[2] {
            b'1' => "credentials",
            b'2' => "network",
            b'3' => "models",
            b'4' => "tools",
            b'5' => "packages",
            _ => "project",
        }
    }
}

macro_rules! rules {
    ($($code:literal $name:literal $severity:ident $(+ $pedantic:ident)? $summary:literal => $check:path;)*) => {
        /// All rules, by code.
        pub static RULES: &[Rule] = &[$(Rule {
            code: $code,
            name: $name,
            severity: Severity::$severity,
            pedantic: false $(|| { let $pedantic = true; $pedantic })?,
            summary: $summary,
            text: include_str!(concat!("../../rules/", $name, ".md")),
            check: $check,
        }),*];
    };
}

rules! {
    "AL101" "hardcoded-secret" High "a credential stands in the source" => credentials::hardcoded;
    "AL102" "secret-in-env-file" High "a credential stands in an environment file" => credentials::in_env_file;
    "AL103" "credential-in-url" High "a credential stands inside an address" => credentials::in_url_literal;
    "AL104" "credential-in-query" Medium "a credential travels in the query of an address" => credentials::in_query;
    "AL105" "secret-in-prompt" High "a prompt holds a credential" => credentials::in_prompt;
    "AL106" "secret-logged" Medium "a credential is written to a log" => credentials::logged;
    "AL201" "plain-http" Medium "a host is reached without encryption" => network::plain_http;
    "AL202" "tls-verification-off" High "certificates are not verified" => network::tls_off;
    "AL203" "unbounded-url" High "the model decides which host is reached" => network::unbounded;
    "AL204" "metadata-address" High "the cloud's metadata service is called" => network::metadata;
    "AL205" "undeclared-host" Medium "a host is reached that nothing declares" => network::undeclared_host;
    "AL206" "refused-call" Medium "a call that the project's policies refuse" => network::refused;
    "AL207" "hidden-path" Info + pedantic "a policy must allow a whole host" => network::wide;
    "AL208" "request-without-timeout" Low "a request may wait for ever" => network::no_timeout;
    "AL301" "unknown-model" Low "which model is used cannot be seen" => models::unknown;
    "AL302" "undeclared-model" Medium "a model is used that nothing declares" => models::undeclared;
    "AL303" "model-without-budget" Medium "a model has no budget, others have" => models::without_budget;
    "AL304" "floating-model" Low "a model's name means another model tomorrow" => models::floating;
    "AL401" "undeclared-tool" Medium "a tool is used that nothing declares" => tools::undeclared;
    "AL402" "shell-from-model" High "the model decides what a shell runs" => execution::shell;
    "AL403" "code-from-model" High "the model's text is run as code" => execution::code;
    "AL404" "sql-from-model" High "the model's text becomes SQL" => execution::sql;
    "AL405" "file-from-model" Medium "the model decides which file is opened" => execution::file;
    "AL406" "unsafe-deserialization" Medium "data that can run code is read" => execution::deserialization;
    "AL407" "dangerous-option" Medium "a switch lets the model do more than it should" => execution::dangerous;
    "AL408" "approval-off" Medium "nobody is asked before the agent acts" => execution::approval;
    "AL409" "unpinned-mcp-server" Medium "an MCP server is run in whatever version is newest" => servers::unpinned_server;
    "AL410" "undescribed-tool" Info "a tool has no description for the model" => tools::undescribed;
    "AL411" "duplicate-tool" Low "two tools have one name" => tools::twice;
    "AL412" "unasked-delete" Info + pedantic "the agent can delete without asking" => tools::destructive;
    "AL501" "missing-requirement" Medium "an imported package is in no manifest" => packages::missing;
    "AL502" "unused-requirement" Low "a package is installed that nothing imports" => packages::unused;
    "AL503" "unpinned-requirement" Low "a package may be any version" => packages::unpinned;
    "AL504" "no-manifest" Info "no manifest says what to install" => packages::no_manifest;
    "AL601" "ambiguous-entry-point" Low "several files could start the agent" => project::ambiguous;
    "AL602" "no-entry-point" Low "no file starts the agent" => project::nothing_starts;
    "AL603" "undocumented-variable" Low "a variable is read that the project's list does not name" => project::undocumented;
    "AL604" "local-default" Low "an address falls back to the agent's own machine" => project::local_default;
    "AL605" "debug-mode" Medium "a server runs in debug mode" => execution::debug;
    "AL901" "unused-ignore" Low "a comment silences nothing" => nothing;
}

/// Found while comments are read, when all other rules are done.
fn nothing(_: &Seen, _: &mut Vec<Draft>) {}

/// The rule of a name or code.
pub fn find(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name || rule.code.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_ordered() {
        assert!(RULES.windows(2).all(|pair| pair[0].code < pair[1].code));
        let names: std::collections::BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), RULES.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }
}
