//! What a cluster promises: acks=all is on every disk in sync, replicas agree, nothing acknowledged is lost.

use super::{
    clients::{batch, fetch, name, produce, records},
    cluster::{Cluster, TOPIC, partition},
};
use crate::{
    engine::{
        Effects, FollowPosition, FollowRequest, FollowerId, FollowerSession, GatherId, Input, OwnerRequest,
        OwnerResponse, Random, ShardMessage,
    },
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, Offset},
    log::Fault,
};
use corelane_seam::{ConnectionId, ShardId};
use kafka_protocol::messages::{
    FetchResponse, ListOffsetsRequest, ListOffsetsResponse, ProduceResponse,
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
};
use std::collections::BTreeMap;

pub fn send(cluster: &mut Cluster, to: i32, connection: ConnectionId, value: &str) {
    cluster.send(to, connection, 10, &produce(TOPIC, -1, &[(0, batch(&[value]))]));
}

/// Error and base offset of the next response.
pub fn outcome(cluster: &mut Cluster, connection: ConnectionId) -> Option<(ErrorCode, i64)> {
    let response: ProduceResponse = cluster.response(connection, 10)?;
    let partition = &response.responses[0].partition_responses[0];
    Some((ErrorCode::from_code(partition.error_code).expect("known"), partition.base_offset))
}

pub fn produced(cluster: &mut Cluster, to: i32, connection: ConnectionId, value: &str) -> i64 {
    send(cluster, to, connection, value);
    cluster.settle();
    let (error, offset) = outcome(cluster, connection).expect("it is acknowledged");
    assert_eq!(error, ErrorCode::None);
    offset
}

/// All replicas that live hold the same bytes below every high watermark.
pub fn assert_equal(cluster: &mut Cluster, index: i32) {
    let ids: Vec<i32> = cluster.nodes.keys().copied().collect();
    let mut all: BTreeMap<i64, (i32, Vec<u8>)> = BTreeMap::new();
    for id in ids {
        let (_, high_watermark, _) = cluster.marks(id, index);
        for (base, bytes) in cluster.batches(id, index, high_watermark) {
            let (other, expected) = all.entry(base).or_insert_with(|| (id, bytes.clone()));
            assert_eq!(*expected, bytes, "brokers {other} and {id} differ at {base}");
        }
    }
}

#[test]
fn acks_all_waits_for_the_flush_of_every_follower_in_sync() {
    let mut cluster = Cluster::start(3, 1);
    let client = cluster.connect(1, 1);
    cluster.hold_disk(3);
    send(&mut cluster, 1, client, "a");
    cluster.settle();
    assert_eq!(outcome(&mut cluster, client), None, "broker 3 has not flushed it");
    assert_eq!(cluster.marks(3, 0).2, Offset(1), "but it has it");
    cluster.release_disk(3);
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::None, 0)));
    for id in 1..=3 {
        assert_eq!(
            cluster.marks(id, 0),
            (Offset(0), Offset(1), Offset(1)),
            "broker {id} knows of the commit"
        );
    }
    assert_equal(&mut cluster, 0);
    assert_eq!(cluster.violations, Vec::<String>::new());
}

#[test]
fn a_fetch_position_is_only_ever_a_flushed_one_and_a_planted_bug_is_seen() {
    let run = |fault| {
        let mut cluster = Cluster::start_with(2, 1, fault);
        let client = cluster.connect(1, 1);
        cluster.hold_disk(2);
        send(&mut cluster, 1, client, "a");
        cluster.settle();
        (outcome(&mut cluster, client), cluster.violations.len())
    };
    assert_eq!(run(Fault::None), (None, 0));
    let (acknowledged, violations) = run(Fault::FetchUnflushed);
    assert!(acknowledged.is_some() && violations > 0);
}

#[test]
fn the_leaders_flush_and_the_followers_overlap() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(1, 1);
    cluster.hold_disk(1);
    send(&mut cluster, 1, client, "a");
    cluster.settle();
    assert_eq!(cluster.marks(2, 0).2, Offset(1), "a follower reads what its leader has not flushed");
    assert_eq!(outcome(&mut cluster, client), None);
    cluster.release_disk(1);
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::None, 0)));
}

#[test]
fn a_follower_whose_fetch_waits_asks_at_once_for_what_its_leader_leads_anew() {
    for late in [None, Some(2), Some(3)] {
        let mut cluster = Cluster::start(3, 2);
        cluster.elect(0, 2, None);
        cluster.pass_ms(2_000);
        if let Some(late) = late {
            cluster.keep_from(late);
        }
        cluster.elect(1, 2, None);
        if let Some(late) = late {
            cluster.pass_ms(30);
            cluster.let_know(late);
        }
        let client = cluster.connect(2, 1);
        cluster.send(2, client, 10, &produce(TOPIC, -1, &[(1, batch(&["a"]))]));
        cluster.pass_ms(50);
        assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::None, 0)), "{late:?} hears of it last");
    }
}

#[test]
fn idle_partitions_cost_nothing_per_round() {
    let mut cluster = Cluster::start(2, 200);
    cluster.pass_ms(1000);
    cluster.call_bytes = 0;
    cluster.pass_ms(10_000);
    assert!(cluster.call_bytes > 0 && cluster.call_bytes < 20 * 100, "{} bytes", cluster.call_bytes);
    let client = cluster.connect(1, 1);
    cluster.call_bytes = 0;
    produced(&mut cluster, 1, client, "a");
    assert!(cluster.call_bytes < 300, "{} bytes", cluster.call_bytes);
}

#[test]
fn what_is_idle_is_not_read_for_a_followers_fetch() {
    let mut cluster = Cluster::start(2, 300);
    cluster.pass_ms(2000);
    let client = cluster.connect(1, 1);
    let before = cluster.nodes[&1].engine.owner.follower_reads();
    for value in 0..10 {
        produced(&mut cluster, 1, client, &value.to_string());
    }
    cluster.pass_ms(10_000);
    let read = cluster.nodes[&1].engine.owner.follower_reads() - before;
    // Each record is read, its watermark is told, and the new position finds nothing more.
    assert!((10..100).contains(&read), "{read} reads");
}

#[test]
fn a_follower_that_was_idle_for_long_has_caught_up_when_records_come() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(1, 1);
    produced(&mut cluster, 1, client, "a");
    cluster.pass_ms(300_000);
    cluster.hold_disk(2);
    send(&mut cluster, 1, client, "b");
    cluster.pass_ms(20_000);
    assert_eq!(cluster.isr(0), [1, 2], "it had everything until 20 s ago");
    cluster.pass_ms(30_000);
    assert_eq!(cluster.isr(0), [1], "and lags for longer than replica.lag.time.max.ms");
}

#[test]
fn a_leader_that_has_not_heard_of_its_reign_is_asked_again_soon() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(1, 1);
    cluster.keep_from(1);
    cluster.elect(0, 2, None);
    cluster.elect(0, 1, None);
    cluster.pass_ms(30);
    assert!(cluster.isr(0) == [1, 2], "broker 2 asks, and broker 1 knows of nothing");
    cluster.let_know(1);
    send(&mut cluster, 1, client, "a");
    cluster.pass_ms(100);
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::None, 0)), "within a tenth of a second");
}

#[test]
fn what_a_follower_said_counts_although_nobody_waited_for_the_answer_any_more() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(1, 1);
    produced(&mut cluster, 1, client, "a");
    cluster.keep_from(1);
    cluster.configure("retention.ms", "1000000");
    let (image, now) = (cluster.image.clone(), cluster.now);
    let (from, owner) = (ShardId(7), ShardId(0));
    let position = FollowPosition {
        id: partition(0),
        from: Offset(0),
        bytes_max: 1000,
        current_leader_epoch: LeaderEpoch(0),
        last_fetched_epoch: LeaderEpoch::UNKNOWN,
        log_start: Offset(0),
    };
    let ask = |number, named| ShardMessage::Ask {
        gather: GatherId(number),
        request: OwnerRequest::Follow(FollowRequest {
            owner,
            session: FollowerSession { shard: from, connection: ConnectionId(5) },
            who: FollowerId { node: NodeId(2), epoch: -1 },
            is_fresh: number == 1,
            once: false,
            delivered: 0,
            named,
            forgotten: Vec::new(),
            bytes_max: 1000,
            wait_for_bytes: 1,
        }),
        seen: image.last_applied(),
    };
    let messages = [
        // The owner is behind; before it has caught up the fetch is over.
        (from, ask(1, vec![position])),
        (from, ShardMessage::Forget { gather: GatherId(1) }),
        (ShardId(1), ShardMessage::Image(Box::new(image.clone()))),
        (from, ask(2, Vec::new())),
    ];
    let mut effects = Effects::default();
    let engine = &mut cluster.nodes.get_mut(&1).expect("it lives").engine;
    for (from, message) in messages {
        engine.handle(now, Input::Message { from, message }, &mut effects);
    }
    let told = effects.messages.iter().any(|(to, message)| match message {
        ShardMessage::Answer { gather: GatherId(2), response: OwnerResponse::Followed { results, .. } } => {
            *to == from && results.iter().any(|(id, result)| *id == position.id && result.bytes > 0)
        }
        _ => false,
    });
    assert!(told, "{:?}", effects.messages);
}

#[test]
fn a_stopped_follower_leaves_the_isr_and_joins_again_when_it_has_caught_up() {
    let mut cluster = Cluster::start(3, 1);
    cluster.configure("min.insync.replicas", "2");
    let client = cluster.connect(1, 1);
    cluster.vanish(3);
    send(&mut cluster, 1, client, "a");
    cluster.pass_ms(29_000);
    assert_eq!(outcome(&mut cluster, client).map(|(error, _)| error), Some(ErrorCode::RequestTimedOut));
    assert_eq!(cluster.isr(0), [1, 2, 3]);
    cluster.controller_down = true;
    cluster.pass_ms(17_000);
    assert_eq!(cluster.marks(1, 0).1, Offset(0), "it counts until the controller has agreed");
    cluster.controller_down = false;
    cluster.pass_ms(1000);
    assert_eq!(cluster.isr(0), [1, 2]);
    assert_eq!(cluster.marks(1, 0).1, Offset(1));
    produced(&mut cluster, 1, client, "b");
    cluster.vanish(2);
    cluster.pass_ms(50_000);
    assert_eq!(cluster.isr(0), [1, 2], "who has everything lags behind nothing, as in Kafka");
    send(&mut cluster, 1, client, "c");
    cluster.pass_ms(50_000);
    assert_eq!(outcome(&mut cluster, client).map(|(error, _)| error), Some(ErrorCode::RequestTimedOut));
    assert_eq!(cluster.isr(0), [1]);
    send(&mut cluster, 1, client, "too few");
    cluster.settle();
    assert_eq!(outcome(&mut cluster, client).map(|(error, _)| error), Some(ErrorCode::NotEnoughReplicas));
    for id in [2, 3] {
        cluster.boot(id);
        cluster.pass_ms(3000);
    }
    let mut isr = cluster.isr(0);
    isr.sort_unstable();
    assert_eq!(isr, [1, 2, 3]);
    let client = cluster.connect(1, 2);
    produced(&mut cluster, 1, client, "d");
    assert_equal(&mut cluster, 0);
    let epochs: Vec<i64> =
        cluster.asked_for_isr.iter().flat_map(|it| &it.isr).map(|(_, epoch)| *epoch).collect();
    assert!(epochs.iter().all(|epoch| *epoch > 0), "registrations are told: {epochs:?}");
}

#[test]
fn a_new_leader_keeps_what_was_acknowledged_and_the_old_one_gives_up_the_rest() {
    let mut cluster = Cluster::start(3, 1);
    let client = cluster.connect(1, 1);
    for value in ["a", "b"] {
        produced(&mut cluster, 1, client, value);
    }
    cluster.cut_between(1, 2);
    cluster.cut_between(1, 3);
    for value in ["lost 1", "lost 2", "lost 3"] {
        send(&mut cluster, 1, client, value);
    }
    cluster.settle();
    assert_eq!(cluster.marks(1, 0), (Offset(0), Offset(2), Offset(5)));
    cluster.kill(1);
    cluster.settle();
    assert_eq!((cluster.leader(0), cluster.isr(0)), (Some(2), vec![2, 3]));
    let client = cluster.connect(2, 2);
    assert_eq!(produced(&mut cluster, 2, client, "c"), 2, "the new leader has what was committed");
    cluster.cut.clear();
    cluster.boot(1);
    cluster.pass_ms(3000);
    assert_eq!(cluster.marks(1, 0), (Offset(0), Offset(3), Offset(3)));
    assert_eq!(cluster.isr(0), [2, 3, 1]);
    assert_equal(&mut cluster, 0);
    produced(&mut cluster, 2, client, "d");
    // What is left outlives another start of the one that was cut.
    cluster.kill(1);
    cluster.boot(1);
    cluster.pass_ms(3000);
    assert_eq!(cluster.marks(1, 0).2, Offset(4));
    assert_equal(&mut cluster, 0);
}

#[test]
fn a_reply_that_was_parked_before_the_leadership_was_lost_and_regained_is_no_success() {
    let mut cluster = Cluster::start(3, 1);
    let client = cluster.connect(1, 1);
    cluster.cut_between(1, 2);
    cluster.cut_between(1, 3);
    send(&mut cluster, 1, client, "lost");
    cluster.settle();
    assert_eq!(outcome(&mut cluster, client), None);
    cluster.elect(0, 2, None);
    let other = cluster.connect(2, 2);
    send(&mut cluster, 2, other, "kept");
    cluster.settle();
    assert_eq!(outcome(&mut cluster, client).map(|(error, _)| error), Some(ErrorCode::NotLeaderOrFollower));
    cluster.cut.clear();
    cluster.pass_ms(3000);
    cluster.elect(0, 1, None);
    cluster.pass_ms(3000);
    assert_eq!(cluster.marks(1, 0), (Offset(0), Offset(1), Offset(1)));
    assert_eq!(outcome(&mut cluster, client), None, "it was answered once");
    assert_equal(&mut cluster, 0);
}

#[test]
fn who_is_elected_while_its_log_is_being_cut_leads_when_that_is_done() {
    let mut cluster = Cluster::start(3, 1);
    cluster.cut_between(1, 2);
    cluster.cut_between(1, 3);
    let client = cluster.connect(1, 1);
    for value in ["lost 1", "lost 2", "lost 3"] {
        send(&mut cluster, 1, client, value);
    }
    cluster.settle();
    cluster.elect(0, 2, None);
    let other = cluster.connect(2, 2);
    send(&mut cluster, 2, other, "kept nowhere");
    cluster.settle();
    cluster.hold_disk(1);
    cluster.cut.clear();
    cluster.pass_ms(3000);
    // Broker 1 has begun to cut, and its disk does not answer.
    cluster.elect(0, 1, None);
    cluster.pass_ms(3000);
    for id in [2, 3] {
        let (_, high_watermark, end) = cluster.marks(id, 0);
        assert_eq!((high_watermark, end), (Offset(0), Offset(1)), "broker {id} took what is being cut away");
    }
    let late = cluster.connect(1, 3);
    send(&mut cluster, 1, late, "too early");
    cluster.settle();
    assert_eq!(outcome(&mut cluster, late).map(|(error, _)| error), Some(ErrorCode::NotLeaderOrFollower));
    cluster.release_disk(1);
    cluster.pass_ms(3000);
    assert_eq!(produced(&mut cluster, 1, late, "first"), 0);
    for id in 1..=3 {
        assert_eq!(cluster.marks(id, 0), (Offset(0), Offset(1), Offset(1)), "broker {id}");
    }
    assert_equal(&mut cluster, 0);
}

#[test]
fn a_new_leader_tells_no_end_before_it_knows_what_is_committed() {
    let mut cluster = Cluster::start(3, 1);
    let client = cluster.connect(1, 1);
    let of_two = cluster.connect(2, 2);
    cluster.cut_between(1, 3);
    cluster.cut_between(2, 3);
    send(&mut cluster, 1, client, "a");
    cluster.settle();
    cluster.elect(0, 2, Some(vec![2, 3]));
    let ask = |cluster: &mut Cluster, version, timestamp| {
        let partition =
            ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(-1);
        let topic = ListOffsetsTopic::default().with_name(name(TOPIC)).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        cluster.send(2, of_two, version, &request);
        cluster.settle();
        let response: ListOffsetsResponse = cluster.response(of_two, version).expect("it is answered");
        let partition = &response.topics[0].partitions[0];
        (ErrorCode::from_code(partition.error_code).expect("known"), partition.offset)
    };
    assert_eq!(ask(&mut cluster, 5, -1), (ErrorCode::OffsetNotAvailable, -1));
    assert_eq!(ask(&mut cluster, 4, -1), (ErrorCode::LeaderNotAvailable, -1), "as before KIP-207");
    assert_eq!(ask(&mut cluster, 5, 0), (ErrorCode::OffsetNotAvailable, -1), "it may be what is found");
    assert_eq!(ask(&mut cluster, 5, -2), (ErrorCode::None, 0), "the start is known");
    cluster.cut.clear();
    cluster.pass_ms(2_000);
    assert_eq!(ask(&mut cluster, 5, -1), (ErrorCode::None, 1));
    assert_eq!(ask(&mut cluster, 5, 0), (ErrorCode::None, 0));
}

#[test]
fn a_leader_without_records_takes_those_of_a_follower_away_only_in_an_unclean_election() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(1, 1);
    produced(&mut cluster, 1, client, "a");
    cluster.boot_without_files(1);
    cluster.cut_between(1, 2);
    cluster.settle();
    // Broker 2 is said to be in sync with an empty leader: that cannot be, and nothing is cut.
    cluster.elect(0, 1, Some(vec![1, 2]));
    cluster.cut.clear();
    cluster.pass_ms(3000);
    assert_eq!(cluster.marks(2, 0).2, Offset(1));
    cluster.elect(0, 1, Some(vec![1]));
    cluster.pass_ms(3000);
    assert_eq!(cluster.marks(2, 0).2, Offset(0));
    assert_eq!(cluster.isr(0), [1, 2]);
}

#[test]
fn who_does_not_lead_says_who_does() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(2, 1);
    send(&mut cluster, 2, client, "a");
    cluster.settle();
    let response: ProduceResponse = cluster.response(client, 10).expect("it is answered");
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(partition.current_leader.leader_id.0, 1);
    // From version 11 on consumers may read from followers (KIP-392).
    cluster.send(2, client, 10, &fetch(TOPIC, &[(0, 0)], 0, 0));
    cluster.settle();
    let response: FetchResponse = cluster.response(client, 10).expect("it is answered");
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(response.responses[0].topic, name(TOPIC));
}

#[test]
fn a_consumer_reads_only_what_is_committed() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(1, 1);
    produced(&mut cluster, 1, client, "a");
    cluster.hold_disk(2);
    send(&mut cluster, 1, client, "b");
    cluster.settle();
    let reader = cluster.connect(1, 2);
    cluster.send(1, reader, 11, &fetch(TOPIC, &[(0, 0)], 0, 0));
    cluster.settle();
    let response: FetchResponse = cluster.response(reader, 11).expect("it is answered");
    assert_eq!(records(&response), [(0, 0, "a".to_owned())]);
}

/// Random faults under random load, with at most one broker away at a time. Gives how many were acknowledged.
fn wander(seed: u64) -> usize {
    let mut random = Random(seed);
    let mut cluster = Cluster::start(3, 1);
    cluster.configure("min.insync.replicas", "2");
    let mut clients: BTreeMap<ConnectionId, (i32, Vec<String>)> = BTreeMap::new();
    // What was acknowledged, and where.
    let mut acknowledged: BTreeMap<i64, String> = BTreeMap::new();
    let (mut sent, mut number, mut away) = (0, 0, None);
    for _ in 0..200 {
        let pick = |random: &mut Random, below: u64| random.draw() % below;
        let someone = 1 + i32::try_from(pick(&mut random, 3)).expect("small");
        match pick(&mut random, 24) {
            0..8 => {
                let Some(leader) = cluster.leader(0).filter(|id| cluster.nodes.contains_key(id)) else {
                    continue;
                };
                (sent, number) = (sent + 1, number + 1);
                let client = cluster.connect(leader, number);
                let value = format!("{sent}");
                send(&mut cluster, leader, client, &value);
                clients.insert(client, (leader, vec![value]));
            }
            8 => cluster.hold_disk(someone),
            9 | 10 => cluster.release_disk(someone),
            11 => cluster.cut_between(someone, 1 + someone % 3),
            12 | 13 => cluster.cut.clear(),
            14 if away.is_none() => {
                cluster.kill(someone);
                away = Some(someone);
            }
            15 | 16 => {
                if let Some(id) = away.take() {
                    cluster.boot(id);
                }
            }
            17 => {
                let isr = cluster.isr(0);
                let next = isr[usize::try_from(pick(&mut random, isr.len() as u64)).expect("small")];
                if cluster.nodes.contains_key(&next) {
                    cluster.elect(0, next, None);
                }
            }
            18 => cluster.pass_ms(1 + pick(&mut random, 20_000)),
            19 => cluster.controller_down = !cluster.controller_down,
            20 => cluster.settle(),
            _ => (0..pick(&mut random, 30)).for_each(|_| cluster.step()),
        }
        for (client, (_, values)) in &clients {
            if let Some((ErrorCode::None, offset)) = outcome(&mut cluster, *client) {
                acknowledged.insert(offset, values[0].clone());
            }
        }
        assert_eq!(cluster.violations, Vec::<String>::new(), "seed {seed}");
    }
    // The faults end, and the cluster heals.
    cluster.cut.clear();
    cluster.controller_down = false;
    (1..=3).for_each(|id| cluster.release_disk(id));
    if let Some(id) = away {
        cluster.boot(id);
    }
    cluster.settle();
    (1..=3).for_each(|id| cluster.release_disk(id));
    cluster.pass_ms(60_000);
    for (client, (_, values)) in &clients {
        if let Some((ErrorCode::None, offset)) = outcome(&mut cluster, *client) {
            acknowledged.insert(offset, values[0].clone());
        }
    }
    let mut isr = cluster.isr(0);
    isr.sort_unstable();
    assert_eq!(isr, [1, 2, 3], "seed {seed}: all are in sync again");
    assert_equal(&mut cluster, 0);
    let (_, high_watermark, end) = cluster.marks(1, 0);
    assert_eq!(high_watermark, end, "seed {seed}: all is committed");
    let leader = cluster.leader(0).expect("someone leads");
    let reader = cluster.connect(leader, 900_000);
    let mut found: BTreeMap<i64, String> = BTreeMap::new();
    while let Some(from) =
        Some(found.keys().next_back().map_or(0, |last| last + 1)).filter(|from| *from < end.0)
    {
        cluster.send(leader, reader, 11, &fetch(TOPIC, &[(0, from)], 0, 0));
        cluster.settle();
        let response: FetchResponse = cluster.response(reader, 11).expect("it is answered");
        let read = records(&response);
        assert!(read.iter().any(|(_, offset, _)| *offset >= from), "seed {seed}: nothing at {from} of {end}");
        found.extend(read.into_iter().map(|(_, offset, value)| (offset, value)));
    }
    for (offset, value) in &acknowledged {
        assert_eq!(found.get(offset), Some(value), "seed {seed}: acknowledged at {offset}");
    }
    acknowledged.len()
}

#[test]
fn nothing_acknowledged_is_lost_and_the_cluster_heals_whatever_happens() {
    let acknowledged: usize = (0..300).map(wander).sum();
    assert!(acknowledged > 1500, "{acknowledged}: too few for the faults to matter");
}
