//! Pages: what a user sees who comes back from an authorization server. They load nothing, run nothing, and show what
//! others wrote as text.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use sha2::{Digest, Sha256};

const STYLE: &str = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto 0;padding:0 1.5rem;\
    color:#1c1c1e;background:#fff}h1{font-size:1.5rem}@media(prefers-color-scheme:dark){body{color:#eee;\
    background:#161618}a{color:#8ab4f8}}";

/// A page.
pub struct Page {
    /// What the browser is told.
    pub status: StatusCode,
    /// In a few words.
    pub title: String,
    /// In sentences, each a paragraph.
    pub said: Vec<String>,
    /// Where to go on, and how that is called.
    pub link: Option<(String, &'static str)>,
}

impl Page {
    /// Without a link.
    pub fn new(status: StatusCode, title: impl Into<String>, said: &[String]) -> Page {
        Page { status, title: title.into(), said: said.to_vec(), link: None }
    }

    fn html(&self) -> String {
        let title = escaped(&self.title);
        let said: String = self.said.iter().map(|text| format!("<p>{}</p>\n", escaped(text))).collect();
        let link = self.link.as_ref().map(|(url, text)| {
            format!("<p><a href=\"{}\" rel=\"noreferrer\">{}</a></p>\n", escaped(url), escaped(text))
        });
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{said}{}</main>\n</body>\n</html>\n",
            link.unwrap_or_default()
        )
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let style = BASE64.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        let mut response = (self.status, self.html()).into_response();
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.parse().expect("base64 and words"));
        response
    }
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_text() {
        let hostile = "<script src=//x>alert(\"1\")</script>'&";
        let mut page = Page::new(StatusCode::BAD_REQUEST, hostile, &[hostile.into()]);
        page.link = Some((hostile.into(), "Try again"));
        let html = page.html();
        assert!(!html.contains("<script") && !html.contains("\"1\"") && !html.contains("'&"), "{html}");
        assert_eq!(html.matches("&lt;script src=//x&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;").count(), 4);
    }

    #[test]
    fn a_page_loads_nothing_and_is_kept_by_nobody() {
        let response = Page::new(StatusCode::OK, "Done", &[]).into_response();
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    }
}
