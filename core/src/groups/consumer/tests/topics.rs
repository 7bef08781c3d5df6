//! Topics that come, go and grow, and regular expressions that stand for them.

use super::*;
use crate::groups::records::ResolvedRegex;
use twox_hash::XxHash3_64;

#[test]
fn a_group_s_hash_is_kafka_s() {
    let mut bench = Bench::new(&[("t", 2)]);
    let (_, records) = bench.beat(join("a", &["t", "nowhere"]));
    // Magic, id (high, low), name in UTF-16 and its length, partitions, then each partition: there are no racks.
    let mut topic = vec![0];
    topic.extend_from_slice(&0_u64.to_le_bytes());
    topic.extend_from_slice(&u64::from(b't').to_le_bytes());
    topic.extend_from_slice(&[b't', 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    let topic = XxHash3_64::oneshot(&topic);
    assert_eq!(hash_in(&records), XxHash3_64::oneshot(&topic.to_le_bytes()).cast_signed());
}

#[test]
fn new_partitions_are_found_at_the_next_heartbeat_of_anyone() {
    let mut bench = Bench::new(&[("t", 1)]);
    let (_, before) = bench.beat(join("a", &["t"]));
    bench.change_something_else();
    assert_eq!(bench.beat(go_on("a", 1)).1, [], "what does not concern the group changes nothing");
    bench.add_partition("t", 1);
    bench.pass_ms(1000);
    let (response, records) = bench.beat(go_on("a", 1));
    assert_eq!((response.member_epoch, told(&response)), (2, Some(vec![0, 1])));
    assert_ne!(hash_in(&records), hash_in(&before));
    assert_eq!(records.len(), 4);
    assert_eq!(bench.beat(go_on("a", 2)).1, []);
}

#[test]
fn a_topic_that_is_read_before_it_is_there_is_assigned_once_it_is() {
    let mut bench = Bench::new(&[]);
    let (response, records) = bench.beat(join("a", &["t"]));
    assert_eq!((response.member_epoch, told(&response), hash_in(&records)), (1, Some(vec![]), 0));
    bench.create("t", 2);
    bench.pass_ms(1000);
    let (response, _) = bench.beat(go_on("a", 1));
    assert_eq!((response.member_epoch, told(&response)), (2, Some(vec![0, 1])));
    bench.delete("t");
    bench.pass_ms(1000);
    // It is told what it has left, and gives the rest up.
    let (response, records) = bench.beat(go_on("a", 2));
    assert_eq!((response.member_epoch, told(&response), hash_in(&records)), (2, Some(vec![]), 0));
    let (response, _) = bench.beat(owning("a", 2, &[]));
    assert_eq!(response.member_epoch, 3);
    assert_eq!(bench.state(), "Stable");
}

#[test]
fn who_reads_a_topic_no_more_gives_it_up_before_anyone_computes_anything() {
    let mut bench = Bench::new(&[("t", 2), ("u", 1)]);
    bench.beat(join("a", &["t", "u"]));
    let change = join("a", &["u"]).with_member_epoch(1).with_topic_partitions(None);
    let (response, records) = bench.beat(change);
    // The next target may be computed a second after the last only.
    assert_eq!((response.member_epoch, told(&response)), (1, Some(vec![0])));
    let hash = hash_in(&records);
    assert_eq!(records[..2], [subscription("a", said("a", &["u"])), epoch(2, hash)]);
    assert_eq!(records.len(), 3);
    bench.pass_ms(1000);
    let (response, records) = bench.beat(owning("a", 1, &[("u", &[0])]));
    assert_eq!(response.member_epoch, 2);
    assert_eq!(records[..2], [target("a", &[("u", &[0])]), target_epoch(2, BEGAN_MS + 1000)]);
}

#[test]
fn a_target_is_computed_not_more_often_than_the_interval_says() {
    let mut bench = Bench::new(&[("t", 4)]);
    bench.beat(join("a", &["t"]));
    bench.beat(join("b", &["t"]));
    let (response, records) = bench.beat(join("c", &["t"]));
    assert_eq!((response.member_epoch, told(&response)), (1, Some(vec![])));
    assert_eq!(records.len(), 3, "its subscription, an epoch of the group, where it stands");
    assert_eq!(bench.describe().assignment_epoch, 1);
    bench.pass_ms(1000);
    let (_, records) = bench.beat(go_on("b", 1));
    assert!(records.contains(&target_epoch(3, BEGAN_MS + 1000)));
    bench.config.groups.consumer.assignment_interval_ms = 0;
    bench.beat(join("d", &["t"]));
    assert_eq!(bench.describe().assignment_epoch, 4);
}

fn by_regex(member: &str, regex: &str) -> ConsumerGroupHeartbeatRequest {
    join(member, &[]).with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(s(regex)))
}

fn resolved(regex: &str, topics: &[&str], version: i64, at_ms: i64) -> Record {
    let topics = topics.iter().map(|topic| Arc::from(*topic)).collect();
    let value = Some(ResolvedRegex { topics, version, at_ms });
    Record::Regex { group: group(), regex: regex.into(), value }
}

fn forgotten(regex: &str) -> Record {
    Record::Regex { group: group(), regex: regex.into(), value: None }
}

#[test]
fn an_expression_stands_for_the_topics_whose_whole_name_it_matches() {
    let mut bench = Bench::new(&[("t", 1), ("t2", 2), ("at", 1)]);
    let (response, records) = bench.beat(by_regex("a", "t.*"));
    assert_eq!((response.member_epoch, told(&response)), (1, Some(vec![0, 0, 1])));
    let mut member = said("a", &[]);
    member.regex = Some("t.*".into());
    let expected = [
        subscription("a", member),
        resolved("t.*", &["t", "t2"], 3, BEGAN_MS),
        epoch(1, hash_in(&records)),
        target("a", &[("t", &[0]), ("t2", &[0, 1])]),
    ];
    assert_eq!(records[..4], expected);
}

#[test]
fn a_topic_that_is_created_later_is_found_when_the_expressions_have_rested() {
    let mut bench = Bench::new(&[("t", 1)]);
    bench.beat(by_regex("a", "t.*"));
    bench.create("t2", 1);
    bench.pass_ms(10_000);
    assert_eq!(bench.beat(go_on("a", 1)).1, []);
    bench.pass_ms(1);
    let (response, records) = bench.beat(go_on("a", 1));
    assert_eq!((response.member_epoch, told(&response)), (2, Some(vec![0, 0])));
    assert_eq!(records[0], resolved("t.*", &["t", "t2"], 2, BEGAN_MS + 10_001));
    bench.pass_ms(20_000);
    assert_eq!(bench.beat(go_on("a", 2)).1, [], "no topic has come since");
}

#[test]
fn expressions_are_evaluated_again_now_and_then_even_if_no_topic_came() {
    let mut bench = Bench::new(&[("t", 1)]);
    bench.beat(by_regex("a", "t"));
    for round in 1..=15 {
        bench.pass_ms(40_000);
        assert_eq!(bench.beat(go_on("a", 1)).1, [], "round {round}");
    }
    bench.pass_ms(1);
    let (_, records) = bench.beat(go_on("a", 1));
    assert_eq!(records, [resolved("t", &["t"], 1, BEGAN_MS + 600_001)]);
}

#[test]
fn an_expression_goes_with_the_last_member_that_has_it() {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.beat(by_regex("a", "t"));
    bench.pass_ms(11_000);
    let (response, records) = bench.beat(by_regex("b", "t"));
    assert_eq!(response.member_epoch, 2);
    assert!(!records.iter().any(|record| matches!(record, Record::Regex { .. })));
    let (_, records) = bench.beat(go_on("a", -1));
    assert_eq!(records.len(), 4);
    let (_, records) = bench.beat(by_regex("b", "").with_member_epoch(2).with_topic_partitions(None));
    assert!(records.contains(&forgotten("t")));
    assert_eq!(hash_in(&records), 0);
    let (_, records) = bench.beat(by_regex("b", "u|t").with_member_epoch(2).with_topic_partitions(None));
    assert!(records.iter().any(|record| matches!(record, Record::Regex { value: Some(_), .. })));
    let (_, records) = bench.beat(go_on("b", -1));
    assert_eq!(records, [&gone("b")[..], &[forgotten("u|t"), epoch(6, 0)]].concat());
}

#[test]
fn an_expression_that_cannot_be_is_refused_with_the_reason() {
    let mut bench = Bench::new(&[("t", 1)]);
    let long = "x".repeat(4097);
    let unicode = ["(?i)\\pL".repeat(30), format!("t|(?u:{})", "x".repeat(60))];
    let large = "((a{100}){100}){100}";
    for wrong in ["(", "a)|(b", "[z-a]", "(?=t)", "\\1", &long, &unicode[0], &unicode[1], large] {
        let error = bench.refused(by_regex("a", wrong));
        assert_eq!(error, ErrorCode::InvalidRegularExpression, "{wrong:.40}");
    }
    for right in ["t", "^t$", "(?i)T", "\\pL", "\\w", "u|t", "[[:alpha:]]"] {
        let (response, _) = bench.beat(by_regex("b", right));
        assert_eq!(told(&response), Some(vec![0]), "{right}");
        bench.beat(go_on("b", -1));
        bench.pass_ms(1000);
    }
}

/// An expression that costs about a millisecond for a long name.
const HEAVY: &str = "(|x|y|xy|yx){150}x*[0-9]{10}";

/// Topics with the longest names; their names.
fn create_many(bench: &mut Bench) -> Vec<String> {
    let names: Vec<String> = (0..40).map(|number| format!("{}{number:010}", "x".repeat(239))).collect();
    names.iter().for_each(|name| bench.create(name, 1));
    names
}

/// How often the evaluation went on until it was done, and what was written down then.
fn until_evaluated(bench: &mut Bench) -> (usize, Vec<Record>) {
    for pieces in 1..100 {
        let records = bench.pass_ms(3);
        if !records.is_empty() {
            return (pieces, records);
        }
        assert_eq!(bench.beat(go_on("a", 1)).1, [], "others are answered between");
    }
    panic!("it goes on for ever");
}

#[test]
fn a_heavy_expression_over_many_long_names_is_evaluated_in_pieces() {
    let mut bench = Bench::new(&[("t", 1)]);
    let names = create_many(&mut bench);
    let (response, records) = bench.beat(by_regex("a", HEAVY));
    assert_eq!((response.member_epoch, told(&response)), (1, Some(vec![])));
    assert!(!records.iter().any(|record| matches!(record, Record::Regex { .. })));
    let (pieces, records) = until_evaluated(&mut bench);
    assert!(pieces >= names.len() / 2, "no piece takes in more than two names: {pieces}");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(records, [resolved(HEAVY, &names, 41, BEGAN_MS), epoch(2, hash_in(&records))]);
    bench.pass_ms(1000);
    let (response, _) = bench.beat(go_on("a", 1));
    assert_eq!((response.member_epoch, told(&response)), (2, Some(vec![0; names.len()])));
}

#[test]
fn what_nobody_reads_any_more_when_it_is_evaluated_is_not_written_down() {
    let mut bench = Bench::new(&[]);
    create_many(&mut bench);
    bench.beat(by_regex("a", HEAVY));
    bench.beat(go_on("a", -1));
    for _ in 0..50 {
        assert_eq!(bench.pass_ms(3), []);
    }
    // Nothing of it stands in the way of the next evaluation.
    let (_, records) = bench.beat(by_regex("a", "y"));
    assert!(records.contains(&resolved("y", &[], 40, BEGAN_MS + 150)));
}

#[test]
fn an_evaluation_that_a_restart_cut_short_begins_anew() {
    let mut bench = Bench::new(&[]);
    create_many(&mut bench);
    bench.beat(by_regex("a", HEAVY));
    bench.pass_ms(3);
    bench.restart();
    assert_eq!(bench.beat(go_on("a", 1)).1, []);
    let (pieces, records) = until_evaluated(&mut bench);
    assert!(pieces > 1 && records.iter().any(|record| matches!(record, Record::Regex { .. })));
}

#[test]
fn members_that_name_topics_and_members_that_describe_them_share_them() {
    let mut bench = Bench::new(&[("t", 2), ("u", 2)]);
    bench.beat(by_regex("a", "t|u"));
    bench.pass_ms(1000);
    bench.beat(join("b", &["t"]));
    bench.beat(go_on("a", 1));
    bench.beat(owning("a", 1, &[("u", &[0, 1])]));
    let (response, _) = bench.beat(go_on("b", 2));
    assert_eq!(told(&response), Some(vec![0, 1]));
    assert_eq!(bench.state(), "Stable");
}
