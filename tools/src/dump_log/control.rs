//! What control records say (`ControlRecordType`): the key is a version and a type; of markers of transactions the value is a
//! version and the coordinator's epoch, of a metadata quorum's own records a message that begins with its version.

use crate::coordinator::schema::{Field, Fields, Kind, Reader};
use Kind::{Array, Id, Int16, Int32, Int64, Struct, Text, Uint16};
use corelane_core::records::Record;

const CANDIDATE: Kind = Struct(&[Field::new("voterId", Int32), Field::new("voterDirectoryId", Id).since(1)]);

const LEADER_CHANGE: Fields = &[
    Field::new("version", Int16),
    Field::new("leaderId", Int32),
    Field::new("voters", Array(&CANDIDATE)),
    Field::new("grantingVoters", Array(&CANDIDATE)),
];

const SNAPSHOT_HEADER: Fields =
    &[Field::new("version", Int16), Field::new("lastContainedLogTimestamp", Int64)];

const SNAPSHOT_FOOTER: Fields = &[Field::new("version", Int16)];

const KRAFT_VERSION: Fields = &[Field::new("version", Int16), Field::new("kRaftVersion", Int16)];

const KRAFT_VOTERS: Fields = &[
    Field::new("version", Int16),
    Field::new(
        "voters",
        Array(&Struct(&[
            Field::new("voterId", Int32),
            Field::new("voterDirectoryId", Id),
            Field::new(
                "endpoints",
                Array(&Struct(&[
                    Field::new("name", Text),
                    Field::new("host", Text),
                    Field::new("port", Uint16),
                ])),
            ),
            Field::new(
                "kRaftVersionFeature",
                Struct(&[Field::new("minSupportedVersion", Int16), Field::new("maxSupportedVersion", Int16)]),
            ),
        ])),
    ),
];

/// What stands behind a control record's metadata.
pub fn told(record: &Record<'_>) -> String {
    let number = record.key.and_then(|key| short(key, 2)).unwrap_or(-1);
    let value = record.value.unwrap_or_default();
    let (before, fields) = match number {
        0 | 1 => {
            let kind = if number == 0 { "ABORT" } else { "COMMIT" };
            let epoch = value.get(2..6).and_then(|it| it.try_into().ok()).map_or(-1, i32::from_be_bytes);
            return format!(" endTxnMarker: {kind} coordinatorEpoch: {epoch}");
        }
        2 => (" LeaderChange: ", LEADER_CHANGE),
        3 => (" SnapshotHeader ", SNAPSHOT_HEADER),
        4 => (" SnapshotFooter ", SNAPSHOT_FOOTER),
        5 => (" KRaftVersion ", KRAFT_VERSION),
        6 => (" KRaftVoters ", KRAFT_VOTERS),
        _ => return format!(" controlType: UNKNOWN({number})"),
    };
    let version = short(value, 0).unwrap_or(0);
    match Reader::new(value, version, true).fields(fields) {
        Ok(json) => format!("{before}{json}"),
        Err(reason) => format!("{before}cannot be read: {reason}"),
    }
}

fn short(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
