//! Members that join, go on, are fenced, and leave.

use super::*;
use crate::groups::validate_consumer_heartbeat;

/// `a` owns 0 and 1 of `t`, and `b` owns 2; both in epoch 2.
fn two() -> Bench {
    let mut bench = Bench::new(&[("t", 3)]);
    bench.beat(join("a", &["t"]));
    bench.pass_ms(1000);
    bench.beat(join("b", &["t"]));
    bench.beat(go_on("a", 1));
    bench.beat(owning("a", 1, &[("t", &[0, 1])]));
    bench.beat(go_on("b", 2));
    assert_eq!(bench.state(), "Stable");
    bench
}

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut bench = Bench::new(&[("t", 3), ("u", 2)]);
    let (response, records) = bench.beat(join("a", &["t"]));
    assert_eq!((response.member_epoch, response.heartbeat_interval_ms), (1, 5000));
    assert_eq!(response.member_id.as_deref(), Some("a"));
    assert_eq!(told(&response), Some(vec![0, 1, 2]));
    let hash = hash_in(&records);
    assert_ne!(hash, 0);
    let expected = [
        subscription("a", said("a", &["t"])),
        epoch(1, hash),
        target("a", &[("t", &[0, 1, 2])]),
        target_epoch(1, BEGAN_MS),
        current("a", (1, 0), STABLE, &[(0, 1), (1, 1), (2, 1)], &[]),
    ];
    assert_eq!(records, expected);
}

#[test]
fn a_member_without_a_name_is_given_one_in_the_first_version() {
    let mut bench = Bench::new(&[("t", 1)]);
    let (response, _) = bench.beat(join("", &["t"]));
    let name = response.member_id.expect("a name").to_string();
    assert_eq!(name.len(), 22, "as Kafka prints an id");
    assert_eq!(bench.beat(go_on(&name, 1)).0.error_code, 0);
}

#[test]
fn a_member_that_has_nothing_new_to_say_writes_and_is_told_nothing() {
    let mut bench = two();
    let (response, records) = bench.beat(go_on("a", 2));
    assert_eq!((records.len(), response.member_epoch, told(&response)), (0, 2, None));
    // Even if it says everything again: then it is told everything again.
    let again = owning("a", 2, &[("t", &[0, 1])]);
    let full = join("a", &["t"]).with_member_epoch(2).with_topic_partitions(again.topic_partitions);
    let (response, records) = bench.beat(full);
    assert_eq!((records.len(), told(&response)), (0, Some(vec![0, 1])));
}

#[test]
fn a_second_member_gets_a_partition_when_the_first_has_given_it_up_and_not_before() {
    let mut bench = Bench::new(&[("t", 3)]);
    let (_, records) = bench.beat(join("a", &["t"]));
    let hash = hash_in(&records);
    bench.pass_ms(1000);
    let (response, records) = bench.beat(join("b", &["t"]));
    assert_eq!((response.member_epoch, told(&response)), (2, Some(vec![])));
    let expected = [
        subscription("b", said("b", &["t"])),
        epoch(2, hash),
        target("a", &[("t", &[0, 1])]),
        target("b", &[("t", &[2])]),
        target_epoch(2, BEGAN_MS + 1000),
        current("b", (2, 0), UNRELEASED, &[], &[]),
    ];
    assert_eq!(records, expected);
    assert_eq!(bench.state(), "Reconciling");

    let (response, records) = bench.beat(go_on("a", 1));
    assert_eq!((response.member_epoch, told(&response)), (1, Some(vec![0, 1])));
    assert_eq!(records, [current("a", (1, 1), UNREVOKED, &[(0, 1), (1, 1)], &[(2, 1)])]);
    // It still reads it, and says nothing else.
    assert_eq!(bench.beat(owning("a", 1, &[("t", &[0, 1, 2])])).1, []);
    let (response, records) = bench.beat(go_on("b", 2));
    assert_eq!((&records[..], told(&response)), (&[current("b", (2, 2), UNRELEASED, &[], &[])][..], None));
    assert_eq!(bench.beat(go_on("b", 2)).1, [], "it waits");

    let (response, records) = bench.beat(owning("a", 1, &[("t", &[0, 1])]));
    assert_eq!((response.member_epoch, told(&response)), (2, None));
    assert_eq!(records, [current("a", (2, 1), STABLE, &[(0, 1), (1, 1)], &[])]);
    let (response, records) = bench.beat(go_on("b", 2));
    assert_eq!((response.member_epoch, told(&response)), (2, Some(vec![2])));
    assert_eq!(records, [current("b", (2, 2), STABLE, &[(2, 2)], &[])]);
    assert_eq!(bench.state(), "Stable");
}

#[test]
fn a_member_whose_last_answer_was_lost_may_go_on_from_the_epoch_before() {
    let mut bench = Bench::new(&[("t", 3)]);
    bench.beat(join("a", &["t"]));
    bench.pass_ms(1000);
    bench.beat(join("b", &["t"]));
    bench.beat(go_on("a", 1));
    // The answer to this one, that it is in epoch 2, is lost.
    bench.beat(owning("a", 1, &[("t", &[0, 1])]));
    let (response, records) = bench.beat(owning("a", 1, &[("t", &[0, 1])]));
    assert_eq!((response.member_epoch, records.len()), (2, 0));
    // But not with what it does not own any more, or without saying.
    assert_eq!(bench.refused(owning("a", 1, &[("t", &[0, 1, 2])])), ErrorCode::FencedMemberEpoch);
    assert_eq!(bench.refused(go_on("a", 1)), ErrorCode::FencedMemberEpoch);
}

#[test]
fn whoever_is_in_another_epoch_is_fenced_and_whoever_is_not_known_is_told_so() {
    let mut bench = two();
    assert_eq!(bench.refused(go_on("a", 3)), ErrorCode::FencedMemberEpoch);
    assert_eq!(bench.refused(go_on("b", 1)), ErrorCode::FencedMemberEpoch);
    assert_eq!(bench.refused(go_on("c", 2)), ErrorCode::UnknownMemberId);
    assert_eq!(bench.refused(go_on("c", -1)), ErrorCode::UnknownMemberId);
    let elsewhere = go_on("a", 2).with_group_id(s("h").into());
    assert_eq!(bench.refused(elsewhere.clone()), ErrorCode::GroupIdNotFound);
    assert_eq!(bench.refused(elsewhere.with_member_epoch(-1)), ErrorCode::GroupIdNotFound);
}

#[test]
fn a_member_that_lost_its_memory_joins_again_under_its_name_and_keeps_what_it_owns() {
    let mut bench = two();
    let (response, records) = bench.beat(join("a", &["t"]));
    assert_eq!((response.member_epoch, told(&response), records.len()), (2, Some(vec![0, 1]), 0));
}

#[test]
fn a_group_that_is_full_takes_nobody_but_its_members() {
    let mut bench = two();
    bench.config.groups.consumer.size_max = 2;
    assert_eq!(bench.refused(join("c", &["t"])), ErrorCode::GroupMaxSizeReached);
    assert_eq!(bench.beat(join("a", &["t"])).0.error_code, 0);
}

#[test]
fn what_a_member_that_leaves_owned_is_another_s() {
    let mut bench = two();
    let hash = hash_in(&bench.log);
    let (response, records) = bench.beat(go_on("b", -1));
    assert_eq!((response.member_epoch, response.member_id.as_deref()), (-1, Some("b")));
    assert_eq!(records, [&gone("b")[..], &[epoch(3, hash)]].concat());
    assert_eq!(bench.state(), "Assigning");
    bench.pass_ms(1000);
    let (response, records) = bench.beat(go_on("a", 2));
    assert_eq!((response.member_epoch, told(&response)), (3, Some(vec![0, 1, 2])));
    let expected = [
        target("a", &[("t", &[0, 1, 2])]),
        target_epoch(3, BEGAN_MS + 2000),
        current("a", (3, 2), STABLE, &[(0, 1), (1, 1), (2, 3)], &[]),
    ];
    assert_eq!(records, expected);
    let (_, records) = bench.beat(go_on("a", -1));
    assert_eq!(records, [&gone("a")[..], &[epoch(4, 0)]].concat());
    assert_eq!(bench.state(), "Empty");
}

#[test]
fn a_silent_member_is_removed_after_its_session_and_one_that_is_heard_of_is_not() {
    let mut bench = two();
    bench.pass_ms(30_000);
    bench.beat(go_on("a", 2));
    assert_eq!(bench.pass_ms(14_999), []);
    let records = bench.pass_ms(1);
    assert_eq!(records[..3], gone("b"));
    assert_eq!(bench.pass_ms(29_000), [], "it is removed once");
    assert_eq!(bench.refused(go_on("b", 2)), ErrorCode::UnknownMemberId);
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_removed_though_it_is_heard_of() {
    let mut bench = Bench::new(&[("t", 3)]);
    bench.beat(join("a", &["t"]));
    bench.pass_ms(1000);
    bench.beat(join("b", &["t"]));
    bench.beat(go_on("a", 1));
    bench.pass_ms(19_000);
    bench.beat(owning("a", 1, &[("t", &[0, 1, 2])]));
    assert_eq!(bench.pass_ms(999), []);
    assert_eq!(bench.pass_ms(1)[..3], gone("a"));
    let (response, _) = bench.beat(go_on("b", 2));
    assert_eq!((response.member_epoch, told(&response)), (3, Some(vec![0, 1, 2])));
}

#[test]
fn sessions_and_revocations_go_on_after_a_restart() {
    let mut bench = Bench::new(&[("t", 3)]);
    bench.beat(join("a", &["t"]));
    bench.pass_ms(1000);
    bench.beat(join("b", &["t"]));
    bench.beat(go_on("a", 1));
    let before = bench.describe();
    bench.restart();
    assert_eq!(bench.describe(), before);
    bench.pass_ms(15_000);
    bench.beat(go_on("b", 2));
    assert_eq!(bench.pass_ms(5_000)[..3], gone("a"));
    bench.beat(go_on("b", 2));
    assert_eq!(bench.pass_ms(45_000)[..3], gone("b"));
}

fn static_join(name: &str) -> ConsumerGroupHeartbeatRequest {
    join(name, &["t"]).with_instance_id(Some(s("i")))
}

#[test]
fn a_static_member_that_left_for_a_while_goes_on_under_another_name() {
    let mut bench = Bench::new(&[("t", 2)]);
    let (_, records) = bench.beat(static_join("i-1"));
    assert_eq!(records[0], subscription("i-1", said("i-1", &["t"])));
    let leave = go_on("i-1", -2).with_instance_id(Some(s("i")));
    let (response, records) = bench.beat(leave);
    assert_eq!((response.member_epoch, response.member_id.as_deref()), (-2, Some("i-1")));
    assert_eq!(records, [current("i-1", (-2, 0), STABLE, &[(0, 0), (1, 0)], &[])]);
    let (response, records) = bench.beat(static_join("i-2"));
    assert_eq!((response.member_epoch, told(&response)), (1, Some(vec![0, 1])));
    let expected = [
        subscription("i-2", said("i-2", &["t"])),
        target("i-2", &[("t", &[0, 1])]),
        current("i-2", (0, 0), STABLE, &[(0, 0), (1, 0)], &[]),
        // No epoch of the group: nothing has changed for anyone.
        current("i-2", (1, 0), STABLE, &[(0, 0), (1, 0)], &[]),
    ];
    assert_eq!(records, [&gone("i-1")[..], &expected].concat());
    assert_eq!(bench.refused(go_on("i-1", 1)), ErrorCode::UnknownMemberId);
    let former = go_on("i-1", 1).with_instance_id(Some(s("i")));
    assert_eq!(bench.refused(former), ErrorCode::FencedInstanceId);
}

#[test]
fn a_static_name_is_one_member_s_until_it_leaves_or_its_session_is_over() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.beat(static_join("i-1"));
    assert_eq!(bench.refused(static_join("i-2")), ErrorCode::UnreleasedInstanceId);
    let stranger = go_on("x", 1).with_instance_id(Some(s("j")));
    assert_eq!(bench.refused(stranger), ErrorCode::UnknownMemberId);
    bench.beat(go_on("i-1", -2).with_instance_id(Some(s("i"))));
    assert_eq!(bench.pass_ms(45_000)[..3], gone("i-1"));
    assert_eq!(bench.beat(static_join("i-2")).0.error_code, 0);
}

#[test]
fn a_malformed_heartbeat_is_refused_before_its_group_is_looked_at() {
    let config = BrokerConfig::default();
    let error = |request: &ConsumerGroupHeartbeatRequest, version| {
        validate_consumer_heartbeat(request, version, &config).expect_err("malformed").error
    };
    let good = join("a", &["t"]);
    assert_eq!(validate_consumer_heartbeat(&good, 1, &config), Ok(()));
    assert_eq!(validate_consumer_heartbeat(&join("", &["t"]), 0, &config), Ok(()));
    assert_eq!(validate_consumer_heartbeat(&go_on("a", 7), 1, &config), Ok(()));
    let malformed = [
        (join("", &["t"]), 1),
        (go_on("", 1), 0),
        (go_on("", -1), 0),
        (good.clone().with_group_id(s(" ").into()), 1),
        (good.clone().with_instance_id(Some(s(""))), 1),
        (good.clone().with_rack_id(Some(s(" "))), 1),
        (good.clone().with_rebalance_timeout_ms(-1), 1),
        (good.clone().with_topic_partitions(None), 1),
        (owning("a", 0, &[("t", &[1])]).with_rebalance_timeout_ms(1), 1),
        (good.clone().with_subscribed_topic_names(None), 1),
        (go_on("a", -2), 1),
        (go_on("a", -3), 1),
    ];
    for (request, version) in malformed {
        assert_eq!(error(&request, version), ErrorCode::InvalidRequest, "{request:?}");
    }
    let assignor = good.with_server_assignor(Some(s("sticky")));
    assert_eq!(error(&assignor, 1), ErrorCode::UnsupportedAssignor);
}

#[test]
fn most_members_choose_the_assignor() {
    let mut bench = Bench::new(&[("t", 4), ("u", 4)]);
    let both = |name: &str| join(name, &["t", "u"]);
    bench.beat(both("a"));
    assert_eq!(bench.describe().assignor_name.as_str(), "uniform");
    bench.pass_ms(1000);
    bench.beat(both("b").with_server_assignor(Some(s("range"))));
    assert_eq!(bench.describe().assignor_name.as_str(), "range");
    let halves =
        [target("a", &[("t", &[0, 1]), ("u", &[0, 1])]), target("b", &[("t", &[2, 3]), ("u", &[2, 3])])];
    assert!(halves.iter().all(|half| bench.log.contains(half)), "{:?}", bench.log);
}

#[test]
fn a_group_s_own_settings_win_over_the_broker_s() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.configure("consumer.heartbeat.interval.ms", "7000");
    bench.configure("consumer.session.timeout.ms", "50000");
    let (response, _) = bench.beat(join("a", &["t"]));
    assert_eq!(response.heartbeat_interval_ms, 7000);
    assert_eq!(bench.pass_ms(49_999), []);
    assert_eq!(bench.pass_ms(1)[..3], gone("a"));
}
