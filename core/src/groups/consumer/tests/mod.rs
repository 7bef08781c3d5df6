//! A coordinator alone: each test says what members send and compares what they are told, and the records.

mod groups;
mod members;
mod migration;
mod topics;
mod whole;

use crate::{
    config::BrokerConfig,
    engine::{Asker, GatherId},
    error::ErrorCode,
    groups::{
        Client, Coordinator, GroupId, Outcome, Reply, Request, Response, Scene, Ticket,
        records::{CurrentAssignment, MemberSubscription, Owned, Record, TopicPartitions},
    },
    ids::{LeaderEpoch, NodeId, Offset, TopicId},
    metadata::{self, Batch, Image, MetadataOffset, PartitionRecord},
};
use corelane_seam::{Monotonic, Now, ShardId};
use kafka_protocol::{
    messages::{
        ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, TopicName,
        consumer_group_describe_response::DescribedGroup,
        consumer_group_heartbeat_request::TopicPartitions as OwnedPartitions,
    },
    protocol::StrBytes,
};
use std::sync::Arc;
use uuid::Uuid;

const TICKET: Ticket = Ticket { asker: Asker { shard: ShardId(0), gather: GatherId(0) }, place: 0 };

pub(super) fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn group() -> GroupId {
    "g".into()
}

/// The topics of a bench by their names: `t`'s id is that of its letter.
pub(super) fn topic_id(name: &str) -> TopicId {
    TopicId(Uuid::from_u128(name.bytes().fold(0, |id, byte| id << 8 | u128::from(byte))))
}

/// A coordinator with its metadata and its clock.
pub(super) struct Bench {
    pub coordinator: Coordinator,
    pub image: Image,
    pub config: BrokerConfig,
    pub now: Now,
    /// Everything that was written down.
    pub log: Vec<Record>,
    /// What was answered when time passed.
    pub late: Vec<Reply>,
    applied: u64,
    fresh: u128,
}

pub(super) const BEGAN_MS: i64 = 1_700_000_000_000;

impl Bench {
    /// With these topics.
    pub fn new(topics: &[(&str, i32)]) -> Bench {
        let mut bench = Bench {
            coordinator: Coordinator::new(),
            image: Image::new(),
            config: BrokerConfig::default(),
            now: Now { monotonic: Monotonic(1_000_000_000), unix_ms: BEGAN_MS },
            log: Vec::new(),
            late: Vec::new(),
            applied: 0,
            fresh: 0,
        };
        topics.iter().for_each(|(name, partitions)| bench.create(name, *partitions));
        bench.restart();
        bench
    }

    /// The coordinator is loaded from its log.
    pub fn restart(&mut self) {
        self.coordinator = Coordinator::new();
        self.log.iter().for_each(|record| self.coordinator.replay(record.clone(), Offset(0), None));
        let scene = Scene { now: self.now, image: &self.image, config: &self.config };
        self.coordinator.loaded(scene);
    }

    fn apply(&mut self, records: Vec<metadata::Record>) {
        self.applied += 1;
        self.image.apply(MetadataOffset(self.applied), &Batch::of(records)).expect("possible");
    }

    pub fn create(&mut self, name: &str, partitions: i32) {
        let topic = metadata::Record::Topic { name: name.into(), id: topic_id(name) };
        let partitions = (0..partitions).map(|index| partition(name, index));
        self.apply([topic].into_iter().chain(partitions).collect());
    }

    pub fn add_partition(&mut self, name: &str, index: i32) {
        self.apply(vec![partition(name, index)]);
    }

    pub fn delete(&mut self, name: &str) {
        self.apply(vec![metadata::Record::RemoveTopic { id: topic_id(name) }]);
    }

    /// Sets one of the group's own settings.
    pub fn configure(&mut self, key: &str, value: &str) {
        let resource = metadata::ConfigResource::Group(group().to_string());
        let (key, value) = (key.to_owned(), Some(value.to_owned()));
        self.apply(vec![metadata::Record::Config { resource, key, value }]);
    }

    /// Metadata that is no group's business.
    pub fn change_something_else(&mut self) {
        self.apply(vec![metadata::Record::FeatureLevel {
            name: "metadata.version".into(),
            level: 7 + i16::try_from(self.applied).expect("few"),
        }]);
    }

    /// Whatever comes of a request, all of it committed at once.
    pub fn ask(&mut self, request: Request) -> (Reply, Vec<Record>) {
        let ticket = TICKET;
        let scene = Scene { now: self.now, image: &self.image, config: &self.config };
        let outcome = self.coordinator.handle(scene, ticket, request);
        let (mut replies, records) = self.take(outcome);
        (replies.pop().expect("an answer"), records)
    }

    /// Every reply, for requests that answer others too.
    pub fn ask_all(&mut self, request: Request) -> (Vec<Reply>, Vec<Record>) {
        let ticket = TICKET;
        let scene = Scene { now: self.now, image: &self.image, config: &self.config };
        let outcome = self.coordinator.handle(scene, ticket, request);
        self.take(outcome)
    }

    fn take(&mut self, outcome: Outcome) -> (Vec<Reply>, Vec<Record>) {
        let mut replies: Vec<Reply> = outcome.replies.into_iter().map(|(_, reply)| reply).collect();
        let mut records = outcome.records;
        for record in &records {
            let read = Record::decode(&record.key(), record.value().as_deref());
            assert_eq!(read, Ok(Some(record.clone())), "what is written can be read");
            self.log.push(record.clone());
            if !outcome.applied {
                self.coordinator.replay(record.clone(), Offset(0), None);
            }
        }
        self.coordinator.check();
        if let Some(then) = outcome.then {
            let scene = Scene { now: self.now, image: &self.image, config: &self.config };
            let next = self.coordinator.stored(scene, then, Ok(()));
            let (mut more, mut written) = self.take(next);
            replies.append(&mut more);
            records.append(&mut written);
        }
        (replies, records)
    }

    /// Time passes in one go; what that brings about.
    pub fn pass_ms(&mut self, ms: u64) -> Vec<Record> {
        self.now.monotonic = self.now.monotonic.after_ms(ms);
        self.now.unix_ms += i64::try_from(ms).expect("small");
        let mut records = Vec::new();
        loop {
            let scene = Scene { now: self.now, image: &self.image, config: &self.config };
            let Some(outcome) = self.coordinator.alarm(scene) else { return records };
            let (mut replies, mut written) = self.take(outcome);
            self.late.append(&mut replies);
            records.append(&mut written);
        }
    }

    pub fn client(&mut self) -> Client {
        self.fresh += 1;
        Client { id: "client".into(), host: "/1.2.3.4".into(), fresh: Uuid::from_u128(self.fresh) }
    }

    pub fn beat(
        &mut self,
        request: ConsumerGroupHeartbeatRequest,
    ) -> (ConsumerGroupHeartbeatResponse, Vec<Record>) {
        let client = self.client();
        let (reply, records) = self.ask(Request::ConsumerHeartbeat(Box::new(request), client));
        match reply {
            Ok(Response::ConsumerHeartbeat(response)) => (*response, records),
            other => panic!("{other:?}"),
        }
    }

    /// A heartbeat that must be refused, and writes nothing then.
    pub fn refused(&mut self, request: ConsumerGroupHeartbeatRequest) -> ErrorCode {
        let (response, records) = self.beat(request);
        assert_eq!(records, [], "a refusal writes nothing");
        assert!(response.error_message.is_some_and(|message| message.len() > 10));
        ErrorCode::from_code(response.error_code).expect("a code")
    }

    pub fn describe(&mut self) -> DescribedGroup {
        match self.ask(Request::DescribeConsumer(group())) {
            (Ok(Response::DescribedConsumer(group)), _) => *group,
            other => panic!("{other:?}"),
        }
    }

    pub fn state(&mut self) -> String {
        self.describe().group_state.to_string()
    }
}

fn partition(topic: &str, index: i32) -> metadata::Record {
    metadata::Record::Partition(PartitionRecord {
        topic: topic_id(topic),
        index,
        replicas: vec![NodeId(1)],
        isr: vec![NodeId(1)],
        removing: vec![],
        adding: vec![],
        leader: Some(NodeId(1)),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: 0,
        ..PartitionRecord::default()
    })
}

/// A first heartbeat that names topics.
pub(super) fn join(member: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(s("g").into())
        .with_member_id(s(member))
        .with_member_epoch(0)
        .with_rebalance_timeout_ms(20_000)
        .with_subscribed_topic_names(Some(topics.iter().map(|topic| TopicName(s(topic))).collect()))
        .with_topic_partitions(Some(Vec::new()))
}

/// A heartbeat of a member that has nothing to say.
pub(super) fn go_on(member: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(s("g").into())
        .with_member_id(s(member))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
}

/// A heartbeat that says what the member owns.
pub(super) fn owning(member: &str, epoch: i32, owned: &[(&str, &[i32])]) -> ConsumerGroupHeartbeatRequest {
    let owned = owned.iter().map(|(topic, partitions)| {
        OwnedPartitions::default().with_topic_id(topic_id(topic).0).with_partitions(partitions.to_vec())
    });
    go_on(member, epoch).with_topic_partitions(Some(owned.collect()))
}

/// The partitions that a member is told, of its one topic; `None` when it is told nothing.
pub(super) fn told(response: &ConsumerGroupHeartbeatResponse) -> Option<Vec<i32>> {
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let assignment = response.assignment.as_ref()?;
    Some(assignment.topic_partitions.iter().flat_map(|topic| topic.partitions.clone()).collect())
}

// ---- records ----

pub(super) fn epoch(epoch: i32, hash: i64) -> Record {
    Record::ConsumerGroup { group: group(), value: Some((epoch, hash)) }
}

/// The hash of a group's last epoch among these records.
pub(super) fn hash_in(records: &[Record]) -> i64 {
    let of = |record: &Record| match record {
        Record::ConsumerGroup { value: Some((_, hash)), .. } => Some(*hash),
        _ => None,
    };
    records.iter().rev().find_map(of).expect("an epoch")
}

pub(super) fn said(member: &str, topics: &[&str]) -> MemberSubscription {
    MemberSubscription {
        instance_id: None,
        rack_id: None,
        client_id: "client".into(),
        client_host: "/1.2.3.4".into(),
        topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
        regex: Some("".into()),
        rebalance_timeout_ms: 20_000,
        assignor: None,
        classic: None,
    }
    .named(member)
}

trait Named {
    fn named(self, member: &str) -> Self;
}

impl Named for MemberSubscription {
    /// Static members of these tests are called `i-…` after their static name `i`.
    fn named(mut self, member: &str) -> Self {
        self.instance_id = member.split_once('-').map(|(instance, _)| instance.into());
        self
    }
}

pub(super) fn subscription(member: &str, value: MemberSubscription) -> Record {
    Record::Member { group: group(), member: member.into(), value: Some(value) }
}

pub(super) fn target(member: &str, topics: &[(&str, &[i32])]) -> Record {
    let topics = topics.iter().map(|(topic, partitions)| TopicPartitions {
        topic: topic_id(topic),
        partitions: partitions.to_vec(),
    });
    Record::Target { group: group(), member: member.into(), value: Some(topics.collect()) }
}

pub(super) fn target_epoch(epoch: i32, at_ms: i64) -> Record {
    Record::TargetEpoch { group: group(), value: Some((epoch, at_ms)) }
}

/// Partitions of `t`, each with the epoch at which it was given.
pub(super) fn owned(partitions: &[(i32, i32)]) -> Vec<Owned> {
    let owned = Owned {
        topic: topic_id("t"),
        partitions: partitions.iter().map(|(partition, _)| *partition).collect(),
        epochs: Some(partitions.iter().map(|(_, epoch)| *epoch).collect()),
    };
    if partitions.is_empty() { Vec::new() } else { vec![owned] }
}

/// A member's state: its epoch and the one before, how far it is, what it owns and what it gives up.
pub(super) fn current(
    member: &str,
    epochs: (i32, i32),
    state: i8,
    assigned: &[(i32, i32)],
    revoking: &[(i32, i32)],
) -> Record {
    let value = CurrentAssignment {
        epoch: epochs.0,
        previous_epoch: epochs.1,
        state,
        assigned: owned(assigned),
        pending_revocation: owned(revoking),
    };
    Record::Current { group: group(), member: member.into(), value: Some(value) }
}

pub(super) fn gone(member: &str) -> [Record; 3] {
    let (group, member) = (group(), Arc::from(member));
    [
        Record::Current { group: Arc::clone(&group), member: Arc::clone(&member), value: None },
        Record::Target { group: Arc::clone(&group), member: Arc::clone(&member), value: None },
        Record::Member { group, member, value: None },
    ]
}

pub(super) const STABLE: i8 = 0;
pub(super) const UNREVOKED: i8 = 1;
pub(super) const UNRELEASED: i8 = 2;
