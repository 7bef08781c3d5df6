use super::*;
use crate::wire::{decode_response, encode_response};
use corelane_seam::{FileHandle, FileObject, Slice};
use kafka_protocol::messages::{self, fetch_response};
use proptest::prelude::*;
use std::any::Any;
use uuid::Uuid;

fn text() -> impl Strategy<Value = StrBytes> {
    prop_oneof![9 => "[a-zé]{0,12}", 1 => "[a-z]{130}"].prop_map(StrBytes::from_string)
}

fn offset() -> impl Strategy<Value = Offset> {
    any::<i64>().prop_map(Offset)
}

/// Real epochs and ids: the crate leaves out a tagged struct that says "unknown" throughout.
fn number() -> impl Strategy<Value = i32> {
    0..i32::MAX
}

fn records() -> impl Strategy<Value = Vec<Part>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    let part = prop_oneof![
        bytes().prop_map(|bytes| Part::Bytes(bytes.into())),
        bytes().prop_map(|bytes| Part::Memory(Slice::copy_from(&bytes))),
    ];
    proptest::collection::vec(part, 0..4)
}

prop_compose! {
    fn partition()(
        index in any::<i32>(),
        error in proptest::sample::select(ErrorCode::ALL),
        offsets in (offset(), offset(), offset()),
        aborted in proptest::option::of(proptest::collection::vec((any::<i64>(), offset()), 0..3)),
        preferred in proptest::option::of(number()),
        diverging in proptest::option::of((number(), offset())),
        leader in proptest::option::of((number(), number())),
        snapshot in proptest::option::of((number(), offset())),
        records in records(),
    ) -> FetchPartition {
        let transaction = |(producer_id, first_offset)| {
            AbortedTransaction { producer_id: ProducerId(producer_id), first_offset }
        };
        FetchPartition {
            index,
            error,
            high_watermark: offsets.0,
            last_stable_offset: offsets.1,
            log_start_offset: offsets.2,
            aborted_transactions: aborted.map(|all| all.into_iter().map(transaction).collect()),
            preferred_read_replica: preferred.map(NodeId),
            diverging_epoch: diverging.map(|(epoch, end_offset)| EpochEnd { epoch: LeaderEpoch(epoch), end_offset }),
            current_leader: leader.map(|(id, epoch)| {
                CurrentLeader { leader_id: NodeId(id), leader_epoch: LeaderEpoch(epoch) }
            }),
            snapshot: snapshot.map(|(epoch, end_offset)| SnapshotEnd { end_offset, epoch: LeaderEpoch(epoch) }),
            records,
        }
    }
}

prop_compose! {
    fn response()(
        throttle_ms in any::<i32>(),
        error in proptest::sample::select(ErrorCode::ALL),
        session_id in any::<i32>(),
        topics in proptest::collection::vec(
            (text(), any::<u128>(), proptest::collection::vec(partition(), 0..4)), 0..4),
        endpoints in proptest::collection::vec(
            (any::<i32>(), text(), any::<i32>(), proptest::option::of(text())), 0..3),
    ) -> FetchResponse {
        FetchResponse {
            throttle_ms,
            error,
            session_id,
            topics: topics
                .into_iter()
                .map(|(name, id, partitions)| FetchTopic { name, id: TopicId(Uuid::from_u128(id)), partitions })
                .collect(),
            node_endpoints: endpoints
                .into_iter()
                .map(|(id, host, port, rack)| NodeEndpoint { node_id: NodeId(id), host, port, rack })
                .collect(),
        }
    }
}

/// The same response as the crate's, without what `version` lacks.
fn as_the_crate_has_it(response: &FetchResponse, version: i16) -> messages::FetchResponse {
    let mut crates = messages::FetchResponse::default()
        .with_throttle_time_ms(response.throttle_ms)
        .with_responses(response.topics.iter().map(|topic| topic_of(topic, version)).collect());
    if version >= 7 {
        crates.error_code = response.error.code();
        crates.session_id = response.session_id;
    }
    if version >= 16 {
        let endpoint = |endpoint: &NodeEndpoint| {
            fetch_response::NodeEndpoint::default()
                .with_node_id(endpoint.node_id.0.into())
                .with_host(endpoint.host.clone())
                .with_port(endpoint.port)
                .with_rack(endpoint.rack.clone())
        };
        crates.node_endpoints = response.node_endpoints.iter().map(endpoint).collect();
    }
    crates
}

fn topic_of(topic: &FetchTopic, version: i16) -> fetch_response::FetchableTopicResponse {
    let partitions = topic.partitions.iter().map(|partition| partition_of(partition, version)).collect();
    let crates = fetch_response::FetchableTopicResponse::default().with_partitions(partitions);
    if version <= 12 {
        crates.with_topic(topic.name.clone().into())
    } else {
        crates.with_topic_id(topic.id.0)
    }
}

fn partition_of(partition: &FetchPartition, version: i16) -> fetch_response::PartitionData {
    let transaction = |aborted: &AbortedTransaction| {
        fetch_response::AbortedTransaction::default()
            .with_producer_id(aborted.producer_id.0.into())
            .with_first_offset(aborted.first_offset.0)
    };
    let aborted = partition.aborted_transactions.as_ref().map(|all| all.iter().map(transaction).collect());
    let mut crates = fetch_response::PartitionData::default()
        .with_partition_index(partition.index)
        .with_error_code(partition.error.code())
        .with_high_watermark(partition.high_watermark.0)
        .with_last_stable_offset(partition.last_stable_offset.0)
        .with_aborted_transactions(aborted)
        .with_records(Some(bytes_of(&partition.records)));
    if version >= 5 {
        crates.log_start_offset = partition.log_start_offset.0;
    }
    if version >= 11 {
        crates.preferred_read_replica = partition.preferred_read_replica.map_or(-1, |node| node.0).into();
    }
    if version >= 12 {
        if let Some(EpochEnd { epoch, end_offset }) = partition.diverging_epoch {
            crates.diverging_epoch.epoch = epoch.0;
            crates.diverging_epoch.end_offset = end_offset.0;
        }
        if let Some(CurrentLeader { leader_id, leader_epoch }) = partition.current_leader {
            crates.current_leader.leader_id = leader_id.0.into();
            crates.current_leader.leader_epoch = leader_epoch.0;
        }
        if let Some(SnapshotEnd { end_offset, epoch }) = partition.snapshot {
            crates.snapshot_id.end_offset = end_offset.0;
            crates.snapshot_id.epoch = epoch.0;
        }
    }
    crates
}

fn bytes_of(parts: &[Part]) -> Bytes {
    let mut all = Vec::new();
    for part in parts {
        match part {
            Part::Bytes(bytes) => all.extend_from_slice(bytes),
            Part::Memory(slice) => all.extend_from_slice(slice),
            Part::File { .. } => panic!("no bytes at hand"),
        }
    }
    all.into()
}

proptest! {
    #[test]
    fn the_parts_together_are_what_the_crate_encodes(response in response(), correlation_id in any::<i32>()) {
        for version in 4..=18 {
            let theirs = encode_response(correlation_id, version, &as_the_crate_has_it(&response, version))
                .expect("fields suit the version");
            let ours = bytes_of(&response.clone().encode(correlation_id, version).expect("it is small"));
            prop_assert_eq!(&ours, &theirs, "v{}", version);
            let (decoded_id, _) = decode_response::<messages::FetchResponse>(version, &ours.slice(4..))
                .expect("the crate decodes it");
            prop_assert_eq!(decoded_id, correlation_id);
        }
    }
}

#[derive(Debug)]
struct NoFile;

impl FileObject for NoFile {
    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[test]
fn records_travel_as_the_parts_they_came_in_and_in_their_order() {
    let file = FileHandle::new(NoFile);
    let memory = Slice::copy_from(b"tail");
    let mut first = FetchPartition::new(0, ErrorCode::None);
    first.records = vec![
        Part::File { file: file.clone(), offset: 4096, len: 1 << 20 },
        Part::Bytes(Bytes::new()),
        Part::Memory(memory.clone()),
    ];
    let empty = FetchPartition::new(1, ErrorCode::NotLeaderOrFollower);
    let response = FetchResponse {
        topics: vec![FetchTopic { partitions: vec![first, empty], ..FetchTopic::default() }],
        ..FetchResponse::default()
    };
    let parts = response.encode(7, 12).expect("it is small");
    let [
        Part::Bytes(head),
        Part::File { file: sent, offset: 4096, len: 0x10_0000 },
        Part::Memory(tail),
        Part::Bytes(_),
    ] = &parts[..]
    else {
        panic!("{parts:?}")
    };
    assert!(sent.same(&file));
    assert_eq!(tail.as_ptr(), memory.as_ptr(), "the same memory, not a copy");
    let total: u64 = parts.iter().map(Part::len).sum();
    assert_eq!(u64::from(u32::from_be_bytes(head[..4].try_into().expect("four bytes"))), total - 4);
}

#[test]
fn what_a_length_prefix_cannot_say_is_refused() {
    let mut partition = FetchPartition::new(0, ErrorCode::None);
    partition.records = vec![Part::File { file: FileHandle::new(NoFile), offset: 0, len: 1 << 31 }];
    let response = FetchResponse {
        topics: vec![FetchTopic { partitions: vec![partition], ..FetchTopic::default() }],
        ..FetchResponse::default()
    };
    for version in 4..=18 {
        let outcome = response.clone().encode(1, version);
        assert!(matches!(outcome, Err(WireError::Encode(_))), "v{version}: {outcome:?}");
    }
}

#[test]
fn versions_that_the_codec_lacks_are_refused() {
    for version in [-1, 3, 19] {
        assert!(matches!(FetchResponse::default().encode(1, version), Err(WireError::Encode(_))));
    }
}
