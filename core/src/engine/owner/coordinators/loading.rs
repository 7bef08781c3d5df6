//! Loading a coordinator: its partition's log is replayed, a slice in one turn.

use super::{Coordination, Host, Hosted, Phase};
use crate::{
    engine::{Effects, owner::Owner},
    error::Fatal,
    groups,
    ids::{Offset, PartitionId},
    log::{ReadError, ReadRequest, Slot},
    records::{Batch, DecodedBatch, Marker, Scratch},
    transactions,
};
use corelane_seam::{Monotonic, Now, Part};
use tracing::{error, info, warn};

/// Bytes of the log that are replayed in one piece while a coordinator loads: about a millisecond of work.
const LOAD_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Loading {
    next: Offset,
    up_to: Offset,
    pub step: Step,
    /// What follows the bytes that are being read from a file: a batch may begin there and end in memory.
    behind: Vec<Part>,
    began: Monotonic,
    records: u64,
}

impl Loading {
    /// Of what lies between these offsets.
    pub fn new(now: Now, start: Offset, end: Offset) -> Loading {
        let (step, behind) = (Step::Ready, Vec::new());
        Loading { next: start, up_to: end, step, behind, began: now.monotonic, records: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next slice may be read.
    Ready,
    /// A file is being opened or read.
    Waits,
}

impl<C: Coordination> Host<C> {
    fn loading(&mut self, id: PartitionId) -> Option<&mut Loading> {
        match self.hosted.get_mut(id) {
            Some(Hosted { phase: Phase::Loading(loading), .. }) => Some(loading),
            _ => None,
        }
    }
}

impl Owner {
    /// Reads and replays the next slice of a log, or asks for it.
    pub(super) fn load_slice<C: Coordination>(&mut self, now: Now, id: PartitionId, effects: &mut Effects) {
        let Some(slot) = self.store.slot(id) else { return };
        let start = self.store.log_start(slot);
        let Some(loading) = C::host(self).loading(id) else { return };
        // Retention may have moved the start meanwhile.
        loading.next = loading.next.max(start);
        let (from, up_to) = (loading.next, loading.up_to);
        if from >= up_to {
            return self.loaded::<C>(now, id);
        }
        let request = ReadRequest { from, max_bytes: LOAD_BYTES, up_to, at_least_one: true };
        let read = self.store.read(now, slot, request, &mut effects.files);
        let job = self.next_coordinator_read;
        let Some(loading) = C::host(self).loading(id) else { return };
        match read {
            Ok(mut read) => match read.parts.first() {
                Some(Part::File { file, offset, len }) => {
                    let (file, offset) = (file.clone(), *offset);
                    let len = usize::try_from(*len).unwrap_or(usize::MAX);
                    loading.step = Step::Waits;
                    loading.behind = read.parts.split_off(1);
                    self.next_coordinator_read += 1;
                    C::host(self).reads.insert(job, id);
                    self.store.read_bytes(job, file, offset, len, &mut effects.files);
                }
                Some(_) => {
                    loading.behind = read.parts;
                    self.replay_slice::<C>(now, id, Vec::new());
                }
                // Written, and not committed yet: the high watermark brings the next turn.
                None => loading.step = Step::Waits,
            },
            Err(ReadError::Later) => loading.step = Step::Waits,
            Err(ReadError::OutOfRange { start, .. }) => loading.next = start,
            Err(ReadError::Offline(reason)) => self.load_failed::<C>(id, &reason),
            Err(ReadError::Unknown) => {}
        }
    }

    /// A file is open: whoever loads from this log goes on.
    pub(in crate::engine::owner) fn coordinators_readable(&mut self, slot: Slot) {
        if let Some(id) = self.by_slot.get(&slot).copied() {
            self.load_on::<groups::Coordinator>(id);
            self.load_on::<transactions::Coordinator>(id);
        }
    }

    /// Whoever loads this log goes on, unless its next bytes are being read already.
    pub(super) fn load_on<C: Coordination>(&mut self, id: PartitionId) {
        let host = C::host(self);
        let is_read = host.reads.values().any(|reading| *reading == id);
        if let Some(loading) = host.loading(id).filter(|_| !is_read) {
            loading.step = Step::Ready;
        }
    }

    /// A slice came from a file.
    pub(in crate::engine::owner) fn coordinator_bytes_read(
        &mut self,
        now: Now,
        job: u64,
        result: Result<Vec<u8>, Fatal>,
    ) {
        if let Some(id) = self.groups.reads.remove(&job) {
            self.slice_read::<groups::Coordinator>(now, id, result);
        } else if let Some(id) = self.transactions.reads.remove(&job) {
            self.slice_read::<transactions::Coordinator>(now, id, result);
        }
    }

    fn slice_read<C: Coordination>(&mut self, now: Now, id: PartitionId, result: Result<Vec<u8>, Fatal>) {
        match result {
            Ok(bytes) => self.replay_slice::<C>(now, id, bytes),
            Err(reason) => self.load_failed::<C>(id, &reason),
        }
    }

    /// Replays these bytes of the log, and what is in memory behind them.
    fn replay_slice<C: Coordination>(&mut self, now: Now, id: PartitionId, mut bytes: Vec<u8>) {
        let Some(hosted) = C::host(self).hosted.get_mut(id) else { return };
        let Phase::Loading(loading) = &mut hosted.phase else { return };
        loading.step = Step::Ready;
        for part in std::mem::take(&mut loading.behind) {
            match part {
                Part::Bytes(part) => bytes.extend_from_slice(&part),
                Part::Memory(part) => bytes.extend_from_slice(&part),
                Part::File { .. } => break,
            }
        }
        match replay(&mut hosted.coordinator, loading, id, &bytes) {
            Ok(true) if loading.next < loading.up_to => {}
            Ok(true) => self.loaded::<C>(now, id),
            Ok(false) => {
                let reason = format!("no whole batch where offset {} should be", loading.next);
                self.load_failed::<C>(id, &Fatal::new(reason));
            }
            Err(reason) => self.load_failed::<C>(id, &reason),
        }
    }

    /// The log is replayed. Where a record that could still be lost must not be acted upon, the coordinator serves when
    /// all of it is committed.
    fn loaded<C: Coordination>(&mut self, now: Now, id: PartitionId) {
        let committed = self.partitions.get(&id).map(|partition| partition.high_watermark);
        let host = C::host(self);
        let Some(loading) = host.loading(id) else { return };
        if C::ACTS_ON_COMMITTED && committed.is_none_or(|committed| committed < loading.up_to) {
            loading.step = Step::Waits;
            return;
        }
        let (records, ms) = (loading.records, (now.monotonic - loading.began).as_millis());
        if let Some(hosted) = host.hosted.get_mut(id) {
            hosted.phase = Phase::Serving;
        }
        let summary = self.with::<C, _>(now, id, |coordinator, stage| {
            coordinator.loaded(stage);
            coordinator.summary()
        });
        if let Some(summary) = summary.filter(|_| records > 0) {
            info!(partition = id.index, records, ms, "{} loaded: {summary}", C::TOPIC);
        }
    }

    fn load_failed<C: Coordination>(&mut self, id: PartitionId, reason: &Fatal) {
        error!(
            partition = id.index,
            "what this partition of {} holds cannot be loaded and is not served: {reason}. Check the disk and restart the \
             broker.",
            C::TOPIC
        );
        if let Some(hosted) = C::host(self).hosted.get_mut(id) {
            hosted.phase = Phase::Failed;
        }
    }
}

/// Replays the whole batches among these bytes; whether there was any.
fn replay<C: Coordination>(
    coordinator: &mut C,
    loading: &mut Loading,
    id: PartitionId,
    mut bytes: &[u8],
) -> Result<bool, Fatal> {
    let mut any = false;
    let mut scratch = Scratch::default();
    while let Ok((batch, rest)) = Batch::split_from(bytes) {
        bytes = rest;
        let header = batch.header();
        if header.base_offset() >= loading.up_to {
            loading.next = loading.up_to;
            return Ok(true);
        }
        if header.last_offset() < loading.next {
            continue;
        }
        any = true;
        let (next, first) = (header.next_offset(), loading.next);
        let whose = header.is_transactional().then(|| header.producer_id());
        if let Some(marker) = Marker::of(&batch, &mut scratch) {
            coordinator.transaction_ended(header.producer_id(), marker.outcome);
        }
        if !header.is_control() {
            let damaged = |fault: &dyn std::fmt::Debug| {
                Fatal::new(format!("the batch at offset {} is damaged: {fault:?}", header.base_offset()))
            };
            let decoded = DecodedBatch::new(batch, &mut scratch).map_err(|fault| damaged(&fault))?;
            for record in decoded.records() {
                let record = record.map_err(|fault| damaged(&fault))?;
                let Some(key) = record.key.filter(|_| record.offset >= first) else { continue };
                loading.records += 1;
                match C::decode(key, record.value) {
                    Ok(Some(decoded)) => coordinator.replay(decoded, record.offset, whose),
                    Ok(None) => {}
                    Err(fault) => warn!(
                        partition = id.index,
                        offset = record.offset.0,
                        "a record of {} is passed over: {fault}",
                        C::TOPIC
                    ),
                }
            }
        }
        loading.next = next;
    }
    Ok(any)
}
