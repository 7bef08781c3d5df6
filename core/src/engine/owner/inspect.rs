//! Questions about logs that change nothing.

use super::Owner;
use crate::{
    engine::inspect::{LogSizes, ProducerSeen, ProducersQuery, ProducersResult, SizeQuery},
    error::ErrorCode,
};

impl Owner {
    pub(super) fn log_sizes(&self, queries: &[SizeQuery]) -> LogSizes {
        let size = |query: &SizeQuery| self.store.slot(query.id).map(|slot| self.store.size_bytes(slot));
        LogSizes {
            sizes: queries.iter().map(|query| (query.place, size(query))).collect(),
            space: self.store.space(),
            offline: self.offline.is_some(),
        }
    }

    /// Of a partition that is led here or only followed.
    pub(super) fn producers(&self, query: &ProducersQuery) -> ProducersResult {
        let Some(slot) = self.store.slot(query.id) else {
            // By metadata it is kept here, and this shard has not heard of it yet.
            return ProducersResult::failed(ErrorCode::NotLeaderOrFollower);
        };
        if self.offline.is_some() || self.store.offline(slot).is_some() {
            return ProducersResult::failed(ErrorCode::KafkaStorageError);
        }
        let seen = self.store.producers(slot).iter().map(|(id, producer)| {
            let last = producer.batches.last();
            ProducerSeen {
                id: id.0,
                epoch: producer.epoch.0,
                last_sequence: last.map_or(-1, |last| last.last_sequence),
                last_timestamp_ms: last.map_or(producer.last_seen_ms, |last| last.timestamp_ms),
                transaction_start: producer.transaction_start.map_or(-1, |start| start.0),
                coordinator_epoch: producer.coordinator_epoch,
            }
        });
        ProducersResult { error: ErrorCode::None, producers: seen.collect() }
    }
}
