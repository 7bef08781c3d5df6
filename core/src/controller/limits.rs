//! Bounds of what one request may ask of the controller.

/// Partitions that one CreateTopics may create; Kafka's own bound.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// Records of one batch; Kafka's own bound for what a user asks for. A batch is applied in one go on every shard's
/// image, so this bounds how long that keeps a shard.
pub const RECORDS_PER_BATCH_MAX: usize = 10_000;

/// Bytes of a configuration's value; Kafka's own bound.
pub const CONFIG_VALUE_BYTES_MAX: usize = i16::MAX as usize;

/// Producer ids given to a broker at a time, each block a durable record: Kafka's own size.
pub const PRODUCER_ID_BLOCK: i64 = 1000;

/// How often a topic id is drawn before the source is taken for broken: that even one of 16 random ids is taken or
/// reserved has a chance of one in four.
pub(super) const TOPIC_ID_DRAWS_MAX: usize = 64;

const _: () = assert!(PARTITIONS_PER_REQUEST_MAX <= RECORDS_PER_BATCH_MAX);
