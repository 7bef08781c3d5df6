//! The file of a shard's high watermarks: see [`Store::set_replicated`](super::Store::set_replicated).

use super::sealed::{seal, unseal};
use crate::ids::{Offset, PartitionId, TopicId};
use uuid::Uuid;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    little_endian::{I32, I64},
};

const MAGIC: [u8; 8] = *b"CLWMRK\x00\x01";

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Image {
    topic: [u8; 16],
    partition: I32,
    high_watermark: I64,
}

/// With a CRC32C at the end.
pub(super) fn encode(marks: impl Iterator<Item = (PartitionId, Offset)>) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    for (id, mark) in marks {
        let image = Image {
            topic: *id.topic.0.as_bytes(),
            partition: I32::new(id.index),
            high_watermark: I64::new(mark.0),
        };
        out.extend_from_slice(image.as_bytes());
    }
    seal(&mut out);
    out
}

/// What [`encode`] wrote; `None` for anything else.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<(PartitionId, Offset)>> {
    let content = unseal(bytes)?;
    let images = <[Image]>::ref_from_bytes(content.strip_prefix(&MAGIC)?).ok()?;
    let marks = images.iter().map(|image| {
        let topic = TopicId(Uuid::from_bytes(image.topic));
        (PartitionId { topic, index: image.partition.get() }, Offset(image.high_watermark.get()))
    });
    Some(marks.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_are_read_back_and_damage_is_none() {
        let id = |index| PartitionId { topic: TopicId(Uuid::from_u128(7)), index };
        let marks = vec![(id(0), Offset(5)), (id(3), Offset(0))];
        let bytes = encode(marks.iter().copied());
        assert_eq!(decode(&bytes), Some(marks));
        assert_eq!(decode(&encode(std::iter::empty())), Some(Vec::new()));
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1;
            assert_eq!(decode(&bytes), None, "byte {place}");
            assert_eq!(decode(&bytes[..place]), None);
        }
    }
}
