//! What voters say to each other: `[version u8][head][body]`, head and body in postcard.
//!
//! The types are this file's own, not openraft's: an upgrade of the library must not change what a rolling upgrade of
//! a cluster speaks. The encoding is positional: a variant or field is never moved, only added at the end of an enum.
//! Whatever arrives is bounded before it is decoded and checked before openraft sees it, because openraft takes its
//! peers' word and panics where it cannot be true.

use crate::types::{
    EncodedBatch, RaftEntry, RaftLogId, RaftMembership, RaftSnapshotMeta, RaftVote, StoredIdentities,
    StoredLogId, StoredVote, StoredVoters, TypeConfig,
};
use bytes::Bytes;
use corelane_core::metadata::{BATCH_BYTES_MAX, SNAPSHOT_BYTES_MAX};
use openraft::{
    EntryPayload,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, TransferLeaderError, TransferLeaderRequest,
        TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use serde::{Deserialize, Serialize};

/// The first byte of every body. A node that knows another one refuses, and says so.
const VERSION: u8 = 1;

/// Bytes of a body, in either direction: one batch of the largest size, or [`APPEND_BYTES_MAX`] of small ones, and
/// what surrounds them.
pub const CALL_BYTES_MAX: usize = BATCH_BYTES_MAX + 256 * 1024;

/// Bytes of batches in one append, unless the first alone is larger.
pub(crate) const APPEND_BYTES_MAX: usize = 1024 * 1024;

/// Entries in one append.
pub(crate) const APPEND_ENTRIES_MAX: usize = 512;

/// Bytes of a snapshot in one call: a heartbeat waits behind no more.
pub(crate) const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Bytes of a membership that are believed: decoded, it is a few times as large.
const VOTERS_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a reason for a refusal that are sent.
const REASON_BYTES_MAX: usize = 1024;

/// Who speaks, and to whom it believes to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head<'a> {
    #[serde(borrow)]
    pub cluster_id: &'a str,
    /// Of the node ids of all voters, as the sender is configured: those who disagree must not form a cluster.
    pub voters: u32,
    pub from: u64,
    pub to: u64,
    /// The sender's directory.
    pub directory: u128,
    /// The membership in the sender's log names this very directory.
    pub is_recorded: bool,
}

#[derive(Serialize, Deserialize)]
enum WireRequest<'a> {
    /// The entries follow, one by one.
    Append {
        vote: StoredVote,
        previous: Option<StoredLogId>,
        committed: Option<StoredLogId>,
        entries: u32,
    },
    Vote(WireBallot),
    PreVote(WireBallot),
    Chunk {
        vote: StoredVote,
        snapshot: WireSnapshot,
        /// Of the first byte of `data`, in the image's encoding.
        offset: u64,
        #[serde(borrow)]
        data: &'a [u8],
        is_last: bool,
    },
    Transfer {
        leader: StoredVote,
        to: u64,
        last: Option<StoredLogId>,
    },
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct WireBallot {
    vote: StoredVote,
    last: Option<StoredLogId>,
    is_transfer: bool,
}

#[derive(Serialize, Deserialize)]
struct WireSnapshot {
    last: Option<StoredLogId>,
    voters_at: Option<StoredLogId>,
    voters: StoredVoters,
    identities: StoredIdentities,
}

#[derive(Serialize, Deserialize)]
struct WireEntry<'a> {
    id: StoredLogId,
    #[serde(borrow)]
    payload: WirePayload<'a>,
}

#[derive(Serialize, Deserialize)]
enum WirePayload<'a> {
    Blank,
    Batch(#[serde(borrow)] &'a [u8]),
    /// [`StoredVoters`] and [`StoredIdentities`], encoded: bounded before they are decoded.
    Voters(#[serde(borrow)] &'a [u8]),
}

/// What one voter asks of another.
pub(crate) enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<TypeConfig>),
    PreVote(VoteRequest<TypeConfig>),
    Chunk(Chunk),
    Transfer(TransferLeaderRequest<TypeConfig>),
}

/// A piece of a snapshot.
pub(crate) struct Chunk {
    /// The leader's.
    pub vote: RaftVote,
    pub meta: RaftSnapshotMeta,
    pub offset: u64,
    pub data: Bytes,
    pub is_last: bool,
}

/// What the other one says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It did not look at the request, for this reason.
    Refused(String),
    Append(Appended),
    Vote {
        vote: StoredVote,
        granted: bool,
        last: Option<StoredLogId>,
    },
    /// A chunk was taken; after the last one, the snapshot is installed, unless the vote is higher than the asker's.
    Snapshot {
        vote: StoredVote,
    },
    Transfer(Transferred),
}

/// An append's outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Appended {
    Success,
    Partial(Option<StoredLogId>),
    Conflict,
    HigherVote(StoredVote),
}

/// Whether a leadership was taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Transferred {
    Accepted,
    VoteChanged { expected: StoredVote, actual: StoredVote },
    NotFlushed { expected: Option<StoredLogId>, actual: Option<StoredLogId> },
}

/// The voters' node ids in one number. Order does not matter.
pub(crate) fn fingerprint(voters: impl Iterator<Item = u64>) -> u32 {
    let mut voters: Vec<u64> = voters.collect();
    voters.sort_unstable();
    voters.iter().fold(0, |crc, voter| crc32c::crc32c_append(crc, &voter.to_le_bytes()))
}

pub(crate) fn push(bytes: &mut Vec<u8>, value: &impl Serialize) {
    let encoded = postcard::to_extend(value, std::mem::take(bytes));
    *bytes = encoded.expect("plain data always has a postcard form");
}

pub(crate) fn take<'a, T: Deserialize<'a>>(bytes: &mut &'a [u8]) -> Result<T, String> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|error| error.to_string())?;
    *bytes = rest;
    Ok(value)
}

/// A body without its version and head.
///
/// # Errors
/// When it is too long, of another version, or no head begins it.
pub(crate) fn open(body: &[u8]) -> Result<(Head<'_>, &[u8]), String> {
    if body.len() > CALL_BYTES_MAX {
        return Err(format!("{} bytes, beyond {CALL_BYTES_MAX}", body.len()));
    }
    let (version, mut rest) = body.split_first().ok_or("it is empty")?;
    if *version != VERSION {
        return Err(format!("it has version {version}, this node speaks {VERSION}"));
    }
    let head = take(&mut rest)?;
    Ok((head, rest))
}

fn begin(head: &Head<'_>) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    push(&mut bytes, head);
    bytes
}

pub(crate) fn at_end(rest: &[u8]) -> Result<(), String> {
    if rest.is_empty() { Ok(()) } else { Err(format!("{} bytes too many", rest.len())) }
}

impl Answer {
    /// With a reason of bounded length.
    pub fn refused(reason: &str) -> Answer {
        let mut end = reason.len().min(REASON_BYTES_MAX);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Answer::Refused(reason[..end].to_owned())
    }

    pub fn encode(&self, head: &Head<'_>) -> Bytes {
        let mut bytes = begin(head);
        push(&mut bytes, self);
        bytes.into()
    }

    /// # Errors
    /// When it is none.
    pub fn decode(mut body: &[u8]) -> Result<Answer, String> {
        let answer = take(&mut body)?;
        at_end(body)?;
        Ok(answer)
    }
}

impl Request {
    pub fn encode(&self, head: &Head<'_>) -> Bytes {
        let mut bytes = begin(head);
        match self {
            Request::Append(append) => {
                let entries = u32::try_from(append.entries.len()).expect("the log gives few at a time");
                let request = WireRequest::Append {
                    vote: (&append.vote).into(),
                    previous: append.prev_log_id.map(Into::into),
                    committed: append.leader_commit.map(Into::into),
                    entries,
                };
                push(&mut bytes, &request);
                append.entries.iter().for_each(|entry| push_entry(&mut bytes, entry));
            }
            Request::Vote(ballot) => push(&mut bytes, &WireRequest::Vote(ballot.into())),
            Request::PreVote(ballot) => push(&mut bytes, &WireRequest::PreVote(ballot.into())),
            Request::Chunk(chunk) => {
                let request = WireRequest::Chunk {
                    vote: (&chunk.vote).into(),
                    snapshot: (&chunk.meta).into(),
                    offset: chunk.offset,
                    data: &chunk.data,
                    is_last: chunk.is_last,
                };
                push(&mut bytes, &request);
            }
            Request::Transfer(transfer) => {
                let request = WireRequest::Transfer {
                    leader: transfer.from_leader().into(),
                    to: *transfer.to_node_id(),
                    last: transfer.last_log_id().map(|last| (*last).into()),
                };
                push(&mut bytes, &request);
            }
        }
        bytes.into()
    }

    /// From what stands behind the head.
    ///
    /// # Errors
    /// When it is none, or says what no voter can say.
    pub fn decode(mut body: &[u8]) -> Result<Request, String> {
        let request = match take(&mut body)? {
            WireRequest::Append { vote, previous, committed, entries } => {
                let entries = take_entries(&mut body, vote, previous, entries)?;
                Request::Append(AppendEntriesRequest {
                    vote: leaders(vote)?,
                    prev_log_id: previous.map(Into::into),
                    entries,
                    leader_commit: committed.map(Into::into),
                })
            }
            WireRequest::Vote(ballot) => Request::Vote(ballot.open()?),
            WireRequest::PreVote(ballot) => Request::PreVote(ballot.open()?),
            WireRequest::Chunk { vote, snapshot, offset, data, is_last } => {
                let end = usize::try_from(offset).ok().and_then(|offset| offset.checked_add(data.len()));
                if data.len() > CHUNK_BYTES_MAX || end.is_none_or(|end| end > SNAPSHOT_BYTES_MAX) {
                    return Err(format!("{} bytes of a snapshot at {offset}", data.len()));
                }
                let meta = snapshot.open(vote)?;
                let data = Bytes::copy_from_slice(data);
                Request::Chunk(Chunk { vote: leaders(vote)?, meta, offset, data, is_last })
            }
            WireRequest::Transfer { leader, to, last } => {
                let last = last.map(RaftLogId::from);
                Request::Transfer(TransferLeaderRequest::new(leaders(leader)?, to, last))
            }
        };
        at_end(body)?;
        Ok(request)
    }
}

/// The vote of who leads.
fn leaders(vote: StoredVote) -> Result<RaftVote, String> {
    if vote.committed { Ok(vote.into()) } else { Err(format!("{vote:?} of no leader")) }
}

pub(crate) fn push_entry(bytes: &mut Vec<u8>, entry: &RaftEntry) {
    let id = entry.log_id.into();
    match &entry.payload {
        EntryPayload::Blank => push(bytes, &WireEntry { id, payload: WirePayload::Blank }),
        EntryPayload::Normal(batch) => {
            push(bytes, &WireEntry { id, payload: WirePayload::Batch(&batch.0) });
        }
        EntryPayload::Membership(membership) => {
            let mut voters = Vec::new();
            push(&mut voters, &(StoredVoters::from(membership), StoredIdentities::from(membership)));
            push(bytes, &WireEntry { id, payload: WirePayload::Voters(&voters) });
        }
    }
}

/// Entries that follow each other, none of a later term than the leader's.
pub(crate) fn take_entries(
    body: &mut &[u8],
    vote: StoredVote,
    previous: Option<StoredLogId>,
    count: u32,
) -> Result<Vec<RaftEntry>, String> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count > APPEND_ENTRIES_MAX {
        return Err(format!("{count} entries, beyond {APPEND_ENTRIES_MAX}"));
    }
    let (mut last, mut entries) = (previous, Vec::new());
    for _ in 0..count {
        let WireEntry { id, payload } = take(body)?;
        let follows = match last {
            None => id.index == 0,
            Some(last) => last.index.checked_add(1) == Some(id.index) && last.term <= id.term,
        };
        if !follows || id.term > vote.term {
            return Err(format!("entry {id:?} behind {last:?}, from the leader of term {}", vote.term));
        }
        last = Some(id);
        let payload = match payload {
            WirePayload::Blank => EntryPayload::Blank,
            WirePayload::Batch(bytes) if bytes.len() <= BATCH_BYTES_MAX => {
                EntryPayload::Normal(EncodedBatch(bytes.into()))
            }
            WirePayload::Batch(bytes) => return Err(format!("a batch of {} bytes", bytes.len())),
            WirePayload::Voters(mut bytes) => {
                if bytes.len() > VOTERS_BYTES_MAX {
                    return Err(format!("a membership of {} bytes", bytes.len()));
                }
                let (voters, identities): (StoredVoters, StoredIdentities) = take(&mut bytes)?;
                at_end(bytes)?;
                EntryPayload::Membership(voters.into_membership(&identities)?)
            }
        };
        entries.push(RaftEntry { log_id: id.into(), payload });
    }
    if last.is_some_and(|last| last.term > vote.term || last.index == u64::MAX) {
        return Err(format!("{last:?} from the leader of term {}", vote.term));
    }
    Ok(entries)
}

impl From<&VoteRequest<TypeConfig>> for WireBallot {
    fn from(ballot: &VoteRequest<TypeConfig>) -> WireBallot {
        WireBallot {
            vote: (&ballot.vote).into(),
            last: ballot.last_log_id.map(Into::into),
            is_transfer: ballot.leadership_transfer,
        }
    }
}

impl WireBallot {
    fn open(self) -> Result<VoteRequest<TypeConfig>, String> {
        let WireBallot { vote, last, is_transfer } = self;
        if vote.committed || last.is_some_and(|last| last.term >= vote.term) {
            return Err(format!("{vote:?} of a candidate whose log ends at {last:?}"));
        }
        let mut request = VoteRequest::new(vote.into(), last.map(Into::into));
        request.leadership_transfer = is_transfer;
        Ok(request)
    }
}

impl From<&RaftSnapshotMeta> for WireSnapshot {
    fn from(meta: &RaftSnapshotMeta) -> WireSnapshot {
        let membership = meta.last_membership.membership();
        WireSnapshot {
            last: meta.last_log_id.map(Into::into),
            voters_at: meta.last_membership.log_id().map(Into::into),
            voters: membership.into(),
            identities: membership.into(),
        }
    }
}

impl WireSnapshot {
    fn open(self, vote: StoredVote) -> Result<RaftSnapshotMeta, String> {
        let Some(last) = self.last else { return Err("a snapshot of nothing".to_owned()) };
        if last.term > vote.term
            || last.index == u64::MAX
            || self.voters_at.is_none_or(|at| at.index > last.index)
        {
            return Err(format!("a snapshot up to {last:?} from the leader of term {}", vote.term));
        }
        let membership = self.voters.into_membership(&self.identities)?;
        Ok(RaftSnapshotMeta {
            last_log_id: Some(last.into()),
            last_membership: RaftMembership::new(self.voters_at.map(Into::into), membership),
        })
    }
}

impl From<&AppendEntriesResponse<TypeConfig>> for Appended {
    fn from(response: &AppendEntriesResponse<TypeConfig>) -> Appended {
        match response {
            AppendEntriesResponse::Success => Appended::Success,
            AppendEntriesResponse::PartialSuccess(upto) => Appended::Partial(upto.map(Into::into)),
            AppendEntriesResponse::Conflict => Appended::Conflict,
            AppendEntriesResponse::HigherVote(vote) => Appended::HigherVote(vote.into()),
        }
    }
}

impl Appended {
    /// As openraft has it. `previous` is the request's: openraft takes a conflict with nothing for impossible, and
    /// `last` its last entry's, beyond which nothing can have been appended.
    ///
    /// # Errors
    /// When it cannot be the answer to such a request.
    pub fn open(
        self,
        previous: Option<RaftLogId>,
        last: Option<RaftLogId>,
    ) -> Result<AppendEntriesResponse<TypeConfig>, String> {
        match self {
            Appended::Success => Ok(AppendEntriesResponse::Success),
            Appended::Partial(upto) => {
                let upto = upto.map(RaftLogId::from);
                if upto < previous || upto > last {
                    return Err(format!("{upto:?} of an append up to {last:?}"));
                }
                Ok(AppendEntriesResponse::PartialSuccess(upto))
            }
            Appended::Conflict if previous.is_none() => Err("a conflict with nothing".to_owned()),
            Appended::Conflict => Ok(AppendEntriesResponse::Conflict),
            Appended::HigherVote(vote) => Ok(AppendEntriesResponse::HigherVote(vote.into())),
        }
    }
}

impl From<&VoteResponse<TypeConfig>> for Answer {
    fn from(response: &VoteResponse<TypeConfig>) -> Answer {
        Answer::Vote {
            vote: (&response.vote).into(),
            granted: response.vote_granted,
            last: response.last_log_id.map(Into::into),
        }
    }
}

impl From<&TransferLeaderResponse<TypeConfig>> for Transferred {
    fn from(response: &TransferLeaderResponse<TypeConfig>) -> Transferred {
        match response {
            Ok(()) => Transferred::Accepted,
            Err(TransferLeaderError::VoteChanged { expected, actual }) => {
                Transferred::VoteChanged { expected: expected.into(), actual: actual.into() }
            }
            Err(TransferLeaderError::LogNotFlushed { expected, actual }) => {
                Transferred::NotFlushed { expected: expected.map(Into::into), actual: actual.map(Into::into) }
            }
        }
    }
}

impl Transferred {
    pub fn open(self) -> TransferLeaderResponse<TypeConfig> {
        match self {
            Transferred::Accepted => Ok(()),
            Transferred::VoteChanged { expected, actual } => {
                Err(TransferLeaderError::VoteChanged { expected: expected.into(), actual: actual.into() })
            }
            Transferred::NotFlushed { expected, actual } => Err(TransferLeaderError::LogNotFlushed {
                expected: expected.map(Into::into),
                actual: actual.map(Into::into),
            }),
        }
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
