//! Kafka's wire format: from a frame to a request, from a response to a frame.
//!
//! A *frame* is what follows the four bytes of length on a connection. Its way in is [`RequestHeader::parse`], then
//! [`decode_request`], which lets the [guard](mod@guard) walk the body before the protocol crate's decoder sees it:
//! that decoder allocates by declared counts, and a dozen bytes can make it abort the process. Whatever the guard
//! accepts the decoder decodes, within [a budget](crate::limits::DECODE_AMPLIFICATION_MAX) of memory.
//!
//! The way out is [`encode_response`], or for Fetch [`FetchResponse::encode`], which leaves the records where they
//! are. [`encode_request`] and [`decode_response`] are the client's side of the same.

mod by_topic_id;
mod codec;
mod error;
mod fetch;
pub mod guard;
mod header;
mod log_dirs;
mod peer;
mod versions;

pub use codec::{
    decode_describe_log_dirs, decode_offset_commit, decode_offset_fetch, decode_request, decode_response,
    encode_describe_log_dirs, encode_request, encode_response, fuzz_frame, try_frame,
};
pub use error::{Fault, WireError};
pub use fetch::{
    AbortedTransaction, AnswerHead, AnsweredPartition, BadAnswer, CurrentLeader, EpochEnd,
    FOLLOWER_FETCH_VERSION, FetchPartition, FetchResponse, FetchTopic, NodeEndpoint, SnapshotEnd,
    read_answer,
};
pub use header::{HeaderPrefix, RequestHeader};
pub use peer::{PEER_FRAME_BYTES_MAX, PeerError, PeerKind, PeerRequest, encode_peer_answer};
pub use versions::{known_keys, name, versions, versions_of};
