//! Disks that are full, or keep a broker from one partition: what is told of them, and who is waited for.

use super::{
    cluster::{Cluster, RESERVE},
    replication::{outcome, produced, send},
};
use crate::{error::ErrorCode, ids::Offset};

/// A disk is asked for its space within so long, in ms, whether it is known to be full or not.
const ASKED_MS: u64 = 61_000;

#[test]
fn a_full_disk_is_told_and_so_is_room_of_a_quarter_of_the_reserve_besides() {
    let mut cluster = Cluster::start(1, 1);
    let client = cluster.connect(1, 1);
    cluster.files[&1].leave_free(RESERVE);
    cluster.pass_ms(ASKED_MS);
    assert_eq!(cluster.told_full, []);
    cluster.files[&1].leave_free(RESERVE - 1);
    cluster.pass_ms(ASKED_MS);
    assert_eq!(cluster.told_full, [(1, true)]);
    send(&mut cluster, 1, client, "a");
    cluster.settle();
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::KafkaStorageError, -1)));
    for freed in [RESERVE, RESERVE - 1, RESERVE + RESERVE / 4 - 1] {
        cluster.files[&1].leave_free(freed);
        cluster.pass_ms(ASKED_MS);
        assert_eq!(cluster.told_full, [(1, true)], "{freed} bytes fill again at once");
    }
    cluster.files[&1].leave_free(RESERVE + RESERVE / 4);
    cluster.pass_ms(2_000);
    assert_eq!(cluster.told_full, [(1, true), (1, false)]);
    assert_eq!(produced(&mut cluster, 1, client, "a"), 0);
}

#[test]
fn a_full_follower_is_not_waited_for_once_the_controller_knows_and_comes_back_when_it_has_room() {
    let mut cluster = Cluster::start(3, 1);
    let client = cluster.connect(1, 1);
    cluster.files[&3].leave_free(0);
    cluster.pass_ms(ASKED_MS);
    assert_eq!(cluster.told_full, [(3, true)]);
    send(&mut cluster, 1, client, "a");
    cluster.pass_ms(500);
    assert_eq!(outcome(&mut cluster, client), None, "broker 3 is in sync, and stores nothing");
    cluster.full(3, true, Some(vec![1, 2]));
    assert_eq!(outcome(&mut cluster, client), Some((ErrorCode::None, 0)), "though it had all until just now");
    cluster.files[&3].leave_free(2 * RESERVE);
    cluster.pass_ms(3_000);
    assert_eq!(cluster.told_full, [(3, true), (3, false)]);
    assert_eq!(cluster.marks(3, 0).2, Offset(1), "it copies as soon as there is room");
    assert!(cluster.asked_for_isr.is_empty(), "but is not in sync before the controller knows");
    cluster.full(3, false, None);
    cluster.pass_ms(1_000);
    assert_eq!(cluster.isr(0), [1, 2, 3]);
}

#[test]
fn among_full_brokers_whoever_has_everything_is_in_sync() {
    let mut cluster = Cluster::start(2, 1);
    cluster.full(2, true, Some(vec![1]));
    cluster.pass_ms(5_000);
    assert_eq!(cluster.isr(0), [1]);
    cluster.full(1, true, None);
    cluster.pass_ms(1_000);
    assert_eq!(cluster.isr(0), [1, 2]);
}

/// Produces to partition 0 until its segment is written, which fails somewhere.
pub fn fail_a_segment(cluster: &mut Cluster, broken: i32) {
    cluster.files[&broken].break_flushes_of("-0/");
    let client = cluster.connect(1, 1);
    let value = "x".repeat(20_000);
    for _ in 0..300 {
        if !cluster.told_offline.is_empty() {
            return;
        }
        send(cluster, 1, client, &value);
        cluster.pass_ms(100);
    }
    panic!("no segment was written");
}

#[test]
fn a_leader_and_a_follower_tell_which_of_their_logs_alone_is_offline() {
    for broken in [1, 2] {
        let mut cluster = Cluster::start(2, 2);
        cluster.controller_down = true;
        fail_a_segment(&mut cluster, broken);
        cluster.controller_down = false;
        cluster.pass_ms(1_000);
        assert_eq!(cluster.told_offline.last(), Some(&(broken, vec![0])));
        assert!(cluster.told_offline.len() > 1, "until the controller has heard of it");
        let told = cluster.told_offline.len();
        cluster.pass_ms(10_000);
        assert_eq!(cluster.told_offline.len(), told);
        // Metadata that still has it in sync is answered, other metadata is not.
        cluster.elect(0, broken, Some(vec![1, 2]));
        assert_eq!(cluster.told_offline.len(), told + 1);
        cluster.elect(0, 3 - broken, Some(vec![3 - broken]));
        cluster.pass_ms(1_000);
        assert_eq!(cluster.told_offline.len(), told + 1);
        let client = cluster.connect(3 - broken, 2);
        produced(&mut cluster, 3 - broken, client, "goes on");
    }
}
