//! The quorum as the shard that carries it sees it: inputs in, outputs out, nothing waits.

use crate::{
    executor::{Choice, Executor},
    log::{LogStore, Salt, recover, write_loop},
    machine::{Applied, Machine},
    meta::{self, Claim, Meta},
    port::FilePort,
    proposal::{Answers, Proposal, ProposeError},
    run::{self, Command},
    snapshot,
    types::Peer,
};
use corelane_core::{
    engine::QuorumStanding,
    error::Fatal,
    ids::NodeId,
    metadata::{Batch, Image, MetadataOffset},
};
use corelane_seam::{Disk, FileOperation, FileResult, Monotonic, Now, Token};
use std::{cell::RefCell, fmt, path::PathBuf, rc::Rc, sync::Arc};
use tokio::sync::mpsc;

/// Who the quorum is and where it lives.
#[derive(Clone, Debug)]
pub struct QuorumSettings {
    /// `node.id` of this controller, from 0.
    pub node_id: NodeId,
    /// All voters with their controller endpoints, `controller.quorum.voters`; this node among them.
    pub voters: Vec<(NodeId, String)>,
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
    /// Finish what is in the log's hands and end: [`QuorumOutput::Stopped`]. Proposals without an answer by then
    /// get [`ProposeError::Stopped`].
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
    /// Who leads, as this node knows.
    LeaderChanged {
        /// No one, during an election.
        leader: Option<NodeId>,
        /// The controller's epoch.
        term: u64,
        /// This node leads and has applied everything that earlier leaders committed: its image is the latest, and
        /// it may decide on it.
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
    /// flushed, or the disk fails; when the settings name other voters than this node alone.
    pub fn open(settings: QuorumSettings, disk: &dyn Disk, now: Now) -> Result<Quorum, Fatal> {
        let node = voter(settings.node_id)?;
        let voters = settings
            .voters
            .iter()
            .map(|(id, endpoint)| Ok((voter(*id)?, Peer { endpoint: endpoint.clone() })))
            .collect::<Result<_, Fatal>>()?;
        run::check_voters(node, &voters)?;
        let claim = Claim {
            node_id: settings.node_id,
            cluster_id: settings.cluster_id.as_deref(),
            new_cluster_id: &settings.new_cluster_id,
            new_directory_id: settings.new_directory_id,
        };
        let directory = settings.directory;
        let meta = meta::open(disk, &directory, &claim)?;
        let salt = Salt(meta.directory_id);
        let recovered = recover(disk, &directory, salt)?;
        let loaded = snapshot::load(disk, &directory, salt)?;
        let bounds = settings.bounds;
        let log = LogStore::new(recovered, directory.clone(), salt, bounds.segment_bytes_max);
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
        let fate = run::Fate::default();
        let answers = Answers::new(outbox.clone());
        let mut executor = Executor::new(settings.seed);
        executor.advance(now.monotonic);
        executor.spawn(run::run(run::Parts {
            node,
            voters,
            snapshot_entries: bounds.snapshot_entries,
            log: log.clone(),
            writer: Box::pin(write_loop(log.stream(), port.clone())),
            machine,
            applied: Rc::clone(&applied),
            commands: received,
            outbox: outbox.clone(),
            fate: fate.clone(),
        }));
        let executor = Some(executor);
        Ok(Quorum { meta, executor, outbox, port, log, applied, commands, answers, fate, ended: false })
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

    /// How far the log has come.
    pub fn standing(&self) -> QuorumStanding {
        let applied = self.applied.borrow().last;
        QuorumStanding {
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
        out.append(&mut self.outbox.take());
    }

    /// When to poll though nothing came in. `None` for a quorum of one that idles: it needs no heartbeat.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.executor.as_ref()?.next_deadline()
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
