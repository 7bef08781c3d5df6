//! Frames and what is in them.

use crate::types::{StoredEntry, StoredLogId, StoredVote};
use corelane_core::metadata::BATCH_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Length and checksum.
pub const FRAME_HEADER_BYTES: usize = 8;

/// Bytes of a frame's body that are believed: a batch and what surrounds it, or a membership of any sane size.
pub const BODY_BYTES_MAX: usize = BATCH_BYTES_MAX + 64 * 1024;

/// The directory's id: binds frames and snapshots to the directory that they were written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(pub u128);

/// What the stream said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// The last vote.
    pub vote: Option<StoredVote>,
    /// The last entry that was purged.
    pub purged: Option<StoredLogId>,
    /// The last entry known to be committed.
    pub committed: Option<StoredLogId>,
    /// The last entry, purged or not.
    pub last: Option<StoredLogId>,
}

/// A record of the stream. The kind on disk is the variant's place: never moved, only added to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Frame {
    /// Begins a segment.
    Open {
        /// The length of the segment before, if there was one.
        previous_bytes: Option<u64>,
        /// The state of the stream at this point.
        state: StreamState,
    },
    /// Everything before this frame is flushed.
    Group,
    /// The vote changed.
    Vote(StoredVote),
    /// An entry follows the last one.
    Entry(StoredEntry),
    /// Entries behind this one (all, if none) are gone.
    Truncate(Option<StoredLogId>),
    /// Entries up to this one are in a snapshot and gone from the log.
    Purge(StoredLogId),
    /// Entries up to this one are committed.
    Committed(Option<StoredLogId>),
}

impl StreamState {
    /// Takes note of a frame.
    ///
    /// # Errors
    /// When the frame cannot follow: an entry that leaves a gap, a segment that begins with another state.
    pub fn follow(&mut self, frame: &Frame) -> Result<(), String> {
        match frame {
            Frame::Open { state, .. } if state != self => {
                return Err(format!("the segment begins with {state:?}, but before it was {self:?}"));
            }
            Frame::Open { .. } | Frame::Group => {}
            Frame::Vote(vote) => self.vote = Some(*vote),
            Frame::Entry(entry) => {
                if let Some(last) = self.last
                    && last.index.checked_add(1) != Some(entry.id.index)
                {
                    return Err(format!("entry {} follows entry {}", entry.id.index, last.index));
                }
                self.last = Some(entry.id);
            }
            // Truncating behind the end leaves the end where it is.
            Frame::Truncate(after) if after.map(|id| id.index) >= self.last.map(|id| id.index) => {}
            Frame::Truncate(after) => self.last = after.or(self.purged),
            Frame::Purge(upto) => {
                self.purged = Some(*upto);
                if self.last.is_none_or(|last| last.index < upto.index) {
                    self.last = Some(*upto);
                }
            }
            Frame::Committed(committed) => self.committed = *committed,
        }
        Ok(())
    }
}

fn checksum(salt: Salt, segment: u64, offset: u64, body: &[u8]) -> u32 {
    let mut place = [0; 36];
    place[..16].copy_from_slice(&salt.0.to_le_bytes());
    place[16..24].copy_from_slice(&segment.to_le_bytes());
    place[24..32].copy_from_slice(&offset.to_le_bytes());
    place[32..].copy_from_slice(&length(body).to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), body)
}

fn length(body: &[u8]) -> u32 {
    u32::try_from(body.len()).expect("bodies are bounded far below 4 GiB")
}

/// The body of a frame.
pub fn encode(frame: &Frame) -> Vec<u8> {
    postcard::to_allocvec(frame).expect("plain data always has a postcard form")
}

/// Appends a body, framed for its place: `offset` is where in the segment `bytes` ends up.
pub fn frame(bytes: &mut Vec<u8>, salt: Salt, segment: u64, offset: u64, body: &[u8]) {
    bytes.extend_from_slice(&length(body).to_le_bytes());
    bytes.extend_from_slice(&checksum(salt, segment, offset, body).to_le_bytes());
    bytes.extend_from_slice(body);
}

/// The frame at `offset` of a segment's bytes, and where the next one begins.
///
/// # Errors
/// What is wrong with it.
pub fn read(bytes: &[u8], salt: Salt, segment: u64, offset: usize) -> Result<(Frame, usize), String> {
    let body = body_at(bytes, salt, segment, offset)?;
    let (frame, rest) = postcard::take_from_bytes(body).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes too many in a frame", rest.len()));
    }
    Ok((frame, offset + FRAME_HEADER_BYTES + body.len()))
}

fn body_at(bytes: &[u8], salt: Salt, segment: u64, offset: usize) -> Result<&[u8], String> {
    let rest = bytes.get(offset..).unwrap_or_default();
    let Some((header, rest)) = rest.split_first_chunk::<FRAME_HEADER_BYTES>() else {
        return Err("the file ends within a frame's header".to_owned());
    };
    let [l0, l1, l2, l3, c0, c1, c2, c3] = *header;
    let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if len == 0 || len > BODY_BYTES_MAX {
        return Err(format!("a frame of {len} bytes"));
    }
    let Some(body) = rest.get(..len) else {
        return Err("the file ends within a frame".to_owned());
    };
    let place = u64::try_from(offset).unwrap_or(u64::MAX);
    if checksum(salt, segment, place, body) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err("the checksum does not match".to_owned());
    }
    Ok(body)
}

/// Where, at or behind `offset`, a valid Group frame stands, if anywhere. Framing is lost there, so every place is
/// tried.
pub fn find_group(bytes: &[u8], salt: Salt, segment: u64, offset: usize) -> Option<usize> {
    let group = encode(&Frame::Group);
    let head = length(&group).to_le_bytes();
    (offset..bytes.len()).find(|place| {
        bytes[*place..].starts_with(&head)
            && body_at(bytes, salt, segment, *place).is_ok_and(|body| body == group)
    })
}

/// A segment's file.
pub(crate) fn segment_path(directory: &Path, segment: u64) -> PathBuf {
    directory.join(format!("{segment:020}.log"))
}

/// The number of a segment's file, if it is one.
pub fn segment_number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    (name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.parse().ok())?
}
