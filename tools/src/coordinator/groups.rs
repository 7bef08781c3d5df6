//! The records of `__consumer_offsets`.

use super::{
    Type,
    schema::{Field, Fields, Kind},
};
use Kind::{Array, Bytes, Id, Int8, Int16, Int32, Int64, Struct, Text, Uint16};

/// A committed offset of before Kafka 0.9.
pub const LEGACY_OFFSET: i16 = 0;
/// A committed offset.
pub const OFFSET: i16 = 1;
/// A group of the classic protocol.
pub const CLASSIC_GROUP: i16 = 2;

/// What belongs to a share group.
pub const SHARE_GROUP: std::ops::RangeInclusive<i16> = 10..=15;

/// A type whose values have one version, with compact lengths.
const fn modern(number: i16, key: Fields, value: Fields) -> Type {
    Type { number, key, value, latest: 0, flexible: 0 }
}

const TEXT: Kind = Text;
const INT16: Kind = Int16;
const INT32: Kind = Int32;

const OF_OFFSET: Fields =
    &[Field::new("group", Text), Field::new("topic", Text), Field::new("partition", Int32)];
const OF_GROUP: Fields = &[Field::new("groupId", Text)];
const OF_MEMBER: Fields = &[Field::new("groupId", Text), Field::new("memberId", Text)];

const CLASSIC_MEMBER: Kind = Struct(&[
    Field::new("memberId", Text),
    Field::new("groupInstanceId", Text).or_null().since(3),
    Field::new("clientId", Text),
    Field::new("clientHost", Text),
    Field::new("rebalanceTimeout", Int32).since(1),
    Field::new("sessionTimeout", Int32),
    Field::new("subscription", Bytes),
    Field::new("assignment", Bytes),
]);

const PARTITION_RACKS: Kind = Struct(&[Field::new("partition", Int32), Field::new("racks", Array(&TEXT))]);
const TOPIC_METADATA: Kind = Struct(&[
    Field::new("topicId", Id),
    Field::new("topicName", Text),
    Field::new("numPartitions", Int32),
    Field::new("partitionMetadata", Array(&PARTITION_RACKS)),
]);

const CLASSIC_PROTOCOL: Kind = Struct(&[Field::new("name", Text), Field::new("metadata", Bytes)]);
const CLASSIC_METADATA: Kind = Struct(&[
    Field::new("sessionTimeoutMs", Int32),
    Field::new("supportedProtocols", Array(&CLASSIC_PROTOCOL)),
]);

const PARTITIONS: Kind = Struct(&[Field::new("topicId", Id), Field::new("partitions", Array(&INT32))]);
const OWNED: Kind = Struct(&[
    Field::new("topicId", Id),
    Field::new("partitions", Array(&INT32)),
    Field::new("assignmentEpochs", Array(&INT32)).or_null().tagged(0),
]);
const TARGET_EPOCH: Fields =
    &[Field::new("assignmentEpoch", Int32), Field::new("assignmentTimestamp", Int64).tagged(0)];
const TARGET: Fields = &[Field::new("topicPartitions", Array(&PARTITIONS))];

const NAMED_PARTITIONS: Kind = Struct(&[
    Field::new("topicId", Id),
    Field::new("topicName", Text),
    Field::new("partitions", Array(&INT32)),
]);
const NAMED_TOPIC: Kind = Struct(&[Field::new("topicId", Id), Field::new("topicName", Text)]);

const KEY_VALUE: Kind = Struct(&[Field::new("key", Text), Field::new("value", Text)]);
const ENDPOINT: Kind = Struct(&[Field::new("host", Text), Field::new("port", Uint16)]);
const TASKS: Kind = Struct(&[Field::new("subtopologyId", Text), Field::new("partitions", Array(&INT32))]);
const OWNED_TASKS: Kind = Struct(&[
    Field::new("subtopologyId", Text),
    Field::new("partitions", Array(&INT32)),
    Field::new("assignmentEpochs", Array(&INT32)).or_null().tagged(0),
]);
const INTERNAL_TOPIC: Kind = Struct(&[
    Field::new("name", Text),
    Field::new("partitions", Int32),
    Field::new("replicationFactor", Int16),
    Field::new("topicConfigs", Array(&KEY_VALUE)),
]);
const COPARTITIONED: Kind = Struct(&[
    Field::new("sourceTopics", Array(&INT16)),
    Field::new("sourceTopicRegex", Array(&INT16)),
    Field::new("repartitionSourceTopics", Array(&INT16)),
]);
const SUBTOPOLOGY: Kind = Struct(&[
    Field::new("subtopologyId", Text),
    Field::new("sourceTopics", Array(&TEXT)),
    Field::new("sourceTopicRegex", Array(&TEXT)),
    Field::new("stateChangelogTopics", Array(&INTERNAL_TOPIC)),
    Field::new("repartitionSinkTopics", Array(&TEXT)),
    Field::new("repartitionSourceTopics", Array(&INTERNAL_TOPIC)),
    Field::new("copartitionGroups", Array(&COPARTITIONED)),
]);

pub const TYPES: &[Type] = &[
    Type {
        number: LEGACY_OFFSET,
        key: OF_OFFSET,
        value: &[
            Field::new("offset", Int64),
            Field::new("metadata", Text),
            Field::new("commitTimestamp", Int64),
        ],
        latest: 0,
        flexible: 1,
    },
    Type {
        number: OFFSET,
        key: OF_OFFSET,
        value: &[
            Field::new("offset", Int64),
            Field::new("leaderEpoch", Int32).since(3),
            Field::new("metadata", Text),
            Field::new("commitTimestamp", Int64),
            Field::new("expireTimestamp", Int64).only(1),
            Field::new("topicId", Id).tagged(0).since(4),
        ],
        latest: 4,
        flexible: 4,
    },
    Type {
        number: CLASSIC_GROUP,
        key: &[Field::new("group", Text)],
        value: &[
            Field::new("protocolType", Text),
            Field::new("generation", Int32),
            Field::new("protocol", Text).or_null(),
            Field::new("leader", Text).or_null(),
            Field::new("currentStateTimestamp", Int64).since(2),
            Field::new("members", Array(&CLASSIC_MEMBER)),
        ],
        latest: 4,
        flexible: 4,
    },
    // Groups of consumers (KIP-848).
    modern(3, OF_GROUP, &[Field::new("epoch", Int32), Field::new("metadataHash", Int64).tagged(0)]),
    modern(4, OF_GROUP, &[Field::new("topics", Array(&TOPIC_METADATA))]),
    modern(
        5,
        OF_MEMBER,
        &[
            Field::new("instanceId", Text).or_null(),
            Field::new("rackId", Text).or_null(),
            Field::new("clientId", Text),
            Field::new("clientHost", Text),
            Field::new("subscribedTopicNames", Array(&TEXT)),
            Field::new("subscribedTopicRegex", Text).or_null(),
            Field::new("rebalanceTimeoutMs", Int32),
            Field::new("serverAssignor", Text).or_null(),
            Field::new("classicMemberMetadata", CLASSIC_METADATA).or_null().tagged(0),
        ],
    ),
    modern(6, OF_GROUP, TARGET_EPOCH),
    modern(7, OF_MEMBER, TARGET),
    modern(
        8,
        OF_MEMBER,
        &[
            Field::new("memberEpoch", Int32),
            Field::new("previousMemberEpoch", Int32),
            Field::new("state", Int8),
            Field::new("assignedPartitions", Array(&OWNED)),
            Field::new("partitionsPendingRevocation", Array(&OWNED)),
        ],
    ),
    modern(
        16,
        &[Field::new("groupId", Text), Field::new("regularExpression", Text)],
        &[Field::new("topics", Array(&TEXT)), Field::new("version", Int64), Field::new("timestamp", Int64)],
    ),
    // Share groups (KIP-932).
    modern(
        10,
        OF_MEMBER,
        &[
            Field::new("rackId", Text).or_null(),
            Field::new("clientId", Text),
            Field::new("clientHost", Text),
            Field::new("subscribedTopicNames", Array(&TEXT)),
        ],
    ),
    modern(11, OF_GROUP, &[Field::new("epoch", Int32), Field::new("metadataHash", Int64)]),
    modern(12, OF_GROUP, TARGET_EPOCH),
    modern(13, OF_MEMBER, TARGET),
    modern(
        14,
        OF_MEMBER,
        &[
            Field::new("memberEpoch", Int32),
            Field::new("previousMemberEpoch", Int32),
            Field::new("state", Int8),
            Field::new("assignedPartitions", Array(&PARTITIONS)),
        ],
    ),
    modern(
        15,
        OF_GROUP,
        &[
            Field::new("initializingTopics", Array(&NAMED_PARTITIONS)),
            Field::new("initializedTopics", Array(&NAMED_PARTITIONS)),
            Field::new("deletingTopics", Array(&NAMED_TOPIC)),
        ],
    ),
    // Groups of streams (KIP-1071).
    modern(
        17,
        OF_GROUP,
        &[
            Field::new("epoch", Int32),
            Field::new("metadataHash", Int64),
            Field::new("validatedTopologyEpoch", Int32).tagged(0).by_default(-1),
            Field::new("lastAssignmentConfigs", Array(&KEY_VALUE)).or_null().tagged(1),
        ],
    ),
    modern(
        19,
        OF_MEMBER,
        &[
            Field::new("instanceId", Text).or_null(),
            Field::new("rackId", Text).or_null(),
            Field::new("clientId", Text),
            Field::new("clientHost", Text),
            Field::new("rebalanceTimeoutMs", Int32),
            Field::new("topologyEpoch", Int32),
            Field::new("processId", Text),
            Field::new("userEndpoint", ENDPOINT).or_null(),
            Field::new("clientTags", Array(&KEY_VALUE)),
        ],
    ),
    modern(20, OF_GROUP, TARGET_EPOCH),
    modern(
        21,
        OF_MEMBER,
        &[
            Field::new("activeTasks", Array(&TASKS)),
            Field::new("standbyTasks", Array(&TASKS)),
            Field::new("warmupTasks", Array(&TASKS)),
        ],
    ),
    modern(
        22,
        OF_MEMBER,
        &[
            Field::new("memberEpoch", Int32),
            Field::new("previousMemberEpoch", Int32),
            Field::new("state", Int8),
            Field::new("activeTasks", Array(&OWNED_TASKS)),
            Field::new("standbyTasks", Array(&OWNED_TASKS)),
            Field::new("warmupTasks", Array(&OWNED_TASKS)),
            Field::new("activeTasksPendingRevocation", Array(&OWNED_TASKS)),
            Field::new("standbyTasksPendingRevocation", Array(&OWNED_TASKS)),
            Field::new("warmupTasksPendingRevocation", Array(&OWNED_TASKS)),
        ],
    ),
    modern(23, OF_GROUP, &[Field::new("epoch", Int32), Field::new("subtopologies", Array(&SUBTOPOLOGY))]),
];
