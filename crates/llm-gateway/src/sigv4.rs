//! SigV4: a request signed as AWS wants it, by AWS' own code.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::credentials::Unusable;

/// Services that take a path as it stands and want the body's hash in a header; all others take it encoded once more.
const AS_IT_STANDS: [&str; 4] = ["s3", "s3-object-lambda", "s3-outposts", "s3express"];

/// What a signature is made of; whatever else a request holds may change on its way.
const SIGNED: [&str; 2] = ["content-type", "content-md5"];

/// The same for headers of AWS' own.
const SIGNED_BEGINNING: &str = "x-amz-";

/// What a signature puts into a request, so that nothing of the kind may be there before.
const ADDED: [&str; 4] = ["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"];

/// An access key, and where it signs.
#[derive(Clone)]
pub struct Signer {
    /// `us-east-1`.
    pub region: String,
    /// `bedrock`, `s3`, `execute-api`.
    pub service: String,
    /// The id of an access key.
    pub access_key_id: String,
    /// The access key itself.
    pub secret_access_key: String,
    /// With temporary access keys.
    pub session_token: Option<String>,
}

/// Where, and nothing of the key.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}/{})", self.region, self.service)
    }
}

impl Signer {
    /// Signs a request in place of whatever signed it before. `now` is the time since 1970.
    pub fn sign(
        &self,
        method: &str,
        url: &str,
        headers: &mut HeaderMap,
        body: &[u8],
        now: Duration,
    ) -> Result<(), Unusable> {
        for name in ADDED {
            headers.remove(name);
        }
        let mut settings = SigningSettings::default();
        if AS_IT_STANDS.contains(&self.service.as_str()) {
            settings.percent_encoding_mode = PercentEncodingMode::Single;
            settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        }
        let (id, key, token) = (&self.access_key_id, &self.secret_access_key, self.session_token.clone());
        let identity = AwsCredentials::new(id, key, token, None, "given").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(SystemTime::UNIX_EPOCH + now)
            .settings(settings)
            .build()
            .map_err(|_| Unusable)?
            .into();
        let is_signed = |name: &str| SIGNED.contains(&name) || name.starts_with(SIGNED_BEGINNING);
        let known = headers.iter().filter(|(name, _)| is_signed(name.as_str()));
        let known = known.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let request = SignableRequest::new(method, url, known, SignableBody::Bytes(body));
        let (signed, _) = sign(request.map_err(|_| Unusable)?, &params).map_err(|_| Unusable)?.into_parts();
        let (added, _) = signed.into_parts();
        for header in added {
            let mut value = HeaderValue::from_str(header.value()).map_err(|_| Unusable)?;
            value.set_sensitive(header.sensitive());
            headers.insert(HeaderName::from_static(header.name()), value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(service: &str, method: &str, url: &str, headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let signer = Signer {
            region: "us-east-1".into(),
            service: service.into(),
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        let headers = headers.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        let mut headers: HeaderMap = headers.collect();
        signer.sign(method, url, &mut headers, b"", Duration::from_secs(1_440_938_160)).unwrap();
        headers
    }

    #[test]
    fn a_signature_is_that_of_the_published_test_suite() {
        // `get-vanilla` of AWS' own suite for this version of signatures.
        let headers = signed("service", "GET", "https://example.amazonaws.com/", &[]);
        let signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert_eq!(
            headers["authorization"],
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature={signature}"
            )
        );
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
    }

    #[test]
    fn what_signed_a_request_before_is_gone_and_what_proxies_may_change_is_not_signed() {
        let before = [("authorization", "AWS4-HMAC-SHA256 mine"), ("x-amz-security-token", "mine"), ("accept", "*/*")];
        let own = signed("service", "GET", "https://example.amazonaws.com/", &before);
        let plain = signed("service", "GET", "https://example.amazonaws.com/", &[]);
        assert_eq!(own["authorization"], plain["authorization"]);
        assert!(!own.contains_key("x-amz-security-token"));
        let json = [("content-type", "application/json"), ("x-amz-target", "DynamoDB_20120810.ListTables")];
        let json = signed("dynamodb", "POST", "https://dynamodb.us-east-1.amazonaws.com/", &json);
        let signature = json["authorization"].to_str().unwrap();
        assert!(signature.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target, "), "{signature}");
    }

    #[test]
    fn an_object_store_gets_its_path_as_it_stands_and_the_hash_of_the_body() {
        let headers = signed("s3", "GET", "https://bucket.s3.amazonaws.com/a%20b//c", &[]);
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(headers["x-amz-content-sha256"], empty);
        let other = signed("s3", "GET", "https://bucket.s3.amazonaws.com/a%20b/c", &[]);
        assert_ne!(headers["authorization"], other["authorization"]);
        let signer = format!(
            "{:?}",
            Signer {
                region: "r".into(),
                service: "s3".into(),
                access_key_id: "id".into(),
                secret_access_key: "hush".into(),
                session_token: None,
            }
        );
        assert_eq!(signer, "Signer(r/s3)");
    }
}
