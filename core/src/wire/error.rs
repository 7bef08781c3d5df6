//! What can be wrong with a frame.

use super::header::HeaderPrefix;
use std::fmt;

/// Why bytes are no request (or no response), or why a message is no bytes. None of these carries anything that its
/// sender chose but numbers, so all of them may be logged as they are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Too short for key, version and correlation id: there is no one to answer. Close the connection.
    #[error("a frame of {bytes} bytes is too short for a request")]
    TooShort {
        /// Of the frame.
        bytes: usize,
    },
    /// No schema of such a key. Kafka closes the connection.
    #[error("unknown API key {} (version {})", .0.api_key, .0.api_version)]
    UnknownApiKey(HeaderPrefix),
    /// The key is known, the version is not. ApiVersions is answered (v0 body, error 35); for all other keys Kafka
    /// closes the connection.
    #[error("{} does not come in version {}", super::versions::name(.0.api_key).unwrap_or("?"), .0.api_version)]
    UnsupportedVersion(HeaderPrefix),
    /// The header after its first eight bytes, or the body, is not what the schema says.
    #[error("{api} v{version}: {field}: {fault} (at byte {at} of the frame)")]
    Malformed {
        /// Kafka's name of the API key.
        api: &'static str,
        /// Version of the request.
        version: i16,
        /// Field of the schema, Kafka's names in snake case.
        field: &'static str,
        /// What is wrong with it.
        fault: Fault,
        /// Where, in bytes from the start of the frame.
        at: usize,
    },
    /// The protocol crate refused what it was given. For a request that the guard accepted this is a bug of the
    /// guard; for a response, the peer's.
    #[error("cannot decode: {0}")]
    Decode(String),
    /// The message cannot be encoded in this version: a field is set that the version lacks, a string is too long,
    /// or the whole is larger than a frame's length can say. A bug of who made it.
    #[error("cannot encode: {0}")]
    Encode(String),
}

/// What is wrong with one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The frame ends in the middle of it.
    Truncated,
    /// It declares a length that is longer than what is left of the frame.
    Length,
    /// It declares more elements than what is left of the frame can hold.
    Count,
    /// It is null and may not be.
    Null,
    /// A length below -1, or a presence byte other than 1 and -1.
    Negative,
    /// A variable-length integer of more than 32 bits.
    Varint,
    /// Not UTF-8.
    Utf8,
    /// A tagged field that does not fill its declared size, or that this version does not have.
    Tag,
    /// Bytes are left over behind the last field.
    Trailing,
    /// Decoding it would take more memory than the frame may cost.
    Memory,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Truncated => "the frame ends here",
            Fault::Length => "length beyond the end of the frame",
            Fault::Count => "more elements than bytes for them",
            Fault::Null => "null where null is not allowed",
            Fault::Negative => "impossible length",
            Fault::Varint => "variable-length integer over 32 bits",
            Fault::Utf8 => "not UTF-8",
            Fault::Tag => "tagged field of the wrong size or version",
            Fault::Trailing => "bytes left over",
            Fault::Memory => "too many small elements for the frame's size",
        })
    }
}
