//! The state machine: core's image, fed in order with what the quorum committed.

use crate::{
    log::Salt,
    port::FilePort,
    quorum::{Outbox, QuorumOutput},
    run::Command,
    snapshot,
    types::{EncodedBatch, Outcome, RaftLogId, RaftMembership, RaftSnapshotMeta, TypeConfig},
};
use corelane_core::metadata::{Batch, Image, MetadataOffset, Violated};
use corelane_seam::Slice;
use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload, RaftSnapshotBuilder,
    storage::{EntryResponder, RaftStateMachine, Snapshot},
};
use std::{cell::RefCell, io, path::PathBuf, rc::Rc, sync::Arc};
use tokio::sync::mpsc;

type RaftSnapshot = Snapshot<
    <<TypeConfig as openraft::RaftTypeConfig>::LeaderId as openraft::vote::RaftLeaderId>::Committed,
    u64,
    crate::types::Peer,
    Image,
>;

/// The applied state and the last snapshot of it.
pub(crate) struct Applied {
    /// The metadata as of `last`.
    pub image: Image,
    /// The last applied entry, of whatever kind.
    pub last: Option<RaftLogId>,
    /// As of `last`.
    pub membership: RaftMembership,
    snapshot: Option<(RaftSnapshotMeta, Image)>,
    /// Bytes of batches that were applied since the last snapshot was begun, and how many make the next one due.
    log_bytes: u64,
    log_bytes_max: u64,
}

impl Applied {
    /// From a snapshot read at start, or from nothing.
    pub fn new(loaded: Option<(RaftSnapshotMeta, Image, u64)>, log_bytes_min: u64) -> Applied {
        let mut applied = Applied {
            image: Image::new(),
            last: None,
            membership: RaftMembership::default(),
            snapshot: None,
            log_bytes: 0,
            log_bytes_max: log_bytes_min,
        };
        if let Some((meta, image, bytes)) = loaded {
            applied.log_bytes_max = log_bytes_min.max(bytes);
            applied.restore(meta, image);
        }
        applied
    }

    fn restore(&mut self, meta: RaftSnapshotMeta, image: Image) {
        self.image = image.clone();
        self.last = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.log_bytes = 0;
        self.snapshot = Some((meta, image));
    }
}

/// Applies the batch of a committed entry; what contradicts the image has no effect, everywhere.
///
/// # Errors
/// When it is none, or stands before one that was applied.
pub(crate) fn apply_batch(
    image: &mut Image,
    index: u64,
    encoded: &[u8],
) -> Result<Result<(MetadataOffset, Batch), Violated>, String> {
    let failed = |reason: String| format!("entry {index} of the metadata log: {reason}");
    let batch = Batch::decode(encoded).map_err(|error| failed(error.to_string()))?;
    let offset = MetadataOffset(index);
    match image.apply(offset, &batch) {
        Ok(()) => Ok(Ok((offset, batch))),
        Err(violated @ (Violated::Precondition(_) | Violated::Record { .. })) => Ok(Err(violated)),
        Err(order @ Violated::OffsetNotAhead { .. }) => Err(failed(order.to_string())),
    }
}

/// What openraft drives. Clones share their state.
#[derive(Clone)]
pub(crate) struct Machine {
    applied: Rc<RefCell<Applied>>,
    port: FilePort,
    outbox: Outbox,
    directory: PathBuf,
    salt: Salt,
    /// Told when enough of the log was applied for a snapshot to be worth it.
    snapshot_due: mpsc::WeakUnboundedSender<Command>,
    log_bytes_min: u64,
}

impl Machine {
    /// Applies to `applied`, tells `outbox`.
    pub fn new(
        applied: Rc<RefCell<Applied>>,
        port: FilePort,
        outbox: Outbox,
        directory: PathBuf,
        salt: Salt,
        (snapshot_due, log_bytes_min): (mpsc::WeakUnboundedSender<Command>, u64),
    ) -> Machine {
        Machine { applied, port, outbox, directory, salt, snapshot_due, log_bytes_min }
    }

    fn apply_batch(&self, id: RaftLogId, encoded: &EncodedBatch) -> io::Result<Outcome> {
        let mut applied = self.applied.borrow_mut();
        applied.log_bytes += encoded.0.len() as u64;
        if applied.log_bytes >= applied.log_bytes_max {
            applied.log_bytes = 0;
            if let Some(commands) = self.snapshot_due.upgrade() {
                // Without a receiver the quorum is stopping.
                let _ = commands.send(Command::Snapshot);
            }
        }
        match apply_batch(&mut applied.image, id.index, &encoded.0).map_err(io::Error::other)? {
            Ok((offset, batch)) => {
                let image = applied.image.clone();
                self.outbox.push(QuorumOutput::Applied { offset, batch: Arc::new(batch), image });
                Ok(Outcome::Applied)
            }
            Err(violated) => Ok(Outcome::Violated(violated)),
        }
    }

    /// Makes a snapshot durable.
    async fn save(&self, meta: &RaftSnapshotMeta, image: &Image) -> io::Result<()> {
        let bytes = Slice::copy_from(&snapshot::encode(self.salt, meta, image));
        // A large image is not written again for a little log.
        let log_bytes_max = self.log_bytes_min.max(bytes.len() as u64);
        self.port.replace(snapshot::path(&self.directory), bytes).await?;
        self.applied.borrow_mut().log_bytes_max = log_bytes_max;
        Ok(())
    }
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = Image;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<RaftLogId>, RaftMembership), io::Error> {
        let applied = self.applied.borrow();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<TypeConfig>, io::Error>> + Unpin,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let id = entry.log_id;
            let outcome = match &entry.payload {
                EntryPayload::Blank => Outcome::Applied,
                EntryPayload::Normal(batch) => self.apply_batch(id, batch)?,
                EntryPayload::Membership(membership) => {
                    self.applied.borrow_mut().membership = RaftMembership::new(Some(id), membership.clone());
                    Outcome::Applied
                }
            };
            self.applied.borrow_mut().last = Some(id);
            if let Some(responder) = responder {
                responder.send(outcome);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        let applied = self.applied.borrow();
        let meta =
            RaftSnapshotMeta { last_log_id: applied.last, last_membership: applied.membership.clone() };
        SnapshotBuilder { machine: self.clone(), meta, image: applied.image.clone() }
    }

    async fn install_snapshot(&mut self, meta: &RaftSnapshotMeta, image: Image) -> Result<(), io::Error> {
        let is_known = self.applied.borrow().snapshot.as_ref().is_some_and(|(known, _)| known == meta);
        if !is_known {
            self.save(meta, &image).await?;
        }
        self.applied.borrow_mut().restore(meta.clone(), image.clone());
        let offset = image.last_applied();
        self.outbox.push(QuorumOutput::ImageReplaced { offset, image });
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<RaftSnapshot>, io::Error> {
        let applied = self.applied.borrow();
        Ok(applied.snapshot.clone().map(|(meta, snapshot)| Snapshot { meta, snapshot }))
    }
}

/// A frozen view on its way to the disk.
pub(crate) struct SnapshotBuilder {
    machine: Machine,
    meta: RaftSnapshotMeta,
    image: Image,
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = Image;

    /// Durable when it returns; openraft purges the log only after that.
    async fn build_snapshot(&mut self) -> Result<RaftSnapshot, io::Error> {
        self.machine.save(&self.meta, &self.image).await?;
        let mut applied = self.machine.applied.borrow_mut();
        applied.snapshot = Some((self.meta.clone(), self.image.clone()));
        Ok(Snapshot { meta: self.meta.clone(), snapshot: self.image.clone() })
    }
}
