//! Offsets that transactions commit.

use super::*;
use crate::{
    ids::{ProducerEpoch, ProducerId},
    records::Outcome as End,
};

const P: ProducerId = ProducerId(9);

fn in_transaction(producer: ProducerId, offset: i64, member: &str, generation: i32) -> Request {
    let Request::Commit(mut request) = commit(generation, member) else { panic!("it commits") };
    request.topics[0].partitions[0].1.offset = offset;
    Request::CommitInTransaction(request, Transaction { producer, epoch: ProducerEpoch(0) })
}

/// Decides, and replays at the given offset.
fn commit_at(bench: &mut Bench, at: i64, request: Request) -> Outcome {
    let ticket = bench.ticket();
    let outcome = bench.with(|coordinator, scene| coordinator.handle(scene, ticket, request));
    let whose = outcome.transaction.map(|transaction| transaction.producer);
    for record in &outcome.records {
        bench.coordinator.replay(record.clone(), Offset(at), whose);
    }
    outcome
}

/// What OffsetFetch tells: the error and the offset.
fn fetch(bench: &mut Bench, require_stable: bool) -> (ErrorCode, i64) {
    let topic = TopicOffsets { name: "t".into(), id: TopicId::ZERO, partitions: vec![(7, ())] };
    let request = FetchOffsets { group: "g".into(), member: None, topics: Some(vec![topic]), require_stable };
    let (_, outcome) = bench.ask(Request::FetchOffsets(request));
    let [(_, Ok(Response::Offsets(topics)))] = &outcome.replies[..] else { panic!("{outcome:?}") };
    (topics[0].partitions[0].1.error, topics[0].partitions[0].1.offset)
}

fn error(outcome: &Outcome) -> Option<ErrorCode> {
    outcome.replies[0].1.as_ref().err().copied()
}

#[test]
fn an_offset_of_a_transaction_counts_when_it_commits_and_is_unstable_until_then() {
    let mut bench = Bench::new();
    commit_at(&mut bench, 1, commit(-1, ""));
    let outcome = commit_at(&mut bench, 2, in_transaction(P, 50, "", -1));
    assert_eq!(outcome.transaction.map(|it| it.producer), Some(P), "it is appended in the producer's name");
    assert_eq!(fetch(&mut bench, false), (ErrorCode::None, 42));
    assert_eq!(fetch(&mut bench, true), (ErrorCode::UnstableOffsetCommit, -1));
    bench.coordinator.end_transaction(ProducerId(8), End::Commit);
    assert_eq!(fetch(&mut bench, false), (ErrorCode::None, 42), "another's end");
    bench.coordinator.end_transaction(P, End::Commit);
    assert_eq!(fetch(&mut bench, true), (ErrorCode::None, 50));
}

#[test]
fn an_offset_of_an_aborted_transaction_is_forgotten() {
    let mut bench = Bench::new();
    commit_at(&mut bench, 1, in_transaction(P, 50, "", -1));
    bench.coordinator.end_transaction(P, End::Abort);
    assert_eq!(fetch(&mut bench, true), (ErrorCode::None, -1));
    bench.coordinator.end_transaction(P, End::Commit);
    assert_eq!(fetch(&mut bench, true), (ErrorCode::None, -1), "nothing is left of it");
}

#[test]
fn of_two_commits_the_later_counts_however_long_a_transaction_takes() {
    let mut bench = Bench::new();
    commit_at(&mut bench, 1, in_transaction(P, 50, "", -1));
    commit_at(&mut bench, 2, commit(-1, ""));
    bench.coordinator.end_transaction(P, End::Commit);
    assert_eq!(fetch(&mut bench, true), (ErrorCode::None, 42));
    commit_at(&mut bench, 3, in_transaction(P, 50, "", -1));
    commit_at(&mut bench, 4, in_transaction(ProducerId(8), 60, "", -1));
    bench.coordinator.end_transaction(ProducerId(8), End::Commit);
    assert_eq!(fetch(&mut bench, true), (ErrorCode::UnstableOffsetCommit, -1), "the other is open");
    bench.coordinator.end_transaction(P, End::Commit);
    assert_eq!(fetch(&mut bench, true), (ErrorCode::None, 60));
}

#[test]
fn a_deleted_group_takes_what_is_pending_with_it() {
    let mut bench = Bench::new();
    commit_at(&mut bench, 1, in_transaction(P, 50, "", -1));
    let outcome = commit_at(&mut bench, 2, Request::Delete("g".into()));
    assert!(outcome.records.iter().any(|record| matches!(record, Record::Offset { value: None, .. })));
    bench.coordinator.end_transaction(P, End::Commit);
    assert_eq!(fetch(&mut bench, true), (ErrorCode::None, -1));
    assert!(bench.coordinator.list(&[], &[]).is_empty());
}

#[test]
fn what_is_pending_keeps_its_group_and_what_it_would_replace_from_expiring() {
    let mut bench = Bench::new();
    commit_at(&mut bench, 1, commit(-1, ""));
    commit_at(&mut bench, 2, in_transaction(P, 50, "", -1));
    let retention_ms = u64::try_from(bench.config.groups.offsets_retention_ms).expect("positive");
    let early = bench.pass_ms(retention_ms + 600_000);
    assert!(early.iter().all(|outcome| outcome.records.is_empty()), "{early:?}");
    bench.coordinator.end_transaction(P, End::Abort);
    let late = bench.pass_ms(600_000);
    assert!(late.iter().any(|outcome| !outcome.records.is_empty()));
}

#[test]
fn a_producer_may_name_the_member_it_commits_for_or_nobody() {
    let mut bench = Bench::new();
    assert_eq!(
        error(&commit_at(&mut bench, 1, in_transaction(P, 50, "", 3))),
        Some(ErrorCode::IllegalGeneration)
    );
    let member = bench.static_member();
    assert_eq!(error(&commit_at(&mut bench, 2, in_transaction(P, 50, "", -1))), None);
    assert_eq!(error(&commit_at(&mut bench, 3, in_transaction(P, 50, &member, 1))), None);
    let late = commit_at(&mut bench, 4, in_transaction(P, 50, &member, 0));
    assert_eq!(error(&late), Some(ErrorCode::IllegalGeneration));
    let stranger = commit_at(&mut bench, 5, in_transaction(P, 50, "stranger", 1));
    assert_eq!(error(&stranger), Some(ErrorCode::UnknownMemberId));
}
