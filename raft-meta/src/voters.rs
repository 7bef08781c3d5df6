//! Changes of who votes (KIP-853), made by the leader: a voter is recorded, added, removed or moved, one at a time.
//!
//! Whoever is added is a learner first: it gets the log and does not count. When it has as good as everything, one
//! entry makes it a voter. Two majorities of which one has a single voter more always meet, so no joint membership is
//! needed, provided that the entry before is committed and the leader has committed something of its own term; openraft
//! sees to both. A learner that does not catch up in time stays one, and the next attempt goes on from there.
//!
//! A voter whose disk was lost is removed with its old directory and added with its new one. Its node id stays; what
//! the leader believed of its log goes with the removal.

use crate::{
    executor::{Channels, Runtime, WatchedReceiver},
    identity::{Identity, is_alone, is_majority_recorded, recorded},
    quorum::{Outbox, QuorumOutput},
    types::{Peer, Raft, RaftMembership, TypeConfig},
};
use corelane_core::{
    controller::{ChangeError, VoterChange},
    ids::NodeId,
};
use futures_util::future::{Either, select};
use openraft::{
    ChangeMembers, EntryPayload, Membership, ServerState,
    errors::{ClientWriteError, RaftError},
    metrics::RaftMetrics,
    raft::Precondition,
};
use openraft_rt::{AsyncRuntime, WatchReceiver};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    rc::Rc,
    time::Duration,
};
use tokio::sync::mpsc;

/// How long a new voter may take until it has as good as everything.
const CATCH_UP_PATIENCE: Duration = Duration::from_millis(2_500);

/// How long a change may take as a whole. Whoever asks waits for the answer: less than nodes wait for each other.
const CHANGE_PATIENCE: Duration = Duration::from_secs(4);

/// How soon the directories of voters are recorded again after that has failed.
const RECORD_BACKOFF: Duration = Duration::from_millis(100);

/// Entries that a new voter may lack: fewer than are under way to it at any time under load.
const LAG_ENTRIES_MAX: u64 = 128;

/// The duty to answer a change. Dropped without, it answers that the quorum has ended.
pub(crate) struct Change {
    pub wanted: VoterChange,
    id: u64,
    outbox: Outbox,
    result: Option<Result<(), ChangeError>>,
}

impl Change {
    pub fn new(id: u64, wanted: VoterChange, outbox: Outbox) -> Change {
        Change { wanted, id, outbox, result: None }
    }

    pub fn answer(mut self, result: Result<(), ChangeError>) {
        self.result = Some(result);
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        let ended = || Err(ChangeError::Failed("the metadata quorum has ended".to_owned()));
        let result = self.result.take().unwrap_or_else(ended);
        self.outbox.push(QuorumOutput::VotersChanged { id: self.id, result });
    }
}

/// Where changes are handed in: one at a time.
#[derive(Clone)]
pub(crate) struct Registry {
    changes: mpsc::UnboundedSender<Change>,
    is_busy: Rc<Cell<bool>>,
}

impl Registry {
    pub fn new() -> (Registry, mpsc::UnboundedReceiver<Change>) {
        let (changes, received) = mpsc::unbounded_channel();
        (Registry { changes, is_busy: Rc::default() }, received)
    }

    /// Takes a change, or answers that there is another one.
    pub fn take(&self, change: Change) {
        if self.is_busy.replace(true) {
            return change.answer(Err(ChangeError::InProgress));
        }
        // Without a receiver the quorum has ended; dropping the change answers it.
        let _ = self.changes.send(change);
    }
}

/// What the task works with.
pub(crate) struct Tending {
    pub raft: Raft,
    pub metrics: WatchedReceiver<RaftMetrics<TypeConfig>>,
    pub identity: Identity,
    pub registry: Registry,
    pub changes: mpsc::UnboundedReceiver<Change>,
}

fn peer(id: NodeId) -> u64 {
    u64::try_from(id.0).unwrap_or(u64::MAX)
}

impl Tending {
    /// Runs as long as the quorum does: records the directories of voters that are heard of for the first time, and
    /// does what is asked for.
    pub async fn run(mut self) {
        loop {
            self.record().await;
            let change = {
                let news = pin!(WatchReceiver::<Channels, _>::changed(&mut self.metrics));
                let contact = pin!(self.identity.changed());
                let change = pin!(self.changes.recv());
                match select(news, select(contact, change)).await {
                    Either::Left((Err(_), _)) | Either::Right((Either::Right((None, _)), _)) => return,
                    Either::Left((Ok(()), _)) | Either::Right((Either::Left(_), _)) => None,
                    Either::Right((Either::Right((change, _)), _)) => change,
                }
            };
            if let Some(change) = change {
                let carried_out = Runtime::timeout(CHANGE_PATIENCE, self.carry_out(&change.wanted)).await;
                let result = carried_out.unwrap_or(Err(ChangeError::TimedOut));
                match &result {
                    Ok(()) => tracing::info!(change = ?change.wanted, "who votes has changed"),
                    Err(error) => {
                        tracing::info!(change = ?change.wanted, "who votes has not changed: {error}")
                    }
                }
                self.registry.is_busy.set(false);
                change.answer(result);
            }
        }
    }

    async fn record(&mut self) {
        let unrecorded = {
            let metrics = WatchReceiver::<Channels, _>::borrow_and_update(&mut self.metrics);
            let may_change = metrics.state == ServerState::Leader
                && metrics.membership_config.voter_ids().any(|id| id == metrics.id)
                && metrics.membership_config.log_id() == metrics.committed_membership_config.log_id()
                && metrics.last_applied.is_some_and(|last| last.leader_id.term == metrics.current_term);
            if may_change { self.identity.unrecorded(&metrics.membership_config) } else { BTreeMap::new() }
        };
        if unrecorded.is_empty() {
            return;
        }
        let known: Vec<u64> = unrecorded.keys().copied().collect();
        let written =
            Runtime::timeout(CHANGE_PATIENCE, self.write(ChangeMembers::SetNodes(unrecorded))).await;
        match written.unwrap_or(Err(ChangeError::TimedOut)) {
            Ok(()) => tracing::info!(voters = ?known, "the voters' directories are recorded"),
            // Another leader does it, or this one when things have changed.
            Err(error) => {
                tracing::info!(voters = ?known, %error, "the voters' directories are not recorded");
                // A refusal may come at once, and each is news to whoever watches: not again in the same moment.
                Runtime::sleep(RECORD_BACKOFF).await;
            }
        }
    }

    async fn carry_out(&mut self, change: &VoterChange) -> Result<(), ChangeError> {
        let membership = self.ready()?;
        let is_recorded = |voter: NodeId, directory: u128| {
            let is_voter = membership.voter_ids().any(|id| id == peer(voter));
            let is_it = is_voter && recorded(&membership, peer(voter)) == Some(directory);
            if is_it { Ok(()) } else { Err(ChangeError::VoterNotFound(voter)) }
        };
        match change {
            VoterChange::Add { voter, directory, endpoint } => {
                if membership.voter_ids().any(|id| id == peer(*voter)) {
                    return Err(ChangeError::DuplicateVoter(*voter));
                }
                let node = Peer { endpoint: endpoint.clone(), directory_id: Some(*directory) };
                self.add(*voter, node, &membership).await
            }
            VoterChange::Remove { voter, directory } => {
                is_recorded(*voter, *directory)?;
                if membership.voter_ids().count() == 1 {
                    return Err(ChangeError::LastVoter(*voter));
                }
                self.vote_with(|voters, nodes| {
                    voters.remove(&peer(*voter));
                    nodes.remove(&peer(*voter));
                })
                .await
            }
            VoterChange::Move { voter, directory, endpoint } => {
                is_recorded(*voter, *directory)?;
                let node = Peer { endpoint: endpoint.clone(), directory_id: Some(*directory) };
                if membership.get_node(&peer(*voter)) == Some(&node) {
                    return Ok(());
                }
                self.write(ChangeMembers::SetNodes(BTreeMap::from([(peer(*voter), node)]))).await
            }
        }
    }

    /// The membership, if this node may change it.
    fn ready(&self) -> Result<RaftMembership, ChangeError> {
        let metrics = WatchReceiver::<Channels, _>::borrow_watched(&self.metrics);
        let membership = &metrics.membership_config;
        // One that is removed only leads until another one can.
        let remains = membership.voter_ids().any(|id| id == metrics.id);
        if metrics.state != ServerState::Leader || !remains {
            let leader = metrics.current_leader.filter(|leader| *leader != metrics.id);
            let leader = leader.and_then(|id| i32::try_from(id).ok()).map(NodeId);
            return Err(ChangeError::NotLeader { leader });
        }
        let has_read = metrics.last_applied.is_some_and(|last| last.leader_id.term == metrics.current_term);
        if !has_read || !is_majority_recorded(membership) {
            return Err(ChangeError::NotReady);
        }
        if membership.log_id() != metrics.committed_membership_config.log_id() {
            return Err(ChangeError::InProgress);
        }
        Ok((**membership).clone())
    }

    async fn add(
        &mut self,
        voter: NodeId,
        node: Peer,
        membership: &RaftMembership,
    ) -> Result<(), ChangeError> {
        let id = peer(voter);
        let learner = membership.get_node(&id);
        if learner.is_some_and(|known| known.directory_id != node.directory_id) {
            // What is believed of another directory's log must go first.
            self.write(ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await?;
        }
        if learner != Some(&node) {
            self.write(ChangeMembers::SetNodes(BTreeMap::from([(id, node)]))).await?;
        }
        let caught_up = Runtime::timeout(CATCH_UP_PATIENCE, self.caught_up(id)).await;
        caught_up.map_err(|_| ChangeError::Lagging(voter))??;
        let become_voter = |voters: &mut BTreeSet<u64>, _: &mut BTreeMap<u64, Peer>| {
            voters.insert(id);
        };
        self.vote_with(become_voter).await
    }

    /// Waits until a learner has as good as everything.
    async fn caught_up(&mut self, id: u64) -> Result<(), ChangeError> {
        loop {
            {
                let metrics = WatchReceiver::<Channels, _>::borrow_and_update(&mut self.metrics);
                let Some(replication) = metrics.replication.as_ref() else {
                    return Err(ChangeError::NotLeader { leader: None });
                };
                let matched = replication.get(&id).copied().flatten().map(|matched| matched.index);
                let begins = metrics.membership_config.log_id().map(|at| at.index);
                let has_enough = |matched: u64| Some(matched + LAG_ENTRIES_MAX) >= metrics.last_log_index;
                // What it is known to have counts once it knows itself to be a learner.
                if matched >= begins && matched.is_some_and(has_enough) {
                    return Ok(());
                }
            }
            if WatchReceiver::<Channels, _>::changed(&mut self.metrics).await.is_err() {
                return Err(ChangeError::Failed("the metadata quorum has ended".to_owned()));
            }
        }
    }

    /// Changes who votes by one voter, in one entry.
    async fn vote_with(
        &mut self,
        change: impl FnOnce(&mut BTreeSet<u64>, &mut BTreeMap<u64, Peer>),
    ) -> Result<(), ChangeError> {
        let membership = self.ready()?;
        let mut voters: BTreeSet<u64> = membership.voter_ids().collect();
        let mut nodes = membership.nodes().map(|(id, peer)| (*id, peer.clone())).collect();
        change(&mut voters, &mut nodes);
        let next = Membership::new(vec![voters], nodes);
        let next = next.map_err(|error| ChangeError::Failed(error.to_string()))?;
        let seen = Precondition::LastMembershipLogId { last_membership_log_id: *membership.log_id() };
        done(self.raft.append_membership(next, EntryPayload::Blank, [seen]).await)
    }

    async fn write(&self, change: ChangeMembers<u64, Peer>) -> Result<(), ChangeError> {
        done(self.raft.change_membership(change, false).await)
    }
}

/// What became of an entry.
fn done<T>(
    written: Result<T, RaftError<TypeConfig, ClientWriteError<TypeConfig>>>,
) -> Result<(), ChangeError> {
    let Err(error) = written else { return Ok(()) };
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(forward)) => {
            let leader = forward.leader_id.and_then(|id| i32::try_from(id).ok()).map(NodeId);
            Err(ChangeError::NotLeader { leader })
        }
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => Err(ChangeError::TimedOut),
        error @ (RaftError::APIError(
            ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_),
        )
        | RaftError::Fatal(_)) => Err(ChangeError::Failed(error.to_string())),
    }
}

/// Follows the membership: only who may vote stands for election, and who leads alone needs no timer.
pub(crate) async fn follow(
    raft: Raft,
    mut metrics: WatchedReceiver<RaftMetrics<TypeConfig>>,
    identity: Identity,
) {
    loop {
        {
            // The value is looked at below; this marks it as seen.
            let _ = WatchReceiver::<Channels, _>::borrow_and_update(&mut metrics);
        }
        let config = raft.runtime_config();
        config.elect(identity.may_vote());
        config.tick(!identity.leads() || !is_alone(&identity.membership(), identity.node()));
        if WatchReceiver::<Channels, _>::changed(&mut metrics).await.is_err() {
            return;
        }
    }
}
