//! Throttled replication (KIP-73): the rate is held, on whichever side it is set, and nothing else waits for it.

use super::{
    broker::Broker,
    clients::{batch, fetch, name, produce},
    cluster::{Cluster, TOPIC, TOPIC_ID, partition, placed},
    files::Files,
    replication::{assert_equal, outcome, produced},
};
use crate::{
    engine::{Input, ShardMessage},
    error::ErrorCode,
    ids::NodeId,
    metadata::{Batch, ConfigResource, MetadataOffset, Record, RegisterBrokerRecord},
};
use corelane_seam::ShardId;
use kafka_protocol::messages::{BrokerId, FetchResponse, ProduceResponse};

const RECORD_BYTES: i64 = 20_000;
const RECORDS: i64 = 60;
/// Bytes per second.
const RATE: i64 = 100_000;

/// Broker 2 comes back to partitions of which it has nothing; what it is throttled by is set before.
fn behind(partitions: i32, set: impl FnOnce(&mut Cluster)) -> Cluster {
    let mut cluster = Cluster::start(2, partitions);
    cluster.kill(2);
    cluster.settle();
    let client = cluster.connect(1, 1);
    let value = "x".repeat(usize::try_from(RECORD_BYTES).expect("small"));
    for index in 0..partitions {
        for _ in 0..RECORDS {
            cluster.send(1, client, 10, &produce(TOPIC, -1, &[(index, batch(&[&value]))]));
            cluster.pass_ms(1);
            assert_eq!(outcome(&mut cluster, client).map(|it| it.0), Some(ErrorCode::None));
        }
    }
    set(&mut cluster);
    cluster.boot(2);
    cluster.settle();
    cluster
}

fn set_rate(cluster: &mut Cluster, side: &str, rate: i64) {
    let key = format!("{side}.replication.throttled.rate");
    let value = Some(rate.to_string());
    cluster.apply(vec![Record::Config { resource: ConfigResource::BrokerDefault, key, value }]);
    cluster.settle();
}

fn throttle(cluster: &mut Cluster, side: &str, replicas: &str, rate: i64) {
    cluster.configure(&format!("{side}.replication.throttled.replicas"), replicas);
    set_rate(cluster, side, rate);
}

/// What broker 2 has of a partition, in bytes.
fn copied(cluster: &Cluster, index: i32) -> i64 {
    cluster.marks(2, index).2.0 * RECORD_BYTES
}

/// How long it takes until broker 2 is in sync; `Err`: more than the rate allows was copied by then.
fn catches_up(cluster: &mut Cluster, partitions: i32) -> Result<i64, String> {
    let mut ms = 0;
    loop {
        assert!(ms < 600_000, "it never comes to an end");
        let bytes: i64 = (0..partitions).map(|index| copied(cluster, index)).sum();
        // The first second's worth may go at once, and the last batch goes whole.
        let most = RATE * (ms + 1100) / 1000 + 2 * RECORD_BYTES;
        if bytes > most {
            return Err(format!("{bytes} bytes after {ms} ms, where {most} are allowed"));
        }
        if (0..partitions).all(|index| cluster.isr(index).len() == 2) {
            return Ok(ms);
        }
        cluster.pass_ms(100);
        ms += 100;
    }
}

#[test]
fn a_replica_that_is_throttled_on_either_side_is_copied_at_the_rate_and_no_faster() {
    let of = |side: &str| if side == "leader" { "0:1,1:1" } else { "0:2,1:2" };
    for (side, replicas) in
        [("leader", "*"), ("leader", of("leader")), ("follower", "*"), ("follower", of("follower"))]
    {
        let mut cluster = behind(2, |cluster| throttle(cluster, side, replicas, RATE));
        let ms = catches_up(&mut cluster, 2).unwrap_or_else(|why| panic!("{side} {replicas}: {why}"));
        let bytes = 2 * RECORDS * RECORD_BYTES;
        assert!(ms <= bytes * 1000 / RATE * 5 / 4, "{side} {replicas}: {bytes} bytes took {ms} ms");
        assert_equal(&mut cluster, 0);
        assert_equal(&mut cluster, 1);
        assert_eq!(cluster.violations, Vec::<String>::new());
    }
}

#[test]
fn without_a_throttle_or_for_other_replicas_the_rate_is_not_held_which_the_check_sees() {
    let others: [(&str, &str); 3] = [("leader", "0:2"), ("follower", "0:1"), ("follower", "1:2")];
    for (side, replicas) in others {
        let mut cluster = behind(1, |cluster| throttle(cluster, side, replicas, RATE));
        assert!(catches_up(&mut cluster, 1).is_err(), "{side} {replicas} is no throttle of this replica");
    }
}

#[test]
fn partitions_share_the_rate_and_none_of_them_starves() {
    for side in ["leader", "follower"] {
        let mut cluster = behind(3, |cluster| throttle(cluster, side, "*", RATE));
        cluster.pass_ms(u64::try_from(RECORDS * RECORD_BYTES * 3 / RATE * 1000 / 2).expect("small"));
        for index in 0..3 {
            let share = copied(&cluster, index) * 100 / (RECORDS * RECORD_BYTES);
            assert!((25..=75).contains(&share), "{side}: partition {index} is at {share} % of itself");
        }
    }
}

#[test]
fn what_is_not_throttled_and_who_is_in_sync_wait_for_nothing() {
    for (side, replicas) in [("leader", "0:1"), ("follower", "0:2")] {
        let mut cluster = behind(2, |cluster| throttle(cluster, side, replicas, 1000));
        cluster.pass_ms(1000);
        assert_eq!(copied(&cluster, 1), RECORDS * RECORD_BYTES, "{side}: partition 1 is not throttled");
        assert!(copied(&cluster, 0) <= 2 * RECORD_BYTES, "{side}");
        let client = cluster.connect(1, 2);
        cluster.send(1, client, 10, &produce(TOPIC, -1, &[(1, batch(&["prompt"]))]));
        cluster.pass_ms(5);
        assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::None, RECORDS)), "{side}");
    }
    for side in ["leader", "follower"] {
        let mut cluster = Cluster::start(2, 1);
        throttle(&mut cluster, side, "*", 0);
        let client = cluster.connect(1, 1);
        for _ in 0..5 {
            produced(&mut cluster, 1, client, "in sync, whatever was used");
        }
    }
}

#[test]
fn a_follower_without_quota_waits_without_asking_and_goes_on_when_the_throttle_is_gone() {
    for side in ["leader", "follower"] {
        let mut cluster = behind(1, |cluster| throttle(cluster, side, "*", 1));
        cluster.call_bytes = 0;
        cluster.pass_ms(10_000);
        assert!(copied(&cluster, 0) <= RECORD_BYTES, "{side}");
        // One fetch each `replica.fetch.wait.max.ms`, or none.
        assert!(cluster.call_bytes < 25 * 200, "{side}: {} bytes of calls in 10 s", cluster.call_bytes);
        cluster.configure(&format!("{side}.replication.throttled.replicas"), "");
        cluster.pass_ms(600);
        assert_eq!(cluster.isr(0).len(), 2, "{side}: nothing waits any more");
        let mut cluster = behind(1, |cluster| throttle(cluster, side, "*", 1));
        cluster.pass_ms(1000);
        set_rate(&mut cluster, side, i64::MAX);
        cluster.pass_ms(600);
        assert_eq!(cluster.isr(0).len(), 2, "{side}: there is no bound any more");
    }
}

#[test]
fn what_other_shards_of_a_broker_move_counts() {
    for (side, broker) in [("leader", 1), ("follower", 2)] {
        let mut cluster = behind(1, |cluster| throttle(cluster, side, "*", RATE));
        cluster.pass_ms(500);
        let before = copied(&cluster, 0);
        let moved = u64::try_from(RATE * 20).expect("small");
        let message = match side {
            "leader" => ShardMessage::Throttled { led: moved, followed: 0 },
            _ => ShardMessage::Throttled { led: 0, followed: moved },
        };
        cluster.tell(broker, Input::Message { from: ShardId(7), message });
        cluster.pass_ms(10_000);
        assert_eq!(copied(&cluster, 0), before, "{side}: another shard has used it all");
        cluster.pass_ms(12_000);
        assert!(copied(&cluster, 0) > before, "{side}");
    }
}

/// A broker of two shards that leads what broker 2 does not have, with settings of its topic and of all brokers.
fn leader_of_two_shards(topic: &[(&str, &str)], brokers: &[(&str, &str)]) -> Broker {
    let mut image = Broker::start(2, Files::default()).image();
    let follower = Record::RegisterBroker(RegisterBrokerRecord {
        id: NodeId(2),
        epoch: 1,
        incarnation: uuid::Uuid::from_u128(2),
        endpoints: Vec::new(),
        rack: None,
        directories: vec![uuid::Uuid::from_u128(500)],
        fenced: false,
        in_controlled_shutdown: false,
    });
    let of_topic = || Record::Topic { name: TOPIC.into(), id: TOPIC_ID };
    let partitions = (0..8).map(|index| placed(index, &[NodeId(1), NodeId(2)], &[NodeId(1)]));
    let set = |resource: ConfigResource| {
        move |(key, value): &(&str, &str)| Record::Config {
            resource: resource.clone(),
            key: (*key).to_owned(),
            value: Some((*value).to_owned()),
        }
    };
    let mut records = vec![follower, of_topic()];
    records.extend(partitions);
    records.extend(topic.iter().map(set(ConfigResource::Topic(TOPIC.into()))));
    records.extend(brokers.iter().map(set(ConfigResource::BrokerDefault)));
    let next = image.last_applied().map_or(0, |offset| offset.0 + 1);
    image.apply(MetadataOffset(next), &Batch::of(records)).expect("it makes sense");
    Broker::start_with(2, Files::default(), image)
}

/// The bytes that broker 2 is given of partition `index`, asking in a session of its own.
fn given(broker: &mut Broker, index: i32, number: u64) -> usize {
    let connection = broker.connect(0, number);
    let mut request = fetch(TOPIC, &[(index, 0)], 0, 0);
    request.replica_id = BrokerId(2);
    request.topics[0].topic = name(TOPIC);
    let response: FetchResponse = broker.ask(connection, 12, &request);
    let mut partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions.next().and_then(|it| it.records.as_ref()).map_or(0, bytes::Bytes::len)
}

#[test]
fn two_shards_have_one_rate_between_them() {
    let replicas = [("leader.replication.throttled.replicas", "*")];
    let rate = [("leader.replication.throttled.rate", "1000")];
    for (is_throttled, topic) in [(true, &replicas[..]), (false, &[])] {
        let mut broker = leader_of_two_shards(topic, &rate);
        let on = |shard: u16| (0..8).find(|index| partition(*index).owner(2) == ShardId(shard));
        let (here, there) = (on(0).expect("of eight"), on(1).expect("of eight"));
        let producer = broker.connect(0, 1);
        for index in [here, there] {
            let value = "x".repeat(5_000);
            let request = produce(TOPIC, 1, &[(index, batch(&[&value]))]);
            let response: ProduceResponse = broker.ask(producer, 10, &request);
            assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
        }
        assert!(given(&mut broker, here, 2) > 5_000, "the first batch goes whole");
        let bytes = given(&mut broker, there, 3);
        assert_eq!(bytes == 0, is_throttled, "{bytes} bytes of the other shard's partition");
        broker.pass_ms(6_000);
        assert!(given(&mut broker, there, 4) > 5_000, "what was moved is paid");
    }
}
