//! An election at once when the connections with the leader are gone, instead of after the lease and a timeout.
//!
//! Whoever notices gives the leader a moment to be heard of again, takes its lease for ended then, and stands for election as
//! ever: by a pre-vote, which a voter refuses that still has the leader. So a voter that was cut off alone disturbs no
//! one. Voters stand one after the other, by their ids, so that they do not split the votes.
//!
//! A lease that ended so does not begin again in the same term (openraft has no way). If the leader lives after all, its
//! follower then has no more protection against elections than openraft's timeout gives.

use crate::{
    executor::{Channels, Runtime, VirtualInstant, WatchedReceiver},
    identity::Identity,
    inbound::Heard,
    quorum::Timing,
    types::{Raft, RaftVote, TypeConfig},
};
use openraft::{metrics::RaftMetrics, raft::TransferLeaderRequest};
use openraft_rt::{AsyncRuntime, Instant as _, WatchReceiver};
use std::time::Duration;
use tokio::sync::mpsc;

/// Rounds of elections, each twice as long as the one before. What comes after is the ordinary way.
const ROUNDS: u32 = 4;

/// No connection with a voter is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parted {
    pub voter: u64,
    /// Nobody listens there any more.
    pub ended: bool,
}

/// What the task works with.
pub(crate) struct Succession {
    pub raft: Raft,
    pub node: u64,
    pub identity: Identity,
    pub heard: Heard,
    pub metrics: WatchedReceiver<RaftMetrics<TypeConfig>>,
    pub timing: Timing,
    pub parted: mpsc::UnboundedReceiver<Parted>,
}

/// A leader that may be gone.
#[derive(Clone, Copy)]
struct Missed {
    leader: u64,
    vote: RaftVote,
    /// What had been heard of it when it was missed last.
    heard: u64,
}

impl Succession {
    /// Runs as long as the quorum does.
    pub async fn run(mut self) {
        while let Some(parted) = self.parted.recv().await {
            let Some(mut missed) = self.missed(parted.voter) else { continue };
            if !parted.ended && !self.wait(&mut missed).await {
                continue;
            }
            if self.stand(missed).await.is_err() {
                return;
            }
        }
    }

    /// The leader, if this is it.
    fn missed(&self, voter: u64) -> Option<Missed> {
        let metrics = WatchReceiver::<Channels, _>::borrow_watched(&self.metrics);
        let leads = metrics.current_leader == Some(voter) && voter != self.node;
        leads.then(|| Missed { leader: voter, vote: metrics.vote, heard: self.heard.of(voter) })
    }

    /// Gives it the time of two heartbeats, unless it is known to have ended. Whether it is still missed then.
    async fn wait(&mut self, missed: &mut Missed) -> bool {
        let until = VirtualInstant::now() + Duration::from_millis(2 * self.timing.heartbeat_ms);
        loop {
            let next = Runtime::timeout_at(until, self.parted.recv()).await;
            match next {
                Ok(Some(parted)) if parted.voter == missed.leader => {
                    missed.heard = self.heard.of(missed.leader);
                    if parted.ended {
                        break;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => break,
            }
        }
        self.is_missed(*missed)
    }

    fn is_missed(&self, missed: Missed) -> bool {
        let metrics = WatchReceiver::<Channels, _>::borrow_watched(&self.metrics);
        let elected = metrics.current_leader.is_some_and(|leader| leader != missed.leader);
        !elected && self.heard.of(missed.leader) == missed.heard
    }

    /// Stands for election, in turn with the others, until there is a leader.
    async fn stand(&self, missed: Missed) -> Result<(), openraft::errors::Fatal<TypeConfig>> {
        // Handing over to itself is what a leader says that wants its lease to end, and to be no candidate.
        let ended = TransferLeaderRequest::new(missed.vote, missed.leader, None);
        // The response is about candidates.
        let _ = self.raft.handle_transfer_leader(ended).await?;
        let membership = self.identity.membership();
        let others: Vec<u64> = membership.voter_ids().filter(|id| *id != missed.leader).collect();
        let turn = others.iter().position(|id| *id == self.node).unwrap_or(0);
        let count = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        let step = Duration::from_millis(self.timing.heartbeat_ms / 2);
        for round in 0..ROUNDS {
            let step = step * (1 << round);
            Runtime::sleep(step * count(turn)).await;
            if !self.is_missed(missed) || !self.identity.may_vote() {
                break;
            }
            tracing::info!(
                leader = missed.leader,
                "the quorum's leader is gone: this node stands for election"
            );
            self.raft.trigger().elect(true).await?;
            Runtime::sleep(step * count(others.len() - turn)).await;
            if !self.is_missed(missed) {
                break;
            }
        }
        Ok(())
    }
}
