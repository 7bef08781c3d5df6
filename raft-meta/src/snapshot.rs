//! The snapshot file: an image, and where in the log it stands. There is one, `snapshot`, replaced atomically.
//!
//! `[magic 8][version u16][length of the head u32][head][image, in core's encoding][CRC32C u32]`, little endian. The
//! checksum begins with the directory id: a snapshot copied from another directory is refused. Version 2 has the voters'
//! directories behind the head of version 1, which is still written where none is recorded.

use crate::{
    log::Salt,
    types::{RaftMembership, RaftSnapshotMeta, StoredIdentities, StoredLogId, StoredVoters},
};
use corelane_core::{error::Fatal, metadata::Image};
use corelane_seam::Disk;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"CLQSNAP\0";
const PLAIN: u16 = 1;
const IDENTIFIED: u16 = 2;
const CRC_BYTES: usize = 4;

#[derive(Serialize, Deserialize)]
struct Head {
    last: Option<StoredLogId>,
    voters_at: Option<StoredLogId>,
    voters: StoredVoters,
}

/// Where a directory's snapshot is.
pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join("snapshot")
}

fn checksum(salt: Salt, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.0.to_le_bytes()), bytes)
}

/// The file's content.
pub(crate) fn encode(salt: Salt, meta: &RaftSnapshotMeta, image: &Image) -> Vec<u8> {
    let head = Head {
        last: meta.last_log_id.map(Into::into),
        voters_at: meta.last_membership.log_id().map(Into::into),
        voters: meta.last_membership.membership().into(),
    };
    let identities = StoredIdentities::from(meta.last_membership.membership());
    let (version, head) = if identities.0.is_empty() {
        (PLAIN, postcard::to_allocvec(&head))
    } else {
        (IDENTIFIED, postcard::to_allocvec(&(head, identities)))
    };
    let head = head.expect("plain data always has a postcard form");
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    let head_bytes = u32::try_from(head.len()).expect("a membership is far below 4 GiB");
    bytes.extend_from_slice(&head_bytes.to_le_bytes());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&image.encode());
    let crc = checksum(salt, &bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(salt: Salt, bytes: &[u8]) -> Result<(RaftSnapshotMeta, Image), String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is not a snapshot of a metadata quorum")?;
    let (version, rest) = rest.split_first_chunk::<2>().ok_or("it ends within its version")?;
    let version = u16::from_le_bytes(*version);
    if version != PLAIN && version != IDENTIFIED {
        return Err(format!("its format has version {version}, this broker knows {IDENTIFIED}"));
    }
    let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or("it ends within its checksum")?;
    if checksum(salt, body) != u32::from_le_bytes(*crc) {
        return Err("its checksum does not match".to_owned());
    }
    let (head_bytes, rest) = rest.split_first_chunk::<4>().ok_or("it ends within its head")?;
    let head_bytes = usize::try_from(u32::from_le_bytes(*head_bytes)).unwrap_or(usize::MAX);
    let rest = rest.strip_suffix(crc).ok_or("it ends within its checksum")?;
    let (head, image) = rest.split_at_checked(head_bytes).ok_or("it ends within its head")?;
    let (head, identities): (Head, StoredIdentities) = if version == PLAIN {
        postcard::from_bytes(head).map(|head| (head, StoredIdentities::default()))
    } else {
        postcard::from_bytes(head)
    }
    .map_err(|error| error.to_string())?;
    let meta = RaftSnapshotMeta {
        last_log_id: head.last.map(Into::into),
        last_membership: RaftMembership::new(
            head.voters_at.map(Into::into),
            head.voters.into_membership(&identities)?,
        ),
    };
    Ok((meta, Image::decode(image).map_err(|error| error.to_string())?))
}

/// Reads a directory's snapshot, if there is one; also its length in bytes.
///
/// # Errors
/// When it cannot be read or is damaged: what it held is purged from the log, so there is nothing to go on with.
pub(crate) fn load(
    disk: &dyn Disk,
    directory: &Path,
    salt: Salt,
) -> Result<Option<(RaftSnapshotMeta, Image, u64)>, Fatal> {
    let path = path(directory);
    let refuse = |reason: String| {
        Fatal::new(format!("{}: {reason}. Restore the directory from a copy", path.display()))
    };
    let Some(bytes) = disk.read(&path).map_err(|error| refuse(error.to_string()))? else { return Ok(None) };
    let (meta, image) = decode(salt, &bytes).map_err(refuse)?;
    Ok(Some((meta, image, bytes.len() as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Peer;
    use std::collections::{BTreeMap, BTreeSet};

    fn identified() -> RaftSnapshotMeta {
        let peer = |directory_id| Peer { endpoint: "host:9093".to_owned(), directory_id };
        let nodes = BTreeMap::from([(1, peer(Some(7))), (2, peer(None))]);
        let membership = openraft::Membership::new(vec![BTreeSet::from([1, 2])], nodes).expect("valid");
        let at = StoredLogId { term: 1, index: 3 };
        RaftSnapshotMeta {
            last_log_id: Some(at.into()),
            last_membership: RaftMembership::new(Some(at.into()), membership),
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_of_a_snapshot_goes_unnoticed() {
        let salt = Salt(7);
        for meta in [RaftSnapshotMeta::default(), identified()] {
            let bytes = encode(salt, &meta, &Image::new());
            assert_eq!(decode(salt, &bytes).expect("as written"), (meta, Image::new()));
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(decode(salt, &flipped).is_err(), "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert!(decode(salt, &bytes[..len]).is_err(), "cut at {len}");
            }
            assert!(decode(Salt(8), &bytes).is_err(), "of another directory");
        }
    }
}
