//! The header of a request: versions 1 and 2 (with tagged fields), by key and version of the request.

use super::{Fault, WireError, guard};
use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

/// The first eight bytes, which are alike in all versions and so can be read of any request. Enough to answer one
/// whose version is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderPrefix {
    /// Which request.
    pub api_key: i16,
    /// In which version.
    pub api_version: i16,
    /// To be given back with the response.
    pub correlation_id: i32,
}

impl HeaderPrefix {
    const BYTES: usize = crate::limits::FRAME_BYTES_MIN;

    /// Of a frame.
    ///
    /// # Errors
    /// [`WireError::TooShort`].
    pub fn parse(frame: &[u8]) -> Result<HeaderPrefix, WireError> {
        let Some(&[k0, k1, v0, v1, c0, c1, c2, c3]) = frame.first_chunk::<{ HeaderPrefix::BYTES }>() else {
            return Err(WireError::TooShort { bytes: frame.len() });
        };
        Ok(HeaderPrefix {
            api_key: i16::from_be_bytes([k0, k1]),
            api_version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
        })
    }
}

/// The header of a request whose key and version are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which request.
    pub api_key: i16,
    /// In which version.
    pub api_version: i16,
    /// To be given back with the response.
    pub correlation_id: i32,
    /// What the client calls itself; at most 32,767 bytes. A slice of the frame: it costs nothing, and keeps the
    /// whole frame alive, so copy it before keeping it for longer than the request.
    pub client_id: Option<StrBytes>,
    /// Where the body begins, in bytes from the start of the frame.
    pub body_offset: usize,
}

impl RequestHeader {
    /// Reads the header of a frame. Its tagged fields are checked and passed over; none is defined so far.
    ///
    /// # Errors
    /// [`TooShort`](WireError::TooShort), [`UnknownApiKey`](WireError::UnknownApiKey),
    /// [`UnsupportedVersion`](WireError::UnsupportedVersion) or [`Malformed`](WireError::Malformed). Never panics.
    pub fn parse(frame: &Bytes) -> Result<RequestHeader, WireError> {
        let prefix = HeaderPrefix::parse(frame)?;
        let HeaderPrefix { api_key, api_version, correlation_id } = prefix;
        let row = guard::row(api_key).ok_or(WireError::UnknownApiKey(prefix))?;
        let versions = row.versions();
        if !(versions.min..=versions.max).contains(&api_version) {
            return Err(WireError::UnsupportedVersion(prefix));
        }
        let malformed = |field, fault, at| WireError::Malformed {
            api: row.name(),
            version: api_version,
            field,
            fault,
            at,
        };

        let mut at = HeaderPrefix::BYTES;
        let truncated = malformed("client_id", Fault::Truncated, at);
        let length = frame[at..].first_chunk().ok_or(truncated).copied().map(i16::from_be_bytes)?;
        at += 2;
        let client_id = match usize::try_from(length) {
            Ok(length) if length > frame.len() - at => return Err(malformed("client_id", Fault::Length, at)),
            Ok(length) => {
                let text = StrBytes::from_utf8(frame.slice(at..at + length))
                    .map_err(|_| malformed("client_id", Fault::Utf8, at))?;
                at += length;
                Some(text)
            }
            Err(_) if length == -1 => None,
            Err(_) => return Err(malformed("client_id", Fault::Negative, at)),
        };
        if row.header_version(api_version) >= 2 {
            at += guard::header_tags(&frame[at..])
                .map_err(|fault| malformed("tagged fields of the header", fault, at))?;
        }
        Ok(RequestHeader { api_key, api_version, correlation_id, client_id, body_offset: at })
    }
}

#[cfg(test)]
mod tests;
