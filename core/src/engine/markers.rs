//! Markers on their way: what a turn's transactions have decided goes to the leaders of their partitions, in one request
//! to each broker and by one hop to each owner here, and what became of it goes back to their coordinators.

use super::{
    Acks, Answers, AppendPartition, AppendRequest, AppendResult, Ask, Effects, Engine, GatherId,
    OwnerRequest, PeerLost, Phase, What,
    owner::MarkersOf,
    peers::{Caller, TOGETHER_MAX},
};
use crate::{
    api::write_txn_markers,
    error::ErrorCode,
    ids::{NodeId, PartitionId},
    transactions::PartitionErrors,
};
use bytes::Bytes;
use corelane_seam::{Now, ShardId};
use std::{collections::BTreeMap, sync::Arc};

/// Markers that are written by owners of this broker.
#[derive(Debug, Default)]
pub(super) struct LocalMarkers {
    under_way: BTreeMap<GatherId, Batch>,
}

/// What was asked under one name.
#[derive(Debug)]
struct Batch {
    markers: Vec<MarkersOf>,
    /// Of each partition: whose it is among the markers, its name, and what became of it.
    places: Vec<(usize, Arc<str>, i32, Option<ErrorCode>)>,
}

impl LocalMarkers {
    /// What became of some; all of them with their answers, if these were the last.
    fn answered(
        &mut self,
        gather: GatherId,
        results: Vec<(u32, AppendResult)>,
    ) -> Option<Vec<(MarkersOf, PartitionErrors)>> {
        let batch = self.under_way.get_mut(&gather)?;
        for (place, result) in results {
            if let Some((.., answer)) = batch.places.get_mut(place as usize) {
                *answer = Some(result.error);
            }
        }
        if batch.places.iter().any(|(.., answer)| answer.is_none()) {
            return None;
        }
        let Batch { markers, places } = self.under_way.remove(&gather)?;
        let mut all: Vec<_> = markers.into_iter().map(|markers| (markers, Vec::new())).collect();
        for (of, topic, partition, answer) in places {
            if let Some((_, errors)) = all.get_mut(of) {
                errors.push((topic, partition, answer.unwrap_or(ErrorCode::RequestTimedOut)));
            }
        }
        Some(all)
    }

    /// Nobody waits for them any more.
    pub fn forget(&mut self) {
        self.under_way.clear();
    }

    /// Whether this is one of them.
    pub fn has(&self, gather: GatherId) -> bool {
        self.under_way.contains_key(&gather)
    }
}

impl Engine {
    /// Sends what the coordinators of this shard want sent.
    pub(super) fn send_markers(&mut self, now: Now, effects: &mut Effects) {
        if !self.owner.has_markers() && self.peer_calls.markers.is_empty() {
            return;
        }
        let wished = self.owner.take_markers();
        if self.phase == Phase::Stopping {
            // The decision is in the log: whoever coordinates next has them sent. Others may have been told already that
            // nothing more is asked here.
            return;
        }
        let (here, there): (Vec<_>, Vec<_>) =
            wished.into_iter().partition(|(_, markers)| markers.to == self.place.node);
        if !here.is_empty() {
            self.mark_here(now, here, effects);
        }
        for (id, markers) in there {
            self.peer_calls.markers.push(markers.to, (id, markers));
        }
        for (broker, markers) in self.peer_calls.markers.take(TOGETHER_MAX) {
            self.mark_there(now, broker, markers, effects);
        }
    }

    fn mark_there(&mut self, now: Now, broker: NodeId, markers: Vec<MarkersOf>, effects: &mut Effects) {
        match write_txn_markers::request(markers.iter().map(|(_, markers)| markers)) {
            Ok(frame) => {
                effects.calls.push(self.peer_calls.call(broker, &frame, Caller::Markers(markers)));
            }
            Err(error) => {
                tracing::error!("markers for broker {broker} cannot be encoded: {error}");
                self.marked_there(now, markers, Err(PeerLost), effects);
            }
        }
    }

    fn mark_here(&mut self, now: Now, markers: Vec<MarkersOf>, effects: &mut Effects) {
        let gather = self.gather_ids.next();
        let mut batch = Batch { markers, places: Vec::new() };
        let mut by_owner: BTreeMap<ShardId, Vec<AppendPartition>> = BTreeMap::new();
        let mut failed = Vec::new();
        for (of, (_, markers)) in batch.markers.iter().enumerate() {
            let end = markers.end();
            for (topic, index) in markers.partitions.iter() {
                let place = u32::try_from(batch.places.len()).unwrap_or(u32::MAX);
                batch.places.push((of, Arc::clone(topic), index, None));
                match self.image.topic(topic).filter(|topic| topic.partition(index).is_some()) {
                    Some(image) => {
                        let id = PartitionId { topic: image.id, index };
                        let what = What::End(end);
                        let append = AppendPartition { place, id, what };
                        by_owner.entry(id.owner(self.place.shards)).or_default().push(append);
                    }
                    None => {
                        failed.push((place, AppendResult::failed(ErrorCode::UnknownTopicOrPartition, None)))
                    }
                }
            }
        }
        self.local_markers.under_way.insert(gather, batch);
        let asks = by_owner.into_iter().map(|(owner, partitions)| {
            let append =
                AppendRequest { partitions, acks: Acks::All, version: 1, checks_transactions: false };
            Ask::Owner(owner, OwnerRequest::Append(append))
        });
        self.ask_all(now, gather, asks.collect(), effects);
        self.marked_here(now, gather, failed, effects);
    }

    /// Owners here have written markers.
    pub(super) fn marked_here(
        &mut self,
        now: Now,
        gather: GatherId,
        results: Vec<(u32, AppendResult)>,
        effects: &mut Effects,
    ) {
        let Some(all) = self.local_markers.answered(gather, results) else { return };
        let mut answers = Answers::new();
        for (markers, errors) in all {
            self.owner.marked(now, markers, Ok(errors), &mut answers);
        }
        self.carry(now, answers, effects);
    }

    /// Another broker has answered about markers, or could not.
    pub(super) fn marked_there(
        &mut self,
        now: Now,
        markers: Vec<MarkersOf>,
        answer: Result<Bytes, PeerLost>,
        effects: &mut Effects,
    ) {
        let producers: Vec<_> = markers.iter().map(|(_, markers)| markers.producer.id).collect();
        let answer = answer.ok().and_then(|frame| write_txn_markers::answer(&frame, &producers));
        let mut told = answer.into_iter().flatten();
        let mut answers = Answers::new();
        for markers in markers {
            let result = told.next().ok_or(ErrorCode::RequestTimedOut);
            self.owner.marked(now, markers, result, &mut answers);
        }
        self.carry(now, answers, effects);
    }
}
