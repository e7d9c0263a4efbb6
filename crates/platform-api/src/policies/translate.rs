//! Translate: plain sentences about tools and addresses as rules, and nothing guessed.
//!
//! A sentence is a verb, what it is about, and where: `allow reads and require approval for writes on stripe-api`. What
//! is not said again goes on: a verb without a place takes the next place, a place without a verb the last verb.

use analyzer_core::policy::{Permission, Rule};

/// What a sentence looks like, for whoever wrote another.
pub const EXAMPLE: &str = "write sentences such as: allow reads on stripe-api; require approval for POST on \
     https://api.stripe.com/v1/refunds*; deny deletes on tools tagged financial";

/// The longest text.
pub const LONGEST: usize = 4_000;

/// Why a text is no sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misunderstood {
    /// Nothing was said.
    #[error("the text is empty")]
    Empty,
    /// A word that has no place in a sentence.
    #[error("{0:?} is not understood here")]
    Word(String),
    /// Something like a tool's name that no tool has.
    #[error("no tool is called {0:?}")]
    UnknownTool(String),
    /// A sentence that begins with something else.
    #[error("a sentence begins with allow, deny or require approval for")]
    NoVerb,
    /// A verb with no place.
    #[error("the sentence names no tool and no address")]
    NoPlace,
}

/// Methods that change nothing.
const READS: [&str; 2] = ["GET", "HEAD"];

/// Methods that change something.
const WRITES: [&str; 4] = ["POST", "PUT", "PATCH", "DELETE"];

/// Beginnings of a sentence, the longest first.
const VERBS: [(&[&str], Permission); 21] = [
    (&["always", "ask", "for", "approval"], Permission::ApprovalRequired),
    (&["ask", "for", "approval"], Permission::ApprovalRequired),
    (&["always", "require", "approval"], Permission::ApprovalRequired),
    (&["approval", "is", "required"], Permission::ApprovalRequired),
    (&["require", "an", "approval"], Permission::ApprovalRequired),
    (&["require", "approval"], Permission::ApprovalRequired),
    (&["requires", "approval"], Permission::ApprovalRequired),
    (&["ask", "before"], Permission::ApprovalRequired),
    (&["do", "not", "allow"], Permission::Deny),
    (&["do", "not", "permit"], Permission::Deny),
    (&["don't", "allow"], Permission::Deny),
    (&["never", "allow"], Permission::Deny),
    (&["never", "permit"], Permission::Deny),
    (&["always", "allow"], Permission::Allow),
    (&["always", "deny"], Permission::Deny),
    (&["allow"], Permission::Allow),
    (&["permit"], Permission::Allow),
    (&["deny"], Permission::Deny),
    (&["forbid"], Permission::Deny),
    (&["block"], Permission::Deny),
    (&["refuse"], Permission::Deny),
];

/// Words that say nothing which the others do not.
const FILLERS: [&str; 17] = [
    "the",
    "a",
    "an",
    "all",
    "any",
    "every",
    "each",
    "only",
    "call",
    "calls",
    "request",
    "requests",
    "operation",
    "operations",
    "access",
    "please",
    "method",
];

/// Words before a place.
const BEFORE_PLACES: [&str; 9] = ["on", "to", "of", "from", "at", "in", "against", "via", "with"];

/// Where rules are to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// An address, with or without wildcards.
    Resource(String),
    /// Tools with this risk tag.
    Tagged(String),
}

/// Methods of one verb, which wait for their place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    permission: Permission,
    /// Empty for all.
    methods: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Verb(Permission),
    Methods(Vec<&'static str>),
    /// Whatever the method is.
    Everything,
    Place(Place),
    /// A sentence ends.
    End,
}

/// The rules that a text says; `base` gives the base URL of a tool.
pub fn translate(text: &str, base: impl Fn(&str) -> Option<String>) -> Result<Vec<Rule>, Misunderstood> {
    let pieces = pieces(text, base)?;
    if !pieces.iter().any(|piece| *piece != Piece::End) {
        return Err(Misunderstood::Empty);
    }
    let mut rules = Vec::new();
    // What is said and waits for a place; and what the last place was told, for the next place.
    let (mut waiting, mut told): (Vec<Clause>, Vec<Clause>) = (Vec::new(), Vec::new());
    let mut verb = None;
    let mut placed = false;
    for piece in pieces {
        match piece {
            Piece::Verb(permission) => {
                verb = Some(permission);
                (told, placed) = (Vec::new(), false);
                waiting.push(Clause { permission, methods: Vec::new() });
            }
            Piece::Methods(_) | Piece::Everything => {
                let permission = verb.ok_or(Misunderstood::NoVerb)?;
                if std::mem::take(&mut placed) {
                    // `allow reads on a and writes on b`: the verb goes on.
                    told.clear();
                    waiting.push(Clause { permission, methods: Vec::new() });
                }
                let clause = waiting.last_mut().ok_or(Misunderstood::NoVerb)?;
                if let Piece::Methods(methods) = piece {
                    clause.methods.extend(methods.iter().map(|method| method.to_string()));
                }
            }
            Piece::Place(place) => {
                if !waiting.is_empty() {
                    told = std::mem::take(&mut waiting);
                }
                if told.is_empty() {
                    return Err(Misunderstood::NoVerb);
                }
                placed = true;
                rules.extend(told.iter().map(|clause| clause.at(&place)));
            }
            Piece::End => {
                if !waiting.is_empty() {
                    return Err(Misunderstood::NoPlace);
                }
                (verb, placed) = (None, false);
                told.clear();
            }
        }
    }
    match waiting.is_empty() {
        true => Ok(rules),
        false => Err(Misunderstood::NoPlace),
    }
}

impl Clause {
    fn at(&self, place: &Place) -> Rule {
        let mut methods: Vec<String> = Vec::new();
        for method in &self.methods {
            if !methods.contains(method) {
                methods.push(method.clone());
            }
        }
        let (resource, tags) = match place {
            Place::Resource(resource) => (Some(resource.clone()), Vec::new()),
            Place::Tagged(tag) => (None, vec![tag.clone()]),
        };
        Rule { permission: self.permission, resource, operations: methods, tags }
    }
}

/// A text as what its words stand for, in order.
fn pieces(text: &str, base: impl Fn(&str) -> Option<String>) -> Result<Vec<Piece>, Misunderstood> {
    let words = words(text);
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let lower = word.to_ascii_lowercase();
        if word == "." {
            pieces.push(Piece::End);
            at += 1;
        } else if let Some((verb, permission)) = VERBS.iter().find(|(verb, _)| begins(&words[at..], verb)) {
            pieces.push(Piece::Verb(*permission));
            at += verb.len();
            at += usize::from(begins(&words[at..], &["for"]) || begins(&words[at..], &["before"]));
        } else if let Some(length) = tagged(&words[at..]) {
            pieces.push(Piece::Place(Place::Tagged(words[at + length - 1].clone())));
            at += length;
        } else if let Some(methods) = methods(&lower) {
            pieces.push(Piece::Methods(methods));
            at += 1;
        } else if ["everything", "anything"].contains(&lower.as_str()) {
            pieces.push(Piece::Everything);
            at += 1;
        } else if word.contains("://") {
            pieces.push(Piece::Place(Place::Resource(address(word))));
            at += 1;
        } else if let Some(resource) = of_tool(word, &base) {
            pieces.push(Piece::Place(Place::Resource(resource)));
            at += 1;
        } else if ["and", "or", ",", ";"].contains(&lower.as_str())
            || FILLERS.contains(&lower.as_str())
            || BEFORE_PLACES.contains(&lower.as_str())
        {
            at += 1;
        } else {
            let after_place_word = at > 0 && BEFORE_PLACES.contains(&words[at - 1].to_ascii_lowercase().as_str());
            let shown = word.chars().take(80).collect();
            return Err(if after_place_word { Misunderstood::UnknownTool(shown) } else { Misunderstood::Word(shown) });
        }
    }
    Ok(pieces)
}

/// Words, and the marks that end or divide sentences, each by itself.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for line in text.lines() {
        for raw in line.split_whitespace() {
            let bare = raw
                .trim_start_matches(['"', '\'', '`', '(', '-'])
                .trim_end_matches(['"', '\'', '`', ')', ',', ';', '.', ':', '!']);
            if !bare.is_empty() {
                words.push(bare.to_string());
            }
            if raw.ends_with(['.', ';', '!']) {
                words.push(".".into());
            } else if raw.ends_with(',') {
                words.push(",".into());
            }
        }
        words.push(".".into());
    }
    words
}

fn begins(words: &[String], wanted: &[&str]) -> bool {
    words.len() >= wanted.len() && words.iter().zip(wanted).all(|(word, wanted)| word.eq_ignore_ascii_case(wanted))
}

/// How many words `tools tagged financial` takes.
fn tagged(words: &[String]) -> Option<usize> {
    let forms: [&[&str]; 4] =
        [&["tools", "tagged", "as"], &["tools", "tagged"], &["tools", "with", "the", "tag"], &["tools", "with", "tag"]];
    let form = forms.iter().find(|form| begins(words, form))?;
    words.get(form.len()).filter(|tag| *tag != "." && *tag != ",").map(|_| form.len() + 1)
}

fn methods(word: &str) -> Option<Vec<&'static str>> {
    let methods: &[&'static str] = match word {
        "read" | "reads" | "reading" => &READS,
        "write" | "writes" | "writing" | "changes" | "modifications" => &WRITES,
        "create" | "creates" | "creating" | "creation" => &["POST"],
        "update" | "updates" | "updating" => &["PUT", "PATCH"],
        "deletes" | "deleting" | "deletion" | "deletions" | "delete" => &["DELETE"],
        "get" | "gets" => &["GET"],
        "head" => &["HEAD"],
        "post" | "posts" => &["POST"],
        "put" | "puts" => &["PUT"],
        "patch" | "patches" => &["PATCH"],
        "options" => &["OPTIONS"],
        _ => return None,
    };
    Some(methods.to_vec())
}

/// An address as it is written; a host alone means all of it.
fn address(word: &str) -> String {
    let path = word.split_once("://").map_or("", |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    match path {
        "" if !word.ends_with('*') => format!("{word}/*"),
        "/" => format!("{word}*"),
        _ => word.to_string(),
    }
}

/// `stripe-api`, all of it; `stripe-api/v1/charges*`, a part of it.
fn of_tool(word: &str, base: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (name, path) = word.split_once('/').map_or((word, "*"), |(name, path)| (name, path));
    let base = base(name).or_else(|| base(&name.to_ascii_lowercase()))?;
    Some(format!("{}/{path}", base.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base(tool: &str) -> Option<String> {
        match tool {
            "stripe-api" => Some("https://api.stripe.com".into()),
            "crm" => Some("https://crm.acme.io/v2/".into()),
            "write" => Some("https://odd.io".into()),
            _ => None,
        }
    }

    /// `allow GET,HEAD https://…`.
    fn said(text: &str) -> Vec<String> {
        let rules = translate(text, base).unwrap_or_else(|error| panic!("{text}: {error}"));
        let show = |rule: &Rule| {
            let permission = match rule.permission {
                Permission::Allow => "allow",
                Permission::ApprovalRequired => "ask",
                Permission::Deny => "deny",
            };
            let methods = if rule.operations.is_empty() { "*".into() } else { rule.operations.join(",") };
            let place = rule.resource.clone().unwrap_or_else(|| format!("#{}", rule.tags.join("#")));
            format!("{permission} {methods} {place}")
        };
        rules.iter().map(show).collect()
    }

    #[test]
    fn plain_sentences_are_rules() {
        let stripe = "https://api.stripe.com/*";
        let crm = "https://crm.acme.io/v2/*";
        let writes = "POST,PUT,PATCH,DELETE";
        let table: &[(&str, &[&str])] = &[
            ("allow reads on stripe-api", &[&format!("allow GET,HEAD {stripe}")]),
            ("Allow read access to stripe-api.", &[&format!("allow GET,HEAD {stripe}")]),
            ("deny writes on crm", &[&format!("deny {writes} {crm}")]),
            ("Require approval for writes to the `crm`", &[&format!("ask {writes} {crm}")]),
            ("require approval for POST on stripe-api", &[&format!("ask POST {stripe}")]),
            ("allow get and post on stripe-api", &[&format!("allow GET,POST {stripe}")]),
            ("allow GET, HEAD and POST requests to stripe-api", &[&format!("allow GET,HEAD,POST {stripe}")]),
            (
                "allow reads on https://api.github.com/repos/*/issues*",
                &["allow GET,HEAD https://api.github.com/repos/*/issues*"],
            ),
            ("allow reads on https://api.github.com", &["allow GET,HEAD https://api.github.com/*"]),
            ("allow reads on https://api.github.com/", &["allow GET,HEAD https://api.github.com/*"]),
            ("deny DELETE on https://api.github.com/user.", &["deny DELETE https://api.github.com/user"]),
            ("allow everything on stripe-api", &[&format!("allow * {stripe}")]),
            ("allow all calls to stripe-api", &[&format!("allow * {stripe}")]),
            ("allow stripe-api", &[&format!("allow * {stripe}")]),
            (
                "allow reads on stripe-api and crm",
                &[&format!("allow GET,HEAD {stripe}"), &format!("allow GET,HEAD {crm}")],
            ),
            (
                "allow reads on stripe-api and writes on crm",
                &[&format!("allow GET,HEAD {stripe}"), &format!("allow {writes} {crm}")],
            ),
            (
                "allow reads and require approval for writes on stripe-api",
                &[&format!("allow GET,HEAD {stripe}"), &format!("ask {writes} {stripe}")],
            ),
            (
                "allow reads on stripe-api and deny deletes on crm",
                &[&format!("allow GET,HEAD {stripe}"), &format!("deny DELETE {crm}")],
            ),
            (
                "allow reads on stripe-api. Deny updates on crm",
                &[&format!("allow GET,HEAD {stripe}"), &format!("deny PUT,PATCH {crm}")],
            ),
            (
                "allow reads on stripe-api\ndeny creates on crm\n",
                &[&format!("allow GET,HEAD {stripe}"), &format!("deny POST {crm}")],
            ),
            (
                "never allow deletes on crm; ask before writes on crm",
                &[&format!("deny DELETE {crm}"), &format!("ask {writes} {crm}")],
            ),
            ("do not allow writes to crm", &[&format!("deny {writes} {crm}")]),
            ("allow reads and reads on crm", &[&format!("allow GET,HEAD {crm}")]),
            ("allow reads on stripe-api/v1/charges*", &["allow GET,HEAD https://api.stripe.com/v1/charges*"]),
            ("deny writes on tools tagged financial", &[&format!("deny {writes} #financial")]),
            ("ask for approval for deletes on all tools with tag pii", &["ask DELETE #pii"]),
        ];
        for (text, rules) in table {
            assert_eq!(said(text), *rules, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said_and_not_guessed() {
        use Misunderstood::*;
        let table = [
            ("", Empty),
            (" \n ", Empty),
            ("reads on stripe-api", NoVerb),
            ("stripe-api", NoVerb),
            ("allow reads", NoPlace),
            ("allow reads. Deny writes on crm", NoPlace),
            ("allow reads on strpe-api", UnknownTool("strpe-api".into())),
            ("allow reads on stripe-api except refunds", Word("except".into())),
            ("allow small refunds on stripe-api", Word("small".into())),
            ("allow reads on stripe-api unless it is late", Word("unless".into())),
            ("the agent should behave", Word("agent".into())),
            ("allow reads on stripe-api during office hours", Word("during".into())),
        ];
        for (text, expected) in table {
            assert_eq!(translate(text, base), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in "(allow|deny|require approval for|reads|on|crm|and|,|;|\\.|https://a.io|tools tagged|[a-z]{0,4}| )*") {
            let _ = translate(&text, base);
        }
    }
}
