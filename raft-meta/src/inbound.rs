//! What other voters ask: decoded, checked, put to openraft, answered exactly once.

use crate::{
    identity::{Identity, Trust, Word},
    quorum::{Outbox, QuorumOutput},
    types::{Raft, RaftLogId, RaftSnapshotMeta, RaftVote},
    wire::{self, Answer, Appended, Chunk, Request, Transferred},
};
use bytes::Bytes;
use corelane_core::{ids::NodeId, metadata::Image};
use openraft::storage::Snapshot;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt::Display,
    rc::Rc,
};

/// Requests of others without an answer: past it, they are refused at once. A leader has three under way to a voter.
const ASKED_MAX: usize = 256;

/// Bytes of such requests.
const ASKED_BYTES_MAX: usize = 4 * wire::CALL_BYTES_MAX;

#[derive(Default)]
struct UnderWay {
    count: Cell<usize>,
    bytes: Cell<usize>,
}

/// The duty to answer a request. Dropped without, it answers that the quorum has ended.
pub(crate) struct Asked {
    inbound: Inbound,
    id: u64,
    from: u64,
    body: Bytes,
    answer: Option<Answer>,
}

impl Asked {
    fn answer(mut self, answer: Answer) {
        self.answer = Some(answer);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        let Inbound { identity, outbox, under_way, .. } = &self.inbound;
        under_way.count.set(under_way.count.get() - 1);
        under_way.bytes.set(under_way.bytes.get() - self.body.len());
        let answer = self.answer.take().unwrap_or_else(|| Answer::refused("its quorum has ended"));
        outbox.push(QuorumOutput::Answer { id: self.id, body: answer.encode(&identity.head(self.from)) });
    }
}

/// A snapshot on its way in.
struct Receiving {
    from: u64,
    vote: RaftVote,
    meta: RaftSnapshotMeta,
    bytes: Vec<u8>,
}

/// How often each voter has spoken as a leader, since the start. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Heard(Rc<RefCell<BTreeMap<u64, u64>>>);

impl Heard {
    /// Of one voter.
    pub fn of(&self, voter: u64) -> u64 {
        self.0.borrow().get(&voter).copied().unwrap_or(0)
    }

    /// Of all.
    pub fn all(&self) -> u64 {
        self.0.borrow().values().sum()
    }

    fn note(&self, voter: u64, request: &Request) {
        if matches!(request, Request::Append(_) | Request::Chunk(_)) {
            *self.0.borrow_mut().entry(voter).or_default() += 1;
        }
    }
}

/// Where requests come in. Clones are the same.
#[derive(Clone)]
pub(crate) struct Inbound {
    identity: Identity,
    outbox: Outbox,
    heard: Heard,
    under_way: Rc<UnderWay>,
    /// One at a time: a cluster has one leader.
    receiving: Rc<RefCell<Option<Receiving>>>,
}

impl Inbound {
    pub fn new(identity: Identity, outbox: Outbox) -> Inbound {
        let (heard, under_way, receiving) = Default::default();
        Inbound { identity, outbox, heard, under_way, receiving }
    }

    /// Who was heard of.
    pub fn heard(&self) -> Heard {
        self.heard.clone()
    }

    /// Takes a request; `None` if it was refused, and answered, at once.
    pub fn take(&self, id: u64, from: NodeId, body: Bytes) -> Option<Asked> {
        let UnderWay { count, bytes } = &*self.under_way;
        count.set(count.get() + 1);
        bytes.set(bytes.get() + body.len());
        let is_too_much = count.get() > ASKED_MAX || bytes.get() > ASKED_BYTES_MAX;
        let from = u64::try_from(from.0).unwrap_or(u64::MAX);
        let asked = Asked { inbound: self.clone(), id, from, body, answer: None };
        if is_too_much {
            asked.answer(Answer::refused("too many requests are under way"));
            return None;
        }
        Some(asked)
    }

    /// Does what is asked.
    pub async fn serve(raft: Raft, asked: Asked) {
        let inbound = asked.inbound.clone();
        let answer = match inbound.open(asked.from, &asked.body) {
            Ok(request) => {
                inbound.heard.note(asked.from, &request);
                inbound.ask(&raft, asked.from, request).await
            }
            Err(reason) => Err(reason),
        };
        asked.answer(answer.unwrap_or_else(|reason| Answer::refused(&reason)));
    }

    fn open(&self, from: u64, body: &[u8]) -> Result<Request, String> {
        let (head, rest) = wire::open(body).map_err(|why| format!("the request cannot be read: {why}"))?;
        let checked = self.identity.check(&head, from, Word::Question).and_then(|trust| match trust {
            Trust::Known => Ok(()),
            Trust::New => Err(format!("the directory of node {from} is not recorded yet")),
        });
        if let Err(reason) = checked {
            self.identity.refuse(from, &reason);
            return Err(reason);
        }
        self.identity.accept(from);
        let request = Request::decode(rest).map_err(|why| format!("the request cannot be read: {why}"))?;
        let elects = matches!(request, Request::Vote(_) | Request::PreVote(_) | Request::Transfer(_));
        if elects && !self.identity.may_vote() {
            return Err(format!("node {} is no voter", self.identity.node()));
        }
        Ok(request)
    }

    async fn ask(&self, raft: &Raft, from: u64, request: Request) -> Result<Answer, String> {
        match request {
            Request::Append(append) => {
                raft.append_entries(append).await.map(|it| Answer::Append(Appended::from(&it))).map_err(text)
            }
            Request::Vote(ballot) => raft.vote(ballot).await.map(|it| Answer::from(&it)).map_err(text),
            Request::PreVote(ballot) => raft.pre_vote(ballot).await.map(|it| Answer::from(&it)).map_err(text),
            Request::Chunk(chunk) => self.chunk(raft, from, chunk).await,
            Request::Transfer(transfer) => {
                let taken = raft.handle_transfer_leader(transfer).await;
                taken.map(|it| Answer::Transfer(Transferred::from(&it))).map_err(text)
            }
        }
    }

    async fn chunk(&self, raft: &Raft, from: u64, chunk: Chunk) -> Result<Answer, String> {
        let vote = chunk.vote;
        // Also where the two cannot be compared: two leaders of one term, which cannot be.
        if let Some(mine) = self.identity.vote()
            && !matches!(
                vote.partial_cmp(&mine),
                Some(std::cmp::Ordering::Greater | std::cmp::Ordering::Equal)
            )
        {
            return Ok(Answer::Snapshot { vote: (&mine).into() });
        }
        let Some((meta, bytes)) = self.gather(from, chunk)? else {
            return Ok(Answer::Snapshot { vote: (&vote).into() });
        };
        let image = Image::decode(&bytes).map_err(|error| format!("the snapshot cannot be read: {error}"))?;
        self.fits(&meta, &image)?;
        let snapshot = Snapshot { meta, snapshot: image };
        let installed = raft.install_full_snapshot(vote, snapshot).await.map_err(text)?;
        Ok(Answer::Snapshot { vote: (&installed.vote).into() })
    }

    /// Adds a chunk to what came before; the whole, if it is the last. What comes twice is taken once.
    fn gather(&self, from: u64, chunk: Chunk) -> Result<Option<(RaftSnapshotMeta, Vec<u8>)>, String> {
        let Chunk { vote, meta, offset, data, is_last } = chunk;
        let mut slot = self.receiving.borrow_mut();
        let is_next = |it: &Receiving| (it.from, it.vote, &it.meta) == (from, vote, &meta);
        let mut receiving = match slot.take().filter(is_next) {
            Some(receiving) => receiving,
            None => Receiving { from, vote, meta, bytes: Vec::new() },
        };
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let known = receiving.bytes.get(offset..).map(|known| &known[..known.len().min(data.len())]);
        match known {
            Some(known) if data.starts_with(known) => {
                let known = known.len();
                receiving.bytes.extend_from_slice(&data[known..]);
            }
            Some(_) | None if offset == 0 => receiving.bytes = data.to_vec(),
            Some(_) | None => return Err(format!("bytes at {offset} do not continue the snapshot")),
        }
        if is_last && offset + data.len() == receiving.bytes.len() {
            return Ok(Some((receiving.meta, receiving.bytes)));
        }
        *slot = Some(receiving);
        Ok(None)
    }

    /// openraft panics on a snapshot that contradicts what is committed here.
    fn fits(&self, meta: &RaftSnapshotMeta, image: &Image) -> Result<(), String> {
        let last = meta.last_log_id;
        let contradicts = |committed: RaftLogId| {
            last > Some(committed) && last.is_none_or(|last| last.index <= committed.index)
        };
        if self.identity.committed().is_some_and(contradicts) {
            return Err(format!("a snapshot up to {last:?} contradicts what is committed"));
        }
        if image.last_applied().map(|offset| offset.0) > last.map(|last| last.index) {
            return Err(format!("a snapshot up to {last:?} that holds more"));
        }
        Ok(())
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}
