//! Versions: when this surface's version is replaced and when it ends, told with every answer of it (RFC 9745, RFC 8594).

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::Deserialize;

/// For so many months a version is supported after it is replaced.
const SUPPORTED: i64 = 12;

/// Until when `/v1` is the version, and until when it is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Said")]
pub struct VersionsConfig {
    /// From then on it is deprecated.
    deprecated: Option<Timestamp>,
    /// From then on it may be gone.
    sunset: Option<Timestamp>,
}

/// The same as settings say it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    v1_deprecated: String,
    v1_sunset: String,
}

impl TryFrom<Said> for VersionsConfig {
    type Error = String;

    fn try_from(said: Said) -> Result<VersionsConfig, String> {
        let read = |name: &str, text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| format!("{name} must be a time like 2027-01-01T00:00:00Z")),
        };
        let deprecated: Option<Timestamp> = read("v1_deprecated", &said.v1_deprecated)?;
        let sunset: Option<Timestamp> = read("v1_sunset", &said.v1_sunset)?;
        let supported = |from: Timestamp| {
            let until = from.to_zoned(TimeZone::UTC).saturating_add(Span::new().months(SUPPORTED));
            until.timestamp()
        };
        match (deprecated, sunset) {
            (None, Some(_)) => Err("v1_sunset needs v1_deprecated: what ends was deprecated before".into()),
            (Some(from), Some(end)) if end < supported(from) => Err(format!(
                "v1_sunset must be {SUPPORTED} months after v1_deprecated or later: so long it is supported"
            )),
            _ => Ok(VersionsConfig { deprecated, sunset }),
        }
    }
}

impl VersionsConfig {
    /// Says so with an answer; `pages` is where people read more.
    pub fn tell(&self, response: &mut Response, pages: &str) {
        let Some(deprecated) = self.deprecated else { return };
        let mut told = vec![(HeaderName::from_static("deprecation"), format!("@{}", deprecated.as_second()))];
        let mut relations = vec!["deprecation"];
        if let Some(date) =
            self.sunset.and_then(|sunset| DateTimePrinter::new().timestamp_to_rfc9110_string(&sunset).ok())
        {
            told.push((HeaderName::from_static("sunset"), date));
            relations.push("sunset");
        }
        let links = relations.iter().map(|relation| format!("<{pages}>; rel=\"{relation}\"; type=\"text/html\""));
        told.push((header::LINK, links.collect::<Vec<_>>().join(", ")));
        for (name, value) in told {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().append(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(deprecated: &str, sunset: &str) -> Result<VersionsConfig, String> {
        Said { v1_deprecated: deprecated.into(), v1_sunset: sunset.into() }.try_into()
    }

    #[test]
    fn a_version_is_supported_for_a_year_after_it_is_replaced() {
        assert_eq!(read("", ""), Ok(VersionsConfig::default()));
        assert!(read("2027-01-01T00:00:00Z", "").is_ok());
        assert!(read("2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z").is_ok());
        assert!(read("2027-01-01T00:00:00Z", "2027-12-31T23:59:59Z").unwrap_err().contains("12 months"));
        assert!(read("", "2028-01-01T00:00:00Z").unwrap_err().contains("needs v1_deprecated"));
        assert!(read("next year", "").unwrap_err().starts_with("v1_deprecated must be a time"));
    }

    #[test]
    fn times_are_written_as_the_standards_write_them() {
        let mut response = Response::default();
        read("2023-06-30T23:59:59Z", "2024-12-31T23:59:59Z").unwrap().tell(&mut response, "https://a.io/docs/");
        let of = |name: &str| response.headers()[name].to_str().unwrap();
        // The examples of both.
        assert_eq!((of("deprecation"), of("sunset")), ("@1688169599", "Tue, 31 Dec 2024 23:59:59 GMT"));
        assert!(of("link").starts_with("<https://a.io/docs/>; rel=\"deprecation\"; type=\"text/html\", <"));
    }
}
