//! Why a setting of Kafka's is accepted and has no meaning here: the end of a sentence "… has no effect: ".

pub const THREADS: &str = "one shard per core does all the work, there are no thread pools or queues to size";
pub const PURGATORY: &str =
    "waiting requests leave the engine when they are answered, nothing piles up to be purged";
pub const METRICS: &str = "there is no JVM and no JMX here";
pub const GROUPS: &str =
    "a group is coordinated by the shard that owns its partition, without threads or buffers of its own";
pub const SHARE_GROUPS: &str = "share groups are not served";
pub const STREAMS_GROUPS: &str = "streams groups are not served";
pub const LINES: &str = "each shard keeps one line to each other node, and gives up an answer and a connection after times of its own";
pub const OTHER_QUORUM: &str = "the quorum speaks a protocol of its own, with times and sizes of its own";
pub const MARKS: &str = "high watermarks are recorded every five seconds";
pub const METADATA_LOG: &str = "the metadata log keeps its own size and rolls by its own rules";
pub const JOURNAL: &str = "recovery reads the journal, which needs no checkpoints of this kind";
pub const CLEANER: &str = "logs are compacted in slices of 64 KiB on the shards that own them, there are no threads or buffers to size";
pub const TELEMETRY: &str = "client telemetry is not served";
pub const INTERNAL: &str = "it steers Kafka's own tests and internals";

pub const ONE_DIRECTORY: &str = "a broker has one log directory, so nothing is copied between directories";

pub const CODEC_LEVELS: &str = "batches that are compressed again use the codec's own level";

pub const OTHER_FILES: &str =
    "files are allocated in steps, indexes have no size to set, and removed files go at once";

pub const OTHER_SOCKETS: &str = "the driver sizes this itself";
