//! Every bound of the broker in one place, each with its reason, related to each other where one leans on another.

/// Bytes of a frame before its length is believed: what a client may make us buffer (`socket.request.max.bytes`'
/// default in Kafka).
pub const FRAME_BYTES_MAX: usize = 100 * 1024 * 1024;

/// The smallest request: key, version, correlation id. Shorter frames are refused before any decoder sees them.
pub const FRAME_BYTES_MIN: usize = 8;

/// Memory that decoding a frame may allocate, as a multiple of the frame: the elements of arrays are larger in memory
/// than on the wire, and a hostile frame is nothing but the smallest of them.
pub const DECODE_AMPLIFICATION_MAX: usize = 4;

/// Memory that decoding a frame may allocate on top of that, so that a request of some thousands of short names or
/// bare partition numbers (Metadata, Fetch v4) is not refused.
pub const DECODE_ALLOWANCE_BYTES: usize = 256 * 1024;

/// Requests of one connection that may be under way at once; past it the connection is not read.
pub const REQUESTS_IN_FLIGHT_PER_CONNECTION_MAX: usize = 64;

/// Bytes of one journal group: bounds how long one flush can take, so that a large producer cannot stand before a
/// small one.
pub const JOURNAL_GROUP_BYTES_MAX: usize = 1024 * 1024;

const _: () = assert!(FRAME_BYTES_MAX > JOURNAL_GROUP_BYTES_MAX);

/// The same where the disk was measured, at least: smaller groups gain nothing, a record of a large batch begins too many.
pub const MEASURED_GROUP_BYTES_LEAST: usize = 256 * 1024;

/// And at most: a flush of more makes others wait for tens of milliseconds on the disks that would gain by it.
pub const MEASURED_GROUP_BYTES_MOST: usize = 4 * 1024 * 1024;

const _: () = assert!(MEASURED_GROUP_BYTES_LEAST <= JOURNAL_GROUP_BYTES_MAX);
const _: () = assert!(JOURNAL_GROUP_BYTES_MAX <= MEASURED_GROUP_BYTES_MOST);

/// What a start reads of an active segment that was being written when the process died is about so much; or a sixteenth
/// of the segment, where that is more: each recovery point is a file of its own, flushed and renamed.
pub const RECOVERY_POINT_BYTES: u64 = 16 << 20;

/// Bytes that wait before a shard's journal, past which appends are refused for the moment and connections not read: what
/// waits there bounds how long an acknowledgement takes. Eight groups.
pub const UNSEALED_BYTES_MAX: usize = 8 * JOURNAL_GROUP_BYTES_MAX;

// While one group is written, the next gathers.
const _: () = assert!(2 * MEASURED_GROUP_BYTES_MOST <= UNSEALED_BYTES_MAX);

/// A measured disk's journals are no smaller than this, however long reading them takes: a journal under pressure copies
/// and hurries its logs, over and over if it is small.
pub const MEASURED_JOURNAL_BYTES_LEAST: u64 = 64 * 1024 * 1024;

/// Incremental fetch sessions of one shard (`max.incremental.fetch.session.cache.slots`' default, per shard).
pub const FETCH_SESSIONS_MAX: usize = 1000;

/// Partitions of all fetch sessions of one shard together: about 200 bytes each, so 20 MB.
pub const FETCH_SESSION_PARTITIONS_MAX: usize = 100_000;

const _: () = assert!(FETCH_SESSION_PARTITIONS_MAX > FETCH_SESSIONS_MAX);

/// Bytes of frames of one connection that wait for their responses: one frame of the largest size always fits.
pub const BYTES_IN_FLIGHT_PER_CONNECTION_MAX: usize = 128 * 1024 * 1024;

/// Bytes of frames of all connections of one shard that wait for their responses; past it only connections with
/// nothing under way are read.
pub const BYTES_IN_FLIGHT_PER_SHARD_MAX: usize = 512 * 1024 * 1024;

const _: () = assert!(BYTES_IN_FLIGHT_PER_CONNECTION_MAX > FRAME_BYTES_MAX);
const _: () = assert!(BYTES_IN_FLIGHT_PER_SHARD_MAX > BYTES_IN_FLIGHT_PER_CONNECTION_MAX);

/// Bytes of frames that are not whole yet, of all connections of one shard: past it the connection that grows is
/// closed, because no other means frees what a client never finishes.
pub const PARTIAL_FRAME_BYTES_PER_SHARD_MAX: usize = 512 * 1024 * 1024;

const _: () = assert!(PARTIAL_FRAME_BYTES_PER_SHARD_MAX > FRAME_BYTES_MAX);

/// Bytes of a log that its cleaner goes over in one turn of the shard: about a millisecond of the smallest records,
/// of which each is hashed and looked up.
pub const COMPACTION_SLICE_BYTES: usize = 64 * 1024;

/// Bytes of decompressed records after which such a turn ends with the batch that reached them. They may have to be
/// compressed again, at 30 MB per second under the slowest codec.
pub const COMPACTION_WORK_BYTES: usize = 128 * 1024;

const _: () = assert!(COMPACTION_WORK_BYTES > COMPACTION_SLICE_BYTES);

/// Bytes to which a compressed batch may expand while its log is compacted: its records are held in memory then, once
/// as they were and once as they will be. Twice what may come of a batch of the default `max.message.bytes`; a log with
/// a larger one is not compacted.
pub const COMPACTED_BATCH_BYTES_MAX: usize = 128 * 1024 * 1024;

const _: () = assert!(
    COMPACTED_BATCH_BYTES_MAX
        > crate::records::compress::EXPANSION_BASE_BYTES * crate::records::compress::EXPANSION_MAX
);

/// Longest index file of a segment that is read.
pub const INDEX_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Aborted transactions that end in one segment; the next one begins another. With 24 bytes for each, and 24 for each
/// block of the largest segment, an index fits into its bound.
pub const ABORTED_PER_SEGMENT_MAX: usize = 1024 * 1024;

const _: () = assert!((ABORTED_PER_SEGMENT_MAX + (1 << 32) / corelane_seam::BLOCK) * 24 < INDEX_BYTES_MAX);

/// Partitions, resources, users that one request of administration may name. Some take four bytes there and two hundred
/// in the answer; this many take about 20 MB, and no tool names as many at once.
pub const NAMED_PER_REQUEST_MAX: usize = 100_000;

/// Groups and subscriptions of client metrics whose configurations one request may ask for: they need not exist, so
/// nothing else bounds an answer of some four kilobytes for each. Kafka's tools ask for one at a time.
pub const UNLISTED_RESOURCES_PER_REQUEST_MAX: usize = 1000;

const _: () = assert!(UNLISTED_RESOURCES_PER_REQUEST_MAX < NAMED_PER_REQUEST_MAX);
