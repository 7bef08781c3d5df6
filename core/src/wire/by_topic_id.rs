//! OffsetCommit and OffsetFetch requests of version 10, which name topics by id (KIP-848): the protocol crate's codecs of
//! them stop at 9, though its structures have the field.
//!
//! The guard has walked a body before it comes here, so nothing is missing in it and every count is one that it has.

use bytes::{Buf, Bytes};
use kafka_protocol::{
    messages::{
        GroupId, OffsetCommitRequest, OffsetFetchRequest,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
    },
    protocol::StrBytes,
};
use uuid::Uuid;

/// The version of both keys.
pub(super) const VERSION: i16 = 10;

/// Reads a flexible body front to back.
struct Reader<'a>(&'a mut Bytes);

type Read<T> = Result<T, String>;

impl Reader<'_> {
    fn take(&mut self, bytes: usize) -> Read<Bytes> {
        if self.0.len() < bytes {
            Err("the body ends too early".to_owned())
        } else {
            Ok(self.0.split_to(bytes))
        }
    }

    fn bool(&mut self) -> Read<bool> {
        Ok(self.take(1)?.get_u8() != 0)
    }

    fn int32(&mut self) -> Read<i32> {
        Ok(self.take(4)?.get_i32())
    }

    fn int64(&mut self) -> Read<i64> {
        Ok(self.take(8)?.get_i64())
    }

    fn uuid(&mut self) -> Read<Uuid> {
        Ok(Uuid::from_u128(self.take(16)?.get_u128()))
    }

    fn varint(&mut self) -> Read<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?.get_u8();
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a length of over five bytes".to_owned())
    }

    fn nullable_string(&mut self) -> Read<Option<StrBytes>> {
        match self.varint()? {
            0 => Ok(None),
            length => {
                let bytes = self.take(length - 1)?;
                StrBytes::from_utf8(bytes).map(Some).map_err(|error| error.to_string())
            }
        }
    }

    fn string(&mut self) -> Read<StrBytes> {
        self.nullable_string()?.ok_or_else(|| "null where there must be a text".to_owned())
    }

    fn nullable_array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Read<T>) -> Read<Option<Vec<T>>> {
        match self.varint()? {
            0 => Ok(None),
            count => (1..count).map(|_| element(self)).collect::<Read<_>>().map(Some),
        }
    }

    fn array<T>(&mut self, element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        self.nullable_array(element)?.ok_or_else(|| "null where there must be an array".to_owned())
    }

    /// None is defined in these versions.
    fn tags(&mut self) -> Read<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.take(length)?;
        }
        Ok(())
    }
}

/// The body of an OffsetCommit request.
pub(super) fn offset_commit(body: &mut Bytes) -> Read<OffsetCommitRequest> {
    let mut body = Reader(body);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(body.string()?))
        .with_generation_id_or_member_epoch(body.int32()?)
        .with_member_id(body.string()?)
        .with_group_instance_id(body.nullable_string()?)
        .with_topics(body.array(|body| {
            let topic = OffsetCommitRequestTopic::default().with_topic_id(body.uuid()?).with_partitions(
                body.array(|body| {
                    let partition = OffsetCommitRequestPartition::default()
                        .with_partition_index(body.int32()?)
                        .with_committed_offset(body.int64()?)
                        .with_committed_leader_epoch(body.int32()?)
                        .with_committed_metadata(body.nullable_string()?);
                    body.tags()?;
                    Ok(partition)
                })?,
            );
            body.tags()?;
            Ok(topic)
        })?);
    body.tags()?;
    Ok(request)
}

/// The body of an OffsetFetch request.
pub(super) fn offset_fetch(body: &mut Bytes) -> Read<OffsetFetchRequest> {
    let mut body = Reader(body);
    let groups = body.array(|body| {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(body.string()?))
            .with_member_id(body.nullable_string()?)
            .with_member_epoch(body.int32()?)
            .with_topics(body.nullable_array(|body| {
                let topic = OffsetFetchRequestTopics::default()
                    .with_topic_id(body.uuid()?)
                    .with_partition_indexes(body.array(Reader::int32)?);
                body.tags()?;
                Ok(topic)
            })?);
        body.tags()?;
        Ok(group)
    })?;
    let request = OffsetFetchRequest::default().with_groups(groups).with_require_stable(body.bool()?);
    body.tags()?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{WireError, decode_offset_commit, decode_offset_fetch, guard, header::RequestHeader};
    use bytes::BufMut;
    use kafka_protocol::protocol::Request;

    const ID: u128 = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;

    fn frame(key: i16, body: &[u8]) -> Bytes {
        let mut frame = Vec::new();
        frame.put_i16(key);
        frame.put_i16(VERSION);
        frame.put_i32(7);
        frame.put_i16(-1);
        frame.put_u8(0);
        frame.extend_from_slice(body);
        Bytes::from(frame)
    }

    fn read<T: Request>(body: &[u8], decode: fn(&RequestHeader, &Bytes) -> Result<T, WireError>) -> T {
        let frame = frame(T::KEY, body);
        let header = RequestHeader::parse(&frame).expect("version 10 is known");
        decode(&header, &frame).expect("the guard walks it and it is read")
    }

    fn commit_body() -> Vec<u8> {
        let mut body = vec![2, b'g'];
        body.put_i32(3);
        body.extend([2, b'm', 0]);
        body.put_u8(2);
        body.put_u128(ID);
        body.put_u8(2);
        body.put_i32(5);
        body.put_i64(42);
        body.put_i32(1);
        // Metadata, then the tags of partition, topic and request; the last has one that nobody knows.
        body.extend([3, b'h', b'i', 0, 0, 1, 9, 2, 7, 7]);
        body
    }

    #[test]
    fn a_commit_names_its_topics_by_id() {
        let request: OffsetCommitRequest = read(&commit_body(), decode_offset_commit);
        assert_eq!((request.group_id.as_str(), request.member_id.as_str()), ("g", "m"));
        assert_eq!((request.generation_id_or_member_epoch, request.group_instance_id), (3, None));
        let topic = &request.topics[0];
        assert_eq!((topic.topic_id, topic.name.as_str()), (Uuid::from_u128(ID), ""));
        let partition = &topic.partitions[0];
        assert_eq!((partition.partition_index, partition.committed_offset), (5, 42));
        assert_eq!(partition.committed_metadata.as_deref(), Some("hi"));
    }

    #[test]
    fn a_fetch_names_its_topics_by_id_or_asks_for_all() {
        let mut body = vec![3, 2, b'g', 0];
        body.put_i32(-1);
        body.put_u8(2);
        body.put_u128(ID);
        body.put_u8(3);
        body.put_i32(0);
        body.put_i32(9);
        body.extend([0, 0]);
        body.extend([2, b'h', 2, b'm']);
        body.put_i32(4);
        body.extend([0, 0, 1, 0]);
        let request: OffsetFetchRequest = read(&body, decode_offset_fetch);
        assert!(request.require_stable);
        let topics = request.groups[0].topics.as_ref().expect("some are asked for");
        assert_eq!(
            (topics[0].topic_id, &topics[0].partition_indexes[..]),
            (Uuid::from_u128(ID), &[0, 9][..])
        );
        assert_eq!((request.groups[1].member_epoch, &request.groups[1].topics), (4, &None));
    }

    #[test]
    fn a_body_that_is_cut_is_refused_by_the_guard_and_never_reaches_the_reader() {
        let body = commit_body();
        let row = guard::row(OffsetCommitRequest::KEY).expect("it is served");
        assert!(row.check(VERSION, &body, 0).is_ok());
        for cut in 0..body.len() {
            assert!(row.check(VERSION, &body[..cut], 0).is_err(), "cut to {cut}");
            assert!(offset_commit(&mut Bytes::copy_from_slice(&body[..cut])).is_err(), "cut to {cut}");
        }
    }
}
