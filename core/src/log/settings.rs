//! What a store and its logs are told.

use super::CleanerSettings;
use corelane_seam::ShardId;
use std::path::PathBuf;

/// One run of the process on its directories. Recovery chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Counts the starts; part of the journals' names and of every entry.
    pub generation: u64,
    /// Random, in every checksum of the journal: no producer can write a batch whose bytes, read at a block's
    /// start, pass for a group of this journal.
    pub salt: u64,
}

/// What a [`Store`](super::Store) is told once.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The data shard it belongs to.
    pub shard: ShardId,
    /// Segments, indexes, checkpoints and the manifest live below it.
    pub data_dir: PathBuf,
    /// Journals live in it; may be the data directory.
    pub journal_dir: PathBuf,
    /// From recovery.
    pub boot: Boot,
    /// Journal bytes that are zeroed before the shard serves.
    pub journal_bytes_initial: u64,
    /// Journal bytes to which it may grow in the background.
    pub journal_bytes_max: u64,
    /// An active segment's growth at which a recovery point of it is written, so that a start reads about so much of it.
    pub recovery_point_bytes: u64,
    /// Bytes of one journal group, its header included. A larger batch spans groups.
    pub group_bytes_max: usize,
    /// Bytes that were appended and are in no group yet, at which appends answer [`Full`](super::AppendError::Full).
    pub unsealed_bytes_max: u64,
    /// Bytes of recent log, already in segments, that stay in memory for readers.
    pub tail_cache_bytes: usize,
    /// Bytes of tail memory in all. At this mark appends answer [`Full`](super::AppendError::Full).
    pub memory_bytes_max: usize,
    /// Free bytes on the file system below which appends answer
    /// [`DiskReserve`](super::AppendError::DiskReserve), so that retention, checkpoints and the metadata can go on.
    pub disk_reserve_bytes: u64,
    /// How long an idle idempotent producer's sequences are kept (`producer.id.expiration.ms`).
    pub producer_expiration_ms: i64,
    /// Compaction.
    pub cleaner: CleanerSettings,
    /// Open read handles that are kept; more are closed, the longest unused first.
    pub read_handles_max: usize,
    /// A bug on purpose, for the tests that prove that the tests can fail.
    pub fault: Fault,
}

impl StoreSettings {
    /// Small bounds that fit a laptop; production settings change what they must.
    pub fn new(shard: ShardId, data_dir: PathBuf, boot: Boot) -> StoreSettings {
        StoreSettings {
            shard,
            journal_dir: data_dir.clone(),
            data_dir,
            boot,
            journal_bytes_initial: 16 << 20,
            journal_bytes_max: 256 << 20,
            recovery_point_bytes: crate::limits::RECOVERY_POINT_BYTES,
            group_bytes_max: crate::limits::JOURNAL_GROUP_BYTES_MAX,
            unsealed_bytes_max: crate::limits::UNSEALED_BYTES_MAX as u64,
            tail_cache_bytes: 64 << 20,
            memory_bytes_max: 256 << 20,
            disk_reserve_bytes: 256 << 20,
            producer_expiration_ms: 24 * 3_600_000,
            cleaner: CleanerSettings::default(),
            read_handles_max: 1024,
            fault: Fault::None,
        }
    }
}

/// A bug that a test or the simulator plants, to prove that its checkers would see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// None.
    #[default]
    None,
    /// Says "flushed" when the journal's write has completed, before its flush.
    AcknowledgeBeforeFlush,
    /// Says "flushed" when a group is, though one before it is not.
    TellGroupsAlone,
    /// Frees journal blocks although the segments that hold their data are not flushed.
    ReuseNeededBlocks,
    /// Recovery does not believe that a log was deleted.
    ReplayDeleted,
    /// A group's coordinator answers when its records are appended, before they are committed.
    AnswerGroupsEarly,
    /// Offsets that a transaction commits count at once, whatever becomes of it.
    CommitOffsetsAtOnce,
    /// What only a leader may tell is told without asking whether this broker leads yet.
    TellUnconfirmed,
    /// Readers of committed records are not told which transactions were aborted.
    ForgetAborted,
    /// Whether a batch is of a transaction that goes on is left to its producer
    /// (`transaction.partition.verification.enable=false`).
    TrustProducers,
    /// Recovery takes what a recovery point says of a segment, and not what it says of producers.
    ForgetPointProducers,
    /// Compaction removes a segment's old file before the checkpoint that names the new one is durable.
    RemoveBeforeCheckpoint,
    /// Compaction keeps the first record of a key instead of the last.
    KeepFirstOfKey,
    /// A follower fetches from where its log ends, flushed or not.
    FetchUnflushed,
    /// A reply that waits when a leadership is lost is told when it is regained and the watermark comes by.
    KeepParked,
    /// A broker leads what the metadata of its last life says, before it has registered anew.
    LeadAsBefore,
    /// The metadata quorum does not save whom it votes for.
    ForgetVotes,
    /// The metadata quorum does not look at the directories that its voters vote from.
    TakeAnyDirectory,
    /// A broker registers with the directory of its metadata, whatever became of its logs.
    ForgetDataDirectory,
}

/// When a log's appends are flushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlushPolicy {
    /// With their group, before anyone is told.
    #[default]
    EveryGroup,
    /// After so many messages or milliseconds (`flush.messages`, `flush.ms`); the high watermark then follows what
    /// is *written*, and a power cut may take acknowledged records.
    Interval {
        /// Records since the last flush.
        messages: u64,
        /// Since the first unflushed append.
        ms: u64,
    },
}

/// A topic's settings as far as its logs care (Kafka's topic configuration names in brackets).
#[derive(Clone, Debug, PartialEq)]
pub struct LogSettings {
    /// A segment closes before it would grow past this (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment closes when its first record is this old (`segment.ms` less this log's share of
    /// `segment.jitter.ms`).
    pub segment_ms: u64,
    /// Closed segments whose newest record is older go (`retention.ms`); `None` keeps them.
    pub retention_ms: Option<u64>,
    /// The oldest closed segments go while the log is larger (`retention.bytes`); `None` keeps them.
    pub retention_bytes: Option<u64>,
    /// Whether retention deletes at all (`cleanup.policy` holds `delete`).
    pub delete: bool,
    /// Whether only the last record of each key is kept (`cleanup.policy` holds `compact`).
    pub compact: bool,
    /// How long tombstones stay once a cleaning has passed them (`delete.retention.ms`).
    pub delete_retention_ms: u64,
    /// A compacted log is cleaned when more than this share of what may be cleaned is dirty
    /// (`min.cleanable.dirty.ratio`).
    pub dirty_share_min: f64,
    /// Segments with a younger record are not cleaned (`min.compaction.lag.ms`).
    pub compaction_lag_ms_min: u64,
    /// Older dirty records are cleaned however few they are (`max.compaction.lag.ms`).
    pub compaction_lag_ms_max: u64,
    /// Bytes of log between two index entries (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// When appends are flushed.
    pub flush: FlushPolicy,
}

impl Default for LogSettings {
    /// Kafka's defaults, but for the flush policy.
    fn default() -> Self {
        LogSettings {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            retention_ms: Some(7 * 24 * 3_600_000),
            retention_bytes: None,
            delete: true,
            compact: false,
            delete_retention_ms: 24 * 3_600_000,
            dirty_share_min: 0.5,
            compaction_lag_ms_min: 0,
            compaction_lag_ms_max: u64::MAX,
            index_interval_bytes: 4096,
            flush: FlushPolicy::EveryGroup,
        }
    }
}
