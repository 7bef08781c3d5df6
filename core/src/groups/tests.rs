//! What a coordinator decides: the replies and the exact records.

mod transactions;

use super::{
    records::{GroupValue, MemberValue, OffsetValue, Record},
    *,
};
use crate::{
    config::BrokerConfig,
    engine::{Asker, GatherId},
    error::ErrorCode,
    ids::{Offset, TopicId},
    metadata::Image,
};
use bytes::Bytes;
use corelane_seam::{Monotonic, Now, ShardId};
use kafka_protocol::{
    messages::{
        JoinGroupRequest, SyncGroupRequest, join_group_request::JoinGroupRequestProtocol,
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::StrBytes,
};
use std::sync::Arc;
use uuid::Uuid;

const UNIX_MS: i64 = 1_700_000_000_000;

/// A coordinator with its world.
struct Bench {
    coordinator: Coordinator,
    image: Image,
    config: BrokerConfig,
    now: Now,
    tickets: u32,
}

impl Bench {
    fn new() -> Bench {
        let mut bench = Bench {
            coordinator: Coordinator::new(),
            image: Image::default(),
            config: BrokerConfig::default(),
            now: Now { monotonic: Monotonic(1_000_000_000), unix_ms: UNIX_MS },
            tickets: 0,
        };
        let (image, config) = (bench.image.clone(), bench.config.clone());
        bench.coordinator.loaded(Scene { now: bench.now, image: &image, config: &config });
        bench
    }

    fn with<R>(&mut self, call: impl FnOnce(&mut Coordinator, Scene<'_>) -> R) -> R {
        let scene = Scene { now: self.now, image: &self.image, config: &self.config };
        let result = call(&mut self.coordinator, scene);
        self.coordinator.check();
        result
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        let asker = Asker { shard: ShardId(0), gather: GatherId(u64::from(self.tickets)) };
        Ticket { asker, place: 0 }
    }

    /// Decides, and replays as its owner would.
    fn ask(&mut self, request: Request) -> (Ticket, Outcome) {
        let ticket = self.ticket();
        let outcome = self.with(|coordinator, scene| coordinator.handle(scene, ticket, request));
        self.replay(&outcome);
        (ticket, outcome)
    }

    fn replay(&mut self, outcome: &Outcome) {
        if !outcome.applied {
            outcome
                .records
                .iter()
                .for_each(|record| self.coordinator.replay(record.clone(), Offset(0), None));
        }
        self.coordinator.check();
    }

    fn stored(&mut self, then: Then, result: Result<(), ErrorCode>) -> Outcome {
        self.with(|coordinator, scene| coordinator.stored(scene, then, result))
    }

    /// Time passes, alarm by alarm; what they bring about.
    fn pass_ms(&mut self, ms: u64) -> Vec<Outcome> {
        self.now.monotonic = self.now.monotonic.after_ms(ms);
        self.now.unix_ms += i64::try_from(ms).expect("small");
        let mut outcomes = Vec::new();
        // A look for expired offsets that goes on at once sets its alarm anew: a few are enough.
        for _ in 0..20 {
            let Some(outcome) = self.with(Coordinator::alarm) else { break };
            self.replay(&outcome);
            outcomes.push(outcome);
        }
        outcomes
    }

    fn join(&mut self, member: &str, instance: Option<&str>) -> (Ticket, Outcome) {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(Bytes::from_static(b"wants"));
        let request = JoinGroupRequest::default()
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(20_000)
            .with_member_id(StrBytes::from_string(member.to_owned()))
            .with_group_instance_id(instance.map(|it| StrBytes::from_string(it.to_owned())))
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        let fresh = Uuid::from_u128(u128::from(self.tickets) + 1);
        let client = Client { id: "c".into(), host: "/1.2.3.4".into(), fresh };
        self.ask(Request::Join(Box::new(request), 9, client))
    }

    fn sync(&mut self, member: &str, generation: i32, gives: &'static [u8]) -> (Ticket, Outcome) {
        let given = SyncGroupRequestAssignment::default()
            .with_member_id(StrBytes::from_string(member.to_owned()))
            .with_assignment(Bytes::from_static(gives));
        let request = SyncGroupRequest::default()
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_generation_id(generation)
            .with_member_id(StrBytes::from_string(member.to_owned()))
            .with_assignments(vec![given]);
        self.ask(Request::Sync(Box::new(request)))
    }

    /// A static member that is stable in generation 1; its name.
    fn static_member(&mut self) -> String {
        self.join("", Some("i"));
        let outcomes = self.pass_ms(3000);
        let [(_, Ok(Response::Join(joined)))] = &outcomes[0].replies[..] else { panic!("{outcomes:?}") };
        let member = joined.member_id.to_string();
        let (_, outcome) = self.sync(&member, 1, b"all");
        let then = outcome.then.expect("it waits for its record");
        self.stored(then, Ok(()));
        member
    }
}

fn member_value(id: &str, assignment: &'static [u8]) -> MemberValue {
    MemberValue {
        id: id.into(),
        instance_id: Some("i".into()),
        client_id: "c".into(),
        client_host: "/1.2.3.4".into(),
        rebalance_timeout_ms: 20_000,
        session_timeout_ms: 10_000,
        subscription: Bytes::from_static(b"wants"),
        assignment: Bytes::from_static(assignment),
    }
}

fn commit(generation: i32, member: &str) -> Request {
    let offset = NewOffset { offset: 42, leader_epoch: 3, metadata: "note".into() };
    let topic = TopicOffsets { name: "t".into(), id: TopicId::ZERO, partitions: vec![(7, offset)] };
    Request::Commit(CommitOffsets {
        group: "g".into(),
        generation,
        member: member.to_owned(),
        instance: None,
        retention_ms: None,
        version: 9,
        topics: vec![topic],
    })
}

fn committed() -> Record {
    Record::Offset {
        group: "g".into(),
        topic: "t".into(),
        partition: 7,
        value: Some(OffsetValue {
            offset: 42,
            leader_epoch: 3,
            metadata: "note".into(),
            committed_at_ms: UNIX_MS,
            expires_at_ms: None,
            topic_id: TopicId::ZERO,
        }),
    }
}

#[test]
fn a_new_group_is_written_down_before_anyone_is_told_of_it() {
    let mut bench = Bench::new();
    let (ticket, outcome) = bench.join("", None);
    let [(told, Ok(Response::Join(response)))] = &outcome.replies[..] else { panic!("{outcome:?}") };
    assert_eq!(*told, ticket);
    assert_eq!(response.error_code, ErrorCode::MemberIdRequired.code());
    assert_eq!(response.member_id.as_str(), "c-00000000-0000-0000-0000-000000000001");
    let value = GroupValue { state_since_ms: -1, ..GroupValue::default() };
    assert_eq!(outcome.records, [Record::ClassicGroup { group: "g".into(), value: Some(value) }]);
}

#[test]
fn an_assignment_is_told_when_its_record_is_stored() {
    let mut bench = Bench::new();
    bench.join("", Some("i"));
    let joined = bench.pass_ms(3000);
    let [(_, Ok(Response::Join(response)))] = &joined[0].replies[..] else { panic!("{joined:?}") };
    let member = response.member_id.to_string();
    let (ticket, outcome) = bench.sync(&member, 1, b"all");
    let value = GroupValue {
        protocol_type: "consumer".into(),
        generation: 1,
        protocol: Some("range".into()),
        leader: Some(Arc::from(&*member)),
        state_since_ms: UNIX_MS + 3000,
        members: vec![member_value(&member, b"all")],
    };
    assert_eq!(outcome.records, [Record::ClassicGroup { group: "g".into(), value: Some(value) }]);
    assert!(outcome.replies.is_empty(), "nothing is stored yet");
    let stored = bench.stored(outcome.then.expect("it waits"), Ok(()));
    let [(told, Ok(Response::Sync(response)))] = &stored.replies[..] else { panic!("{stored:?}") };
    assert_eq!((*told, &response.assignment[..]), (ticket, &b"all"[..]));
}

#[test]
fn an_assignment_that_cannot_be_stored_makes_the_group_rebalance() {
    let mut bench = Bench::new();
    bench.join("", Some("i"));
    let joined = bench.pass_ms(3000);
    let [(_, Ok(Response::Join(response)))] = &joined[0].replies[..] else { panic!("{joined:?}") };
    let member = response.member_id.to_string();
    let (ticket, outcome) = bench.sync(&member, 1, b"all");
    let failed = bench.stored(outcome.then.expect("it waits"), Err(ErrorCode::NotCoordinator));
    assert_eq!(failed.replies, [(ticket, Err(ErrorCode::NotCoordinator))]);
    let listed = bench.coordinator.list(&[], &[]);
    assert_eq!(listed[0].state, "PreparingRebalance");
}

#[test]
fn a_commit_is_one_record_for_each_partition() {
    let mut bench = Bench::new();
    let (ticket, outcome) = bench.ask(commit(-1, ""));
    assert_eq!(outcome.records, [committed()]);
    let results =
        vec![TopicOffsets { name: "t".into(), id: TopicId::ZERO, partitions: vec![(7, ErrorCode::None)] }];
    assert_eq!(outcome.replies, [(ticket, Ok(Response::Commit(results)))]);
    // Whoever commits without being a member makes a group that tools list.
    assert_eq!(bench.coordinator.list(&[], &[])[0].state, "Empty");
}

#[test]
fn offsets_of_an_empty_group_expire_counted_from_when_it_became_empty() {
    let mut bench = Bench::new();
    let member = bench.static_member();
    let (_, outcome) = bench.ask(commit(1, &member));
    assert!(matches!(outcome.replies[..], [(_, Ok(Response::Commit(_)))]), "{outcome:?}");
    // It falls silent; the group is empty ten seconds after its last word.
    bench.pass_ms(10_001);
    assert_eq!(bench.coordinator.list(&[], &[])[0].state, "Empty");
    let retention_ms = u64::try_from(bench.config.groups.offsets_retention_ms).expect("positive");
    let early = bench.pass_ms(retention_ms - 600_000);
    assert!(early.iter().all(|outcome| outcome.records.is_empty()), "{early:?}");
    let late = bench.pass_ms(600_000);
    let gone = Record::Offset { group: "g".into(), topic: "t".into(), partition: 7, value: None };
    let records: Vec<Record> = late.into_iter().flat_map(|outcome| outcome.records).collect();
    assert_eq!(records, [gone, Record::ClassicGroup { group: "g".into(), value: None }]);
    assert!(bench.coordinator.list(&[], &[]).is_empty());
}

#[test]
fn a_static_members_new_name_is_taken_back_when_it_cannot_be_stored() {
    let mut bench = Bench::new();
    let old = bench.static_member();
    let (ticket, outcome) = bench.join("", Some("i"));
    let [Record::ClassicGroup { value: Some(value), .. }] = &outcome.records[..] else {
        panic!("{outcome:?}")
    };
    let new = value.members[0].id.to_string();
    assert_ne!(new, old);
    assert_eq!(value.members, [member_value(&new, b"all")]);
    let failed = bench.stored(outcome.then.expect("it waits"), Err(ErrorCode::NotCoordinator));
    let [(told, Ok(Response::Join(response)))] = &failed.replies[..] else { panic!("{failed:?}") };
    assert_eq!((*told, response.error_code), (ticket, ErrorCode::NotCoordinator.code()));
    let (_, outcome) = bench.sync(&old, 1, b"ignored");
    let [(_, Ok(Response::Sync(response)))] = &outcome.replies[..] else { panic!("{outcome:?}") };
    assert_eq!(&response.assignment[..], b"all", "its old name is good again");
}

#[test]
fn a_coordinator_that_replays_what_another_wrote_knows_the_same() {
    let mut bench = Bench::new();
    let mut log = Vec::new();
    bench.join("", Some("i"));
    let joined = bench.pass_ms(3000);
    let [(_, Ok(Response::Join(response)))] = &joined[0].replies[..] else { panic!("{joined:?}") };
    let member = response.member_id.to_string();
    let (_, outcome) = bench.sync(&member, 1, b"all");
    log.extend(outcome.records.iter().cloned());
    bench.stored(outcome.then.expect("it waits"), Ok(()));
    let (_, outcome) = bench.ask(commit(1, &member));
    log.extend(outcome.records);
    let mut other = Bench::new();
    for record in log {
        // Through the bytes, as a log holds it.
        let read = Record::decode(&record.key(), record.value().as_deref());
        other.coordinator.replay(read.expect("it reads").expect("it is ours"), Offset(0), None);
    }
    let now = other.now;
    other.with(|coordinator, scene| coordinator.loaded(Scene { now, ..scene }));
    assert_eq!(other.coordinator.list(&[], &[]), bench.coordinator.list(&[], &[]));
    let (_, outcome) = other.ask(commit(1, &member));
    assert!(matches!(outcome.replies[..], [(_, Ok(Response::Commit(_)))]), "{outcome:?}");
    let (_, outcome) = other.sync(&member, 1, b"ignored");
    let [(_, Ok(Response::Sync(response)))] = &outcome.replies[..] else { panic!("{outcome:?}") };
    assert_eq!(&response.assignment[..], b"all");
}
