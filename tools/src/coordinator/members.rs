//! What members of a classic group of consumers told each other (`ConsumerProtocolSubscription`,
//! `ConsumerProtocolAssignment`), inside a group's record.

use super::{
    Json,
    schema::{Field, Fields, Kind, Reader},
};
use base64::{Engine, engine::general_purpose::STANDARD};

const INT32: Kind = Kind::Int32;
const TEXT: Kind = Kind::Text;

const PARTITIONS: Kind =
    Kind::Struct(&[Field::new("topic", Kind::Text), Field::new("partitions", Kind::Array(&INT32))]);

const SUBSCRIPTION: Fields = &[
    Field::new("topics", Kind::Array(&TEXT)),
    Field::new("userData", Kind::Bytes).or_null(),
    Field::new("ownedPartitions", Kind::Array(&PARTITIONS)).since(1),
    Field::new("generationId", Kind::Int32).since(2),
    Field::new("rackId", Kind::Text).or_null().since(3),
];

const ASSIGNMENT: Fields = &[
    Field::new("assignedPartitions", Kind::Array(&PARTITIONS)),
    Field::new("userData", Kind::Bytes).or_null(),
];

/// Replaces the bytes in a group's record; those that cannot be read, and those of other protocols, stay.
pub fn read_in(group: &mut Json) {
    if group.get_mut("protocolType") != Some(&mut Json::Text("consumer".into())) {
        return;
    }
    let Some(Json::Array(members)) = group.get_mut("members") else { return };
    for member in members {
        for (name, fields) in [("subscription", SUBSCRIPTION), ("assignment", ASSIGNMENT)] {
            if let Some(field) = member.get_mut(name)
                && let Json::Text(encoded) = &*field
                && let Some(read) = read(encoded, fields)
            {
                *field = read;
            }
        }
    }
}

fn read(encoded: &str, fields: Fields) -> Option<Json> {
    let bytes = STANDARD.decode(encoded).ok()?;
    let (version, rest) = bytes.split_first_chunk()?;
    Reader::new(rest, i16::from_be_bytes(*version), false).fields(fields).ok()
}
