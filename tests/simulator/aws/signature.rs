//! Signature Version 4, as clients compute it and AWS checks it.
//!
//! The date of a signature is not compared with the clock: the simulated time runs ahead of the clients'.

use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, InvalidHeaderValue};
use hyper::http::request::Parts;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::caller::Credentials;
use super::s3::Payload;

const PAYLOAD_HASH: &str = "x-amz-content-sha256";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const AMZ_DATE: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]T[hour][minute][second]Z");

impl Credentials {
    /// Signs a request as an SDK does, for clients that are none. The `Host` header must be there.
    ///
    /// Fails if the credentials cannot be written into a header.
    pub fn sign(
        &self,
        request: &mut hyper::Request<Bytes>,
        region: &str,
        service: &str,
        at: OffsetDateTime,
    ) -> Result<(), InvalidHeaderValue> {
        let date = at.format(AMZ_DATE).unwrap_or_default();
        let day = date.split('T').next().unwrap_or_default().to_owned();
        request.headers_mut().insert("x-amz-date", HeaderValue::from_str(&date)?);
        let mut signed_headers = vec![HOST.as_str(), "x-amz-date"];
        if service == "s3" {
            let payload = hex(&Sha256::digest(request.body()));
            let headers = request.headers_mut();
            headers.insert(PAYLOAD_HASH, HeaderValue::from_str(&payload)?);
            signed_headers.insert(1, PAYLOAD_HASH);
        }
        let headers = request.headers_mut();
        if let Some(token) = &self.session_token {
            headers.insert("x-amz-security-token", HeaderValue::from_str(token)?);
            signed_headers.push("x-amz-security-token");
        }
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let (head, body) = (std::mem::take(request.headers_mut()), request.body().clone());
        let canonical = canonical_request(
            request.method().as_str(),
            request.uri().path(),
            request.uri().query().unwrap_or_default(),
            &head,
            &signed_headers,
            &hex(&Sha256::digest(&body)),
        );
        *request.headers_mut() = head;
        let signature = signature(&self.secret_access_key, &date, &scope, &canonical);
        let authorization = format!(
            "{ALGORITHM} Credential={}/{scope}, SignedHeaders={}, Signature={signature}",
            self.access_key_id,
            signed_headers.join(";")
        );
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_str(&authorization)?);
        Ok(())
    }
}

/// Whether a request is signed with this secret.
pub(super) fn is_valid(head: &Parts, body: &[u8], secret: &str) -> bool {
    let expected = || {
        let authorization = head.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let parts: Vec<_> = authorization.strip_prefix(ALGORITHM)?.split(',').map(str::trim).collect();
        let part = |name| parts.iter().find_map(|part| part.strip_prefix(name));
        let (_, scope) = part("Credential=")?.split_once('/')?;
        let signed_headers: Vec<_> = part("SignedHeaders=")?.split(';').collect();
        let date = head.headers.get("x-amz-date")?.to_str().ok()?;
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        // S3 alone signs what a header says of the payload, which is not always its hash.
        let announced = head.headers.get(PAYLOAD_HASH).and_then(|value| value.to_str().ok());
        let announced = announced.filter(|_| scope.ends_with("/s3/aws4_request"));
        let payload = announced.map_or_else(|| hex(&Sha256::digest(body)), str::to_owned);
        let headers = &head.headers;
        let canonical = canonical_request(head.method.as_str(), path, query, headers, &signed_headers, &payload);
        let seed = part("Signature=")?;
        let is_signed = seed == signature(secret, date, scope, &canonical);
        let has_signed_chunks = payload.starts_with("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
        Some(is_signed && (!has_signed_chunks || chunks_are_valid(body, secret, date, scope, seed)?))
    };
    expected().unwrap_or(false)
}

/// "Signature calculations for the authorization header: transferring payload in multiple chunks" in the S3 API
/// reference: each chunk is signed together with the signature before it, and the trailing headers are too.
fn chunks_are_valid(body: &[u8], secret: &str, date: &str, scope: &str, seed: &str) -> Option<bool> {
    let payload = Payload::parse(body)?;
    let key = signing_key(secret, scope);
    let mut previous = seed.to_owned();
    for (signature, chunk) in &payload.chunks {
        let (nothing, hash) = (hex(&Sha256::digest(b"")), hex(&Sha256::digest(chunk)));
        let string_to_sign = format!("{ALGORITHM}-PAYLOAD\n{date}\n{scope}\n{previous}\n{nothing}\n{hash}");
        previous = hex(&hmac(&key, &string_to_sign));
        if signature.as_ref() != Some(&previous) {
            return Some(false);
        }
    }
    let mut trailer = String::new();
    let mut trailer_signature = None;
    for (name, value) in &payload.trailers {
        match name.as_str() {
            "x-amz-trailer-signature" => trailer_signature = Some(value),
            name => trailer.extend([name, ":", value, "\n"]),
        }
    }
    let hash = hex(&Sha256::digest(trailer.as_bytes()));
    let string_to_sign = format!("{ALGORITHM}-TRAILER\n{date}\n{scope}\n{previous}\n{hash}");
    Some(trailer.is_empty() || trailer_signature == Some(&hex(&hmac(&key, &string_to_sign))))
}

fn canonical_request(
    method: &str,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    signed_headers: &[&str],
    payload_hash: &str,
) -> String {
    // Clients encode a path once for the wire. S3 wants it signed like that; the other services want it encoded twice,
    // which is the same for the only path they have here.
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    let mut parameters: Vec<_> =
        parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, ""))).collect();
    parameters.sort_unstable();
    let parameters: Vec<_> = parameters.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut canonical = format!("{method}\n{path}\n{}\n", parameters.join("&"));
    for name in signed_headers {
        let values = headers.get_all(*name).iter().filter_map(|value| value.to_str().ok());
        let values: Vec<_> = values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        canonical.extend([*name, ":", &values.join(","), "\n"]);
    }
    format!("{canonical}\n{}\n{}", signed_headers.join(";"), payload_hash)
}

/// `scope` is `<day>/<region>/<service>/aws4_request`; each of its parts keys the next.
fn signature(secret: &str, date: &str, scope: &str, canonical_request: &str) -> String {
    let request_hash = hex(&Sha256::digest(canonical_request.as_bytes()));
    let string_to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{request_hash}");
    hex(&hmac(&signing_key(secret, scope), &string_to_sign))
}

fn signing_key(secret: &str, scope: &str) -> Vec<u8> {
    scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length, so the error cannot come.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `get-vanilla` and `post-vanilla-query` of AWS's Signature Version 4 test suite.
    #[test]
    fn signatures_are_those_of_the_test_suite() {
        for (method, uri, expected) in [
            ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "/?Param1=value1", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
        ] {
            let mut request = hyper::Request::builder().method(method).uri(uri);
            request = request.header("host", "example.amazonaws.com");
            let mut request = request.body(Bytes::new()).unwrap();
            let credentials = Credentials {
                access_key_id: "AKIDEXAMPLE".to_owned(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
                session_token: None,
            };
            let at = time::macros::datetime!(2015-08-30 12:36 UTC);
            credentials.sign(&mut request, "us-east-1", "service", at).unwrap();
            let authorization = request.headers().get(AUTHORIZATION).unwrap().to_str().unwrap();
            assert!(authorization.ends_with(&format!("Signature={expected}")), "{authorization}");
            let (head, body) = request.into_parts();
            assert!(is_valid(&head, &body, &credentials.secret_access_key));
            assert!(!is_valid(&head, &body, "another secret"));
            assert!(!is_valid(&head, b"another body", &credentials.secret_access_key));
        }
    }
}
