//! Groups that change their protocol, empty or in use.

use super::*;
use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
    join_group_request::JoinGroupRequestProtocol, leave_group_request::MemberIdentity,
    sync_group_request::SyncGroupRequestAssignment,
};

/// What a consumer says: that it reads `t`, and owns these of its partitions (version 1).
fn reads_t(owned: &[i32]) -> Bytes {
    let mut bytes = vec![0, 1, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff];
    bytes.put_i32(i32::from(!owned.is_empty()));
    if !owned.is_empty() {
        put_topic(&mut bytes, owned);
    }
    bytes.into()
}

/// What a consumer is given, by another consumer or by the coordinator.
fn given(partitions: &[i32]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.put_i32(i32::from(!partitions.is_empty()));
    if !partitions.is_empty() {
        put_topic(&mut bytes, partitions);
    }
    bytes.put_i32(-1);
    bytes.into()
}

fn put_topic(bytes: &mut Vec<u8>, partitions: &[i32]) {
    bytes.put_slice(&[0, 1, b't']);
    bytes.put_i32(i32::try_from(partitions.len()).expect("few"));
    partitions.iter().for_each(|partition| bytes.put_i32(*partition));
}

fn classic_join(member: &str, owned: &[i32]) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(s("range")).with_metadata(reads_t(owned));
    JoinGroupRequest::default()
        .with_group_id(s("g").into())
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(20_000)
        .with_member_id(s(member))
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![protocol])
}

impl Bench {
    fn join_group(&mut self, request: JoinGroupRequest) -> (JoinGroupResponse, Vec<Record>) {
        let client = self.client();
        // Version 3 is the last that does not ask to come back with a name.
        let (reply, records) = self.ask(Request::Join(Box::new(request), 3, client));
        match reply {
            Ok(Response::Join(response)) => (*response, records),
            other => panic!("{other:?}"),
        }
    }

    fn sync_group(&mut self, member: &str, generation: i32, own: Option<Bytes>) -> Result<Bytes, ErrorCode> {
        let assignments = own
            .map(|own| SyncGroupRequestAssignment::default().with_member_id(s(member)).with_assignment(own));
        let request = SyncGroupRequest::default()
            .with_group_id(s("g").into())
            .with_generation_id(generation)
            .with_member_id(s(member))
            .with_protocol_type(Some(s("consumer")))
            .with_protocol_name(Some(s("range")))
            .with_assignments(assignments.into_iter().collect());
        match self.ask(Request::Sync(Box::new(request))).0 {
            Ok(Response::Sync(response)) => Ok(response.assignment),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    }

    fn heartbeat(&mut self, member: &str, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest::default()
            .with_group_id(s("g").into())
            .with_member_id(s(member))
            .with_generation_id(generation);
        self.ask(Request::Heartbeat(request)).0.err().unwrap_or(ErrorCode::None)
    }

    /// A classic group in its first generation, whose one member owns 0 and 1; the member's name.
    fn classic_group(&mut self, own: Bytes) -> String {
        let client = self.client();
        let (replies, _) = self.ask_all(Request::Join(Box::new(classic_join("", &[])), 3, client));
        assert_eq!(replies, [], "a new group waits for more");
        self.pass_ms(3000);
        let Some(Ok(Response::Join(joined))) = self.late.pop() else { panic!("{:?}", self.late) };
        let name = joined.member_id.to_string();
        assert_eq!(self.sync_group(&name, 1, Some(own.clone())), Ok(own));
        name
    }

    fn kind(&self) -> (&'static str, &'static str) {
        let listed = self.coordinator.list(&[], &[]);
        (listed[0].kind, listed[0].state)
    }
}

#[test]
fn a_classic_group_in_use_becomes_a_consumer_group_and_its_members_keep_what_they_have() {
    let mut bench = Bench::new(&[("t", 2)]);
    let old = bench.classic_group(given(&[0, 1]));
    let (response, records) = bench.beat(join("z", &["t"]));
    assert_eq!((response.member_epoch, told(&response)), (2, Some(vec![])));
    let Record::Member { value: Some(member), .. } = &records[1] else { panic!("{records:?}") };
    assert_eq!((member.topics.len(), &*member.client_host), (1, "/1.2.3.4"));
    let classic = member.classic.as_ref().expect("speaks the classic protocol");
    assert_eq!((classic.session_timeout_ms, &*classic.protocols[0].0), (30_000, "range"));
    let hash = hash_in(&records);
    assert_eq!(records[0], Record::ClassicGroup { group: group(), value: None });
    let expected = [
        epoch(1, hash),
        target(&old, &[("t", &[0, 1])]),
        target_epoch(1, 0),
        current(&old, (1, 1), STABLE, &[(0, 1), (1, 1)], &[]),
        subscription("z", said("z", &["t"])),
        epoch(2, hash),
        target(&old, &[("t", &[0])]),
        target("z", &[("t", &[1])]),
        target_epoch(2, BEGAN_MS + 3000),
        current("z", (2, 0), UNRELEASED, &[], &[]),
    ];
    assert_eq!(records[2..], expected);
    assert_eq!(bench.kind(), ("consumer", "Reconciling"));

    // The old member is asked to join again, gives up, joins again, and is there.
    assert_eq!(bench.heartbeat(&old, 1), ErrorCode::RebalanceInProgress);
    let (joined, records) = bench.join_group(classic_join(&old, &[0, 1]));
    assert_eq!(
        (joined.error_code, joined.generation_id, joined.protocol_name.as_deref()),
        (0, 1, Some("range"))
    );
    assert_eq!(records.last(), Some(&current(&old, (1, 1), UNREVOKED, &[(0, 1)], &[(1, 1)])));
    assert_eq!(bench.sync_group(&old, 1, None), Ok(given(&[0])));
    assert_eq!(bench.heartbeat(&old, 1), ErrorCode::RebalanceInProgress);
    let (joined, records) = bench.join_group(classic_join(&old, &[0]));
    assert_eq!(joined.generation_id, 2);
    assert_eq!(records.last(), Some(&current(&old, (2, 1), STABLE, &[(0, 1)], &[])));
    assert_eq!(bench.sync_group(&old, 1, None), Err(ErrorCode::IllegalGeneration));
    assert_eq!(bench.sync_group(&old, 2, None), Ok(given(&[0])));
    assert_eq!(bench.heartbeat(&old, 2), ErrorCode::None);
    assert_eq!(told(&bench.beat(go_on("z", 2)).0), Some(vec![1]));
    assert_eq!(bench.kind(), ("consumer", "Stable"));
    let told = bench.describe();
    assert_eq!(told.members.iter().map(|member| member.member_type).sum::<i8>(), 1, "one of each kind");
}

#[test]
fn a_consumer_group_is_a_classic_one_again_when_only_classic_members_are_left() {
    let mut bench = Bench::new(&[("t", 2)]);
    let old = bench.classic_group(given(&[0, 1]));
    bench.beat(join("z", &["t"]));
    bench.join_group(classic_join(&old, &[0]));
    let (_, records) = bench.beat(go_on("z", -1));
    let Some(Record::ClassicGroup { value: Some(value), .. }) = records.last() else { panic!("{records:?}") };
    assert_eq!((value.generation, value.protocol.as_deref()), (2, Some("range")));
    assert_eq!(value.members.len(), 1);
    assert_eq!((&*value.members[0].id, &value.members[0].assignment), (&*old, &given(&[0])));
    let gone = |record: &Record| record.is_tombstone();
    assert!(records[..records.len() - 1].iter().all(gone));
    // What the other one had is free: the one that is left joins again.
    assert_eq!(bench.kind(), ("classic", "PreparingRebalance"));
    assert_eq!(bench.heartbeat(&old, 2), ErrorCode::RebalanceInProgress);
    bench.restart();
    assert_eq!(bench.kind(), ("classic", "Stable"));
}

#[test]
fn a_group_stays_what_it_is_where_migration_is_disabled() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.config.groups.consumer.migration = crate::config::Migration { upgrade: false, downgrade: false };
    bench.classic_group(given(&[0, 1]));
    assert_eq!(bench.refused(join("z", &["t"])), ErrorCode::GroupIdNotFound);
    assert_eq!(bench.kind(), ("classic", "Stable"));
    let mut bench = Bench::new(&[("t", 2)]);
    bench.config.groups.consumer.migration = crate::config::Migration { upgrade: false, downgrade: false };
    bench.beat(join("z", &["t"]));
    let (refused, records) = bench.join_group(classic_join("", &[]));
    assert_eq!((refused.error_code, records.len()), (ErrorCode::InconsistentGroupProtocol.code(), 0));
}

#[test]
fn groups_that_are_not_of_consumers_alone_are_not_upgraded() {
    let mut bench = Bench::new(&[("t", 2)]);
    let mut own = given(&[0, 1]).to_vec();
    own.truncate(own.len() - 4);
    own.put_i32(1);
    own.put_u8(7);
    bench.classic_group(own.into());
    assert_eq!(bench.refused(join("z", &["t"])), ErrorCode::GroupIdNotFound, "an assignor's own data");
    let mut bench = Bench::new(&[("t", 2)]);
    bench.classic_group(Bytes::from_static(b"junk"));
    assert_eq!(bench.refused(join("z", &["t"])), ErrorCode::GroupIdNotFound, "no consumer's assignment");
}

#[test]
fn a_leader_s_mistake_does_not_give_a_partition_to_two_after_the_upgrade() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.classic_group(given(&[0, 0, 1]));
    let (response, records) = bench.beat(join("z", &["t"]));
    assert_eq!(response.error_code, 0);
    assert!(!records.is_empty());
}

#[test]
fn a_classic_member_of_a_consumer_group_must_join_and_sync_in_time() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.config.groups.consumer.session_timeout_ms = 1_000_000;
    bench.beat(join("z", &["t"]));
    bench.pass_ms(1000);
    let (joined, _) = bench.join_group(classic_join("", &[]));
    let old = joined.member_id.to_string();
    assert_eq!((joined.error_code, joined.generation_id), (0, 2));
    assert_eq!(bench.pass_ms(19_999), []);
    assert_eq!(bench.pass_ms(1)[..3], gone(&old), "it did not sync");

    let (joined, _) = bench.join_group(classic_join("", &[]));
    let old = joined.member_id.to_string();
    assert_eq!(bench.sync_group(&old, joined.generation_id, None), Ok(given(&[])));
    bench.pass_ms(2000);
    bench.beat(join("y", &["t"]));
    assert_eq!(bench.heartbeat(&old, joined.generation_id), ErrorCode::RebalanceInProgress);
    bench.pass_ms(10_000);
    assert_eq!(bench.heartbeat(&old, joined.generation_id), ErrorCode::RebalanceInProgress);
    assert_eq!(bench.pass_ms(9_999), []);
    assert_eq!(bench.pass_ms(1)[..3], gone(&old), "it did not join");
}

#[test]
fn classic_members_are_held_to_their_protocol() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.beat(join("z", &["t"]));
    let connect = classic_join("", &[]).with_protocol_type(s("connect"));
    assert_eq!(bench.join_group(connect).0.error_code, ErrorCode::InconsistentGroupProtocol.code());
    let client = bench.client();
    let (reply, records) = bench.ask(Request::Join(Box::new(classic_join("", &[])), 4, client));
    let Ok(Response::Join(named)) = reply else { panic!("{reply:?}") };
    assert_eq!((named.error_code, records.len()), (ErrorCode::MemberIdRequired.code(), 0));
    assert_eq!(named.member_id.len(), 22);
    assert_eq!(bench.heartbeat("z", 1), ErrorCode::UnknownMemberId, "it speaks the other protocol");
    assert_eq!(bench.sync_group("z", 1, None), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn leave_group_takes_members_of_either_protocol_out_of_a_consumer_group() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.beat(join("z", &["t"]));
    bench.beat(join("i-1", &["t"]).with_instance_id(Some(s("i"))));
    let members = vec![
        MemberIdentity::default().with_member_id(s("nobody")),
        MemberIdentity::default().with_group_instance_id(Some(s("i"))),
    ];
    let request = LeaveGroupRequest::default().with_group_id(s("g").into()).with_members(members);
    let (reply, records) = bench.ask(Request::Leave(request));
    let Ok(Response::Leave(told)) = reply else { panic!("{reply:?}") };
    let errors: Vec<i16> = told.members.iter().map(|member| member.error_code).collect();
    assert_eq!(errors, [ErrorCode::UnknownMemberId.code(), 0]);
    assert_eq!(records[..3], gone("i-1"));
}

#[test]
fn a_static_member_that_comes_back_with_the_classic_protocol_takes_the_group_with_it() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.beat(join("i-1", &["t"]).with_instance_id(Some(s("i"))));
    bench.pass_ms(1000);
    let request = classic_join("", &[]).with_group_instance_id(Some(s("i")));
    let (joined, records) = bench.join_group(request);
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    let name = joined.member_id.to_string();
    let Some(Record::ClassicGroup { value: Some(value), .. }) = records.last() else { panic!("{records:?}") };
    assert_eq!((value.generation, &*value.members[0].id), (1, name.as_str()));
    assert_eq!(bench.kind(), ("classic", "Stable"));
    let request = SyncGroupRequest::default()
        .with_group_id(s("g").into())
        .with_generation_id(1)
        .with_member_id(s(&name))
        .with_group_instance_id(Some(s("i")));
    let (reply, _) = bench.ask(Request::Sync(Box::new(request)));
    let Ok(Response::Sync(told)) = reply else { panic!("{reply:?}") };
    assert_eq!(told.assignment, given(&[0, 1]));
}

#[test]
fn empty_groups_are_of_whichever_protocol_is_spoken_next() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.config.groups.consumer.migration = crate::config::Migration { upgrade: false, downgrade: false };
    let old = bench.classic_group(given(&[0, 1]));
    bench.pass_ms(30_000);
    assert_eq!(bench.kind(), ("classic", "Empty"));
    let (response, records) = bench.beat(join("z", &["t"]));
    assert_eq!((response.member_epoch, told(&response)), (1, Some(vec![0, 1])));
    assert_eq!(records[0], Record::ClassicGroup { group: group(), value: None });
    assert_eq!(bench.heartbeat(&old, 1), ErrorCode::UnknownMemberId);
    bench.beat(go_on("z", -1));
    assert_eq!(bench.kind(), ("consumer", "Empty"));
    bench.classic_group(given(&[0, 1]));
    assert_eq!(bench.kind(), ("classic", "Stable"));
    bench.restart();
    assert_eq!(bench.kind(), ("classic", "Stable"));
}
