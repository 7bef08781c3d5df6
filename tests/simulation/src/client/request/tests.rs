//! Every request as it is encoded passes as the broker reads it.

use super::*;
use crate::client::record::{self, By};
use corelane_core::{ids::ProducerEpoch, wire::try_frame};

fn group_requests(partition: PartitionId, topic: &Rc<str>) -> impl Iterator<Item = GroupRequest> {
    let member = || Rc::clone(topic);
    let named = (partition, Rc::clone(topic));
    let producer = (ProducerId(5), ProducerEpoch(6));
    let assignments = vec![(member(), vec![partition])];
    [
        GroupRequest::FindCoordinator,
        GroupRequest::Join { member: member() },
        GroupRequest::Sync { member: member(), generation: 1, assignments },
        GroupRequest::Heartbeat { member: member(), generation: 1 },
        GroupRequest::Leave { member: member() },
        GroupRequest::Commit {
            member: member(),
            generation: 1,
            by_epoch: true,
            offsets: vec![(named.clone(), 5)],
        },
        GroupRequest::Report {
            member: member(),
            epoch: 0,
            wants: Some(vec![member()]),
            owned: Some(vec![partition]),
        },
        GroupRequest::FetchOffsets { partitions: vec![named.clone()], stable: false },
        GroupRequest::FetchOffsets { partitions: vec![named.clone()], stable: true },
        GroupRequest::CommitInTransaction { id: member(), producer, adds: true, offset: (named.clone(), 5) },
        GroupRequest::CommitInTransaction { id: member(), producer, adds: false, offset: (named, 5) },
    ]
    .into_iter()
}

fn transaction_requests(partition: PartitionId, topic: &Rc<str>) -> impl Iterator<Item = TransactionRequest> {
    let producer = (ProducerId(5), ProducerEpoch(6));
    [
        TransactionRequest::FindCoordinator,
        TransactionRequest::Init,
        TransactionRequest::AddPartitions { producer, partitions: vec![(partition, Rc::clone(topic))] },
        TransactionRequest::AddOffsets { producer, group: Rc::clone(topic) },
        TransactionRequest::End { producer, commit: true, v2: false },
        TransactionRequest::End { producer, commit: false, v2: true },
    ]
    .into_iter()
}

fn every_kind() -> Vec<Request> {
    let partition = PartitionId { topic: TopicId::ZERO, index: 1 };
    let topic: Rc<str> = "t".into();
    let wanted = Wanted { partition, topic: Rc::clone(&topic), from: Offset(3), named: true };
    let fetch = |by_id, session| {
        Request::Fetch(Fetch {
            by_id,
            of_leader: false,
            session,
            wanted: vec![wanted.clone()],
            forgotten: if session.is_some() { vec![wanted.clone()] } else { Vec::new() },
            max_wait_ms: 1,
            max_bytes: 2,
            partition_max_bytes: 3,
            committed: by_id,
        })
    };
    let produce = |by_id, transaction| Request::Produce {
        acks: Acks::All,
        by_id,
        transaction,
        batches: vec![Batch {
            partition,
            topic: Rc::clone(&topic),
            records: vec![RecordId(7)],
            bytes: record::batch(&[RecordId(7)], 5, Codec::None, 1, By::Anyone, false),
            producer: None,
        }],
    };
    let name = || Rc::clone(&topic);
    let configs = vec![("segment.ms", "1000".to_owned())];
    [
        Request::ApiVersions,
        Request::Metadata,
        Request::CreateTopic { name: name(), partitions: 3, configs },
        Request::DeleteTopic { topic: partition.topic, name: name() },
        Request::CreatePartitions { topic: partition.topic, name: name(), count: 4 },
        Request::AlterConfig { name: Some(name()), key: "segment.ms", value: "5".to_owned() },
        Request::AlterConfig { name: None, key: "leader.replication.throttled.rate", value: "5".to_owned() },
        Request::InitProducerId,
        Request::ElectLeaders,
        Request::Reassign { partition, topic: name(), replicas: Some(vec![3, 1]) },
        Request::Reassign { partition, topic: name(), replicas: None },
        produce(false, None),
        produce(true, None),
        produce(false, Some(Transaction { id: name(), adds: false })),
        produce(false, Some(Transaction { id: name(), adds: true })),
        fetch(false, None),
        fetch(false, Some((7, 1))),
        fetch(true, Some((7, 1))),
        Request::ListOffsets { partition, topic: name(), spec: Spec::MaxTimestamp },
        Request::ListOffsets { partition, topic: name(), spec: Spec::Timestamp(5) },
        Request::DeleteRecords { partition, topic: name(), before: Offset(2) },
    ]
    .into_iter()
    .chain(group_requests(partition, &topic).map(|request| Request::Group { group: name(), request }))
    .chain(transaction_requests(partition, &topic).map(|it| Request::Transaction { id: name(), request: it }))
    .collect()
}

#[test]
fn every_request_in_every_version_passes_the_brokers_guard() {
    for request in every_kind() {
        for version in request.versions() {
            let frame = request.encode(5, *version).slice(4..);
            let header = try_frame(&frame).unwrap_or_else(|error| panic!("{request:?} {version}: {error}"));
            assert_eq!((header.correlation_id, header.api_version), (5, *version));
        }
    }
}
