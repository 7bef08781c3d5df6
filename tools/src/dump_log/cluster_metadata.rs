//! The records of the cluster's metadata (`__cluster_metadata`), from the message definitions of Kafka's controllers.

use super::framed::{Fault, Message, Type, read};
use crate::coordinator::{
    Json,
    schema::{Field, Kind},
};
use Kind::{Array, Bool, Bytes, Double, Id, Int8, Int16, Int32, Int64, Struct, Text, Uint16};

const TEXT: Kind = Text;
const INT32: Kind = Int32;
const ID: Kind = Id;

const ENDPOINT: Kind = Struct(&[
    Field::new("name", Text),
    Field::new("host", Text),
    Field::new("port", Uint16),
    Field::new("securityProtocol", Int16),
]);

const FEATURE: Kind = Struct(&[
    Field::new("name", Text),
    Field::new("minSupportedVersion", Int16),
    Field::new("maxSupportedVersion", Int16),
]);

const TYPES: &[Type] = &[
    Type::new(
        0,
        "REGISTER_BROKER_RECORD",
        4,
        &[
            Field::new("brokerId", Int32),
            Field::new("isMigratingZkBroker", Bool).since(2),
            Field::new("incarnationId", Id),
            Field::new("brokerEpoch", Int64),
            Field::new("endPoints", Array(&ENDPOINT)),
            Field::new("features", Array(&FEATURE)),
            Field::new("rack", Text).or_null(),
            Field::new("fenced", Bool),
            Field::new("inControlledShutdown", Bool).since(1),
            Field::new("logDirs", Array(&ID)).since(3).tagged(0),
            Field::new("cordonedLogDirs", Array(&ID)).since(4).or_null().tagged(1).null_by_default(),
        ],
    ),
    Type::new(
        1,
        "UNREGISTER_BROKER_RECORD",
        0,
        &[Field::new("brokerId", Int32), Field::new("brokerEpoch", Int64)],
    ),
    Type::new(2, "TOPIC_RECORD", 0, &[Field::new("name", Text), Field::new("topicId", Id)]),
    Type::new(
        3,
        "PARTITION_RECORD",
        2,
        &[
            Field::new("partitionId", Int32),
            Field::new("topicId", Id),
            Field::new("replicas", Array(&INT32)),
            Field::new("isr", Array(&INT32)),
            Field::new("removingReplicas", Array(&INT32)),
            Field::new("addingReplicas", Array(&INT32)),
            Field::new("leader", Int32),
            Field::new("leaderRecoveryState", Int8).tagged(0),
            Field::new("leaderEpoch", Int32),
            Field::new("partitionEpoch", Int32),
            Field::new("directories", Array(&ID)).since(1),
            Field::new("eligibleLeaderReplicas", Array(&INT32))
                .since(2)
                .or_null()
                .tagged(1)
                .null_by_default(),
            Field::new("lastKnownElr", Array(&INT32)).since(2).or_null().tagged(2).null_by_default(),
        ],
    ),
    Type::new(
        4,
        "CONFIG_RECORD",
        0,
        &[
            Field::new("resourceType", Int8),
            Field::new("resourceName", Text),
            Field::new("name", Text),
            Field::new("value", Text).or_null(),
        ],
    ),
    Type::new(
        5,
        "PARTITION_CHANGE_RECORD",
        2,
        &[
            Field::new("partitionId", Int32),
            Field::new("topicId", Id),
            Field::new("isr", Array(&INT32)).or_null().tagged(0).null_by_default(),
            Field::new("leader", Int32).tagged(1).by_default(-2),
            Field::new("replicas", Array(&INT32)).or_null().tagged(2).null_by_default(),
            Field::new("removingReplicas", Array(&INT32)).or_null().tagged(3).null_by_default(),
            Field::new("addingReplicas", Array(&INT32)).or_null().tagged(4).null_by_default(),
            Field::new("leaderRecoveryState", Int8).tagged(5).by_default(-1),
            Field::new("directories", Array(&ID)).since(1).or_null().tagged(8).null_by_default(),
            Field::new("eligibleLeaderReplicas", Array(&INT32))
                .since(2)
                .or_null()
                .tagged(6)
                .null_by_default(),
            Field::new("lastKnownElr", Array(&INT32)).since(2).or_null().tagged(7).null_by_default(),
        ],
    ),
    Type::new(7, "FENCE_BROKER_RECORD", 0, &[Field::new("id", Int32), Field::new("epoch", Int64)]),
    Type::new(8, "UNFENCE_BROKER_RECORD", 0, &[Field::new("id", Int32), Field::new("epoch", Int64)]),
    Type::new(9, "REMOVE_TOPIC_RECORD", 0, &[Field::new("topicId", Id)]),
    Type::new(
        10,
        "DELEGATION_TOKEN_RECORD",
        0,
        &[
            Field::new("owner", Text),
            Field::new("requester", Text),
            Field::new("renewers", Array(&TEXT)),
            Field::new("issueTimestamp", Int64),
            Field::new("maxTimestamp", Int64),
            Field::new("expirationTimestamp", Int64),
            Field::new("tokenId", Text),
        ],
    ),
    Type::new(
        11,
        "USER_SCRAM_CREDENTIAL_RECORD",
        0,
        &[
            Field::new("name", Text),
            Field::new("mechanism", Int8),
            Field::new("salt", Bytes),
            Field::new("storedKey", Bytes),
            Field::new("serverKey", Bytes),
            Field::new("iterations", Int32),
        ],
    ),
    Type::new(12, "FEATURE_LEVEL_RECORD", 0, &[Field::new("name", Text), Field::new("featureLevel", Int16)]),
    Type::new(
        14,
        "CLIENT_QUOTA_RECORD",
        0,
        &[
            Field::new(
                "entity",
                Array(&Struct(&[Field::new("entityType", Text), Field::new("entityName", Text).or_null()])),
            ),
            Field::new("key", Text),
            Field::new("value", Double),
            Field::new("remove", Bool),
        ],
    ),
    Type::new(
        15,
        "PRODUCER_IDS_RECORD",
        0,
        &[
            Field::new("brokerId", Int32),
            Field::new("brokerEpoch", Int64),
            Field::new("nextProducerId", Int64),
        ],
    ),
    Type::new(
        17,
        "BROKER_REGISTRATION_CHANGE_RECORD",
        3,
        &[
            Field::new("brokerId", Int32),
            Field::new("brokerEpoch", Int64),
            Field::new("fenced", Int8).tagged(0),
            Field::new("inControlledShutdown", Int8).since(1).tagged(1),
            Field::new("logDirs", Array(&ID)).since(2).tagged(2),
            Field::new("cordonedLogDirs", Array(&ID)).since(3).or_null().tagged(3).null_by_default(),
        ],
    ),
    Type::new(
        18,
        "ACCESS_CONTROL_ENTRY_RECORD",
        0,
        &[
            Field::new("id", Id),
            Field::new("resourceType", Int8),
            Field::new("resourceName", Text),
            Field::new("patternType", Int8),
            Field::new("principal", Text),
            Field::new("host", Text),
            Field::new("operation", Int8),
            Field::new("permissionType", Int8),
        ],
    ),
    Type::new(19, "REMOVE_ACCESS_CONTROL_ENTRY_RECORD", 0, &[Field::new("id", Id)]),
    Type::new(20, "NO_OP_RECORD", 0, &[]),
    Type::new(21, "ZK_MIGRATION_STATE_RECORD", 0, &[Field::new("zkMigrationState", Int8)]),
    Type::new(
        22,
        "REMOVE_USER_SCRAM_CREDENTIAL_RECORD",
        0,
        &[Field::new("name", Text), Field::new("mechanism", Int8)],
    ),
    Type::new(
        23,
        "BEGIN_TRANSACTION_RECORD",
        0,
        &[Field::new("name", Text).or_null().tagged(0).null_by_default()],
    ),
    Type::new(24, "END_TRANSACTION_RECORD", 0, &[]),
    Type::new(
        25,
        "ABORT_TRANSACTION_RECORD",
        0,
        &[Field::new("reason", Text).or_null().tagged(0).null_by_default()],
    ),
    Type::new(26, "REMOVE_DELEGATION_TOKEN_RECORD", 0, &[Field::new("tokenId", Text)]),
    Type::new(
        27,
        "REGISTER_CONTROLLER_RECORD",
        0,
        &[
            Field::new("controllerId", Int32),
            Field::new("incarnationId", Id),
            Field::new("zkMigrationReady", Bool),
            Field::new("endPoints", Array(&ENDPOINT)),
            Field::new("features", Array(&FEATURE)),
        ],
    ),
    Type::new(28, "CLEAR_ELR_RECORD", 0, &[Field::new("topicName", Text)]),
];

/// A record as JSON: type, version, and what it says.
///
/// # Errors
/// [`Fault`].
pub fn json(value: &[u8]) -> Result<String, Fault> {
    let unknown = |number| {
        format!("org.apache.kafka.common.errors.UnsupportedVersionException: Unknown metadata id {number}")
    };
    let Message { name, version, data, .. } = read(value, TYPES, unknown)?;
    let version = Json::Number(version.into());
    let told = vec![("type", Json::Text(name.into())), ("version", version), ("data", data)];
    Ok(Json::Object(told).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_with_its_type_and_version() {
        let topic = [&[1, 2, 0, 2, b't'][..], &[0; 16], &[0]].concat();
        let expected =
            r#"{"type":"TOPIC_RECORD","version":0,"data":{"name":"t","topicId":"AAAAAAAAAAAAAAAAAAAAAA"}}"#;
        assert_eq!(json(&topic).expect("well formed"), expected);
    }

    #[test]
    fn a_list_that_is_empty_is_not_one_that_was_left_alone() {
        // Partition 1 of a topic; replicas that are removed: none any more.
        let change = [&[1, 5, 0, 0, 0, 0, 1][..], &[0; 16], &[1, 3, 1, 1]].concat();
        let told = json(&change).expect("well formed");
        assert!(told.ends_with(r#""removingReplicas":[]}}"#), "{told}");
    }

    #[test]
    fn what_cannot_be_read_is_told_in_kafkas_words() {
        let told = |bytes: &[u8]| json(bytes).expect_err("damaged").to_string();
        assert_eq!(told(&[]), "Error while reading frame version");
        assert!(told(&[0]).starts_with("Could not deserialize metadata record with frame version 0."));
        assert_eq!(
            told(&[2]),
            "Could not deserialize metadata record due to unknown frame version 2(only frame version 1 is supported)"
        );
        assert!(told(&[1, 6, 0]).ends_with("Unknown metadata id 6"));
        assert_eq!(told(&[1, 0xff, 0xff, 3]), "Value for type was too large.");
        assert_eq!(told(&[1, 2, 0, 5]), "Failed to deserialize record with type 2");
        assert_eq!(told(&[1, 2, 9]), "Failed to deserialize record with type 2");
        assert_eq!(told(&[1, 20, 0, 0, 7, 7]), "Found 2 byte(s) of garbage after 20");
    }
}
