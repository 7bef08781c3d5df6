//! The records of `__transaction_state`.

use super::{
    Type,
    schema::{Field, Kind},
};

const INT32: Kind = Kind::Int32;
const PARTITIONS: Kind =
    Kind::Struct(&[Field::new("topic", Kind::Text), Field::new("partitionIds", Kind::Array(&INT32))]);

pub const TYPES: &[Type] = &[Type {
    number: 0,
    key: &[Field::new("transactionalId", Kind::Text)],
    value: &[
        Field::new("producerId", Kind::Int64),
        Field::new("previousProducerId", Kind::Int64).tagged(0).by_default(-1),
        Field::new("nextProducerId", Kind::Int64).tagged(1).by_default(-1),
        Field::new("producerEpoch", Kind::Int16),
        Field::new("nextProducerEpoch", Kind::Int16).tagged(3).by_default(-1),
        Field::new("transactionTimeoutMs", Kind::Int32),
        Field::new("transactionStatus", Kind::Int8),
        Field::new("transactionPartitions", Kind::Array(&PARTITIONS)).or_null(),
        Field::new("transactionLastUpdateTimestampMs", Kind::Int64),
        Field::new("transactionStartTimestampMs", Kind::Int64),
        Field::new("clientTransactionVersion", Kind::Int16).tagged(2),
    ],
    latest: 1,
    flexible: 1,
}];
