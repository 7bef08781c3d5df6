//! What nodes of a cluster say to each other on the controller's listener, beside Kafka's protocol: the quorum's calls,
//! and the requests that a broker has for the active controller.
//!
//! A frame begins as Kafka's do, with a key, a version and a correlation id, so that one framing and one listener serve
//! both; the keys are far above any of Kafka's. The response is the correlation id and the answer.

use crate::ids::NodeId;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The quorum's own calls.
const KEY_QUORUM: i16 = 31_001;
/// A request for the active controller.
const KEY_CONTROLLER: i16 = 31_002;
/// Of both.
const VERSION: i16 = 0;

/// Key, version, correlation id, node.
const HEADER_BYTES: usize = 12;

/// The largest frame: a batch of metadata with room to spare.
pub const PEER_FRAME_BYTES_MAX: usize = 2 * crate::metadata::BATCH_BYTES_MAX;

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// The quorum's own.
    Quorum,
    /// For the active controller.
    Controller,
}

/// A call of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRequest {
    /// Under which the answer is expected.
    pub correlation: i32,
    /// Who calls.
    pub from: NodeId,
    /// What about.
    pub kind: PeerKind,
    /// In the encoding of whom it is for.
    pub body: Bytes,
}

/// Why a frame is no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Too short for a header.
    #[error("a call of {0} bytes")]
    TooShort(usize),
    /// Of Kafka's protocol, or of none.
    #[error("key {0} is none that nodes call each other with")]
    UnknownKey(i16),
    /// Of another version of the broker.
    #[error("version {version} of key {key} is unknown")]
    UnknownVersion {
        /// Which.
        key: i16,
        /// Its version.
        version: i16,
    },
}

impl PeerRequest {
    /// Whether a frame is a call, of whatever version, and not a request of Kafka's protocol.
    pub fn is_one(frame: &[u8]) -> bool {
        let key = frame.first_chunk().copied().map(i16::from_be_bytes);
        matches!(key, Some(KEY_QUORUM | KEY_CONTROLLER))
    }

    /// The frame, without its length.
    pub fn encode(&self) -> Bytes {
        let mut frame = BytesMut::with_capacity(HEADER_BYTES + self.body.len());
        frame.put_i16(match self.kind {
            PeerKind::Quorum => KEY_QUORUM,
            PeerKind::Controller => KEY_CONTROLLER,
        });
        frame.put_i16(VERSION);
        frame.put_i32(self.correlation);
        frame.put_i32(self.from.0);
        frame.extend_from_slice(&self.body);
        frame.freeze()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn decode(mut frame: Bytes) -> Result<PeerRequest, PeerError> {
        if frame.len() < HEADER_BYTES {
            return Err(PeerError::TooShort(frame.len()));
        }
        let key = frame.get_i16();
        let kind = match key {
            KEY_QUORUM => PeerKind::Quorum,
            KEY_CONTROLLER => PeerKind::Controller,
            _ => return Err(PeerError::UnknownKey(key)),
        };
        let version = frame.get_i16();
        if version != VERSION {
            return Err(PeerError::UnknownVersion { key, version });
        }
        let correlation = frame.get_i32();
        let from = NodeId(frame.get_i32());
        Ok(PeerRequest { correlation, from, kind, body: frame })
    }
}

/// The frame of an answer, with its length.
pub fn encode_peer_answer(correlation: i32, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + body.len());
    let len = i32::try_from(4 + body.len()).expect("answers are bounded far below 2 GiB");
    frame.put_i32(len);
    frame.put_i32(correlation);
    frame.extend_from_slice(body);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_comes_back_as_it_went_and_nothing_else_is_taken_for_one() {
        for kind in [PeerKind::Quorum, PeerKind::Controller] {
            let body = Bytes::from_static(b"body");
            let request = PeerRequest { correlation: -7, from: NodeId(3), kind, body };
            let frame = request.encode();
            assert_eq!(PeerRequest::decode(frame.clone()), Ok(request));
            for len in 0..HEADER_BYTES {
                assert_eq!(PeerRequest::decode(frame.slice(..len)), Err(PeerError::TooShort(len)));
            }
            let mut later = BytesMut::from(&frame[..]);
            later[3] = 1;
            let refused = PeerRequest::decode(later.freeze());
            assert!(matches!(refused, Err(PeerError::UnknownVersion { version: 1, .. })), "{refused:?}");
        }
        let kafka = Bytes::from_static(&[0, 18, 0, 4, 0, 0, 0, 1, 255, 255, 0, 0]);
        assert_eq!(PeerRequest::decode(kafka), Err(PeerError::UnknownKey(18)));
    }
}
