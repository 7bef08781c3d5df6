//! Leaders that have been replaced and have not heard of it: what they tell, and what those tell that lead yet.

use super::{
    clients::{produce, sequenced},
    cluster::{Cluster, TOPIC, partition},
    groups::{commit, fetch},
    replication::outcome,
};
use crate::{
    engine::{
        Effects, FollowPosition, FollowRequest, FollowerId, FollowerSession, GatherId, Input, OwnerRequest,
        OwnerResponse, ShardMessage,
    },
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, Offset},
    log::Fault,
};
use corelane_seam::{ConnectionId, ShardId};
use kafka_protocol::{
    messages::{OffsetCommitResponse, OffsetFetchResponse},
    protocol::StrBytes,
};

fn committed(cluster: &mut Cluster, to: i32, client: ConnectionId, offset: i64) {
    cluster.send(to, client, 9, &commit("", -1, &[("t", 0, offset)]));
    cluster.settle();
    let response: OffsetCommitResponse = cluster.response(client, 9).expect("it is committed");
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
}

fn ask(cluster: &mut Cluster, to: i32, client: ConnectionId, require_stable: bool) {
    cluster.send(to, client, 9, &fetch(Some(&[0])).with_require_stable(require_stable));
}

/// The next answer: an offset, or the group's error.
fn told(cluster: &mut Cluster, client: ConnectionId) -> Option<Result<i64, ErrorCode>> {
    let response: OffsetFetchResponse = cluster.response(client, 9)?;
    let group = &response.groups[0];
    match ErrorCode::from_code(group.error_code).expect("known") {
        ErrorCode::None => Some(Ok(group.topics[0].partitions[0].committed_offset)),
        error => Some(Err(error)),
    }
}

/// So many brokers, of which the first coordinates group `g`; offset 5 was committed, by this connection.
fn coordinated(count: i32, partitions: i32, fault: Fault) -> (Cluster, ConnectionId) {
    let mut cluster = Cluster::start_with_groups(count, partitions, fault);
    let client = cluster.connect(1, 1);
    committed(&mut cluster, 1, client, 5);
    (cluster, client)
}

/// Broker 1 coordinated until broker 2 was made the leader, where an offset was committed since. It knows nothing of that.
fn replaced(fault: Fault) -> (Cluster, ConnectionId) {
    let (mut cluster, client) = coordinated(3, 1, fault);
    let other = cluster.connect(2, 2);
    cluster.keep_from(1);
    cluster.elect(0, 2, Some(vec![2, 3]));
    cluster.pass_ms(100);
    committed(&mut cluster, 2, other, 9);
    (cluster, client)
}

#[test]
fn a_coordinator_that_was_replaced_tells_no_stable_offset_and_a_planted_bug_is_seen() {
    let (mut cluster, client) = replaced(Fault::None);
    ask(&mut cluster, 1, client, true);
    cluster.pass_ms(4_000);
    assert_eq!(told(&mut cluster, client), None, "no follower confirms it");
    cluster.pass_ms(1_000);
    assert_eq!(told(&mut cluster, client), Some(Err(ErrorCode::CoordinatorNotAvailable)));
    ask(&mut cluster, 1, client, false);
    cluster.settle();
    assert_eq!(told(&mut cluster, client), Some(Ok(5)), "who does not ask for stable ones is told at once");
    ask(&mut cluster, 1, client, true);
    cluster.let_know(1);
    assert_eq!(told(&mut cluster, client), Some(Err(ErrorCode::NotCoordinator)));

    let (mut cluster, client) = replaced(Fault::TellUnconfirmed);
    ask(&mut cluster, 1, client, true);
    cluster.settle();
    assert_eq!(told(&mut cluster, client), Some(Ok(5)), "9 was acknowledged");
}

/// Sends a batch of one record.
fn send_numbered(cluster: &mut Cluster, to: i32, client: ConnectionId, sequence: i32) {
    let request = produce(TOPIC, -1, &[(0, sequenced(&["a"], 7, 0, sequence))]).with_timeout_ms(30_000);
    cluster.send(to, client, 10, &request);
    cluster.settle();
}

#[test]
fn a_leader_that_was_replaced_calls_no_batch_out_of_order_and_a_planted_bug_is_seen() {
    let replaced = |fault| {
        let mut cluster = Cluster::start_with(3, 1, fault);
        let (client, other) = (cluster.connect(1, 1), cluster.connect(2, 2));
        send_numbered(&mut cluster, 1, client, 0);
        assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::None, 0)));
        cluster.keep_from(1);
        cluster.elect(0, 2, Some(vec![2, 3]));
        cluster.pass_ms(100);
        send_numbered(&mut cluster, 2, other, 1);
        assert_eq!(outcome(&mut cluster, other), Some((ErrorCode::None, 1)));
        // A client whose metadata is old, too.
        send_numbered(&mut cluster, 1, client, 2);
        (cluster, client)
    };
    let (mut cluster, client) = replaced(Fault::None);
    assert_eq!(outcome(&mut cluster, client), None);
    cluster.pass_ms(5_000);
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::NotLeaderOrFollower, -1)));
    send_numbered(&mut cluster, 1, client, 2);
    cluster.let_know(1);
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::NotLeaderOrFollower, -1)));
    let (mut cluster, client) = replaced(Fault::TellUnconfirmed);
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::OutOfOrderSequenceNumber, -1)));
}

#[test]
fn a_leader_that_leads_says_what_is_out_of_order_as_soon_as_all_in_sync_have_fetched_once_more() {
    let mut cluster = Cluster::start(3, 1);
    let client = cluster.connect(1, 1);
    send_numbered(&mut cluster, 1, client, 0);
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::None, 0)));
    send_numbered(&mut cluster, 1, client, 2);
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::OutOfOrderSequenceNumber, -1)));
}

#[test]
fn a_coordinator_tells_stable_offsets_as_soon_as_all_in_sync_have_fetched_once_more() {
    let (mut cluster, client) = coordinated(3, 1, Fault::None);
    cluster.pass_ms(2_000);
    for _ in 0..3 {
        ask(&mut cluster, 1, client, true);
        assert_eq!(told(&mut cluster, client), None, "nobody has spoken yet");
        cluster.settle();
        assert_eq!(
            told(&mut cluster, client),
            Some(Ok(5)),
            "without waiting for the end of any fetch's wait"
        );
    }
    cluster.vanish(3);
    ask(&mut cluster, 1, client, true);
    cluster.settle();
    assert_eq!(told(&mut cluster, client), None, "broker 3 may lead next");
    cluster.fence(3);
    cluster.settle();
    assert_eq!(told(&mut cluster, client), Some(Ok(5)), "it is not in sync any more");
    cluster.kill(2);
    cluster.settle();
    ask(&mut cluster, 1, client, true);
    cluster.settle();
    assert_eq!(told(&mut cluster, client), Some(Ok(5)), "nobody else is in sync");
}

#[test]
fn with_fewer_in_sync_than_must_be_no_stable_offset_is_told_because_who_is_not_may_lead_next() {
    let mut cluster = Cluster::start_with_groups(3, 1, Fault::None);
    cluster.configure("min.insync.replicas", "2");
    let client = cluster.connect(1, 1);
    committed(&mut cluster, 1, client, 5);
    cluster.kill(2);
    cluster.kill(3);
    cluster.settle();
    assert_eq!(cluster.isr(0), [1]);
    ask(&mut cluster, 1, client, true);
    cluster.pass_ms(5_000);
    assert_eq!(told(&mut cluster, client), Some(Err(ErrorCode::CoordinatorNotAvailable)));
    ask(&mut cluster, 1, client, true);
    cluster.boot(2);
    cluster.pass_ms(1_000);
    assert_eq!(told(&mut cluster, client), Some(Ok(5)));
}

#[test]
fn a_follower_that_does_not_answer_leaves_the_isr_although_it_has_all_there_is() {
    let (mut cluster, client) = coordinated(3, 1, Fault::None);
    cluster.cut_between(1, 3);
    cluster.pass_ms(100_000);
    assert_eq!(cluster.isr(0), [1, 2, 3], "nobody wants anything of it");
    ask(&mut cluster, 1, client, true);
    cluster.pass_ms(5_000);
    assert_eq!(told(&mut cluster, client), Some(Err(ErrorCode::CoordinatorNotAvailable)));
    cluster.pass_ms(25_000);
    assert_eq!(cluster.isr(0), [1, 2, 3], "it has the time that others have");
    cluster.pass_ms(25_000);
    assert_eq!(cluster.isr(0), [1, 2]);
    ask(&mut cluster, 1, client, true);
    cluster.settle();
    assert_eq!(told(&mut cluster, client), Some(Ok(5)));
    cluster.cut.clear();
    cluster.pass_ms(2_000);
    assert_eq!(cluster.isr(0), [1, 2, 3]);
}

#[test]
fn a_follower_that_was_silent_for_a_moment_stays_in_sync() {
    let (mut cluster, client) = coordinated(2, 2, Fault::None);
    cluster.pass_ms(1_000);
    // A flush that takes long, of another group's partition: the follower fetches when that has come to its end.
    cluster.hold_disk(2);
    let other = commit("", -1, &[("t", 0, 6)]).with_group_id(StrBytes::from_static_str("f").into());
    cluster.send(1, client, 9, &other);
    cluster.settle();
    let asking = cluster.connect(1, 2);
    ask(&mut cluster, 1, asking, true);
    cluster.pass_ms(6_000);
    assert_eq!(told(&mut cluster, asking), Some(Err(ErrorCode::CoordinatorNotAvailable)));
    cluster.release_disk(2);
    cluster.pass_ms(1_000);
    let _: OffsetCommitResponse = cluster.response(client, 9).expect("it is committed");
    cluster.pass_ms(120_000);
    assert!(
        cluster.asked_for_isr.is_empty(),
        "it fetches, and has all there is: {:?}",
        cluster.asked_for_isr
    );
    ask(&mut cluster, 1, asking, true);
    cluster.settle();
    assert_eq!(told(&mut cluster, asking), Some(Ok(5)));
}

#[test]
fn a_fetch_that_was_on_its_way_when_the_question_came_confirms_nothing() {
    let (mut cluster, client) = coordinated(2, 1, Fault::None);
    cluster.cut_between(1, 2);
    cluster.settle();
    ask(&mut cluster, 1, client, true);
    // The session of a connection that this test holds, from another shard.
    let (from, image, now) = (ShardId(7), cluster.image.clone(), cluster.now);
    let position = FollowPosition {
        id: partition(0),
        from: cluster.marks(1, 0).2,
        bytes_max: 1000,
        current_leader_epoch: LeaderEpoch(0),
        last_fetched_epoch: LeaderEpoch(0),
        log_start: Offset(0),
    };
    let follow = |cluster: &mut Cluster, number: u64, delivered: u64| {
        let request = OwnerRequest::Follow(FollowRequest {
            owner: ShardId(0),
            session: FollowerSession { shard: from, connection: ConnectionId(5) },
            who: FollowerId { node: NodeId(2), epoch: -1 },
            is_fresh: number == 1,
            once: false,
            delivered,
            named: if number == 1 { vec![position] } else { Vec::new() },
            forgotten: Vec::new(),
            bytes_max: 1000,
            wait_for_bytes: 1,
        });
        let gather = GatherId(number);
        let message = ShardMessage::Ask { gather, request, seen: image.last_applied() };
        let engine = &mut cluster.nodes.get_mut(&1).expect("it lives").engine;
        let mut effects = Effects::default();
        engine.handle(now, Input::Message { from, message }, &mut effects);
        engine.handle(now, Input::TurnEnded, &mut effects);
        let serial = effects.messages.iter().find_map(|(_, message)| match message {
            ShardMessage::Answer { response: OwnerResponse::Followed { serial, .. }, .. } => Some(*serial),
            _ => None,
        });
        (serial, effects.replies.len())
    };
    let (serial, told_to) = follow(&mut cluster, 1, 0);
    assert_eq!((serial, told_to), (Some(1), 0), "its first fetch: nobody knows when it left");
    let (serial, told_to) = follow(&mut cluster, 2, 0);
    assert_eq!((serial, told_to), (Some(2), 0), "the first answer did not arrive before this left");
    let (_, told_to) = follow(&mut cluster, 3, 2);
    assert_eq!(told_to, 1, "this left after an answer that was given after the question");
}
