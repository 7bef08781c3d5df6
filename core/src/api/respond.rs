//! What all handlers share.

use crate::{
    engine::{Response, Start},
    limits,
    wire::{RequestHeader, WireError, encode_describe_log_dirs, encode_response},
};
use bytes::Bytes;
use kafka_protocol::{
    messages::DescribeLogDirsResponse,
    protocol::{Encodable, HeaderVersion, StrBytes},
};

/// To whom a response goes, and in which version.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplyTo {
    pub correlation_id: i32,
    pub version: i16,
}

impl ReplyTo {
    pub fn new(header: &RequestHeader) -> ReplyTo {
        ReplyTo { correlation_id: header.correlation_id, version: header.api_version }
    }

    /// The response, or the end of the connection if it cannot be encoded (which would be a bug of the handler).
    pub fn encode<T: Encodable + HeaderVersion>(self, message: &T) -> Response {
        encoded(encode_response(self.correlation_id, self.version, message))
    }

    /// The same of a DescribeLogDirs, whose last version has a codec of its own.
    pub fn encode_log_dirs(self, message: &DescribeLogDirsResponse) -> Response {
        encoded(encode_describe_log_dirs(self.correlation_id, self.version, message))
    }

    /// The same, at once.
    #[allow(clippy::unnecessary_wraps)] // the shape of every handler
    pub fn ready<T: Encodable + HeaderVersion>(self, message: &T) -> Result<Start, WireError> {
        Ok(Start::Ready(self.encode(message)))
    }
}

fn encoded(response: Result<Bytes, WireError>) -> Response {
    match response {
        Ok(bytes) => Response::bytes(bytes),
        Err(error) => Response::Close(format!("cannot encode the response: {error}")),
    }
}

/// The end of the connection, if a request names more than anyone would in earnest: its answer would be many times as
/// large as it is.
pub(super) fn too_many(named: usize) -> Option<Start> {
    let most = limits::NAMED_PER_REQUEST_MAX;
    let close = || Response::Close(format!("a request that names {named} things, more than {most}"));
    (named > most).then(|| Start::Ready(close()))
}

/// A string for a response.
pub(super) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}
