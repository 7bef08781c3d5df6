//! Loading a coordinator: its partition's log is replayed, a slice in one turn.

use super::{Hosted, Phase};
use crate::{
    engine::{Effects, owner::Owner},
    error::Fatal,
    groups::{Coordinator, Scene, records::Record},
    ids::{Offset, PartitionId},
    log::{ReadError, ReadRequest, Slot},
    records::{Batch, DecodedBatch, Marker, Scratch},
};
use corelane_seam::{Monotonic, Now, Part};
use tracing::{error, info, warn};

/// Bytes of the log that are replayed in one piece while a coordinator loads: about a millisecond of work.
const LOAD_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Loading {
    pub next: Offset,
    pub up_to: Offset,
    pub step: Step,
    /// What follows the bytes that are being read from a file: a batch may begin there and end in memory.
    pub behind: Vec<Part>,
    pub began: Monotonic,
    pub records: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The next slice may be read.
    Ready,
    /// A file is being opened or read.
    Waits,
}

impl Owner {
    /// Reads and replays the next slice of a log, or asks for it.
    pub(super) fn load_slice(&mut self, now: Now, id: PartitionId, effects: &mut Effects) {
        let Some(slot) = self.store.slot(id) else { return };
        let Some(hosted) = self.groups.hosted.get_mut(id) else { return };
        let Phase::Loading(loading) = &mut hosted.phase else { return };
        // Retention may have moved the start meanwhile.
        loading.next = loading.next.max(self.store.log_start(slot));
        if loading.next >= loading.up_to {
            return self.groups_loaded(now, id);
        }
        let request = ReadRequest {
            from: loading.next,
            max_bytes: LOAD_BYTES,
            up_to: loading.up_to,
            at_least_one: true,
        };
        match self.store.read(now, slot, request, &mut effects.files) {
            Ok(mut read) => match read.parts.first() {
                Some(Part::File { file, offset, len }) => {
                    let (file, offset) = (file.clone(), *offset);
                    let len = usize::try_from(*len).unwrap_or(usize::MAX);
                    loading.step = Step::Waits;
                    loading.behind = read.parts.split_off(1);
                    let job = self.groups.next_read;
                    self.groups.next_read += 1;
                    self.groups.reads.insert(job, id);
                    self.store.read_bytes(job, file, offset, len, &mut effects.files);
                }
                Some(_) => {
                    loading.behind = read.parts;
                    self.replay_slice(now, id, Vec::new());
                }
                // Written, and not committed yet: the high watermark brings the next turn.
                None => loading.step = Step::Waits,
            },
            Err(ReadError::Later) => loading.step = Step::Waits,
            Err(ReadError::OutOfRange { start, .. }) => loading.next = start,
            Err(ReadError::Offline(reason)) => self.load_failed(id, &reason),
            Err(ReadError::Unknown) => {}
        }
    }

    /// A file is open: whoever loads from this log goes on.
    pub(in crate::engine::owner) fn groups_readable(&mut self, slot: Slot) {
        if let Some(id) = self.by_slot.get(&slot).copied() {
            self.load_on(id);
        }
    }

    /// Whoever loads this log goes on, unless its next bytes are being read already.
    pub(super) fn load_on(&mut self, id: PartitionId) {
        if let Some(Hosted { phase: Phase::Loading(loading), .. }) = self.groups.hosted.get_mut(id)
            && !self.groups.reads.values().any(|reading| *reading == id)
        {
            loading.step = Step::Ready;
        }
    }

    /// A slice came from a file.
    pub(in crate::engine::owner) fn group_bytes_read(
        &mut self,
        now: Now,
        job: u64,
        result: Result<Vec<u8>, Fatal>,
    ) {
        let Some(id) = self.groups.reads.remove(&job) else { return };
        match result {
            Ok(bytes) => self.replay_slice(now, id, bytes),
            Err(reason) => self.load_failed(id, &reason),
        }
    }

    /// Replays these bytes of the log, and what is in memory behind them.
    fn replay_slice(&mut self, now: Now, id: PartitionId, mut bytes: Vec<u8>) {
        let Some(hosted) = self.groups.hosted.get_mut(id) else { return };
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
            Ok(true) => self.groups_loaded(now, id),
            Ok(false) => {
                let reason = format!("no whole batch where offset {} should be", loading.next);
                self.load_failed(id, &Fatal::new(reason));
            }
            Err(reason) => self.load_failed(id, &reason),
        }
    }

    fn groups_loaded(&mut self, now: Now, id: PartitionId) {
        let scene = Scene { now, image: &self.groups.image, config: &self.groups.config };
        let Some(hosted) = self.groups.hosted.get_mut(id) else { return };
        let Phase::Loading(loading) = &hosted.phase else { return };
        let (records, ms) = (loading.records, (now.monotonic - loading.began).as_millis());
        hosted.phase = Phase::Serving;
        hosted.coordinator.loaded(scene);
        let (groups, members) = hosted.coordinator.size();
        if records > 0 {
            info!(partition = id.index, groups, members, records, ms, "groups loaded");
        }
    }

    fn load_failed(&mut self, id: PartitionId, reason: &Fatal) {
        error!(
            partition = id.index,
            "the groups of this partition of __consumer_offsets cannot be loaded and are not served: {reason}. \
             Check the disk and restart the broker."
        );
        if let Some(hosted) = self.groups.hosted.get_mut(id) {
            hosted.phase = Phase::Failed;
        }
    }
}

/// Replays the whole batches among these bytes; whether there was any.
fn replay(
    coordinator: &mut Coordinator,
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
            coordinator.end_transaction(header.producer_id(), marker.outcome);
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
                match Record::decode(key, record.value) {
                    Ok(Some(decoded)) => coordinator.replay(decoded, record.offset, whose),
                    Ok(None) => {}
                    Err(fault) => warn!(
                        partition = id.index,
                        offset = record.offset.0,
                        "a record of __consumer_offsets is passed over: {fault}"
                    ),
                }
            }
        }
        loading.next = next;
    }
    Ok(any)
}
