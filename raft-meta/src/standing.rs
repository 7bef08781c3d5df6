//! How far each voter has come, as the leader knows: what DescribeQuorum tells.

use crate::{executor::VirtualInstant, types::TypeConfig};
use corelane_core::{engine::VoterStanding, ids::NodeId};
use corelane_seam::{Monotonic, Now};
use openraft::{ServerState, metrics::RaftMetrics};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

#[derive(Clone, Copy, Default)]
struct Voter {
    log_end: u64,
    /// When it was sent what it answered last.
    heard: Option<Monotonic>,
    /// When it last had everything.
    caught_up: Option<Monotonic>,
    is_behind: bool,
}

#[derive(Default)]
struct State {
    leader: Option<NodeId>,
    /// Of a leader only: the others.
    followers: BTreeMap<u64, Voter>,
    /// With the directories that are recorded.
    voters: Vec<(u64, Option<u128>)>,
    log_end: u64,
    node: Option<u64>,
}

/// Follows openraft's metrics. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Progress(Rc<RefCell<State>>);

fn node(id: u64) -> Option<NodeId> {
    i32::try_from(id).ok().map(NodeId)
}

impl Progress {
    /// Takes note of how things stand.
    pub fn note(&self, metrics: &RaftMetrics<TypeConfig>) {
        let mut state = self.0.borrow_mut();
        state.leader = metrics.current_leader.and_then(node);
        state.node = Some(metrics.id);
        state.log_end = metrics.last_log_index.map_or(0, |last| last + 1);
        let membership = &metrics.membership_config;
        let directory = |id: &u64| membership.get_node(id)?.directory_id;
        state.voters = membership.voter_ids().map(|id| (id, directory(&id))).collect();
        let is_leader = metrics.state == ServerState::Leader;
        let Some(replication) = metrics.replication.as_ref().filter(|_| is_leader) else {
            state.followers.clear();
            return;
        };
        let State { followers, log_end, .. } = &mut *state;
        followers.retain(|id, _| replication.contains_key(id));
        for (id, matched) in replication.iter().filter(|(id, _)| **id != metrics.id) {
            let heard = metrics.heartbeat.as_ref().and_then(|heartbeat| heartbeat.get(id)?.as_ref());
            let heard = heard.map(|heard| VirtualInstant::monotonic(**heard));
            let voter = followers.entry(*id).or_default();
            voter.log_end = matched.map_or(0, |matched| matched.index + 1);
            voter.is_behind = voter.log_end < *log_end;
            voter.heard = voter.heard.max(heard);
            if !voter.is_behind {
                voter.caught_up = voter.heard;
            }
        }
    }

    /// Who leads, and of a leader how far each voter has come.
    pub fn standing(&self, now: Now) -> (Option<NodeId>, Vec<VoterStanding>) {
        let state = self.0.borrow();
        let unix_ms = |at: Monotonic| {
            let ago_ms = i64::try_from(now.monotonic.since(at).as_millis()).unwrap_or(i64::MAX);
            now.unix_ms.saturating_sub(ago_ms)
        };
        let leads = state.leader.is_some() && state.leader == state.node.and_then(node);
        let standing = |(id, directory): &(u64, Option<u128>)| {
            let (node, directory) = (node(*id)?, *directory);
            if state.node == Some(*id) {
                let (log_end, now) = (Some(state.log_end), Some(now.unix_ms));
                return Some(VoterStanding {
                    node,
                    directory,
                    log_end,
                    last_fetch_ms: now,
                    last_caught_up_ms: now,
                });
            }
            let follower = state.followers.get(id);
            Some(VoterStanding {
                node,
                directory,
                log_end: follower.map(|it| it.log_end),
                last_fetch_ms: follower.and_then(|it| it.heard).map(unix_ms),
                last_caught_up_ms: follower.and_then(|it| it.caught_up).map(unix_ms),
            })
        };
        let voters = if leads { state.voters.iter().filter_map(standing).collect() } else { Vec::new() };
        (state.leader, voters)
    }
}
