use super::*;
use crate::types::Peer;
use std::collections::{BTreeMap, BTreeSet};

const HEAD: Head<'_> =
    Head { cluster_id: "cluster", voters: 7, from: 1, to: 2, directory: 0xd1, is_recorded: true };

fn id(term: u64, index: u64) -> RaftLogId {
    StoredLogId { term, index }.into()
}

fn vote(term: u64, committed: bool) -> RaftVote {
    StoredVote { term, node: 1, committed }.into()
}

fn membership() -> openraft::Membership<u64, Peer> {
    let peer = |directory_id| Peer { endpoint: "host:9093".to_owned(), directory_id };
    let nodes = BTreeMap::from([(1, peer(Some(7))), (2, peer(None))]);
    openraft::Membership::new(vec![BTreeSet::from([1, 2])], nodes).expect("valid")
}

fn append(entries: Vec<RaftEntry>) -> Request {
    let previous =
        entries.first().and_then(|first| first.log_id.index.checked_sub(1)).map(|last| id(1, last));
    Request::Append(AppendEntriesRequest {
        vote: vote(3, true),
        prev_log_id: previous,
        entries,
        leader_commit: Some(id(1, 1)),
    })
}

fn entry(term: u64, index: u64) -> RaftEntry {
    RaftEntry { log_id: id(term, index), payload: EntryPayload::Normal(EncodedBatch(vec![7; 20].into())) }
}

fn requests() -> Vec<Request> {
    let voters = RaftEntry { log_id: id(2, 6), payload: EntryPayload::Membership(membership()) };
    let blank = RaftEntry { log_id: id(2, 5), payload: EntryPayload::Blank };
    let mut ballot = VoteRequest::new(vote(4, false), Some(id(2, 6)));
    ballot.leadership_transfer = true;
    let meta = RaftSnapshotMeta {
        last_log_id: Some(id(2, 6)),
        last_membership: RaftMembership::new(Some(id(2, 6)), membership()),
    };
    vec![
        append(vec![entry(1, 4), blank, voters]),
        append(Vec::new()),
        Request::Vote(ballot.clone()),
        Request::PreVote(ballot),
        Request::Chunk(Chunk {
            vote: vote(3, true),
            meta,
            offset: 5,
            data: vec![1; 30].into(),
            is_last: true,
        }),
        Request::Transfer(TransferLeaderRequest::new(vote(3, true), 2, Some(id(2, 6)))),
    ]
}

/// What is decoded is encoded the same again.
fn again(body: &[u8]) -> Result<Bytes, String> {
    let (head, rest) = open(body)?;
    Ok(Request::decode(rest)?.encode(&head))
}

#[test]
fn every_request_arrives_as_it_was_sent() {
    for request in requests() {
        let body = request.encode(&HEAD);
        assert_eq!(open(&body).expect("a head").0, HEAD);
        assert_eq!(again(&body).expect("as sent"), body);
    }
}

#[test]
fn every_answer_arrives_as_it_was_sent() {
    let stored = StoredVote { term: 3, node: 2, committed: false };
    let last = Some(StoredLogId { term: 2, index: 6 });
    let answers = [
        Answer::refused("because"),
        Answer::Append(Appended::Success),
        Answer::Append(Appended::Partial(last)),
        Answer::Append(Appended::Conflict),
        Answer::Append(Appended::HigherVote(stored)),
        Answer::Vote { vote: stored, granted: true, last },
        Answer::Snapshot { vote: stored },
        Answer::Transfer(Transferred::Accepted),
        Answer::Transfer(Transferred::VoteChanged { expected: stored, actual: stored }),
        Answer::Transfer(Transferred::NotFlushed { expected: last, actual: None }),
    ];
    for answer in answers {
        let body = answer.encode(&HEAD);
        let (head, rest) = open(&body).expect("a head");
        assert_eq!((head, Answer::decode(rest)), (HEAD, Ok(answer)));
    }
}

#[test]
fn no_cut_and_no_flipped_bit_is_more_than_an_error() {
    for request in requests() {
        let body = request.encode(&HEAD);
        for len in 0..body.len() {
            assert!(again(&body[..len]).is_err(), "cut at {len}");
        }
        for bit in 0..body.len() * 8 {
            let mut flipped = body.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Another request, or none; never a panic.
            let _ = again(&flipped);
        }
    }
}

#[test]
fn another_version_is_refused_by_name() {
    let mut body = requests()[0].encode(&HEAD).to_vec();
    body[0] = 9;
    assert!(open(&body).expect_err("refused").contains("version 9, this node speaks 1"));
    assert!(open(&vec![1; CALL_BYTES_MAX + 1]).expect_err("refused").contains("beyond"));
    assert!(open(&[]).is_err());
}

#[test]
fn what_no_voter_can_say_is_refused() {
    let with = |request: Request| again(&request.encode(&HEAD)).expect_err("refused");
    with(append(vec![entry(1, 4), entry(1, 6)]));
    with(append(vec![entry(2, 4), entry(1, 5)]));
    with(append(vec![entry(4, 4)]));
    with(append((0..=APPEND_ENTRIES_MAX as u64).map(|index| entry(1, index)).collect()));
    with(Request::Append(AppendEntriesRequest {
        vote: vote(3, false),
        prev_log_id: None,
        entries: Vec::new(),
        leader_commit: None,
    }));
    with(Request::Vote(VoteRequest::new(vote(3, true), None)));
    with(Request::Vote(VoteRequest::new(vote(3, false), Some(id(3, 1)))));
    let chunk = |data: usize, meta: RaftSnapshotMeta, offset| {
        Request::Chunk(Chunk {
            vote: vote(3, true),
            meta,
            offset,
            data: vec![0; data].into(),
            is_last: false,
        })
    };
    let meta = |last| RaftSnapshotMeta {
        last_log_id: last,
        last_membership: RaftMembership::new(Some(id(1, 1)), membership()),
    };
    with(chunk(1, meta(None), 0));
    with(chunk(1, meta(Some(id(4, 9))), 0));
    with(chunk(1, meta(Some(id(1, 0))), 0));
    with(chunk(CHUNK_BYTES_MAX + 1, meta(Some(id(1, 9))), 0));
    with(chunk(1, meta(Some(id(1, 9))), u64::MAX));
    assert!(again(&chunk(1, meta(Some(id(1, 9))), 0).encode(&HEAD)).is_ok());
    assert!(Appended::Conflict.open(None, None).is_err());
    assert!(Appended::Partial(Some(StoredLogId { term: 1, index: 9 })).open(None, Some(id(1, 8))).is_err());
}

#[test]
fn a_long_reason_is_cut() {
    let Answer::Refused(reason) = Answer::refused(&"ä".repeat(REASON_BYTES_MAX)) else {
        panic!("a refusal")
    };
    assert_eq!(reason.len(), REASON_BYTES_MAX);
}
