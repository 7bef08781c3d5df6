//! A node without a vote: it pulls committed metadata from controllers, and tells of it as a [`Quorum`](crate::Quorum)
//! does. Nothing of it is kept over a restart: controllers have it.
//!
//! What is committed never diverges, so there is nothing to take back. The leader is asked while it answers, because it
//! knows first and tells administrators how far observers are; another controller where it does not. A pull without news
//! waits at the controller (`serve`).

pub(crate) mod identity;
pub(crate) mod serve;
pub(crate) mod source;
pub(crate) mod wire;

use crate::{
    machine,
    meta::{Claim, Meta},
    quorum::{QuorumInput, QuorumOutput},
    types::{RaftEntry, StoredLogId},
};
use bytes::Bytes;
use corelane_core::{engine::QuorumStanding, error::Fatal, ids::NodeId, metadata::Image};
use corelane_seam::{Disk, Monotonic, Now};
use openraft::EntryPayload;
use source::Sources;
use std::{path::PathBuf, sync::Arc, time::Duration};
use wire::{Chunk, Pull, Pulled, WireStanding};

/// How long a controller may take for an answer: longer than a pull waits there.
const PATIENCE: Duration = Duration::from_secs(2);

/// After an answer that brought nothing and did not wait.
const PAUSE: Duration = Duration::from_millis(20);

/// The answer to a pull that is not served.
pub(crate) fn refusal(reason: &str) -> Bytes {
    Pulled::Refused(reason.to_owned()).encode()
}

/// Who observes, and whom it asks.
#[derive(Clone, Debug)]
pub struct ObserverSettings {
    /// `node.id`, from 0.
    pub node_id: NodeId,
    /// `controller.quorum.voters`, with their endpoints (`HOST:PORT`).
    pub voters: Vec<(NodeId, String)>,
    /// `controller.quorum.bootstrap.servers`: endpoints of controllers whose ids are not known.
    pub bootstrap: Vec<String>,
    /// Where its identity is; its own, below the data directory.
    pub directory: PathBuf,
    /// The cluster id that the configuration demands; must be given for a new directory.
    pub cluster_id: Option<String>,
    /// What the directory is called if it is new. Random.
    pub new_directory_id: u128,
}

/// A snapshot on its way in.
struct Reading {
    last: StoredLogId,
    bytes: Vec<u8>,
}

/// A pull under way.
#[derive(Clone, Copy)]
struct Asked {
    id: u64,
    whom: NodeId,
    since: Monotonic,
}

/// A node that follows the metadata without a vote.
///
/// Driven like a [`Quorum`](crate::Quorum), with the same inputs and outputs: it asks for no file, leads never, and
/// refuses proposals. Its calls go to the nodes of [`controllers`](Self::controllers).
pub struct Observer {
    meta: Meta,
    sources: Sources,
    image: Image,
    /// Up to here everything is applied.
    position: Option<StoredLogId>,
    committed_end: u64,
    leader: Option<NodeId>,
    term: u64,
    asked: Option<Asked>,
    reading: Option<Reading>,
    next_call: u64,
    not_before: Monotonic,
    outputs: Vec<QuorumOutput>,
    ended: bool,
}

impl Observer {
    /// Opens the directory, giving it an identity if it is new. Blocking: for start-up.
    ///
    /// # Errors
    /// When the directory belongs to another node or cluster, has an unknown format or is damaged, or the disk fails;
    /// when the settings name no controller, or no cluster for a new directory.
    pub fn open(settings: ObserverSettings, disk: &dyn Disk) -> Result<Observer, Fatal> {
        let claim = Claim {
            node_id: settings.node_id,
            cluster_id: settings.cluster_id.as_deref(),
            new_cluster_id: None,
            new_directory_id: settings.new_directory_id,
        };
        let meta = identity::open(disk, &settings.directory, &claim)?;
        let Some(sources) = Sources::new(settings.node_id, settings.voters, settings.bootstrap) else {
            return Err(Fatal::new(
                "this node has no vote, and knows no controller. Name them in controller.quorum.voters or \
                 controller.quorum.bootstrap.servers",
            ));
        };
        Ok(Observer::over(meta, sources, Image::new(), None))
    }

    /// From where somebody else has come to.
    pub(crate) fn over(
        meta: Meta,
        sources: Sources,
        image: Image,
        position: Option<StoredLogId>,
    ) -> Observer {
        Observer {
            meta,
            sources,
            image,
            position,
            committed_end: 0,
            leader: None,
            term: 0,
            asked: None,
            reading: None,
            next_call: 1,
            not_before: Monotonic(0),
            outputs: Vec::new(),
            ended: false,
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

    /// The metadata as far as it is known.
    pub fn image(&self) -> Image {
        self.image.clone()
    }

    /// The voters, as configured or as controllers tell, and where each is reached (`HOST:PORT`). Changes are told by
    /// [`QuorumOutput::LeaderChanged`].
    pub fn voters(&self) -> Vec<(NodeId, String)> {
        self.sources.voters()
    }

    /// Whom it may call: the voters and, under negative ids, endpoints whose nodes are not known.
    pub fn controllers(&self) -> Vec<(NodeId, String)> {
        self.sources.all()
    }

    /// How far this node knows the metadata.
    pub fn standing(&self) -> QuorumStanding {
        QuorumStanding {
            leader: self.leader,
            term: self.term,
            committed_end: self.end(),
            log_end: self.committed_end,
            voters: Vec::new(),
            observers: Vec::new(),
            endpoints: Vec::new(),
        }
    }

    fn end(&self) -> u64 {
        self.position.map_or(0, |position| position.index + 1)
    }

    /// Takes an input. What comes of it shows with the next [`poll`](Self::poll).
    pub fn handle(&mut self, now: Now, input: QuorumInput) {
        match input {
            QuorumInput::ChangeVoters { id, .. } => {
                let result = Err(crate::ChangeError::NotLeader { leader: self.leader });
                self.outputs.push(QuorumOutput::VotersChanged { id, result });
            }
            QuorumInput::Answered { id, result } => {
                if let Some(asked) = self.asked.take_if(|asked| asked.id == id)
                    && !self.ended
                {
                    self.answered(now.monotonic, asked, result);
                }
            }
            QuorumInput::Propose { id, .. } => {
                let result = Err(crate::ProposeError::NotLeader { leader: self.leader });
                self.outputs.push(QuorumOutput::Proposed { id, result });
            }
            QuorumInput::Called { id, .. } => {
                let body = refusal("this node is no controller");
                self.outputs.push(QuorumOutput::Answer { id, body });
            }
            QuorumInput::Stop if !self.ended => {
                self.ended = true;
                self.outputs.push(QuorumOutput::Stopped);
            }
            // A call to who is gone fails by itself.
            QuorumInput::Stop
            | QuorumInput::Parted { .. }
            | QuorumInput::FileCompletion(..)
            | QuorumInput::TransferLeader => {}
        }
    }

    /// Appends what it wants and tells to `out`.
    pub fn poll(&mut self, now: Now, out: &mut Vec<QuorumOutput>) {
        if !self.ended {
            if let Some(silent) = self.asked.take_if(|asked| now.monotonic >= asked.since + PATIENCE) {
                self.failed(now.monotonic, silent.whom, "it does not answer");
            }
            self.ask(now.monotonic);
        }
        out.append(&mut self.outputs);
    }

    /// When to poll though nothing came in.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        if self.ended {
            return None;
        }
        Some(match self.asked {
            Some(asked) => asked.since + PATIENCE,
            None => self.not_before.max(self.sources.next_due()),
        })
    }

    /// Whether it stopped or broke.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn ask(&mut self, now: Monotonic) {
        if self.asked.is_some() || now < self.not_before {
            return;
        }
        let Some(whom) = self.sources.next(now, self.leader) else { return };
        let id = self.next_call;
        self.next_call += 1;
        let pull = Pull {
            cluster_id: self.meta.cluster_id.clone(),
            node: u64::try_from(self.meta.node_id.0).unwrap_or(u64::MAX),
            directory: self.meta.directory_id,
            to: u64::try_from(whom.0).ok(),
            position: self.position,
            term: self.term,
            knows_leader: self.leader.is_some(),
            reading: self.reading.as_ref().map(|reading| (reading.last, reading.bytes.len() as u64)),
        };
        self.asked = Some(Asked { id, whom, since: now });
        self.outputs.push(QuorumOutput::Call { id, to: whom, body: pull.encode() });
    }

    fn failed(&mut self, now: Monotonic, whom: NodeId, reason: &str) {
        self.sources.failed(now, whom, reason);
    }

    fn answered(&mut self, now: Monotonic, asked: Asked, result: Result<Bytes, String>) {
        let pulled = result.and_then(|body| {
            Pulled::decode(&body, self.position).map_err(|why| format!("its answer is none: {why}"))
        });
        let taken = match pulled {
            Ok(Pulled::Refused(reason)) | Err(reason) => Err(reason),
            Ok(Pulled::Diverged(standing)) => return self.diverged(&standing),
            Ok(Pulled::Entries(standing, entries)) => self.entries(&standing, &entries),
            Ok(Pulled::Chunk(standing, chunk)) => self.chunk(&standing, chunk),
        };
        match taken {
            Ok(true) => self.sources.answered(asked.whom),
            Ok(false) => {
                self.sources.answered(asked.whom);
                // One that waited has paused already.
                if now.since(asked.since) < serve::WAIT {
                    self.not_before = now + PAUSE;
                }
            }
            Err(reason) => self.failed(now, asked.whom, &reason),
        }
    }

    /// Whether there was anything new.
    fn entries(&mut self, standing: &WireStanding, entries: &[RaftEntry]) -> Result<bool, String> {
        let is_news = self.stands(standing);
        for entry in entries {
            if let EntryPayload::Normal(batch) = &entry.payload
                && let Ok((offset, batch)) =
                    machine::apply_batch(&mut self.image, entry.log_id.index, &batch.0)?
            {
                let (batch, image) = (Arc::new(batch), self.image.clone());
                self.outputs.push(QuorumOutput::Applied { offset, batch, image });
            }
            self.position = Some(entry.log_id.into());
        }
        if !entries.is_empty() {
            self.reading = None;
        }
        Ok(is_news || !entries.is_empty())
    }

    /// Adds a piece to what came before; the last one makes it this node's metadata.
    fn chunk(&mut self, standing: &WireStanding, chunk: Chunk) -> Result<bool, String> {
        self.stands(standing);
        let Chunk { last, bytes, offset, data } = chunk;
        if self.position.is_some_and(|position| position.index >= last.index) {
            return Err(format!("it offers a snapshot up to {last:?}, behind what is known here"));
        }
        let fits = |it: &Reading| it.last == last && it.bytes.len() as u64 == offset;
        let mut reading = match self.reading.take().filter(fits) {
            Some(reading) => reading,
            None if offset == 0 => Reading { last, bytes: Vec::new() },
            None => return Err(format!("bytes at {offset} do not continue the snapshot")),
        };
        let is_whole = offset + data.len() as u64 == bytes;
        if data.is_empty() && !is_whole {
            return Err("a piece of nothing".to_owned());
        }
        reading.bytes.extend_from_slice(&data);
        if !is_whole {
            self.reading = Some(reading);
            return Ok(true);
        }
        let image =
            Image::decode(&reading.bytes).map_err(|error| format!("the snapshot cannot be read: {error}"))?;
        if image.last_applied().map(|offset| offset.0) > Some(last.index) {
            return Err(format!("a snapshot up to {last:?} that holds more"));
        }
        (self.image, self.position) = (image.clone(), Some(last));
        let offset = image.last_applied();
        self.outputs.push(QuorumOutput::ImageReplaced { offset, image });
        Ok(true)
    }

    /// Takes what a controller knows of the quorum, if it is not old. Whether that is news.
    fn stands(&mut self, standing: &WireStanding) -> bool {
        self.committed_end = self.committed_end.max(standing.committed_end);
        let leader = standing.leader.and_then(|leader| i32::try_from(leader).ok()).map(NodeId);
        if standing.term < self.term || (standing.term == self.term && leader.is_none()) {
            return false;
        }
        let is_news = (leader, standing.term) != (self.leader, self.term);
        let moved = self.sources.learn(&standing.voters);
        if is_news || moved {
            (self.leader, self.term) = (leader, standing.term);
            let writable = false;
            self.outputs.push(QuorumOutput::LeaderChanged { leader, term: standing.term, writable });
        }
        is_news
    }

    /// What this node knows as committed the quorum never decided: its controllers lost their disks, or are others.
    fn diverged(&mut self, standing: &WireStanding) {
        self.ended = true;
        let known = self.position.map_or(0, |position| position.index);
        self.outputs.push(QuorumOutput::Fatal(Fatal::new(format!(
            "controller {} has another history of cluster {} than the one this node has followed up to entry {known}. \
             Restore the controllers' metadata; or, if it is lost for good, start this node again to follow what \
             there is",
            standing.node, self.meta.cluster_id
        ))));
    }
}
