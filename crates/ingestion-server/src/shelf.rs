//! Shelf: where an analysis is found again by its id when another process made it. What mounts the routes may bring one
//! with each request; a server that runs alone has its cache.

use std::fmt;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::cache::Answer;
use crate::web::ApiError;

/// Keeps answers for whoever may ask for them again, and for nobody else.
pub trait Shelf: Send + Sync {
    /// For whom: a model is asked on their account, and what it says is nobody else's.
    fn whose(&self) -> &str;

    /// Keeps an answer. One that cannot be kept is given all the same, so this does not fail.
    fn keep<'a>(&'a self, answer: &'a Answer) -> BoxFuture<'a, ()>;

    /// The analysis of that id, as it was given.
    fn find<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<Bytes>, ApiError>>;
}

/// The shelf of one request, in its extensions; as an extractor, none where nobody brought one.
#[derive(Clone, Default)]
pub struct Shelved(Option<Arc<dyn Shelf>>);

impl Shelved {
    /// For the extensions of a request.
    pub fn new(shelf: impl Shelf + 'static) -> Shelved {
        Shelved(Some(Arc::new(shelf)))
    }

    /// Keeps an answer, where there is a shelf.
    pub async fn keep(&self, answer: &Answer) {
        if let Some(shelf) = &self.0 {
            shelf.keep(answer).await;
        }
    }

    /// For whom it is; nobody in particular where there is none.
    pub fn whose(&self) -> &str {
        self.0.as_ref().map_or("", |shelf| shelf.whose())
    }

    /// The shelf, where there is one.
    pub fn get(&self) -> Option<&dyn Shelf> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Shelved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shelved").field(&self.0.is_some()).finish()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Shelved {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Shelved, ApiError> {
        Ok(parts.extensions.get::<Shelved>().cloned().unwrap_or_default())
    }
}
