//! The tasks around openraft: start it, feed it, watch who leads, record who votes from where, stop it.

use crate::{
    executor::{Channels, Runtime, WatchedReceiver},
    identity::{Identity, is_alone, is_majority_recorded},
    inbound::{Asked, Heard, Inbound},
    log::LogStore,
    machine::{Applied, Machine},
    network::Network,
    proposal::Proposal,
    quorum::{Outbox, QuorumOutput, Timing},
    standing::Progress,
    succession::{Parted, Succession},
    types::{Peer, Raft, TypeConfig},
    voters::{self, Change, Registry, Tending},
    wire::APPEND_ENTRIES_MAX,
};
use corelane_core::ids::NodeId;
use openraft::{Config, ServerState, SnapshotPolicy, metrics::RaftMetrics};
use openraft_rt::{AsyncRuntime, WatchReceiver};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// Entries that stay in the log of a quorum of several when a snapshot holds them: who was away for a moment gets
/// those and not the whole image.
const LAGGING_ENTRIES_MAX: u64 = 1_000;

/// Pauses before a voter that was not reached is sent entries again. Heartbeats go on meanwhile.
const BACKOFF: &str = "20ms 50ms 100ms 200ms ...500ms";

/// What the shard wants of openraft.
pub(crate) enum Command {
    Propose(Proposal),
    Snapshot,
    Called(Asked),
    Change(Change),
    Parted(Parted),
    TransferLeader,
    Stop,
    /// The leadership is handed over, or could not be.
    End,
}

/// How it ended, if it did.
#[derive(Clone, Default)]
pub(crate) struct Fate(Rc<RefCell<(Option<String>, bool)>>);

impl Fate {
    pub fn fatal(&self) -> Option<String> {
        self.0.borrow().0.clone()
    }

    pub fn stopped(&self) -> bool {
        self.0.borrow().1
    }

    fn break_with(&self, reason: String) {
        self.0.borrow_mut().0.get_or_insert(reason);
    }

    fn stop(&self) {
        self.0.borrow_mut().1 = true;
    }
}

/// What the tasks work with.
pub(crate) struct Parts {
    /// Who forms the cluster, if it is new.
    pub voters: BTreeMap<u64, Peer>,
    pub identity: Identity,
    pub network: Network,
    pub heard: Heard,
    pub progress: Progress,
    pub timing: Timing,
    pub snapshot_entries: u64,
    pub log: LogStore,
    pub writer: Pin<Box<dyn Future<Output = bool>>>,
    pub machine: Machine,
    pub applied: Rc<RefCell<Applied>>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// Gives commands to itself.
    pub commander: mpsc::WeakUnboundedSender<Command>,
    pub outbox: Outbox,
    pub fate: Fate,
}

fn config(parts: &Parts) -> Result<Arc<Config>, String> {
    let Timing { heartbeat_ms, election_ms_min, election_ms_max } = parts.timing;
    let is_alone = parts.voters.len() == 1;
    let config = Config {
        cluster_name: "metadata".to_owned(),
        heartbeat_interval: heartbeat_ms,
        election_timeout_min: election_ms_min,
        election_timeout_max: election_ms_max,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(parts.snapshot_entries),
        // What is in the snapshot leaves the log, so that the log's memory is bounded.
        max_in_snapshot_log_to_keep: if is_alone {
            0
        } else {
            LAGGING_ENTRIES_MAX.min(parts.snapshot_entries)
        },
        max_payload_entries: APPEND_ENTRIES_MAX as u64,
        backoff: BACKOFF.to_owned(),
        // The committed position on disk lags by a group: a restarted leader must not serve by it.
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        // Without ticks an idle node asks for no timer at all; a quorum of one is elected by hand, below.
        enable_tick: !is_alone,
        ..Config::default()
    };
    config.validate().map(Arc::new).map_err(|error| error.to_string())
}

/// Runs the quorum to its end.
pub(crate) async fn run(parts: Parts) {
    let fate = parts.fate.clone();
    match serve(parts).await {
        Ok(()) => fate.stop(),
        Err(reason) => fate.break_with(reason),
    }
}

async fn serve(mut parts: Parts) -> Result<(), String> {
    let config = config(&parts)?;
    let writer = Runtime::spawn(parts.writer);
    let node = parts.identity.node();
    let started = Raft::new(node, config, parts.network, parts.log.clone(), parts.machine).await;
    let raft = started.map_err(|error| format!("the metadata quorum does not start: {error}"))?;
    let metrics = raft.metrics();
    parts.identity.watch(metrics.clone());
    let watcher = Watcher {
        metrics: metrics.clone(),
        applied: Rc::clone(&parts.applied),
        identity: parts.identity.clone(),
        progress: parts.progress,
        outbox: parts.outbox,
        fate: parts.fate,
    };
    drop(Runtime::spawn(watcher.run()));
    begin(&raft, &parts.voters, &parts.identity).await?;
    let (missing, parted) = mpsc::unbounded_channel();
    let (registry, changes) = Registry::new();
    let tending = Tending {
        raft: raft.clone(),
        metrics: metrics.clone(),
        identity: parts.identity.clone(),
        registry: registry.clone(),
        changes,
    };
    drop(Runtime::spawn(tending.run()));
    drop(Runtime::spawn(voters::follow(raft.clone(), metrics.clone(), parts.identity.clone())));
    let succession = Succession {
        raft: raft.clone(),
        node,
        identity: parts.identity.clone(),
        heard: parts.heard,
        metrics: metrics.clone(),
        timing: parts.timing,
        parted,
    };
    drop(Runtime::spawn(succession.run()));
    let patience = Duration::from_millis(parts.timing.election_ms_max);
    let mut is_stopping = false;
    while let Some(command) = parts.commands.recv().await {
        match command {
            Command::Propose(Proposal { batch, owed }) => {
                let reply = owed.into_reply();
                raft.client_write_ff(batch, Some(reply)).await.map_err(|error| error.to_string())?;
            }
            Command::Snapshot => raft.trigger().snapshot().await.map_err(|error| error.to_string())?,
            Command::Called(asked) => drop(Runtime::spawn(Inbound::serve(raft.clone(), asked))),
            Command::Change(change) => registry.take(change),
            Command::Parted(parted) => drop(missing.send(parted)),
            Command::TransferLeader => {
                drop(Runtime::spawn(hand_over(raft.clone(), metrics.clone(), patience)));
            }
            Command::Stop if is_alone(&parts.identity.membership(), node) => break,
            Command::Stop if is_stopping => {}
            Command::Stop => {
                is_stopping = true;
                let handing_over = hand_over(raft.clone(), metrics.clone(), patience);
                let commander = parts.commander.clone();
                drop(Runtime::spawn(async move {
                    handing_over.await;
                    if let Some(commander) = commander.upgrade() {
                        // Without a receiver it has ended otherwise.
                        let _ = commander.send(Command::End);
                    }
                }));
            }
            Command::End => break,
        }
    }
    raft.shutdown().await.map_err(|error| error.to_string())?;
    parts.log.close();
    match writer.await {
        Ok(true) => Ok(()),
        Ok(false) => Err(parts.log.poison().unwrap_or_else(|| "the metadata log broke".to_owned())),
        Err(error) => Err(error.to_string()),
    }
}

/// Elects a quorum of one; forms a new cluster, unless others are to add this node to theirs.
///
/// All voters write the same first entry, so it does not matter who does it: openraft allows that, as long as they
/// agree on who votes, which every message asserts. What they may differ in, endpoints and directories, is not in it.
async fn begin(raft: &Raft, voters: &BTreeMap<u64, Peer>, identity: &Identity) -> Result<(), String> {
    let node = identity.node();
    if !raft.is_initialized().await.map_err(|error| error.to_string())? {
        if !voters.contains_key(&node) {
            return Ok(());
        }
        let is_alone = voters.len() == 1;
        // Those that were formatted together are known alike everywhere.
        let is_common = is_alone || voters.values().all(|peer| peer.directory_id.is_some());
        let peer = |(id, peer): (&u64, &Peer)| (*id, if is_common { peer.clone() } else { Peer::default() });
        let voters: BTreeMap<u64, Peer> = voters.iter().map(peer).collect();
        return raft.initialize(voters).await.map_err(|error| error.to_string());
    }
    let known = raft.with_raft_state(|state| state.membership_state.effective().as_ref().clone());
    let membership = known.await.map_err(|error| error.to_string())?;
    let known: BTreeSet<u64> = membership.voter_ids().collect();
    let is_formed = is_majority_recorded(&membership) || is_alone(&membership, node);
    if voters.contains_key(&node) && !known.is_empty() && !known.iter().eq(voters.keys()) {
        let differ = format!(
            "controller.quorum.voters names the nodes {:?}, but the cluster was formed with {known:?}",
            voters.keys().collect::<Vec<_>>()
        );
        if !is_formed {
            return Err(format!("{differ}. Name those"));
        }
        tracing::info!("{differ}, or they became its voters since. The log's voters count");
    }
    if is_alone(&membership, node) {
        // There is no one to wait for: not an election timeout, and not the lease of the leader that this node was.
        raft.trigger().elect(false).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Lets an up-to-date voter lead in this node's place, if it leads, and waits until one does.
async fn hand_over(raft: Raft, mut metrics: WatchedReceiver<RaftMetrics<TypeConfig>>, patience: Duration) {
    let handing_over = async {
        let mut asked = false;
        loop {
            let heir = {
                let metrics = WatchReceiver::<Channels, _>::borrow_and_update(&mut metrics);
                let follows = metrics.current_leader.is_some_and(|leader| leader != metrics.id);
                if follows || (!asked && metrics.state != ServerState::Leader) {
                    return;
                }
                heir(&metrics)
            };
            if let Some(heir) = heir.filter(|_| !asked) {
                asked = true;
                if raft.trigger().transfer_leader(heir).await.is_err() {
                    return;
                }
            }
            if WatchReceiver::<Channels, _>::changed(&mut metrics).await.is_err() {
                return;
            }
        }
    };
    // In vain: the others elect one when they miss this one.
    let _ = Runtime::timeout(patience, handing_over).await;
}

/// A voter that has the whole log.
fn heir(metrics: &RaftMetrics<TypeConfig>) -> Option<u64> {
    let replication = metrics.replication.as_ref()?;
    let has_all = |id: &u64| {
        let matched = replication.get(id).copied().flatten().map(|matched| matched.index);
        *id != metrics.id && matched.is_some() && matched >= metrics.last_log_index
    };
    metrics.membership_config.voter_ids().find(has_all)
}

/// With their ids as Kafka has them.
pub(crate) fn nodes(endpoints: &[(u64, String)]) -> Vec<(NodeId, String)> {
    let node = |(id, endpoint): &(u64, String)| Some((NodeId(i32::try_from(*id).ok()?), endpoint.clone()));
    endpoints.iter().filter_map(node).collect()
}

/// Tells who leads, where nodes are reached, and when openraft gave up.
struct Watcher {
    metrics: WatchedReceiver<RaftMetrics<TypeConfig>>,
    applied: Rc<RefCell<Applied>>,
    identity: Identity,
    progress: Progress,
    outbox: Outbox,
    fate: Fate,
}

impl Watcher {
    async fn run(mut self) {
        let mut told = None;
        let mut located = (None, self.identity.endpoints());
        loop {
            let (leader, term, leads) = {
                let metrics = WatchReceiver::<Channels, _>::borrow_and_update(&mut self.metrics);
                match &metrics.running_state {
                    Ok(()) | Err(openraft::errors::Fatal::Stopped) => {}
                    Err(error) => return self.fate.break_with(error.to_string()),
                }
                self.progress.note(&metrics);
                (metrics.current_leader, metrics.current_term, metrics.state == ServerState::Leader)
            };
            let leader = leader.and_then(|id| i32::try_from(id).ok()).map(NodeId);
            let writable = leads && self.has_all(term);
            if told != Some((leader, term, writable)) {
                told = Some((leader, term, writable));
                self.outbox.push(QuorumOutput::LeaderChanged { leader, term, writable });
            }
            let now = (*self.identity.membership().log_id(), self.identity.endpoints());
            if located != now {
                self.outbox.push(QuorumOutput::Located(nodes(&now.1)));
                located = now;
            }
            if WatchReceiver::<Channels, _>::changed(&mut self.metrics).await.is_err() {
                return;
            }
        }
    }

    /// A leader can write before it has read what earlier ones committed. It has once an entry of its own term (its
    /// first is a blank one) is applied. Of a new cluster, nothing else comes before a majority is recorded.
    fn has_all(&self, term: u64) -> bool {
        let applied = self.applied.borrow();
        let has_read = applied.last.is_some_and(|last| last.leader_id.term == term);
        let node = self.identity.node();
        has_read && (is_alone(&applied.membership, node) || is_majority_recorded(&applied.membership))
    }
}
