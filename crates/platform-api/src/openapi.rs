//! OpenAPI: the description of every operation, taken from beside the handlers.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use bytes::Bytes;
use utoipa::openapi::OpenApi;

/// `/openapi.json`.
pub fn routes(mut description: OpenApi) -> Router {
    description.info.title = "Platform API".into();
    description.info.version = env!("CARGO_PKG_VERSION").into();
    let text = Bytes::from(description.to_pretty_json().expect("a description is always JSON"));
    let answer = move || {
        let text = text.clone();
        async move { ([(header::CONTENT_TYPE, "application/json")], text) }
    };
    Router::new().route("/openapi.json", get(answer))
}
