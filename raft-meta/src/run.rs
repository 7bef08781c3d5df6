//! The tasks around openraft: start it, feed it, watch who leads, stop it.

use crate::{
    executor::{Channels, Runtime, WatchedReceiver},
    log::LogStore,
    machine::{Applied, Machine},
    network::Network,
    proposal::Proposal,
    quorum::{Outbox, QuorumOutput},
    types::{Peer, Raft, TypeConfig},
};
use corelane_core::{error::Fatal, ids::NodeId};
use openraft::{Config, ServerState, SnapshotPolicy, metrics::RaftMetrics};
use openraft_rt::{AsyncRuntime, WatchReceiver};
use std::{cell::RefCell, collections::BTreeMap, pin::Pin, rc::Rc, sync::Arc};
use tokio::sync::mpsc;

/// Milliseconds between a leader's heartbeats. A quorum of one sends none.
const HEARTBEAT_MS: u64 = 100;
/// Milliseconds without a heartbeat after which a follower stands for election, at random between the two.
const ELECTION_TIMEOUT_MS: (u64, u64) = (500, 1_000);

/// What the shard wants of openraft.
pub(crate) enum Command {
    Propose(Proposal),
    Snapshot,
    Stop,
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
    pub node: u64,
    pub voters: BTreeMap<u64, Peer>,
    pub snapshot_entries: u64,
    pub log: LogStore,
    pub writer: Pin<Box<dyn Future<Output = bool>>>,
    pub machine: Machine,
    pub applied: Rc<RefCell<Applied>>,
    pub commands: mpsc::UnboundedReceiver<Command>,
    pub outbox: Outbox,
    pub fate: Fate,
}

/// # Errors
/// When the voters are not this node alone: peers cannot be reached yet, and a quorum that can never elect a leader
/// must not look like one that starts slowly.
pub(crate) fn check_voters(node: u64, voters: &BTreeMap<u64, Peer>) -> Result<(), Fatal> {
    if !voters.contains_key(&node) {
        return Err(Fatal::new(format!(
            "controller.quorum.voters does not name this node. Add {node}@HOST:PORT to it"
        )));
    }
    if voters.len() > 1 {
        return Err(Fatal::new(format!(
            "controller.quorum.voters names {} voters; this version runs a metadata quorum of one. Leave {node} alone \
             in it",
            voters.len()
        )));
    }
    Ok(())
}

fn config(snapshot_entries: u64) -> Result<Arc<Config>, String> {
    let config = Config {
        cluster_name: "metadata".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_TIMEOUT_MS.0,
        election_timeout_max: ELECTION_TIMEOUT_MS.1,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(snapshot_entries),
        // What is in the snapshot leaves the log, so that the log's memory is bounded.
        max_in_snapshot_log_to_keep: 0,
        // The committed position on disk lags by a group: a restarted leader must not serve by it.
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        // Without ticks an idle node asks for no timer at all; a quorum of one is elected by hand, below.
        enable_tick: false,
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
    let writer = Runtime::spawn(parts.writer);
    let config = config(parts.snapshot_entries)?;
    let started = Raft::new(parts.node, config, Network, parts.log.clone(), parts.machine).await;
    let raft = started.map_err(|error| format!("the metadata quorum does not start: {error}"))?;
    let metrics = raft.metrics();
    drop(Runtime::spawn(watch(metrics, parts.applied, parts.outbox, parts.fate)));

    if raft.is_initialized().await.map_err(|error| error.to_string())? {
        // There is no one to wait for: not an election timeout, and not the lease of the leader that this node was.
        raft.trigger().elect(false).await.map_err(|error| error.to_string())?;
    } else {
        raft.initialize(parts.voters).await.map_err(|error| error.to_string())?;
    }
    while let Some(command) = parts.commands.recv().await {
        match command {
            Command::Propose(Proposal { batch, owed }) => {
                let reply = owed.into_reply();
                raft.client_write_ff(batch, Some(reply)).await.map_err(|error| error.to_string())?;
            }
            Command::Snapshot => raft.trigger().snapshot().await.map_err(|error| error.to_string())?,
            Command::Stop => break,
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

/// Tells who leads, and when openraft gave up.
async fn watch(
    mut metrics: WatchedReceiver<RaftMetrics<TypeConfig>>,
    applied: Rc<RefCell<Applied>>,
    outbox: Outbox,
    fate: Fate,
) {
    let mut told = None;
    loop {
        let (leader, term, leads, broken) = {
            let metrics = WatchReceiver::<Channels, _>::borrow_and_update(&mut metrics);
            let broken = match &metrics.running_state {
                Ok(()) | Err(openraft::errors::Fatal::Stopped) => None,
                Err(error) => Some(error.to_string()),
            };
            (metrics.current_leader, metrics.current_term, metrics.state == ServerState::Leader, broken)
        };
        if let Some(reason) = broken {
            return fate.break_with(reason);
        }
        let leader = leader.and_then(|id| i32::try_from(id).ok()).map(NodeId);
        // A leader can write before it has read what earlier ones committed. It has once an entry of its own term
        // (its first is a blank one) is applied.
        let writable = leads && applied.borrow().last.is_some_and(|last| last.leader_id.term == term);
        if told != Some((leader, term, writable)) {
            told = Some((leader, term, writable));
            outbox.push(QuorumOutput::LeaderChanged { leader, term, writable });
        }
        if WatchReceiver::<Channels, _>::changed(&mut metrics).await.is_err() {
            return;
        }
    }
}
