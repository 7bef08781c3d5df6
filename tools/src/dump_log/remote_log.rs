//! What brokers tell each other of segments in remote storage (`__remote_log_metadata`), in the words of Kafka's
//! `toString`.

use super::framed::{Fault, Message, Type, read};
use crate::coordinator::{
    Json,
    schema::{Field, Kind},
};
use Kind::{Array, Bool, Bytes, Id, Int8, Int32, Int64, Struct, Text};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::collections::BTreeMap;

const PLACE: Kind = Struct(&[Field::new("name", Text), Field::new("id", Id), Field::new("partition", Int32)]);

const SEGMENT: Kind = Struct(&[Field::new("topicIdPartition", PLACE), Field::new("id", Id)]);

const EPOCH: Kind = Struct(&[Field::new("leaderEpoch", Int32), Field::new("offset", Int64)]);

const TYPES: &[Type] = &[
    Type::new(
        0,
        "REMOTE_LOG_SEGMENT_METADATA_RECORD",
        0,
        &[
            Field::new("remoteLogSegmentId", SEGMENT),
            Field::new("startOffset", Int64),
            Field::new("endOffset", Int64),
            Field::new("brokerId", Int32),
            Field::new("maxTimestampMs", Int64),
            Field::new("eventTimestampMs", Int64),
            Field::new("segmentLeaderEpochs", Array(&EPOCH)),
            Field::new("segmentSizeInBytes", Int32),
            Field::new("customMetadata", Bytes).or_null(),
            Field::new("remoteLogSegmentState", Int8),
            Field::new("txnIndexEmpty", Bool).tagged(0),
        ],
    ),
    Type::new(
        1,
        "REMOTE_LOG_SEGMENT_METADATA_UPDATE_RECORD",
        0,
        &[
            Field::new("remoteLogSegmentId", SEGMENT),
            Field::new("brokerId", Int32),
            Field::new("eventTimestampMs", Int64),
            Field::new("customMetadata", Bytes).or_null(),
            Field::new("remoteLogSegmentState", Int8),
        ],
    ),
    Type::new(
        2,
        "REMOTE_PARTITION_DELETE_METADATA_RECORD",
        0,
        &[
            Field::new("topicIdPartition", PLACE),
            Field::new("brokerId", Int32),
            Field::new("eventTimestampMs", Int64),
            Field::new("remotePartitionDeleteState", Int8),
        ],
    ),
    Type::new(
        3,
        "REMOTE_LOG_SEGMENT_METADATA_SNAPSHOT_RECORD",
        0,
        &[
            Field::new("segmentId", Id),
            Field::new("startOffset", Int64),
            Field::new("endOffset", Int64),
            Field::new("brokerId", Int32),
            Field::new("maxTimestampMs", Int64),
            Field::new("eventTimestampMs", Int64),
            Field::new("segmentLeaderEpochs", Array(&EPOCH)),
            Field::new("segmentSizeInBytes", Int32),
            Field::new("customMetadata", Bytes).or_null(),
            Field::new("remoteLogSegmentState", Int8),
            Field::new("txnIndexEmpty", Bool).tagged(0),
        ],
    ),
];

const SEGMENT_STATES: &[&str] =
    &["COPY_SEGMENT_STARTED", "COPY_SEGMENT_FINISHED", "DELETE_SEGMENT_STARTED", "DELETE_SEGMENT_FINISHED"];

const PARTITION_STATES: &[&str] =
    &["DELETE_PARTITION_MARKED", "DELETE_PARTITION_STARTED", "DELETE_PARTITION_FINISHED"];

/// A record, as Kafka's object of it prints itself.
///
/// # Errors
/// [`Fault`].
pub fn text(value: &[u8]) -> Result<String, Fault> {
    let unknown = |number| {
        format!("org.apache.kafka.common.errors.UnsupportedVersionException: Unknown metadata id {number}")
    };
    let Message { number, data, .. } = read(value, TYPES, unknown)?;
    let told = Told(&data);
    match number {
        0 => told.segment(),
        1 => told.update(),
        2 => told.partition(),
        _ => told.snapshot(),
    }
    .map_err(Fault)
}

/// The fields of a record.
struct Told<'a>(&'a Json);

type Said = Result<String, String>;

impl Told<'_> {
    fn segment(&self) -> Said {
        let (start, end) = (self.number("startOffset"), self.number("endOffset"));
        if start < 0 {
            return Err(format!(
                "Unexpected start offset = {start}. StartOffset for a remote segment cannot be negative"
            ));
        }
        if end < start {
            return Err(format!(
                "Unexpected end offset = {end}. EndOffset for a remote segment cannot be less than startOffset = {start}"
            ));
        }
        Ok(format!(
            "RemoteLogSegmentMetadata{{remoteLogSegmentId={}, startOffset={start}, endOffset={end}, brokerId={}, \
             maxTimestampMs={}, eventTimestampMs={}, segmentLeaderEpochs={}, segmentSizeInBytes={}, customMetadata={}, \
             state={}, txnIdxEmpty={}}}",
            self.id(),
            self.number("brokerId"),
            self.number("maxTimestampMs"),
            self.number("eventTimestampMs"),
            self.epochs()?,
            self.number("segmentSizeInBytes"),
            self.custom(),
            self.state()?,
            self.is_index_empty()
        ))
    }

    fn update(&self) -> Said {
        Ok(format!(
            "RemoteLogSegmentMetadataUpdate{{remoteLogSegmentId={}, customMetadata={}, state={}, eventTimestampMs={}, \
             brokerId={}}}",
            self.id(),
            self.custom(),
            self.state()?,
            self.number("eventTimestampMs"),
            self.number("brokerId")
        ))
    }

    fn partition(&self) -> Said {
        Ok(format!(
            "RemotePartitionDeleteMetadata{{topicPartition={}, state={}, eventTimestampMs={}, brokerId={}}}",
            self.inside("topicIdPartition").place(),
            state(self.number("remotePartitionDeleteState"), PARTITION_STATES).ok_or("null")?,
            self.number("eventTimestampMs"),
            self.number("brokerId")
        ))
    }

    fn snapshot(&self) -> Said {
        Ok(format!(
            "RemoteLogSegmentMetadataSnapshot{{segmentId={}, startOffset={}, endOffset={}, maxTimestampMs={}, \
             segmentLeaderEpochs={}, segmentSizeInBytes={}, customMetadata={}, state={}, txnIdxEmpty={}}}",
            self.text("segmentId"),
            self.number("startOffset"),
            self.number("endOffset"),
            self.number("maxTimestampMs"),
            self.epochs()?,
            self.number("segmentSizeInBytes"),
            self.custom(),
            self.state()?,
            self.is_index_empty()
        ))
    }

    fn get(&self, name: &str) -> &Json {
        self.0.get(name).unwrap_or(&Json::Null)
    }

    fn inside(&self, name: &str) -> Told<'_> {
        Told(self.get(name))
    }

    fn number(&self, name: &str) -> i64 {
        match self.get(name) {
            Json::Number(number) => *number,
            _ => 0,
        }
    }

    fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Json::Text(text) => text,
            _ => "",
        }
    }

    fn place(&self) -> String {
        format!("{}:{}-{}", self.text("id"), self.text("name"), self.number("partition"))
    }

    fn id(&self) -> String {
        let segment = self.inside("remoteLogSegmentId");
        let place = segment.inside("topicIdPartition").place();
        format!("RemoteLogSegmentId{{topicIdPartition={place}, id={}}}", segment.text("id"))
    }

    fn epochs(&self) -> Said {
        let Json::Array(epochs) = self.get("segmentLeaderEpochs") else { return Ok(String::new()) };
        if epochs.is_empty() {
            return Err("segmentLeaderEpochs can not be null or empty".into());
        }
        let epochs = epochs.iter().map(Told);
        // Of an epoch that is there twice the last counts.
        let epochs: BTreeMap<i64, i64> =
            epochs.map(|epoch| (epoch.number("leaderEpoch"), epoch.number("offset"))).collect();
        let epochs: Vec<String> = epochs.iter().map(|(epoch, offset)| format!("{epoch}={offset}")).collect();
        Ok(format!("{{{}}}", epochs.join(", ")))
    }

    fn custom(&self) -> String {
        match self.get("customMetadata") {
            Json::Text(encoded) => {
                let bytes = STANDARD.decode(encoded).map_or(0, |bytes| bytes.len());
                format!("Optional[CustomMetadata{{{bytes} bytes}}]")
            }
            _ => "Optional.empty".into(),
        }
    }

    fn is_index_empty(&self) -> bool {
        *self.get("txnIndexEmpty") == Json::Bool(true)
    }

    fn state(&self) -> Result<&'static str, &'static str> {
        state(self.number("remoteLogSegmentState"), SEGMENT_STATES).ok_or("state can not be null")
    }
}

fn state(number: i64, states: &[&'static str]) -> Option<&'static str> {
    states.get(usize::try_from(number).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_as_kafkas_object_prints_itself() {
        let place = [&[2, b't'][..], &[0; 16], &[0, 0, 0, 3], &[0]].concat();
        let deleted = [&[1, 2, 0][..], &place, &[0, 0, 0, 1], &9_i64.to_be_bytes(), &[1, 0]].concat();
        let expected = "RemotePartitionDeleteMetadata{topicPartition=AAAAAAAAAAAAAAAAAAAAAA:t-3, \
                        state=DELETE_PARTITION_STARTED, eventTimestampMs=9, brokerId=1}";
        assert_eq!(text(&deleted).expect("well formed"), expected);
        let mut unknown = deleted;
        let state = unknown.len() - 2;
        unknown[state] = 9;
        assert_eq!(
            text(&unknown).expect_err("no such state").to_string(),
            "null",
            "Kafka's has no more to say"
        );
    }
}
