//! Frames to messages and back.

use super::{RequestHeader, WireError, by_topic_id, guard, log_dirs};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, OffsetCommitRequest, OffsetFetchRequest},
    protocol::{Decodable, Encodable, HeaderVersion, Request, buf::ByteBufMut},
};

/// Decodes the body of a request, after the guard has walked it. Strings, bytes and records are slices of `frame`:
/// nothing of them is copied, and they keep the frame alive.
///
/// # Errors
/// [`WireError::Malformed`] if the guard refuses the body, [`WireError::Decode`] if the crate then does all the same
/// (a bug of the guard). Never panics for anything in the frame.
///
/// # Panics
/// When `header` is of another API key than `T`: dispatch must not mix them up.
pub fn decode_request<T: Request>(header: &RequestHeader, frame: &Bytes) -> Result<T, WireError> {
    assert_eq!(header.api_key, T::KEY, "a request decoded as another");
    let row = guard::row(T::KEY).expect("a header of this key was parsed, so there is a row of it");
    row.check(header.api_version, frame, header.body_offset)?;
    let mut body = frame.slice(header.body_offset..);
    T::decode(&mut body, header.api_version).map_err(|error| WireError::Decode(error.to_string()))
}

/// [`decode_request`] of an OffsetCommit, also in the version that the crate's codec lacks.
///
/// # Errors
/// As [`decode_request`].
pub fn decode_offset_commit(header: &RequestHeader, frame: &Bytes) -> Result<OffsetCommitRequest, WireError> {
    match header.api_version {
        by_topic_id::VERSION => decode_own(header, frame, by_topic_id::offset_commit),
        _ => decode_request(header, frame),
    }
}

/// [`decode_request`] of an OffsetFetch, also in the version that the crate's codec lacks.
///
/// # Errors
/// As [`decode_request`].
pub fn decode_offset_fetch(header: &RequestHeader, frame: &Bytes) -> Result<OffsetFetchRequest, WireError> {
    match header.api_version {
        by_topic_id::VERSION => decode_own(header, frame, by_topic_id::offset_fetch),
        _ => decode_request(header, frame),
    }
}

/// [`decode_request`] of a DescribeLogDirs, also in the version that the crate's codec lacks.
///
/// # Errors
/// As [`decode_request`].
pub fn decode_describe_log_dirs(
    header: &RequestHeader,
    frame: &Bytes,
) -> Result<DescribeLogDirsRequest, WireError> {
    match header.api_version {
        log_dirs::VERSION => decode_own(header, frame, log_dirs::request),
        _ => decode_request(header, frame),
    }
}

/// [`encode_response`] of a DescribeLogDirs, also in the version that the crate's codec lacks.
///
/// # Errors
/// As [`encode_response`].
pub fn encode_describe_log_dirs(
    correlation_id: i32,
    version: i16,
    response: &DescribeLogDirsResponse,
) -> Result<Bytes, WireError> {
    if version != log_dirs::VERSION {
        return encode_response(correlation_id, version, response);
    }
    let body = log_dirs::response(response).map_err(WireError::Encode)?;
    // The header has no tagged fields.
    let frame_bytes = 4 + 1 + body.len();
    let prefix = i32::try_from(frame_bytes).map_err(|error| WireError::Encode(error.to_string()))?;
    let mut out = BytesMut::with_capacity(4 + frame_bytes);
    out.put_i32(prefix);
    out.put_i32(correlation_id);
    out.put_u8(0);
    out.put_slice(&body);
    Ok(out.freeze())
}

fn decode_own<T: Request>(
    header: &RequestHeader,
    frame: &Bytes,
    decode: fn(&mut Bytes) -> Result<T, String>,
) -> Result<T, WireError> {
    assert_eq!(header.api_key, T::KEY, "a request decoded as another");
    let row = guard::row(T::KEY).expect("a header of this key was parsed, so there is a row of it");
    row.check(header.api_version, frame, header.body_offset)?;
    decode(&mut frame.slice(header.body_offset..)).map_err(WireError::Decode)
}

/// Takes any frame through header, guard and the decoder of its key, and drops the request: for tests that care
/// about no key in particular.
///
/// # Errors
/// As [`RequestHeader::parse`] and [`decode_request`].
pub fn try_frame(frame: &Bytes) -> Result<RequestHeader, WireError> {
    let header = RequestHeader::parse(frame)?;
    let row = guard::row(header.api_key).expect("the header was parsed by this row");
    row.check(header.api_version, frame, header.body_offset)?;
    row.decode_and_drop(header.api_version, frame.slice(header.body_offset..))?;
    Ok(header)
}

/// What the fuzz target `frame` calls with any bytes, and the replay of its corpus with each file.
///
/// # Panics
/// When the guard accepts what the decoder then refuses, which it promises never to do.
pub fn fuzz_frame(bytes: &[u8]) {
    if let Err(WireError::Decode(text)) = try_frame(&Bytes::copy_from_slice(bytes)) {
        panic!("the guard accepted what the decoder refuses: {text}");
    }
}

/// A whole response: length prefix, response header (version 0 or 1 as key and version demand; always 0 for
/// ApiVersions), body. One allocation of the exact size.
///
/// # Errors
/// [`WireError::Encode`]. In particular the crate refuses most messages in which a field is set that `version` lacks
/// (and silently leaves out a few): whoever builds a response leaves such fields at their defaults.
pub fn encode_response<T: Encodable + HeaderVersion>(
    correlation_id: i32,
    version: i16,
    response: &T,
) -> Result<Bytes, WireError> {
    let tagged = T::header_version(version) >= 1;
    encode(4 + usize::from(tagged), version, response, |out| {
        out.put_i32(correlation_id);
        if tagged {
            out.put_u8(0);
        }
    })
}

/// A whole request: length prefix, header, body. The client's side.
///
/// # Errors
/// [`WireError::Encode`], as [`encode_response`]; also for a `client_id` of over 32,767 bytes.
pub fn encode_request<T: Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    request: &T,
) -> Result<Bytes, WireError> {
    let tagged = T::header_version(version) >= 2;
    let id = client_id.unwrap_or_default();
    let id_length = i16::try_from(id.len()).map_err(|_| WireError::Encode("client id too long".into()))?;
    encode(10 + id.len() + usize::from(tagged), version, request, |out| {
        out.put_i16(T::KEY);
        out.put_i16(version);
        out.put_i32(correlation_id);
        out.put_i16(if client_id.is_some() { id_length } else { -1 });
        out.put_slice(id.as_bytes());
        if tagged {
            out.put_u8(0);
        }
    })
}

/// Decodes a response frame (without its length prefix): correlation id and message. The client's side.
///
/// No guard stands before this: a broker that one chose to talk to could crash the client by a hostile response, as
/// with most clients. Do not use it on what a peer of less trust sends.
///
/// # Errors
/// [`WireError::TooShort`], [`WireError::Decode`].
pub fn decode_response<T: Decodable + HeaderVersion>(
    version: i16,
    frame: &Bytes,
) -> Result<(i32, T), WireError> {
    let too_short = || WireError::TooShort { bytes: frame.len() };
    let correlation_id = i32::from_be_bytes(*frame.first_chunk().ok_or_else(too_short)?);
    let mut at = 4;
    if T::header_version(version) >= 1 {
        at += guard::header_tags(&frame[at..]).map_err(|fault| WireError::Decode(fault.to_string()))?;
    }
    let mut body = frame.slice(at..);
    let message = T::decode(&mut body, version).map_err(|error| WireError::Decode(error.to_string()))?;
    if body.is_empty() {
        Ok((correlation_id, message))
    } else {
        Err(WireError::Decode(format!("{} bytes left over", body.len())))
    }
}

fn encode<T: Encodable>(
    header_bytes: usize,
    version: i16,
    message: &T,
    put_header: impl FnOnce(&mut BytesMut),
) -> Result<Bytes, WireError> {
    let failed = |error: &dyn std::fmt::Display| WireError::Encode(error.to_string());
    let body_bytes = message.compute_size(version).map_err(|error| failed(&error))?;
    let frame_bytes = header_bytes + body_bytes;
    let prefix = i32::try_from(frame_bytes).map_err(|error| failed(&error))?;
    let mut out = BytesMut::with_capacity(4 + frame_bytes);
    out.put_i32(prefix);
    put_header(&mut out);
    message.encode(&mut out, version).map_err(|error| failed(&error))?;
    if out.offset() == 4 + frame_bytes {
        Ok(out.freeze())
    } else {
        Err(WireError::Encode(format!("{} bytes instead of the {} computed", out.len(), 4 + frame_bytes)))
    }
}

#[cfg(test)]
mod tests;
