//! Groups as a whole: told of, deleted, and what is committed in them.

use super::*;
use crate::groups::{CommitOffsets, DeleteOffsets, FetchOffsets, ListedGroup, NewOffset, TopicOffsets};

fn topics<T: Clone>(name: &str, partitions: &[i32], value: &T) -> Vec<TopicOffsets<T>> {
    let partitions = partitions.iter().map(|partition| (*partition, value.clone())).collect();
    vec![TopicOffsets { name: name.into(), id: topic_id(name), partitions }]
}

fn commit(member: &str, epoch: i32, partitions: &[i32]) -> CommitOffsets {
    let offset = NewOffset { offset: 7, leader_epoch: 1, metadata: "".into() };
    CommitOffsets {
        group: group(),
        generation: epoch,
        member: member.into(),
        instance: None,
        retention_ms: None,
        version: 9,
        topics: topics("t", partitions, &offset),
    }
}

/// `a` owns 0 since epoch 1 and gives up 1; the group is in epoch 2.
fn giving_up() -> Bench {
    let mut bench = Bench::new(&[("t", 2)]);
    bench.beat(join("a", &["t"]));
    bench.pass_ms(1000);
    bench.beat(join("b", &["t"]));
    bench.beat(go_on("a", 1));
    bench
}

#[test]
fn a_member_commits_in_its_epoch_and_in_an_older_one_what_it_had_then_and_has_yet() {
    let mut bench = giving_up();
    let mut error = |request: CommitOffsets| match bench.ask(Request::Commit(request)) {
        (Ok(_), records) => {
            assert!(matches!(records[..], [Record::Offset { .. }, ..]));
            ErrorCode::None
        }
        (Err(error), records) => {
            assert_eq!(records, []);
            error
        }
    };
    assert_eq!(error(commit("a", 1, &[0, 1])), ErrorCode::None);
    assert_eq!(error(commit("a", 2, &[0])), ErrorCode::StaleMemberEpoch);
    assert_eq!(error(commit("x", 1, &[0])), ErrorCode::UnknownMemberId);
    assert_eq!(error(commit("", -1, &[0])), ErrorCode::UnknownMemberId);
    assert_eq!(error(CommitOffsets { version: 8, ..commit("a", 1, &[0]) }), ErrorCode::UnsupportedVersion);
    assert_eq!(bench.beat(owning("a", 1, &[("t", &[0])])).0.member_epoch, 2);
    assert_eq!(bench.beat(go_on("b", 2)).0.error_code, 0);
    let mut error = |request| bench.ask(Request::Commit(request)).0.err().unwrap_or(ErrorCode::None);
    assert_eq!(error(commit("a", 1, &[0])), ErrorCode::None, "it has had it since epoch 1");
    assert_eq!(error(commit("a", 1, &[0, 1])), ErrorCode::StaleMemberEpoch, "it has not any more");
    assert_eq!(error(commit("b", 1, &[1])), ErrorCode::StaleMemberEpoch, "it had not yet");
    assert_eq!(error(commit("b", 2, &[1])), ErrorCode::None);
}

#[test]
fn a_member_fetches_in_its_epoch_and_whoever_is_none_without() {
    let mut bench = giving_up();
    let fetch = |member: Option<(&str, i32)>| FetchOffsets {
        require_stable: false,
        group: group(),
        member: member.map(|(name, epoch)| (name.into(), epoch)),
        topics: Some(topics("t", &[0], &())),
    };
    let mut error =
        |member| bench.ask(Request::FetchOffsets(fetch(member))).0.err().unwrap_or(ErrorCode::None);
    assert_eq!(error(None), ErrorCode::None);
    assert_eq!(error(Some(("a", 1))), ErrorCode::None);
    assert_eq!(error(Some(("a", 2))), ErrorCode::StaleMemberEpoch);
    assert_eq!(error(Some(("x", 1))), ErrorCode::UnknownMemberId);
}

#[test]
fn offsets_of_topics_that_members_read_are_not_deleted() {
    let mut bench = Bench::new(&[("t", 1), ("u", 1)]);
    bench.beat(join("a", &["t"]));
    let mut both = commit("a", 1, &[0]);
    both.topics.extend(topics("u", &[0], &both.topics[0].partitions[0].1.clone()));
    bench.ask(Request::Commit(both)).0.expect("commits");
    let request =
        DeleteOffsets { group: group(), topics: [topics("t", &[0], &()), topics("u", &[0], &())].concat() };
    let (reply, records) = bench.ask(Request::DeleteOffsets(request));
    let Ok(Response::Deleted(told)) = reply else { panic!("{reply:?}") };
    let errors: Vec<ErrorCode> = told.iter().map(|topic| topic.partitions[0].1).collect();
    assert_eq!(errors, [ErrorCode::GroupSubscribedToTopic, ErrorCode::None]);
    assert_eq!(records, [Record::Offset { group: group(), topic: "u".into(), partition: 0, value: None }]);
}

#[test]
fn a_group_is_told_of_with_what_its_members_own_and_shall_own() {
    let mut bench = giving_up();
    let told = bench.describe();
    assert_eq!((told.group_state.as_str(), told.group_epoch, told.assignment_epoch), ("Reconciling", 2, 2));
    assert_eq!(told.assignor_name.as_str(), "uniform");
    let partitions = |assignment: &kafka_protocol::messages::consumer_group_describe_response::Assignment| {
        let topics = assignment.topic_partitions.iter();
        topics.map(|it| (it.topic_name.to_string(), it.partitions.clone())).collect::<Vec<_>>()
    };
    let (a, b) = (&told.members[0], &told.members[1]);
    assert_eq!((a.member_id.as_str(), a.member_epoch, a.member_type), ("a", 1, 1));
    assert_eq!(partitions(&a.assignment), [("t".to_owned(), vec![0, 1])], "also what it is giving up");
    assert_eq!(partitions(&a.target_assignment), [("t".to_owned(), vec![0])]);
    assert_eq!((b.member_id.as_str(), b.member_epoch), ("b", 2));
    assert_eq!(
        (partitions(&b.assignment), partitions(&b.target_assignment)),
        (vec![], vec![("t".to_owned(), vec![1])])
    );
    assert_eq!(b.subscribed_topic_names[0].as_str(), "t");
    assert_eq!(bench.ask(Request::Describe(group())).0, Err(ErrorCode::GroupIdNotFound));
    let (reply, _) = bench.ask(Request::DescribeConsumer("other".into()));
    let Ok(Response::DescribedConsumer(other)) = reply else { panic!("{reply:?}") };
    assert_eq!(other.error_code, ErrorCode::GroupIdNotFound.code());
}

#[test]
fn a_group_is_listed_with_its_type_and_state() {
    let mut bench = giving_up();
    let listed = ListedGroup {
        group: group(),
        protocol_type: "consumer".into(),
        state: "Reconciling",
        kind: "consumer",
    };
    assert_eq!(bench.coordinator.list(&["reconciling".into()], &["Consumer".into()]), [listed]);
    assert_eq!(bench.coordinator.list(&[], &["classic".into()]), []);
    assert_eq!(bench.coordinator.list(&["stable".into()], &[]), []);
    bench.beat(go_on("b", -1));
    assert_eq!(bench.coordinator.list(&["Assigning".into()], &[]).len(), 1);
}

/// What deletes an empty group, but for its offsets.
fn tombstones() -> [Record; 3] {
    [
        Record::TargetEpoch { group: group(), value: None },
        Record::SubscribedTopics { group: group(), present: false },
        Record::ConsumerGroup { group: group(), value: None },
    ]
}

#[test]
fn a_group_is_deleted_with_all_its_records_when_it_is_empty() {
    let mut bench = Bench::new(&[("t", 1)]);
    bench.beat(join("a", &["t"]));
    bench.ask(Request::Commit(commit("a", 1, &[0]))).0.expect("commits");
    assert_eq!(bench.ask(Request::Delete(group())), (Err(ErrorCode::NonEmptyGroup), vec![]));
    bench.beat(go_on("a", -1));
    let (reply, records) = bench.ask(Request::Delete(group()));
    assert_eq!(reply, Ok(Response::Done));
    let offset = Record::Offset { group: group(), topic: "t".into(), partition: 0, value: None };
    assert_eq!(records, [&[offset], &tombstones()[..]].concat());
    assert_eq!(bench.coordinator.size(), (0, 0));
    bench.restart();
    assert_eq!(bench.coordinator.size(), (0, 0));
}

#[test]
fn offsets_that_nobody_reads_expire_and_an_empty_group_with_them() {
    let mut bench = Bench::new(&[("t", 1), ("u", 1)]);
    bench.beat(join("a", &["t"]));
    let mut both = commit("a", 1, &[0]);
    both.topics.extend(topics("u", &[0], &both.topics[0].partitions[0].1.clone()));
    bench.ask(Request::Commit(both)).0.expect("commits");
    let week_ms = 7 * 24 * 3600 * 1000;
    bench.config.groups.consumer.session_timeout_ms = 2 * week_ms;
    bench.beat(go_on("a", 1));
    let gone =
        |topic: &str| Record::Offset { group: group(), topic: topic.into(), partition: 0, value: None };
    assert_eq!(bench.pass_ms(u64::from(week_ms.unsigned_abs())), [gone("u")]);
    bench.beat(go_on("a", -1));
    assert_eq!(bench.pass_ms(600_000), [&[gone("t")], &tombstones()[..]].concat());
}

#[test]
fn groups_of_nothing_but_offsets_take_members_of_the_new_protocol_and_keep_the_offsets() {
    let mut bench = Bench::new(&[("t", 1)]);
    bench.ask(Request::Commit(commit("", -1, &[0]))).0.expect("commits");
    let (response, records) = bench.beat(join("a", &["t"]));
    assert_eq!(response.member_epoch, 1);
    assert_eq!(records[0], Record::ClassicGroup { group: group(), value: None });
    bench.restart();
    assert_eq!(bench.describe().members.len(), 1);
    let all =
        FetchOffsets { group: group(), member: Some(("a".into(), 1)), topics: None, require_stable: false };
    let (reply, _) = bench.ask(Request::FetchOffsets(all));
    let Ok(Response::Offsets(told)) = reply else { panic!("{reply:?}") };
    assert_eq!(told[0].partitions[0].1.offset, 7);
}

#[test]
fn what_kafka_before_4_1_kept_of_topics_is_deleted_with_the_next_change() {
    let mut bench = Bench::new(&[("t", 1)]);
    let old = Record::SubscribedTopics { group: group(), present: true };
    let current = current("a", (1, 0), STABLE, &[], &[]);
    for record in [subscription("a", said("a", &["t"])), epoch(1, 0), old, target_epoch(1, 0), current] {
        bench.log.push(record);
    }
    bench.restart();
    let (_, records) = bench.beat(go_on("a", 1));
    assert!(records.contains(&Record::SubscribedTopics { group: group(), present: false }));
    let (_, records) = bench.beat(go_on("a", -1));
    assert!(!records.contains(&Record::SubscribedTopics { group: group(), present: false }));
}
