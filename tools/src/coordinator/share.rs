//! The records of `__share_group_state`.

use super::{
    Type,
    schema::{Field, Fields, Kind},
};
use Kind::{Array, Id, Int8, Int16, Int32, Int64, Struct, Text};

const OF_PARTITION: Fields =
    &[Field::new("groupId", Text), Field::new("topicId", Id), Field::new("partition", Int32)];

const BATCH: Kind = Struct(&[
    Field::new("firstOffset", Int64),
    Field::new("lastOffset", Int64),
    Field::new("deliveryState", Int8),
    Field::new("deliveryCount", Int16),
]);

const SNAPSHOT: Fields = &[
    Field::new("snapshotEpoch", Int32),
    Field::new("stateEpoch", Int32),
    Field::new("leaderEpoch", Int32),
    Field::new("startOffset", Int64),
    Field::new("deliveryCompleteCount", Int32).tagged(0).by_default(-1),
    Field::new("createTimestamp", Int64),
    Field::new("writeTimestamp", Int64),
    Field::new("stateBatches", Array(&BATCH)),
];

const UPDATE: Fields = &[
    Field::new("snapshotEpoch", Int32),
    Field::new("leaderEpoch", Int32),
    Field::new("startOffset", Int64),
    Field::new("deliveryCompleteCount", Int32).tagged(0).by_default(-1),
    Field::new("stateBatches", Array(&BATCH)),
];

pub const TYPES: &[Type] = &[
    Type { number: 0, key: OF_PARTITION, value: SNAPSHOT, latest: 0, flexible: 0 },
    Type { number: 1, key: OF_PARTITION, value: UPDATE, latest: 0, flexible: 0 },
];
