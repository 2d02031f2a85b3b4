//! The body of a request: its chunks, its trailing headers, and whether it is what its sender says.

use std::sync::LazyLock;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::api::ApiError;
use crate::aws::base64;
use crate::aws::signature::hex;
use crate::aws::wire::Request;

/// A body in the `aws-chunked` encoding ("Signature calculations for the authorization header: transferring payload in
/// multiple chunks" in the S3 API reference).
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Payload {
    /// Each with its signature, if it has one. The last is empty.
    pub(crate) chunks: Vec<(Option<String>, Vec<u8>)>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Payload {
    /// None if it breaks off or is not written like that.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut payload = Self::default();
        let mut rest = body;
        loop {
            let (header, after) = line(rest)?;
            let (size, signature) = header.split_once(";chunk-signature=").unwrap_or((header, ""));
            let size = usize::from_str_radix(size, 16).ok()?;
            let data = after.get(..size)?.to_vec();
            rest = after.get(size..)?;
            payload.chunks.push(((!signature.is_empty()).then(|| signature.to_owned()), data));
            if size == 0 {
                break;
            }
            rest = rest.strip_prefix(b"\r\n")?;
        }
        while let Some((header, after)) = line(rest).filter(|(header, _)| !header.is_empty()) {
            let (name, value) = header.split_once(':')?;
            payload.trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
            rest = after;
        }
        Some(payload)
    }
}

/// What a request carries.
pub(super) struct Content {
    /// Without its encoding.
    pub(super) body: Vec<u8>,
    /// By the names of their headers, which may trail.
    pub(super) checksums: Vec<(String, String)>,
}

/// The content of a request, after it was compared with its checksums.
pub(super) fn decode(request: &Request) -> Result<Content, ApiError> {
    let announced = request.header("x-amz-content-sha256").unwrap_or_default();
    let (body, trailers) = if announced.starts_with("STREAMING-") {
        let incomplete = || ApiError::new("IncompleteBody", 400, "The request body terminated unexpectedly");
        let payload = Payload::parse(&request.body).ok_or_else(incomplete)?;
        let body: Vec<u8> = payload.chunks.into_iter().flat_map(|(_, data)| data).collect();
        let length = request.header("x-amz-decoded-content-length").and_then(|length| length.parse().ok());
        if length != Some(body.len()) {
            return Err(incomplete());
        }
        (body, payload.trailers)
    } else {
        let body = request.body.to_vec();
        if announced != "UNSIGNED-PAYLOAD" && announced != hex(&Sha256::digest(&body)) {
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(ApiError::new("XAmzContentSHA256Mismatch", 400, message));
        }
        (body, Vec::new())
    };
    if let Some(expected) = request.header("content-md5")
        && expected != base64::encode(&Md5::digest(&body))
    {
        let message = "The Content-MD5 you specified did not match what we received.";
        return Err(ApiError::new("BadDigest", 400, message));
    }
    let headers = request.head.headers.iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())));
    let checksums = headers.chain(trailers).filter(|(name, _)| {
        let algorithm = name.strip_prefix("x-amz-checksum-");
        algorithm.is_some_and(|algorithm| algorithm != "mode" && algorithm != "type")
    });
    let checksums: Vec<_> = checksums.collect();
    for (name, expected) in &checksums {
        let (algorithm, computed) = match name.as_str() {
            "x-amz-checksum-crc32" => ("CRC32", base64::encode(&crc32(&body).to_be_bytes())),
            "x-amz-checksum-sha256" => ("SHA256", base64::encode(&Sha256::digest(&body))),
            other => {
                let message = format!("the simulator does not compute the checksum of the header `{other}`");
                return Err(ApiError::new("NotImplemented", 501, message));
            }
        };
        if *expected != computed {
            let message = format!("The {algorithm} you specified did not match the calculated checksum.");
            return Err(ApiError::new("BadDigest", 400, message));
        }
    }
    Ok(Content { body, checksums })
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(bytes.get(..end)?).ok()?, bytes.get(end + 2..)?))
}

/// The CRC-32 of zip and PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let place = usize::from(crc.to_le_bytes()[0] ^ byte);
        CRC_OF_BYTE.get(place).copied().unwrap_or_default() ^ crc >> 8
    })
}

/// The remainder of each byte.
static CRC_OF_BYTE: LazyLock<[u32; 256]> = LazyLock::new(|| {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let shift = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
    std::array::from_fn(|byte| (0..8).fold(u32::try_from(byte).unwrap_or_default(), |crc, _| shift(crc)))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc_32_is_right() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn chunks_are_read_with_signatures_and_trailing_headers() {
        let body = b"5;chunk-signature=aa\r\nhello\r\n1;chunk-signature=bb\r\n!\r\n0;chunk-signature=cc\r\n\
            x-amz-checksum-crc32:AAAAAA==\r\nx-amz-trailer-signature:dd\r\n\r\n";
        let payload = Payload::parse(body).unwrap();
        let chunk = |signature: &str, data: &[u8]| (Some(signature.to_owned()), data.to_vec());
        assert_eq!(payload.chunks, [chunk("aa", b"hello"), chunk("bb", b"!"), chunk("cc", b"")]);
        assert_eq!(payload.trailers[0], ("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned()));
        assert_eq!(
            Payload::parse(b"2\r\nhi\r\n0\r\n\r\n").unwrap().chunks,
            [(None, b"hi".to_vec()), (None, Vec::new())]
        );
        for broken in [&b"5\r\nhell"[..], b"x\r\n", b"2\r\nhi\r\n", b""] {
            assert_eq!(Payload::parse(broken), None);
        }
    }
}
