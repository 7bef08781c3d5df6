//! Where replicas' logs start: DeleteRecords, and followers that begin where their leader does.

use super::{
    clients::{batch, delete_records, produce},
    cluster::{Cluster, TOPIC},
    replication::{assert_equal, outcome, produced},
};
use crate::{error::ErrorCode, ids::Offset};
use corelane_seam::ConnectionId;
use kafka_protocol::messages::DeleteRecordsResponse;

/// So many batches of one record, to broker 1.
fn produce_many(cluster: &mut Cluster, client: ConnectionId, count: i64) {
    for value in 0..count {
        produced(cluster, 1, client, &value.to_string());
    }
}

/// Asks broker 1 for a deletion below an offset, and lets so much time pass.
fn delete(cluster: &mut Cluster, client: ConnectionId, before: i64, ms: u64) {
    cluster.send(1, client, 2, &delete_records(TOPIC, before));
    cluster.settle();
    cluster.pass_ms(ms);
}

/// Error and low watermark of the next response.
fn deleted(cluster: &mut Cluster, connection: ConnectionId) -> Option<(i16, i64)> {
    let response: DeleteRecordsResponse = cluster.response(connection, 2)?;
    let partition = &response.topics[0].partitions[0];
    Some((partition.error_code, partition.low_watermark))
}

#[test]
fn records_count_as_deleted_when_every_replica_that_lives_has_deleted_them() {
    let mut cluster = Cluster::start(3, 1);
    let client = cluster.connect(1, 1);
    produce_many(&mut cluster, client, 9);
    cluster.hold_disk(3);
    delete(&mut cluster, client, 4, 600);
    assert_eq!(deleted(&mut cluster, client), None, "it is not durable on broker 3");
    cluster.release_disk(3);
    cluster.pass_ms(600);
    assert_eq!(deleted(&mut cluster, client), Some((0, 4)));
    for id in 1..=3 {
        assert_eq!(cluster.marks(id, 0).0, Offset(4), "broker {id}");
    }
    // Who is dead does not count, whenever it is found out.
    cluster.hold_disk(3);
    delete(&mut cluster, client, 6, 600);
    assert_eq!(deleted(&mut cluster, client), None);
    cluster.kill(3);
    cluster.pass_ms(100);
    assert_eq!(deleted(&mut cluster, client), Some((0, 6)));
}

#[test]
fn a_deletion_that_a_follower_holds_up_ends_with_its_time_and_leaves_nothing_behind() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(1, 1);
    produced(&mut cluster, 1, client, "a");
    cluster.hold_disk(2);
    delete(&mut cluster, client, 1, 1_500);
    assert_eq!(deleted(&mut cluster, client), Some((ErrorCode::RequestTimedOut.code(), -1)));
    assert!(cluster.nodes[&1].engine.owner.waits_for_nothing());
    cluster.release_disk(2);
    cluster.pass_ms(600);
    delete(&mut cluster, client, 1, 600);
    assert_eq!(deleted(&mut cluster, client), Some((0, 1)), "deleted before: told at once");
    // Another leader takes over: whoever asked is told to look for it.
    produced(&mut cluster, 1, client, "b");
    cluster.hold_disk(2);
    cluster.send(1, client, 2, &delete_records(TOPIC, 2));
    cluster.settle();
    cluster.elect(0, 2, None);
    assert_eq!(deleted(&mut cluster, client), Some((ErrorCode::NotLeaderOrFollower.code(), -1)));
}

#[test]
fn a_follower_that_lost_its_files_begins_where_its_leader_does() {
    let mut cluster = Cluster::start(3, 1);
    let client = cluster.connect(1, 1);
    produce_many(&mut cluster, client, 20);
    delete(&mut cluster, client, 7, 600);
    assert_eq!(deleted(&mut cluster, client), Some((0, 7)));
    cluster.boot_without_files(3);
    cluster.pass_ms(3000);
    assert_eq!(cluster.marks(3, 0), (Offset(7), Offset(20), Offset(20)));
    cluster.pass_ms(3000);
    assert_eq!(cluster.marks(2, 0).0, Offset(7), "followers' logs start where their leader's does");
    let mut isr = cluster.isr(0);
    isr.sort_unstable();
    assert_eq!(isr, [1, 2, 3]);
    assert_equal(&mut cluster, 0);
}

#[test]
fn a_follower_begins_with_the_batch_in_which_its_leaders_log_starts() {
    let mut cluster = Cluster::start(3, 1);
    let client = cluster.connect(1, 1);
    for values in [["a", "b", "c"], ["d", "e", "f"]] {
        cluster.send(1, client, 10, &produce(TOPIC, -1, &[(0, batch(&values))]));
        cluster.settle();
        assert!(outcome(&mut cluster, client).is_some_and(|(error, _)| error.is_none()));
    }
    delete(&mut cluster, client, 4, 600);
    assert_eq!(deleted(&mut cluster, client), Some((0, 4)));
    cluster.boot_without_files(3);
    cluster.pass_ms(3000);
    assert_eq!(cluster.marks(3, 0), (Offset(4), Offset(6), Offset(6)), "the batch of offsets 3 to 5");
    produced(&mut cluster, 1, client, "g");
    let mut isr = cluster.isr(0);
    isr.sort_unstable();
    assert_eq!(isr, [1, 2, 3]);
    // And again after it was killed in between.
    cluster.kill(3);
    cluster.boot(3);
    cluster.pass_ms(3000);
    assert_eq!(cluster.marks(3, 0), (Offset(4), Offset(7), Offset(7)));
}

#[test]
fn a_follower_that_was_away_has_deleted_what_is_deleted_before_it_is_in_sync() {
    let mut cluster = Cluster::start(2, 1);
    let client = cluster.connect(1, 1);
    produce_many(&mut cluster, client, 9);
    cluster.kill(2);
    cluster.settle();
    delete(&mut cluster, client, 4, 0);
    assert_eq!(deleted(&mut cluster, client), Some((0, 4)), "nobody else lives");
    cluster.boot(2);
    for _ in 0..1_000 {
        if cluster.isr(0).contains(&2) {
            break;
        }
        cluster.step();
        if cluster.is_at_rest() {
            cluster.pass_ms(10);
        }
    }
    assert!(cluster.isr(0).contains(&2), "it joins");
    assert_eq!(cluster.marks(2, 0).0, Offset(4));
}

#[test]
fn a_deletion_is_not_acknowledged_while_so_few_are_in_sync_that_one_that_is_away_may_lead_next() {
    let mut cluster = Cluster::start(2, 1);
    cluster.configure("min.insync.replicas", "2");
    let client = cluster.connect(1, 1);
    produce_many(&mut cluster, client, 9);
    cluster.kill(2);
    cluster.settle();
    delete(&mut cluster, client, 4, 1_500);
    assert_eq!(deleted(&mut cluster, client), Some((ErrorCode::RequestTimedOut.code(), -1)));
    assert_eq!(cluster.marks(1, 0).0, Offset(4), "the space is free all the same");
    cluster.boot(2);
    cluster.pass_ms(3_000);
    delete(&mut cluster, client, 4, 600);
    assert_eq!(deleted(&mut cluster, client), Some((0, 4)));
}
