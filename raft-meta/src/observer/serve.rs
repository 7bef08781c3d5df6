//! What a controller does for observers: it tells them what was committed behind the position that they know, and keeps
//! those for whom there is nothing, for a while.

use super::wire::{Chunk, Pull, Pulled, WireStanding};
use crate::{
    log::LogStore,
    machine::Applied,
    quorum::{Outbox, QuorumOutput},
    types::StoredLogId,
    wire::CHUNK_BYTES_MAX,
};
use bytes::Bytes;
use corelane_core::{engine::VoterStanding, ids::NodeId};
use corelane_seam::{Monotonic, Now};
use std::{collections::BTreeMap, time::Duration};

/// How long a pull waits for news.
pub(super) const WAIT: Duration = Duration::from_millis(500);

/// Observers that wait, or are remembered: nodes of one cluster.
const OBSERVERS_MAX: usize = 4_096;

/// An encoded snapshot that nobody has asked for so long is dropped.
const SNAPSHOT_IDLE: Duration = Duration::from_secs(10);

/// An observer that has not asked for so long is none any more, as Kafka has it (`OBSERVER_SESSION_TIMEOUT_MS`).
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

struct Waiting {
    id: u64,
    pull: Pull,
    until: Monotonic,
}

struct Encoded {
    last: StoredLogId,
    bytes: Bytes,
    used: Monotonic,
}

/// How far an observer has come, as it says with each pull.
struct Known {
    directory: u128,
    end: u64,
    pulled: Monotonic,
    /// Where the committed entries ended then.
    committed_end: u64,
    caught_up: Option<Monotonic>,
}

/// What answers are made of.
pub(crate) struct View<'a> {
    pub log: &'a LogStore,
    pub applied: &'a Applied,
    pub voters: &'a [(NodeId, String)],
}

/// See the module.
pub(crate) struct Observers {
    node: u64,
    cluster_id: String,
    leader: Option<NodeId>,
    term: u64,
    /// No leader speaks to this node: others may know more.
    is_forgotten: bool,
    /// Pulls that have come and were not looked at yet.
    fresh: Vec<(u64, NodeId, Bytes)>,
    waiting: BTreeMap<u64, Waiting>,
    /// One at a time, whoever reads it.
    snapshot: Option<Encoded>,
    known: BTreeMap<u64, Known>,
    outbox: Outbox,
}

impl Observers {
    pub fn new(node: u64, cluster_id: &str, outbox: Outbox) -> Observers {
        Observers {
            node,
            cluster_id: cluster_id.to_owned(),
            leader: None,
            term: 0,
            is_forgotten: false,
            fresh: Vec::new(),
            waiting: BTreeMap::new(),
            snapshot: None,
            known: BTreeMap::new(),
            outbox,
        }
    }

    /// Takes a pull; [`serve`](Self::serve) answers it.
    pub fn take(&mut self, id: u64, from: NodeId, body: Bytes) {
        self.fresh.push((id, from, body));
    }

    /// Who leads, as this node knows.
    pub fn note(&mut self, leader: Option<NodeId>, term: u64) {
        (self.leader, self.term) = (leader, term);
    }

    /// Whether nobody asks, nobody waits, and nothing is kept: [`serve`](Self::serve) would do nothing.
    pub fn is_idle(&self) -> bool {
        self.fresh.is_empty() && self.waiting.is_empty() && self.snapshot.is_none()
    }

    /// Whether no leader speaks to this node. It tells what it has, and lets nobody wait for more: two nodes that were
    /// removed while they were away would wait for each other for ever.
    pub fn forgotten(&mut self, is_forgotten: bool) {
        self.is_forgotten = is_forgotten;
    }

    /// Answers whom there is something to tell, or who has waited long enough.
    pub fn serve(&mut self, now: Monotonic, view: &View<'_>) {
        for (id, from, body) in std::mem::take(&mut self.fresh) {
            match self.open(from, &body) {
                Ok(pull) => {
                    self.remember(now, &pull, view);
                    let until = now + WAIT;
                    // Who asks again does not wait for the answer before.
                    if let Some(before) = self.waiting.insert(pull.node, Waiting { id, pull, until }) {
                        self.answer(before.id, &Pulled::Entries(self.standing(view), Vec::new()));
                    }
                }
                Err(reason) => self.answer(id, &Pulled::Refused(reason)),
            }
        }
        for node in self.waiting.keys().copied().collect::<Vec<_>>() {
            let Some(waiting) = self.waiting.remove(&node) else { continue };
            match self.look(now, &waiting, view) {
                Some(pulled) => self.answer(waiting.id, &pulled),
                None => drop(self.waiting.insert(node, waiting)),
            }
        }
        if self.snapshot.as_ref().is_some_and(|it| now >= it.used + SNAPSHOT_IDLE) {
            self.snapshot = None;
        }
    }

    /// When [`serve`](Self::serve) has something to do though nothing came in.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let idle = self.snapshot.as_ref().map(|snapshot| snapshot.used + SNAPSHOT_IDLE);
        self.waiting.values().map(|waiting| waiting.until).chain(idle).min()
    }

    /// The quorum has ended: nobody waits any more.
    pub fn end(&mut self) {
        let waiting = std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.id);
        let fresh = std::mem::take(&mut self.fresh).into_iter().map(|(id, ..)| id);
        for id in waiting.chain(fresh).collect::<Vec<_>>() {
            self.answer(id, &Pulled::Refused("its quorum has ended".to_owned()));
        }
    }

    fn answer(&self, id: u64, pulled: &Pulled) {
        self.outbox.push(QuorumOutput::Answer { id, body: pulled.encode() });
    }

    fn open(&self, from: NodeId, body: &[u8]) -> Result<Pull, String> {
        let Observers { node, cluster_id, .. } = self;
        let pull = Pull::decode(body).map_err(|why| format!("the request cannot be read: {why}"))?;
        if pull.cluster_id != *cluster_id {
            return Err(format!(
                "node {from} is of cluster {}, controller {node} of cluster {cluster_id}. Correct the controllers' \
                 endpoints or the cluster id",
                pull.cluster_id
            ));
        }
        if Ok(pull.node) != u64::try_from(from.0) || pull.to.is_some_and(|to| to != *node) {
            return Err(format!(
                "node {from} calls itself {} and speaks to controller {:?}, but this is node {node}. Correct the \
                 endpoints in controller.quorum.voters",
                pull.node, pull.to
            ));
        }
        if self.waiting.len() >= OBSERVERS_MAX && !self.waiting.contains_key(&pull.node) {
            return Err("too many observers".to_owned());
        }
        Ok(pull)
    }

    /// The answer that is due.
    fn look(&mut self, now: Monotonic, waiting: &Waiting, view: &View<'_>) -> Option<Pulled> {
        let Pull { position, term, knows_leader, .. } = waiting.pull;
        let applied = view.applied.last.map(StoredLogId::from);
        let index = |id: Option<StoredLogId>| id.map(|id| id.index);
        if index(position) > index(applied) {
            if self.contradicts(position, view) {
                return Some(Pulled::Diverged(self.standing(view)));
            }
        } else if let Some(position) = position {
            match view.log.term_of(position.index) {
                Some(known) if known != position.term => {
                    return Some(Pulled::Diverged(self.standing(view)));
                }
                Some(_) => {}
                None => return self.chunk(now, &waiting.pull, view),
            }
        } else if view.log.purged().is_some() {
            return self.chunk(now, &waiting.pull, view);
        }
        let (start, end) = (index(position).map_or(0, |at| at + 1), index(applied).map_or(0, |at| at + 1));
        let entries = view.log.limited(start, end);
        if entries.is_empty() && self.is_forgotten {
            return Some(Pulled::Refused("no leader speaks to this node".to_owned()));
        }
        let is_news = self.term > term || (self.term == term && self.leader.is_some() && !knows_leader);
        if entries.is_empty() && !is_news && now < waiting.until {
            return None;
        }
        Some(Pulled::Entries(self.standing(view), entries))
    }

    /// Whether nothing that was ever committed can stand where an observer says to be: a leader has all of it.
    fn contradicts(&self, position: Option<StoredLogId>, view: &View<'_>) -> bool {
        let leads = self.leader.is_some_and(|leader| u64::try_from(leader.0) == Ok(self.node));
        leads && position.is_some_and(|at| at.term <= self.term && Some(at.index) > view.log.last())
    }

    /// The next piece of the snapshot that the observer reads, or the first of another one.
    fn chunk(&mut self, now: Monotonic, pull: &Pull, view: &View<'_>) -> Option<Pulled> {
        let last = view.applied.last.map(StoredLogId::from)?;
        // What stands behind it must still be there when it is read.
        let is_current = |it: &Encoded| Some(it.last.index) >= view.log.purged();
        let snapshot = self.snapshot.take().filter(is_current);
        let snapshot = snapshot.unwrap_or_else(|| Encoded {
            last,
            bytes: view.applied.image.encode().into(),
            used: now,
        });
        let bytes = snapshot.bytes.len();
        let offset = match pull.reading {
            Some((known, read)) if known == snapshot.last => {
                usize::try_from(read).unwrap_or(usize::MAX).min(bytes)
            }
            Some(_) | None => 0,
        };
        let data = snapshot.bytes.slice(offset..bytes.min(offset + CHUNK_BYTES_MAX));
        let (last, bytes, offset) = (snapshot.last, bytes as u64, offset as u64);
        self.snapshot = Some(Encoded { used: now, ..snapshot });
        Some(Pulled::Chunk(self.standing(view), Chunk { last, bytes, offset, data }))
    }

    fn standing(&self, view: &View<'_>) -> WireStanding {
        let number = |node: NodeId| u64::try_from(node.0).ok();
        let voters = view.voters.iter();
        // After a start entries are known before any leader is.
        let applied = view.applied.last.map_or(0, |last| last.leader_id.term);
        WireStanding {
            node: self.node,
            leader: self.leader.and_then(number),
            term: self.term.max(applied),
            committed_end: committed_end(view),
            voters: voters.filter_map(|(node, endpoint)| Some((number(*node)?, endpoint.clone()))).collect(),
        }
    }

    fn remember(&mut self, now: Monotonic, pull: &Pull, view: &View<'_>) {
        self.known.retain(|_, known| now.since(known.pulled) < FORGOTTEN_AFTER);
        if self.known.len() >= OBSERVERS_MAX && !self.known.contains_key(&pull.node) {
            return;
        }
        let (end, committed_end) = (pull.position.map_or(0, |at| at.index + 1), committed_end(view));
        let before = self.known.get(&pull.node).filter(|known| known.directory == pull.directory);
        let caught_up = match before {
            _ if end >= committed_end => Some(now),
            // It has what there was when it asked before, as Kafka counts.
            Some(before) if end >= before.committed_end => Some(before.pulled),
            Some(before) => before.caught_up,
            None => None,
        };
        let known = Known { directory: pull.directory, end, pulled: now, committed_end, caught_up };
        self.known.insert(pull.node, known);
    }

    /// How far each observer has come that has asked this node lately. A voter that had to ask is none.
    pub fn standings(&self, now: Now, voters: &[VoterStanding]) -> Vec<VoterStanding> {
        let unix_ms = |at: Monotonic| {
            let ago_ms = i64::try_from(now.monotonic.since(at).as_millis()).unwrap_or(i64::MAX);
            now.unix_ms.saturating_sub(ago_ms)
        };
        let heard = self.known.iter().filter(|(_, it)| now.monotonic.since(it.pulled) < FORGOTTEN_AFTER);
        let standing = |(node, known): (&u64, &Known)| {
            Some(VoterStanding {
                node: i32::try_from(*node).ok().map(NodeId)?,
                directory: Some(known.directory),
                log_end: Some(known.end),
                last_fetch_ms: Some(unix_ms(known.pulled)),
                last_caught_up_ms: known.caught_up.map(unix_ms),
            })
        };
        let is_voter = |it: &VoterStanding| {
            voters.iter().any(|voter| voter.node == it.node && voter.directory == it.directory)
        };
        heard.filter_map(standing).filter(|it| !is_voter(it)).collect()
    }
}

fn committed_end(view: &View<'_>) -> u64 {
    view.applied.last.map_or(0, |last| last.index + 1)
}
