//! Each claim is shown to fail on a bad history, and a good one to pass.

use super::*;
use crate::client::{
    history::{Acks, Event, Moment, RecordId, Seen},
    quorum::Voter,
    record,
};
use corelane_core::ids::{Offset, PartitionId, ProducerId, TopicId};

const P: PartitionId = PartitionId { topic: TopicId::ZERO, index: 0 };

fn sent(record: u64) -> Event {
    Event::Sent { record: RecordId(record), partition: P, acks: Acks::All, producer: Some(ProducerId(1)) }
}

fn acknowledged(record: u64, offset: i64, acks: Acks) -> Event {
    Event::Acknowledged { record: RecordId(record), partition: P, acks, offset: Offset(offset) }
}

fn seen(records: &[(i64, u64)]) -> Vec<Seen> {
    records
        .iter()
        .map(|(offset, record)| Seen { offset: Offset(*offset), record: RecordId(*record) })
        .collect()
}

fn fetched(asked: usize, from: i64, high_watermark: i64, records: &[(i64, u64)]) -> Event {
    Event::Fetched {
        partition: P,
        asked: Moment(asked),
        from: Offset(from),
        log_start: Offset(0),
        high_watermark: Offset(high_watermark),
        records: seen(records),
    }
}

fn audited(log_start: i64, high_watermark: i64, records: &[(i64, u64)]) -> Event {
    Event::Audited {
        partition: P,
        log_start: Offset(log_start),
        high_watermark: Offset(high_watermark),
        records: seen(records),
    }
}

fn refuted(events: Vec<Event>) -> Option<&'static str> {
    refuted_of(History::default(), events)
}

fn refuted_of(mut history: History, events: Vec<Event>) -> Option<&'static str> {
    events.into_iter().for_each(|event| history.note(event));
    check(&history).err().map(|violation| violation.invariant)
}

#[test]
fn a_partition_is_where_the_last_reassignment_put_it() {
    let asked = |to: &[i32]| Event::ReassignmentAsked { partition: P, replicas: Some(to.to_vec()) };
    let agreed = |to: &[i32], asked| Event::Reassigned {
        partition: P,
        replicas: Some(to.to_vec()),
        asked: Moment(asked),
    };
    let placed = |on: &[i32]| Event::Placed { partition: P, replicas: on.to_vec() };
    let wrong = Some("replicas_are_where_asked");
    // Without any reassignment it stays.
    assert_eq!(refuted(vec![placed(&[1, 2]), placed(&[1, 2])]), None);
    assert_eq!(refuted(vec![placed(&[1, 2]), placed(&[2, 1])]), wrong);
    // One that was agreed to happened; one that was not answered may have.
    let one = |on: &[i32]| vec![placed(&[1, 2]), asked(&[2, 3]), agreed(&[2, 3], 1), placed(on)];
    assert_eq!((refuted(one(&[2, 3])), refuted(one(&[1, 2]))), (None, wrong));
    let open = |on: &[i32]| vec![placed(&[1, 2]), asked(&[2, 3]), placed(on)];
    assert_eq!((refuted(open(&[2, 3])), refuted(open(&[1, 2])), refuted(open(&[3, 1]))), (None, None, wrong));
    let unknown = vec![asked(&[2, 3]), placed(&[1, 2]), placed(&[2, 3])];
    assert_eq!(refuted(unknown), wrong, "it was somewhere before");
    // The later of two counts, and either of two that overlap.
    let two = |second_asked: usize, on: &[i32]| {
        let second = [asked(&[3, 4]), agreed(&[3, 4], second_asked), placed(on)];
        let first = [placed(&[1, 2]), asked(&[2, 3]), agreed(&[2, 3], 1)];
        first.into_iter().chain(second).collect::<Vec<_>>()
    };
    assert_eq!((refuted(two(3, &[3, 4])), refuted(two(3, &[2, 3]))), (None, wrong));
    assert_eq!((refuted(two(1, &[2, 3])), refuted(two(1, &[1, 2]))), (None, wrong));
    // Back is anywhere.
    let back = Event::ReassignmentAsked { partition: P, replicas: None };
    assert_eq!(refuted(vec![placed(&[1, 2]), back, placed(&[4])]), None);
}

#[test]
fn whoever_was_added_votes_and_whoever_was_removed_does_not() {
    let voter = |node| Voter { node, directory: 7 };
    let asked = |node, votes| Event::VoterChangeAsked { voter: voter(node), votes };
    let changed =
        |node, votes, asked| Event::VoterChanged { voter: voter(node), votes, asked: Moment(asked) };
    let told = |nodes: &[i32]| Event::Voters { voters: nodes.iter().map(|node| voter(*node)).collect() };
    let wrong = Some("voters_are_who_was_asked");
    // Nobody comes or goes unasked, nor with another directory.
    let then = |nodes: &[i32]| refuted(vec![told(&[1, 2]), told(&[1, 2]), told(nodes)]);
    assert_eq!((then(&[1, 2]), then(&[1]), then(&[1, 2, 3])), (None, wrong, wrong));
    let other = Event::Voters { voters: [voter(1), Voter { node: 2, directory: 8 }].into() };
    assert_eq!(refuted(vec![told(&[1, 2]), other]), wrong);
    // What was done counts; what was not answered may.
    let added = |nodes: &[i32]| {
        refuted(vec![told(&[1, 2]), asked(3, true), changed(3, true, 1), told(nodes), told(nodes)])
    };
    assert_eq!((added(&[1, 2, 3]), added(&[1, 2])), (None, wrong));
    let removed =
        |nodes: &[i32]| refuted(vec![told(&[1, 2]), asked(2, false), changed(2, false, 1), told(nodes)]);
    assert_eq!((removed(&[1]), removed(&[1, 2])), (None, wrong));
    let open = |nodes: &[i32]| refuted(vec![told(&[1, 2]), asked(3, true), told(nodes)]);
    assert_eq!((open(&[1, 2, 3]), open(&[1, 2]), open(&[1, 3])), (None, None, wrong));
    // The later of two counts, and either of two that overlap.
    let two = |second_asked: usize, nodes: &[i32]| {
        let first = [told(&[1, 2]), asked(3, true), changed(3, true, 1)];
        let second = [asked(3, false), changed(3, false, second_asked), told(nodes)];
        refuted(first.into_iter().chain(second).collect())
    };
    assert_eq!((two(3, &[1, 2]), two(3, &[1, 2, 3])), (None, wrong));
    assert_eq!((two(1, &[1, 2]), two(1, &[1, 2, 3])), (None, None));
}

#[test]
fn a_good_history_passes() {
    let before = Event::DeleteRecordsAsked { partition: P, before: Offset(1) };
    let events = vec![
        sent(7),
        sent(8),
        acknowledged(7, 0, Acks::All),
        fetched(3, 0, 1, &[(0, 7)]),
        sent(7),
        acknowledged(7, 0, Acks::All),
        Event::PowerCut,
        audited(0, 2, &[(0, 7), (1, 8)]),
        before,
        audited(1, 2, &[(1, 8)]),
    ];
    assert_eq!(refuted(events), None);
}

#[test]
fn a_lost_or_replaced_acknowledged_record_is_seen() {
    let lost = Some("nothing_acknowledged_lost");
    assert_eq!(refuted(vec![sent(7), acknowledged(7, 0, Acks::All), audited(0, 0, &[])]), lost);
    assert_eq!(
        refuted(vec![sent(7), sent(8), acknowledged(7, 0, Acks::All), audited(0, 1, &[(0, 8)])]),
        lost
    );
    assert_eq!(
        refuted(vec![sent(7), acknowledged(7, 0, Acks::All), audited(1, 1, &[])]),
        lost,
        "start moved"
    );
}

#[test]
fn acks_1_outlives_the_process_and_not_a_power_cut() {
    let acked = || vec![sent(7), acknowledged(7, 0, Acks::Leader)];
    assert_eq!(refuted([acked(), vec![audited(0, 0, &[])]].concat()), Some("nothing_acknowledged_lost"));
    assert_eq!(refuted([acked(), vec![Event::PowerCut, audited(0, 0, &[])]].concat()), None);
}

#[test]
fn a_deleted_topic_owes_nothing() {
    let deleted = Event::DeleteTopicAsked { topic: P.topic };
    assert_eq!(refuted(vec![sent(7), acknowledged(7, 0, Acks::All), deleted, audited(0, 0, &[])]), None);
}

#[test]
fn a_gap_a_wrong_start_and_an_offset_past_the_watermark_are_seen() {
    let dense = Some("offsets_dense");
    assert_eq!(refuted(vec![sent(7), sent(8), audited(0, 3, &[(0, 7), (2, 8)])]), dense);
    assert_eq!(refuted(vec![sent(7), fetched(1, 0, 2, &[(1, 7)])]), dense);
    assert_eq!(refuted(vec![sent(7), fetched(1, 0, 0, &[(0, 7)])]), dense);
    assert_eq!(refuted(vec![sent(7), audited(0, 2, &[(0, 7)])]), dense);
}

/// The first two records of one key, and the first tombstone of it.
fn one_key() -> (u64, u64, u64) {
    let key = |record| record::key(RecordId(record));
    let same = |record: &u64| key(*record) == key(1);
    let is_tombstone = |record: &u64| record::is_tombstone(RecordId(*record));
    let second = (2..).find(|record| same(record) && !is_tombstone(record)).expect("there are few keys");
    let tombstone = (2..).find(|record| same(record) && is_tombstone(record)).expect("there are few keys");
    (1, second, tombstone)
}

#[test]
fn a_record_may_go_from_a_compacted_topic_for_a_later_one_of_its_key_only() {
    let (first, second, tombstone) = one_key();
    let other =
        (2..).find(|record| record::key(RecordId(*record)) != record::key(RecordId(first))).expect("another");
    let compacted = || Event::TopicCompacted { topic: P.topic, buries_for_good: true };
    let history = |later: u64, records: &[(i64, u64)]| {
        let acked = |record, offset| acknowledged(record, offset, Acks::All);
        vec![compacted(), sent(first), sent(later), acked(first, 0), acked(later, 1), audited(0, 2, records)]
    };
    assert_eq!(refuted(history(second, &[(1, second)])), None);
    assert_eq!(refuted(history(tombstone, &[(1, tombstone)])), None);
    assert_eq!(refuted(history(tombstone, &[])), None, "it has served its time");
    let lost = Some("nothing_acknowledged_lost");
    assert_eq!(refuted(history(second, &[(0, first)])), lost);
    assert_eq!(refuted(history(second, &[])), lost);
    assert_eq!(refuted(history(other, &[(1, other)])), lost);
    assert_eq!(refuted(history(second, &[(1, second)])[1..].to_vec()), lost, "it is not compacted");
}

#[test]
fn a_key_that_comes_back_behind_its_tombstone_is_seen() {
    let (first, second, tombstone) = one_key();
    let history = |later, records: &[(i64, u64)], buries_for_good| {
        let acked = |record, offset| acknowledged(record, offset, Acks::All);
        let compacted = Event::TopicCompacted { topic: P.topic, buries_for_good };
        vec![compacted, sent(first), sent(later), acked(first, 0), acked(later, 1), audited(0, 2, records)]
    };
    let came_back = Some("last_of_key_wins");
    assert_eq!(refuted(history(tombstone, &[(0, first), (1, tombstone)], true)), None);
    assert_eq!(refuted(history(tombstone, &[(0, first)], true)), came_back);
    assert_eq!(refuted(history(tombstone, &[(0, first)], false)), None, "a replica was away for longer");
    assert!(refuted(history(second, &[(0, first)], false)).is_some(), "no tombstone stood between");
}

#[test]
fn offsets_of_a_compacted_topic_have_holes_and_ascend() {
    let compacted = || Event::TopicCompacted { topic: P.topic, buries_for_good: true };
    let events = |records: &[(i64, u64)]| vec![compacted(), sent(7), sent(8), fetched(3, 0, 9, records)];
    assert_eq!(refuted(events(&[(2, 7), (8, 8)])), None);
    assert_eq!(refuted(events(&[(2, 7), (2, 8)])), Some("offsets_dense"));
    assert_eq!(refuted(events(&[(2, 7), (9, 8)])), Some("offsets_dense"), "past the watermark");
}

#[test]
fn a_duplicate_of_an_idempotent_record_is_seen_in_the_log_and_in_acknowledgements() {
    let duplicate = Some("no_duplicate_of_idempotent");
    assert_eq!(refuted(vec![sent(7), audited(0, 2, &[(0, 7), (1, 7)])]), duplicate);
    assert_eq!(
        refuted(vec![sent(7), acknowledged(7, 0, Acks::All), acknowledged(7, 1, Acks::All)]),
        duplicate
    );
}

#[test]
fn a_watermark_that_goes_back_is_seen_unless_the_requests_overlapped() {
    let events = |asked| vec![sent(7), fetched(1, 0, 5, &[]), fetched(asked, 0, 4, &[])];
    assert_eq!(refuted(events(2)), Some("watermark_monotonic"));
    assert_eq!(refuted(events(1)), None);
}

#[test]
fn a_record_that_changed_or_was_never_sent_there_is_seen() {
    let changed = Some("what_was_read_never_changes");
    assert_eq!(
        refuted(vec![sent(7), sent(8), fetched(2, 0, 1, &[(0, 7)]), audited(0, 1, &[(0, 8)])]),
        changed
    );
    assert_eq!(refuted(vec![audited(0, 1, &[(0, 9)])]), changed);
}

#[test]
fn a_topic_or_a_partition_that_is_gone_is_seen_unless_its_deletion_was_asked_for() {
    let acknowledged = || Event::TopicAcknowledged { topic: P.topic, partitions: 2 };
    let audited = |partitions| Event::TopicsAudited { topics: [(P.topic, partitions)].into() };
    assert_eq!(refuted(vec![acknowledged(), audited(2)]), None);
    assert_eq!(refuted(vec![acknowledged(), audited(1)]), Some("no_topic_lost"));
    let deleted = Event::DeleteTopicAsked { topic: P.topic };
    let nothing = Event::TopicsAudited { topics: [].into() };
    assert_eq!(refuted(vec![acknowledged(), nothing.clone()]), Some("no_topic_lost"));
    assert_eq!(refuted(vec![acknowledged(), deleted, nothing]), None);
}

#[test]
fn marks_shown_outside_of_a_fetch_count_as_well() {
    let marks = |asked, high_watermark| Event::Marks {
        partition: P,
        asked: Moment(asked),
        log_start: None,
        high_watermark: Some(Offset(high_watermark)),
    };
    assert_eq!(refuted(vec![sent(7), fetched(1, 0, 5, &[]), marks(2, 4)]), Some("watermark_monotonic"));
    assert_eq!(refuted(vec![sent(7), fetched(1, 0, 5, &[]), marks(2, 5)]), None);
}

#[test]
fn retention_during_an_audit_is_no_step_back_of_the_log_start() {
    let told = |asked, log_start| Event::Marks {
        partition: P,
        asked: Moment(asked),
        log_start: Some(Offset(log_start)),
        high_watermark: None,
    };
    let retention = Event::DeleteRecordsAsked { partition: P, before: Offset(i64::MAX) };
    let during = vec![retention, told(0, 0), told(1, 3), audited(0, 0, &[])];
    assert_eq!(refuted(during.clone()), None);
    let back = [during, vec![told(4, 2)]].concat();
    assert_eq!(refuted(back), Some("watermark_monotonic"));
}

#[test]
fn a_partition_of_two_members_in_one_generation_is_seen() {
    let assigned = |generation, member: &str| Event::Assigned {
        group: "g".into(),
        generation,
        member: member.into(),
        partitions: vec![P],
    };
    let one_owner = Some("group_has_one_owner");
    assert_eq!(refuted(vec![assigned(1, "a"), assigned(1, "a"), assigned(2, "b")]), None);
    assert_eq!(refuted(vec![assigned(1, "a"), assigned(2, "b"), assigned(1, "b")]), one_owner);
}

#[test]
fn a_committed_offset_that_goes_back_is_seen_unless_that_is_explained() {
    let committed = |asked, offset| Event::Committed {
        group: "g".into(),
        asked: Moment(asked),
        offsets: vec![(P, offset)],
    };
    let told = |asked, offset| Event::OffsetsTold {
        group: "g".into(),
        asked: Moment(asked),
        offsets: vec![(P, offset)],
    };
    let back = Some("commits_never_go_back");
    assert_eq!(refuted(vec![committed(0, 5), told(1, 5), committed(2, 6), told(3, 6)]), None);
    assert_eq!(refuted(vec![committed(0, 5), committed(1, 6), told(2, 5)]), back);
    assert_eq!(refuted(vec![committed(0, 5), told(1, -1)]), back);
    assert_eq!(
        refuted(vec![committed(0, 5), committed(1, 6), told(1, 5)]),
        None,
        "asked before the newer one"
    );
    assert_eq!(refuted(vec![committed(0, 5), committed(0, 6), told(2, 5)]), None, "they overlapped");
    assert_eq!(refuted(vec![committed(0, 5), told(1, 9)]), None, "whose outcome nobody was told of");
    let deleted = Event::DeleteTopicAsked { topic: P.topic };
    assert_eq!(refuted(vec![committed(0, 5), deleted, told(2, -1)]), None);
}

#[test]
fn a_record_that_a_consumer_read_and_an_audit_does_not_find_is_seen() {
    let read = || vec![sent(7), fetched(1, 0, 1, &[(0, 7)])];
    assert_eq!(refuted([read(), vec![audited(0, 1, &[(0, 7)])]].concat()), None);
    let stays = Some("what_was_read_stays");
    assert_eq!(refuted([read(), vec![audited(0, 0, &[])]].concat()), stays);
    assert_eq!(refuted([read(), vec![Event::PowerCut, audited(0, 0, &[])]].concat()), stays);
    let deleted = Event::DeleteRecordsAsked { partition: P, before: Offset(1) };
    assert_eq!(refuted([read(), vec![deleted, audited(1, 1, &[])]].concat()), None);
}

#[test]
fn what_a_cluster_tells_is_judged_once_it_has_settled_and_counts_before() {
    let history = |end: Vec<Event>| {
        let unsettled = vec![sent(7), Event::Unsettled, fetched(1, 0, 5, &[]), fetched(3, 0, 4, &[])];
        [unsettled, end].concat()
    };
    assert_eq!(refuted_of(History::of_cluster(), history(Vec::new())), None);
    // A fetch may be answered by a follower, an offset is told by the leader.
    let marks = |high_watermark| Event::Marks {
        partition: P,
        asked: Moment(4),
        high_watermark: Some(Offset(high_watermark)),
        log_start: None,
    };
    let settled = |high_watermark| vec![Event::Settled, fetched(4, 0, 4, &[]), marks(high_watermark)];
    assert_eq!(refuted_of(History::of_cluster(), history(settled(5))), None);
    let back = Some("watermark_monotonic");
    assert_eq!(refuted_of(History::of_cluster(), history(settled(4))), back);
    let told =
        |offset| Event::OffsetsTold { group: "g".into(), asked: Moment(2), offsets: vec![(P, offset)] };
    let committed = Event::Committed { group: "g".into(), asked: Moment(0), offsets: vec![(P, 5)] };
    let events = |end: Vec<Event>| [vec![Event::Unsettled, committed.clone(), told(-1)], end].concat();
    assert_eq!(refuted_of(History::of_cluster(), events(Vec::new())), None);
    let forgotten = refuted_of(History::of_cluster(), events(vec![Event::Settled, told(-1)]));
    assert_eq!(forgotten, Some("commits_never_go_back"));
}

/// Two records of one transaction, each in a partition of its own, and the end that was asked for.
fn transaction(commit: bool, told: bool, shown: [&[u64]; 2]) -> Vec<Event> {
    let other = PartitionId { index: P.index + 1, ..P };
    let wrote = |record, partition| Event::Wrote { transaction: 3, record: RecordId(record), partition };
    let read = |partition, shown: &[u64]| Event::AuditedCommitted {
        partition,
        log_start: Offset::ZERO,
        records: shown.iter().map(|it| Seen { offset: Offset::ZERO, record: RecordId(*it) }).collect(),
    };
    let acked = |record, partition| Event::Acknowledged {
        record: RecordId(record),
        partition,
        acks: Acks::All,
        offset: Offset::ZERO,
    };
    let mut events = vec![sent(7), sent(8), wrote(7, P), wrote(8, other), acked(7, P), acked(8, other)];
    events.push(Event::EndAsked { transaction: 3, commit });
    events.extend(told.then_some(Event::EndAnswered { transaction: 3, commit }));
    events.extend([read(P, shown[0]), read(other, shown[1])]);
    events
}

#[test]
fn a_transaction_is_seen_whole_or_not_at_all() {
    let broken = Some("transactions_are_all_or_nothing");
    let whole: [&[u64]; 2] = [&[7], &[8]];
    for told in [false, true] {
        assert_eq!(refuted(transaction(true, told, whole)), None);
        assert_eq!(refuted(transaction(false, told, [&[], &[]])), None);
        assert_eq!(refuted(transaction(false, told, whole)), broken, "nobody asked to commit it");
        assert_eq!(refuted(transaction(true, told, [&[7], &[]])), broken, "a half of it");
        assert_eq!(refuted(transaction(true, told, [&[], &[8]])), broken, "a half of it");
    }
    assert_eq!(refuted(transaction(true, false, [&[], &[]])), None, "nobody knows what became of it");
    assert_eq!(refuted(transaction(true, true, [&[], &[]])), broken, "it was committed");
    // What was read before its end shows nothing.
    let mut early = transaction(true, true, [&[], &[]]);
    let end = early.remove(7);
    early.push(end);
    assert_eq!(refuted(early), None);
}
