//! What administrators ask shards: the owners of partitions about their logs, and one about the levels of the log.

use super::OwnerResponse;
use crate::{controller::ConfigOp, error::ErrorCode, ids::PartitionId, loggers::Loggers};
use corelane_seam::{ShardId, Space};

/// The shard that keeps the levels of the log: they are one process's, so one shard decides about them.
pub const LOGGERS_SHARD: ShardId = ShardId(0);

/// Levels to alter, all of them or none.
#[derive(Clone, Debug)]
pub struct LoggersChange {
    /// In the response.
    pub place: u32,
    /// In any order; no logger twice.
    pub ops: Vec<ConfigOp>,
}

/// What is asked of whoever keeps the levels of the log.
#[derive(Clone, Debug)]
pub enum LoggersRequest {
    /// DescribeConfigs.
    Levels,
    /// IncrementalAlterConfigs.
    Alter {
        /// In order.
        changes: Vec<LoggersChange>,
        /// Answer as if, but change nothing.
        validate_only: bool,
    },
}

impl LoggersRequest {
    /// The answer; `filter` becomes what the log takes from now on, if that changes.
    pub(super) fn answer(&self, loggers: &mut Loggers, filter: &mut Option<String>) -> OwnerResponse {
        let LoggersRequest::Alter { changes, validate_only } = self else {
            return OwnerResponse::LoggerLevels(loggers.levels());
        };
        let before = loggers.filter();
        let results = changes.iter().map(|it| (it.place, loggers.alter(&it.ops, *validate_only))).collect();
        let after = loggers.filter();
        if after != before {
            *filter = Some(after);
        }
        OwnerResponse::LoggersAltered(results)
    }
}

/// The size of a log is asked for.
#[derive(Clone, Copy, Debug)]
pub struct SizeQuery {
    /// In the response.
    pub place: u32,
    /// Which.
    pub id: PartitionId,
}

/// The sizes of an owner's logs, and the room where they live.
#[derive(Clone, Debug)]
pub struct LogSizes {
    /// In bytes, by place; `None` where there is no log.
    pub sizes: Vec<(u32, Option<u64>)>,
    /// On the data directory's file system, at most a minute old; `None` while it is not known.
    pub space: Option<Space>,
    /// The directory is offline.
    pub offline: bool,
}

/// The idempotent producers of a partition are asked for.
#[derive(Clone, Copy, Debug)]
pub struct ProducersQuery {
    /// In the response.
    pub place: u32,
    /// Which.
    pub id: PartitionId,
}

/// Who appended to a partition and is not forgotten yet.
#[derive(Clone, Debug)]
pub struct ProducersResult {
    /// With an error there are none.
    pub error: ErrorCode,
    /// By id.
    pub producers: Vec<ProducerSeen>,
}

impl ProducersResult {
    /// No one is known.
    pub fn failed(error: ErrorCode) -> ProducersResult {
        ProducersResult { error, producers: Vec::new() }
    }
}

/// One producer as its partition remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerSeen {
    /// Its id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Of its last record; -1 where only a transaction marker is known of it.
    pub last_sequence: i32,
    /// The timestamp of its last batch, in Unix milliseconds.
    pub last_timestamp_ms: i64,
    /// First offset of its open transaction; -1 without one.
    pub transaction_start: i64,
    /// Of the transaction coordinator that wrote its last marker; -1 where none has.
    pub coordinator_epoch: i32,
}
