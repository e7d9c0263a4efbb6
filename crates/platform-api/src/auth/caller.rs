//! Caller: who asks, as an extractor that says what they must be allowed. A handler that forgot to check would not
//! compile: the workspace is known only from here.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use ingestion_server::web::ApiError;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// See everything but secrets.
    Read,
    /// Change tools, providers, policies, runs.
    Write,
    /// Deploy, invoke and delete agents.
    Deploy,
    /// Decide on approvals.
    Approve,
    /// Keys and settings.
    Admin,
}

impl Scope {
    /// All there are.
    pub const ALL: [Scope; 5] = [Scope::Read, Scope::Write, Scope::Deploy, Scope::Approve, Scope::Admin];

    /// The one with that name.
    pub fn named(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == name)
    }

    /// As callers spell it.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
            Scope::Deploy => "deploy",
            Scope::Approve => "approve",
            Scope::Admin => "admin",
        }
    }

    /// As the store keeps several.
    pub fn join(scopes: &[Scope]) -> String {
        scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" ")
    }

    /// Back from there.
    pub fn split(text: &str) -> Vec<Scope> {
        text.split(' ').filter_map(Scope::named).collect()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whoever came through the door.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The id of their key.
    pub key: String,
    /// Whose decisions theirs are: the user's, where the key is one person's.
    pub name: String,
    /// The workspace that they ask about.
    pub workspace: String,
    /// The key opens every workspace.
    pub is_operator: bool,
    /// What the key may do.
    pub scopes: Vec<Scope>,
    /// Who shows it, if it is one person's.
    pub user: Option<String>,
    /// The groups of whoever shows it.
    pub groups: Vec<String>,
}

impl Identity {
    /// The platform itself, for what happens in a workspace without anybody asking.
    pub fn platform(workspace: &str) -> Identity {
        Identity {
            key: "platform".into(),
            name: "platform".into(),
            workspace: workspace.into(),
            is_operator: true,
            scopes: Vec::new(),
            user: None,
            groups: Vec::new(),
        }
    }
}

impl Identity {
    /// Somebody without a key, who may nothing but what is done for them; a token will say their name.
    pub fn of_token(workspace: &str) -> Identity {
        Identity {
            key: "identity-token".into(),
            name: String::new(),
            workspace: workspace.into(),
            is_operator: false,
            scopes: Vec::new(),
            user: None,
            groups: Vec::new(),
        }
    }

    /// An error unless the key may do this. Whoever may administrate may do the rest, and whoever may do anything may look.
    pub fn must(&self, needed: Scope) -> Result<(), ApiError> {
        let held = &self.scopes;
        match held.contains(&needed) || held.contains(&Scope::Admin) || needed == Scope::Read && !held.is_empty() {
            true => Ok(()),
            false => Err(ApiError::Forbidden(format!("this API key lacks the scope `{needed}`"))),
        }
    }
}

/// A caller who may do what `S` says.
pub struct Caller<S> {
    identity: Identity,
    scope: PhantomData<S>,
}

/// What a handler needs of its caller.
pub trait Needs {
    /// This.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident),*) => {
        $(
            #[doc = concat!("Callers with the scope of that name: `Caller<", stringify!($name), ">`.")]
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Needs for $name {
                const SCOPE: Scope = Scope::$name;
            }
        )*
    };
}

needs!(Read, Write, Deploy, Approve, Admin);

impl<S> Deref for Caller<S> {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl<S: Needs, A: Send + Sync> FromRequestParts<A> for Caller<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &A) -> Result<Caller<S>, ApiError> {
        let identity = parts.extensions.get::<Identity>().cloned().ok_or(ApiError::Unauthorized)?;
        identity.must(S::SCOPE)?;
        Ok(Caller { identity, scope: PhantomData })
    }
}
