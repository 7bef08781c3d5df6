//! The quorum as the shard that carries it sees it: inputs in, outputs out, nothing waits.

use crate::{
    call_port::CallPort,
    executor::{Choice, Executor},
    identity::{Identity, is_majority_recorded},
    inbound::Inbound,
    log::{LogStore, Salt, recover, write_loop},
    machine::{Applied, Machine},
    meta::{self, Claim, Meta},
    network::Network,
    observer::{
        serve::{Observers, View},
        wire::is_pull,
    },
    port::FilePort,
    proposal::{Answers, Proposal, ProposeError},
    run::{self, Command},
    snapshot,
    standing::Progress,
    succession::Parted,
    types::{Peer, StoredLogId},
    voters::Change,
    wire::fingerprint,
};
use bytes::Bytes;
use corelane_core::{
    controller::{ChangeError, VoterChange},
    engine::QuorumStanding,
    error::Fatal,
    ids::NodeId,
    log::Fault,
    metadata::{Batch, Image, MetadataOffset},
};
use corelane_seam::{Disk, FileOperation, FileResult, Monotonic, Now, Token};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;

/// Who the quorum is and where it lives.
#[derive(Clone, Debug)]
pub struct QuorumSettings {
    /// `node.id` of this controller, from 0.
    pub node_id: NodeId,
    /// Voters with their controller endpoints, `controller.quorum.voters`. Who forms the cluster if it is new, this
    /// node among them; afterwards the log says who votes, and this only whom to ask first.
    pub voters: Vec<(NodeId, String)>,
    /// The directories of those voters, if they were formatted together: of all or of none. Without, they are recorded when
    /// they are first heard of.
    pub directories: BTreeMap<NodeId, u128>,
    /// This node forms no cluster: it waits until a leader adds it to its own. `voters` need not name it then, or
    /// anyone.
    pub joins: bool,
    /// Where the log and the snapshots are; its own, below the data directory.
    pub directory: PathBuf,
    /// The cluster id that the configuration demands, if it does. A directory of another cluster is refused.
    pub cluster_id: Option<String>,
    /// What the cluster is called if the directory is new and the configuration demands nothing. Random.
    pub new_cluster_id: String,
    /// What the directory is called if it is new. Random.
    pub new_directory_id: u128,
    /// Feeds what openraft draws (election timeouts). Not secret.
    pub seed: u64,
    /// File operations carry tokens from here upwards.
    pub first_token: u64,
    /// Sizes; [`Bounds::default`] but in tests.
    pub bounds: Bounds,
    /// When who gives up on whom. Without effect in a quorum of one.
    pub timing: Timing,
    /// A bug on purpose, for tests that prove that tests can fail.
    pub fault: Fault,
}

/// How soon a lost leader is noticed. All voters should have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Milliseconds between a leader's heartbeats.
    pub heartbeat_ms: u64,
    /// Milliseconds that a follower waits at least, beyond the lease, before it stands for election.
    pub election_ms_min: u64,
    /// Milliseconds that it waits at most; also the lease, for which a follower believes in a leader that it heard of
    /// and elects no other one. More than [`election_ms_min`](Self::election_ms_min), which is more than a heartbeat.
    pub election_ms_max: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing { heartbeat_ms: 100, election_ms_min: 500, election_ms_max: 1_000 }
    }
}

/// When the log is cut into segments and compacted.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of a segment beyond which another one begins.
    pub segment_bytes_max: u64,
    /// Entries since the last snapshot that make the next one due.
    pub snapshot_entries: u64,
    /// Bytes of batches since the last snapshot that make the next one due, unless that snapshot was larger.
    pub snapshot_log_bytes_min: u64,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            segment_bytes_max: 8 * 1024 * 1024,
            snapshot_entries: 10_000,
            snapshot_log_bytes_min: 16 * 1024 * 1024,
        }
    }
}

/// What happens to the quorum.
#[derive(Debug)]
pub enum QuorumInput {
    /// A file operation's result, under its token (twice for a write with flush, as the seam has it).
    FileCompletion(Token, FileResult),
    /// Put a batch into the log. Answered with [`QuorumOutput::Proposed`] under `id`, exactly once.
    Propose {
        /// Chosen by who asks; not used for another proposal before the answer.
        id: u64,
        /// Applies as a whole or not at all.
        batch: Batch,
    },
    /// What became of a [`QuorumOutput::Call`]. Exactly once for each; one that comes late is ignored.
    Answered {
        /// As called.
        id: u64,
        /// The answer's body; or why the voter could not be reached, or that the connection to it was lost.
        result: Result<Bytes, String>,
    },
    /// Another voter or an observer calls. Answered with [`QuorumOutput::Answer`] under `id`, exactly once, also after the end.
    Called {
        /// Chosen by who hands it in, unique.
        id: u64,
        /// Who the connection belongs to.
        from: NodeId,
        /// At most [`CALL_BYTES_MAX`](crate::CALL_BYTES_MAX) bytes; whatever they are.
        body: Bytes,
    },
    /// No connection with another voter is left, or none could be made. If it led, another is elected soon, unless it
    /// is heard of again. May be said at any time, also without truth: it costs an election at most.
    Parted {
        /// Which.
        voter: NodeId,
        /// Nobody listens there any more: its process has ended.
        ended: bool,
    },
    /// Change who votes. Answered with [`QuorumOutput::VotersChanged`] under `id`, exactly once. Only a leader
    /// does it.
    ChangeVoters {
        /// Chosen by who asks.
        id: u64,
        /// To what.
        change: VoterChange,
    },
    /// If this node leads, let another voter lead, one that has the whole log. Without effect if there is none.
    TransferLeader,
    /// Finish what is in the log's hands and end: [`QuorumOutput::Stopped`]. Proposals without an answer by then
    /// get [`ProposeError::Stopped`]. A leader of others tries to hand over first, for [`Timing::election_ms_max`].
    Stop,
}

/// What the quorum wants, or tells.
#[derive(Debug)]
pub enum QuorumOutput {
    /// Carry this out.
    File {
        /// Comes back with the completion.
        token: Token,
        /// What.
        operation: FileOperation,
    },
    /// Send this to another voter. The answer comes as [`QuorumInput::Answered`].
    Call {
        /// Never used twice.
        id: u64,
        /// Whom.
        to: NodeId,
        /// At most [`CALL_BYTES_MAX`](crate::CALL_BYTES_MAX) bytes.
        body: Bytes,
    },
    /// The answer to a [`QuorumInput::Called`].
    Answer {
        /// As called.
        id: u64,
        /// At most [`CALL_BYTES_MAX`](crate::CALL_BYTES_MAX) bytes.
        body: Bytes,
    },
    /// A committed batch took effect. In order, without gaps but for entries that change nothing. Comes before the
    /// [`Proposed`](Self::Proposed) of the same batch. After a restart, batches behind the last snapshot come again.
    Applied {
        /// Its place in the log.
        offset: MetadataOffset,
        /// What it said.
        batch: Arc<Batch>,
        /// The metadata with it: an O(1) clone.
        image: Image,
    },
    /// The metadata is now this, without the batches that led there: a snapshot was loaded.
    ImageReplaced {
        /// The last batch in it.
        offset: Option<MetadataOffset>,
        /// The metadata.
        image: Image,
    },
    /// What became of a proposal. On success it is durable on a majority and applied.
    Proposed {
        /// As proposed.
        id: u64,
        /// Its place in the log, or why it had no effect.
        result: Result<MetadataOffset, ProposeError>,
    },
    /// What became of a change of the voters. On success it is committed.
    VotersChanged {
        /// As asked for.
        id: u64,
        /// Or why not.
        result: Result<(), ChangeError>,
    },
    /// The membership has changed: nodes are reached so from now on, as [`Quorum::endpoints`] tells it.
    Located(Vec<(NodeId, String)>),
    /// Who leads, as this node knows.
    LeaderChanged {
        /// No one, during an election.
        leader: Option<NodeId>,
        /// The controller's epoch.
        term: u64,
        /// This node leads and has applied everything that earlier leaders committed, and a majority's directories
        /// are recorded: its image is the latest, and it may decide on it.
        writable: bool,
    },
    /// The quorum cannot go on; the broker must stop. Said once, and the last but answers to proposals. Nothing is
    /// acknowledged after, without a restart and recovery.
    Fatal(Fatal),
    /// Everything owed is done. The last word after [`QuorumInput::Stop`].
    Stopped,
}

/// Where tasks put outputs, in order.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Rc<RefCell<Vec<QuorumOutput>>>);

impl Outbox {
    pub fn push(&self, output: QuorumOutput) {
        self.0.borrow_mut().push(output);
    }

    pub fn take(&self) -> Vec<QuorumOutput> {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}

/// A voter of the metadata quorum.
///
/// Call [`handle`](Self::handle) with what happened and [`poll`](Self::poll) afterwards, as well as when
/// [`next_deadline`](Self::next_deadline) comes; carry out what `poll` asks. It never blocks and reads no clock.
pub struct Quorum {
    meta: Meta,
    executor: Option<Executor>,
    outbox: Outbox,
    port: FilePort,
    calls: CallPort,
    inbound: Inbound,
    observers: Observers,
    identity: Identity,
    progress: Progress,
    log: LogStore,
    applied: Rc<RefCell<Applied>>,
    commands: mpsc::UnboundedSender<Command>,
    answers: Answers,
    fate: run::Fate,
    ended: bool,
}

impl Quorum {
    /// Opens the directory, formatting it if it is new, and recovers what it holds. Blocking: for start-up, with the
    /// disk's blocking face. Nothing is asked for before the first [`poll`](Self::poll).
    ///
    /// # Errors
    /// When the directory belongs to another node or cluster, has an unknown format, is damaged below what was
    /// flushed, or the disk fails; when the settings do not name this node as a voter, or several voters but no
    /// cluster for a new directory.
    pub fn open(settings: QuorumSettings, disk: &dyn Disk, now: Now) -> Result<Quorum, Fatal> {
        let node = voter(settings.node_id)?;
        let peer = |(id, endpoint): &(NodeId, String)| {
            let directory_id = settings.directories.get(id).copied();
            Ok((voter(*id)?, Peer { endpoint: endpoint.clone(), directory_id }))
        };
        let mut voters = settings.voters.iter().map(peer).collect::<Result<BTreeMap<_, _>, Fatal>>()?;
        let fingerprint = fingerprint(voters.keys().copied());
        if settings.joins {
            voters.remove(&node);
        } else if !voters.contains_key(&node) {
            return Err(Fatal::new(format!(
                "controller.quorum.voters does not name this node. Add {node}@HOST:PORT to it"
            )));
        }
        let claim = Claim {
            node_id: settings.node_id,
            cluster_id: settings.cluster_id.as_deref(),
            // Several voters would each make up another one.
            new_cluster_id: (voters.len() == 1 && !settings.joins).then_some(&*settings.new_cluster_id),
            new_directory_id: settings.new_directory_id,
        };
        let directory = settings.directory;
        let meta = meta::open(disk, &directory, &claim)?;
        let salt = Salt(meta.directory_id);
        let recovered = recover(disk, &directory, salt)?;
        let loaded = snapshot::load(disk, &directory, salt)?;
        let bounds = settings.bounds;
        let log = LogStore::new(recovered, directory.clone(), salt, bounds.segment_bytes_max);
        let log = log.with(settings.fault);
        let snapshot_index = loaded.as_ref().and_then(|(meta, ..)| meta.last_log_id).map(|id| id.index);
        if log.purged() > snapshot_index {
            return Err(Fatal::new(format!(
                "the metadata log in {} was purged up to entry {:?}, but the snapshot ends at {snapshot_index:?}. \
                 Restore the directory from a copy",
                directory.display(),
                log.purged(),
            )));
        }

        let outbox = Outbox::default();
        if let Some((_, image, _)) = &loaded {
            outbox.push(QuorumOutput::ImageReplaced { offset: image.last_applied(), image: image.clone() });
        }
        let port = FilePort::new(settings.first_token, outbox.clone());
        let applied = Rc::new(RefCell::new(Applied::new(loaded, bounds.snapshot_log_bytes_min)));
        let (commands, received) = mpsc::unbounded_channel();
        let machine = Machine::new(
            Rc::clone(&applied),
            port.clone(),
            outbox.clone(),
            directory,
            salt,
            (commands.downgrade(), bounds.snapshot_log_bytes_min),
        );
        let identity = Identity::new(
            node,
            &meta.cluster_id,
            meta.directory_id,
            (voters.clone(), fingerprint),
            settings.fault,
        );
        let inbound = Inbound::new(identity.clone(), outbox.clone());
        let observers = Observers::new(node, &meta.cluster_id, outbox.clone());
        let calls = CallPort::new(outbox.clone());
        let network = Network {
            identity: identity.clone(),
            port: calls.clone(),
            append_patience: Duration::from_millis(settings.timing.election_ms_min),
        };
        let progress = Progress::default();
        let fate = run::Fate::default();
        let answers = Answers::new(outbox.clone());
        let mut executor = Executor::new(settings.seed);
        executor.advance(now.monotonic);
        executor.spawn(run::run(run::Parts {
            voters,
            identity: identity.clone(),
            network,
            heard: inbound.heard(),
            progress: progress.clone(),
            timing: settings.timing,
            snapshot_entries: bounds.snapshot_entries,
            log: log.clone(),
            writer: Box::pin(write_loop(log.stream(), port.clone())),
            machine,
            applied: Rc::clone(&applied),
            commands: received,
            commander: commands.downgrade(),
            outbox: outbox.clone(),
            fate: fate.clone(),
        }));
        let executor = Some(executor);
        Ok(Quorum {
            meta,
            executor,
            outbox,
            port,
            calls,
            inbound,
            observers,
            identity,
            progress,
            log,
            applied,
            commands,
            answers,
            fate,
            ended: false,
        })
    }

    /// Lets a simulator pick among ready tasks.
    pub fn set_choice(&mut self, choice: Choice) {
        if let Some(executor) = &mut self.executor {
            executor.set_choice(choice);
        }
    }

    /// The cluster that this directory belongs to.
    pub fn cluster_id(&self) -> &str {
        &self.meta.cluster_id
    }

    /// The directory's own id.
    pub fn directory_id(&self) -> u128 {
        self.meta.directory_id
    }

    /// The metadata as far as it is applied.
    pub fn image(&self) -> Image {
        self.applied.borrow().image.clone()
    }

    /// The quorum's nodes and where each is reached (`HOST:PORT`), as the log says and, behind that, where the
    /// configuration says something else; a node may come twice. Told anew by [`QuorumOutput::Located`].
    pub fn endpoints(&self) -> Vec<(NodeId, String)> {
        run::nodes(&self.identity.endpoints())
    }

    /// The voters with the place of each that is tried first.
    fn located_voters(&self) -> Vec<(NodeId, String)> {
        let (voters, mut known) = (self.voters(), self.endpoints());
        known.retain(|(node, _)| voters.contains(node));
        known.sort_by_key(|(node, _)| *node);
        known.dedup_by_key(|(node, _)| *node);
        known
    }

    /// Who votes, as far as this node's log says; as configured while it says nothing.
    pub fn voters(&self) -> Vec<NodeId> {
        let membership = self.identity.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        if voters.is_empty() {
            let mut configured: Vec<NodeId> = self.endpoints().into_iter().map(|(id, _)| id).collect();
            configured.dedup();
            return configured;
        }
        voters.into_iter().filter_map(|id| i32::try_from(id).ok()).map(NodeId).collect()
    }

    /// Whether others speak to it as a member: its log names it with its directory, or it is one of those that form the
    /// cluster. `None` as long as the log is being read.
    pub(crate) fn is_seated(&self) -> Option<bool> {
        self.identity.is_member()
    }

    /// Whether its log is that of a cluster that was formed.
    pub(crate) fn knows_members(&self) -> bool {
        is_majority_recorded(&self.identity.membership())
    }

    /// Whether it leads, writable or not.
    pub(crate) fn leads(&self) -> bool {
        !self.ended && self.identity.leads()
    }

    /// How often leaders have spoken.
    pub(crate) fn heard(&self) -> u64 {
        self.inbound.heard().all()
    }

    /// Who it is and how far it has come, for whoever goes on from there.
    pub(crate) fn continuation(&self) -> (Meta, Image, Option<StoredLogId>) {
        let applied = self.applied.borrow();
        (self.meta.clone(), applied.image.clone(), applied.last.map(StoredLogId::from))
    }

    /// Where this node is reached as a voter, as the log says; `None` if that does not name it with its directory.
    pub fn own_endpoint(&self) -> Option<String> {
        self.identity.own_endpoint()
    }

    /// How far the log has come; of a leader, also how far the voters and the observers have.
    pub fn standing(&self, now: Now) -> QuorumStanding {
        let applied = self.applied.borrow().last;
        let (leader, voters) = self.progress.standing(now);
        let leads = leader == Some(self.meta.node_id);
        QuorumStanding {
            leader,
            observers: if leads { self.observers.standings(now, &voters) } else { Vec::new() },
            endpoints: if leads { self.located_voters() } else { Vec::new() },
            voters,
            // An entry of its own term is the first that a leader commits.
            term: applied.map_or(0, |last| last.leader_id.term),
            committed_end: applied.map_or(0, |last| last.index + 1),
            log_end: self.log.last().map_or(0, |last| last + 1),
        }
    }

    /// Takes an input. What comes of it shows with the next [`poll`](Self::poll).
    pub fn handle(&mut self, _now: Now, input: QuorumInput) {
        match input {
            QuorumInput::FileCompletion(token, result) => {
                if !self.port.complete(token, result) {
                    tracing::warn!(token = token.0, "a completion that the quorum does not wait for");
                }
            }
            QuorumInput::Propose { id, batch } => {
                let proposal = Proposal::new(&self.answers, id, &batch);
                // Without a receiver the quorum has ended; dropping the proposal answers it.
                if let Some(proposal) = proposal {
                    let _ = self.commands.send(Command::Propose(proposal));
                }
            }
            QuorumInput::Answered { id, result } => {
                if !self.calls.complete(id, result) {
                    tracing::warn!(id, "an answer to a call that the quorum never made");
                }
            }
            QuorumInput::Called { id, from, body } if is_pull(&body) => self.observers.take(id, from, body),
            QuorumInput::Called { id, from, body } => {
                if let Some(asked) = self.inbound.take(id, from, body) {
                    // Without a receiver the quorum has ended; dropping the request answers it.
                    let _ = self.commands.send(Command::Called(asked));
                }
            }
            QuorumInput::Parted { voter, ended } => {
                if let Ok(voter) = u64::try_from(voter.0) {
                    let _ = self.commands.send(Command::Parted(Parted { voter, ended }));
                }
            }
            QuorumInput::ChangeVoters { id, change } => {
                // Without a receiver the quorum has ended; dropping the change answers it.
                let _ = self.commands.send(Command::Change(Change::new(id, change, self.outbox.clone())));
            }
            QuorumInput::TransferLeader => {
                let _ = self.commands.send(Command::TransferLeader);
            }
            QuorumInput::Stop => {
                let _ = self.commands.send(Command::Stop);
            }
        }
    }

    /// Runs everything that can run, and appends what it wants and tells to `out`.
    pub fn poll(&mut self, now: Now, out: &mut Vec<QuorumOutput>) {
        if let Some(executor) = &mut self.executor {
            executor.poll(now.monotonic);
            let reason = self.log.poison().or_else(|| self.fate.fatal()).or_else(|| executor.panicked());
            if let Some(reason) = reason {
                self.answers.end_with(ProposeError::Fatal(reason.clone()));
                // What was proposed is dropped with the tasks, and answered below.
                self.executor = None;
                self.outbox.push(QuorumOutput::Fatal(Fatal::new(reason)));
                self.ended = true;
            } else if self.fate.stopped() && self.port.outstanding() == 0 {
                self.answers.end_with(ProposeError::Stopped);
                self.executor = None;
                self.outbox.push(QuorumOutput::Stopped);
                self.ended = true;
            }
        }
        self.answers.settle();
        let mut told = self.outbox.take();
        for output in &told {
            if let QuorumOutput::LeaderChanged { leader, term, .. } = output {
                self.observers.note(*leader, *term);
            }
        }
        self.serve_observers(now);
        out.append(&mut told);
        out.append(&mut self.outbox.take());
    }

    /// Says whether no leader speaks to this node, so that nobody waits here for news.
    pub(crate) fn forgotten(&mut self, is_forgotten: bool) {
        self.observers.forgotten(is_forgotten);
    }

    fn serve_observers(&mut self, now: Now) {
        if self.ended {
            return self.observers.end();
        }
        if self.observers.is_idle() {
            return;
        }
        let voters = self.located_voters();
        let view = View { log: &self.log, applied: &self.applied.borrow(), voters: &voters };
        self.observers.serve(now.monotonic, &view);
    }

    /// When to poll though nothing came in. `None` for a quorum of one that idles and that nobody observes: it needs no
    /// heartbeat.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let executor = self.executor.as_ref()?.next_deadline();
        [executor, self.observers.next_deadline()].into_iter().flatten().min()
    }

    /// Whether it stopped or broke.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// A hash over every scheduling decision so far, for tests of determinism. 0 once ended.
    pub fn trace(&self) -> u64 {
        self.executor.as_ref().map_or(0, Executor::trace)
    }
}

impl fmt::Debug for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quorum(node {} of {})", self.meta.node_id, self.meta.cluster_id)
    }
}

fn voter(id: NodeId) -> Result<u64, Fatal> {
    u64::try_from(id.0).map_err(|_| Fatal::new(format!("node.id {id} is negative")))
}
