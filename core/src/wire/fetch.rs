//! The Fetch response, versions 4 to 18, encoded around its records instead of over them: what comes out is a list
//! of parts, in which ours alternate with the log's, and no byte of a record is touched.

mod answer;

pub use answer::{AnswerHead, AnsweredPartition, BadAnswer, FOLLOWER_FETCH_VERSION, read_answer};

use super::{WireError, versions_of};
use crate::{
    error::ErrorCode,
    ids::{LeaderEpoch, NodeId, Offset, ProducerId, TopicId},
};
use bytes::{BufMut, Bytes};
use corelane_seam::Part;
use kafka_protocol::protocol::StrBytes;

/// A response to Fetch. Fields that a version lacks are left out when it is encoded.
#[derive(Clone, Debug)]
pub struct FetchResponse {
    /// In milliseconds.
    pub throttle_ms: i32,
    /// Of the whole request (version 7 and later; before, it is lost).
    pub error: ErrorCode,
    /// Of the fetch session (KIP-227), 0 for none (version 7 and later).
    pub session_id: i32,
    /// In the order of the request.
    pub topics: Vec<FetchTopic>,
    /// Where the leaders named in [`FetchPartition::current_leader`] listen (version 16 and later, KIP-951).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// A topic's part of it.
#[derive(Clone, Debug, Default)]
pub struct FetchTopic {
    /// Up to version 12.
    pub name: StrBytes,
    /// From version 13.
    pub id: TopicId,
    /// In the order of the request.
    pub partitions: Vec<FetchPartition>,
}

/// A partition's part of it. [`FetchPartition::new`] says "unknown" to everything.
#[derive(Clone, Debug)]
pub struct FetchPartition {
    /// Number in its topic.
    pub index: i32,
    /// Of this partition.
    pub error: ErrorCode,
    /// -1 if unknown.
    pub high_watermark: Offset,
    /// -1 if unknown.
    pub last_stable_offset: Offset,
    /// -1 if unknown (version 5 and later).
    pub log_start_offset: Offset,
    /// For read_committed; `None` (null on the wire) otherwise.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Where to fetch instead (KIP-392; version 11 and later).
    pub preferred_read_replica: Option<NodeId>,
    /// Where the follower's log leaves the leader's (KIP-595; version 12 and later).
    pub diverging_epoch: Option<EpochEnd>,
    /// Who leads, told with an error (version 12 and later).
    pub current_leader: Option<CurrentLeader>,
    /// The snapshot to fetch instead (version 12 and later).
    pub snapshot: Option<SnapshotEnd>,
    /// Whole record batches, in offset order. Without any, zero bytes are sent (not null, as Kafka does).
    pub records: Vec<Part>,
}

impl FetchPartition {
    /// An answer without records, with all offsets unknown.
    pub fn new(index: i32, error: ErrorCode) -> FetchPartition {
        const UNKNOWN: Offset = Offset(-1);
        FetchPartition {
            index,
            error,
            high_watermark: UNKNOWN,
            last_stable_offset: UNKNOWN,
            log_start_offset: UNKNOWN,
            aborted_transactions: None,
            preferred_read_replica: None,
            diverging_epoch: None,
            current_leader: None,
            snapshot: None,
            records: Vec::new(),
        }
    }

    /// Bytes of records.
    pub fn record_bytes(&self) -> u64 {
        self.records.iter().map(Part::len).sum()
    }
}

/// A transaction whose records a read_committed consumer must skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// Its first offset in this partition.
    pub first_offset: Offset,
}

/// The end of the largest epoch that both logs share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// That epoch.
    pub epoch: LeaderEpoch,
    /// Its end on the leader.
    pub end_offset: Offset,
}

/// A leader, as far as this broker knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentLeader {
    /// -1 if there is none.
    pub leader_id: NodeId,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
}

/// The end of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotEnd {
    /// Offset behind its last record.
    pub end_offset: Offset,
    /// Epoch of its last record.
    pub epoch: LeaderEpoch,
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// Which broker.
    pub node_id: NodeId,
    /// Name or address.
    pub host: StrBytes,
    /// TCP.
    pub port: i32,
    /// `broker.rack`.
    pub rack: Option<StrBytes>,
}

impl Default for FetchResponse {
    /// No error, no session, nothing fetched.
    fn default() -> Self {
        FetchResponse {
            throttle_ms: 0,
            error: ErrorCode::None,
            session_id: 0,
            topics: Vec::new(),
            node_endpoints: Vec::new(),
        }
    }
}

/// First version with compact lengths and tagged fields.
const FLEXIBLE: i16 = 12;

impl FetchResponse {
    /// The whole response as parts to send in order: length prefix, header, and the body, in which the records' own
    /// parts stand where they belong. All other bytes are in one allocation, however many parts share it.
    ///
    /// # Errors
    /// [`WireError::Encode`] if the version is not one of 4 to 18, a string is too long for it, or the whole is
    /// larger than the 2 GiB that a length prefix can say.
    pub fn encode(self, correlation_id: i32, version: i16) -> Result<Vec<Part>, WireError> {
        let versions = versions_of::<kafka_protocol::messages::FetchResponse>();
        if !(versions.min..=versions.max).contains(&version) {
            return Err(WireError::Encode(format!("Fetch v{version}")));
        }
        let mut encoder = Encoder::new(version, self.size_hint());
        encoder.out.put_i32(0);
        encoder.out.put_i32(correlation_id);
        encoder.no_tags();
        encoder.response(self)?;
        encoder.finish()
    }

    /// About the bytes beside the records, rather too many than too few.
    fn size_hint(&self) -> usize {
        let partition = |partition: &FetchPartition| {
            112 + 17 * partition.aborted_transactions.as_ref().map_or(0, Vec::len)
        };
        let topic = |topic: &FetchTopic| {
            32 + topic.name.len() + topic.partitions.iter().map(partition).sum::<usize>()
        };
        64 + self.topics.iter().map(topic).sum::<usize>() + 300 * self.node_endpoints.len()
    }
}

/// Writes our bytes into one buffer and remembers where the records go.
struct Encoder {
    version: i16,
    out: Vec<u8>,
    /// Places in `out`, ascending, and the records that come there.
    records: Vec<(usize, Vec<Part>)>,
}

impl Encoder {
    fn new(version: i16, size_hint: usize) -> Encoder {
        Encoder { version, out: Vec::with_capacity(size_hint), records: Vec::new() }
    }

    fn response(&mut self, response: FetchResponse) -> Result<(), WireError> {
        self.out.put_i32(response.throttle_ms);
        if self.version >= 7 {
            self.error(response.error);
            self.out.put_i32(response.session_id);
        }
        self.count(response.topics.len())?;
        for topic in response.topics {
            self.topic(topic)?;
        }
        if self.version >= 16 && !response.node_endpoints.is_empty() {
            self.out.put_u8(1);
            let mut endpoints = Encoder::new(self.version, 300 * response.node_endpoints.len());
            endpoints.node_endpoints(&response.node_endpoints)?;
            self.tagged(0, &endpoints.out)
        } else {
            self.no_tags();
            Ok(())
        }
    }

    fn topic(&mut self, topic: FetchTopic) -> Result<(), WireError> {
        if self.version <= 12 {
            self.string(&topic.name)?;
        } else {
            self.out.put_slice(topic.id.0.as_bytes());
        }
        self.count(topic.partitions.len())?;
        for partition in topic.partitions {
            self.partition(partition)?;
        }
        self.no_tags();
        Ok(())
    }

    fn partition(&mut self, partition: FetchPartition) -> Result<(), WireError> {
        self.out.put_i32(partition.index);
        self.error(partition.error);
        self.out.put_i64(partition.high_watermark.0);
        self.out.put_i64(partition.last_stable_offset.0);
        if self.version >= 5 {
            self.out.put_i64(partition.log_start_offset.0);
        }
        self.aborted(partition.aborted_transactions.as_deref())?;
        if self.version >= 11 {
            self.out.put_i32(partition.preferred_read_replica.map_or(-1, |node| node.0));
        }
        let bytes = usize::try_from(partition.record_bytes()).map_err(|_| too_large())?;
        self.length(bytes)?;
        let FetchPartition { diverging_epoch, current_leader, snapshot, records, .. } = partition;
        if bytes > 0 {
            self.records.push((self.out.len(), records));
        }
        if self.version >= FLEXIBLE {
            self.partition_tags(diverging_epoch, current_leader, snapshot)?;
        }
        Ok(())
    }

    fn aborted(&mut self, transactions: Option<&[AbortedTransaction]>) -> Result<(), WireError> {
        let Some(transactions) = transactions else {
            self.null();
            return Ok(());
        };
        self.count(transactions.len())?;
        for transaction in transactions {
            self.out.put_i64(transaction.producer_id.0);
            self.out.put_i64(transaction.first_offset.0);
            self.no_tags();
        }
        Ok(())
    }

    fn partition_tags(
        &mut self,
        diverging: Option<EpochEnd>,
        leader: Option<CurrentLeader>,
        snapshot: Option<SnapshotEnd>,
    ) -> Result<(), WireError> {
        let count = [diverging.is_some(), leader.is_some(), snapshot.is_some()];
        self.varint(count.into_iter().map(usize::from).sum())?;
        if let Some(EpochEnd { epoch, end_offset }) = diverging {
            let mut field = [0; 13];
            field[..4].copy_from_slice(&epoch.0.to_be_bytes());
            field[4..12].copy_from_slice(&end_offset.0.to_be_bytes());
            self.tagged(0, &field)?;
        }
        if let Some(CurrentLeader { leader_id, leader_epoch }) = leader {
            let mut field = [0; 9];
            field[..4].copy_from_slice(&leader_id.0.to_be_bytes());
            field[4..8].copy_from_slice(&leader_epoch.0.to_be_bytes());
            self.tagged(1, &field)?;
        }
        if let Some(SnapshotEnd { end_offset, epoch }) = snapshot {
            let mut field = [0; 13];
            field[..8].copy_from_slice(&end_offset.0.to_be_bytes());
            field[8..12].copy_from_slice(&epoch.0.to_be_bytes());
            self.tagged(2, &field)?;
        }
        Ok(())
    }

    fn node_endpoints(&mut self, endpoints: &[NodeEndpoint]) -> Result<(), WireError> {
        self.count(endpoints.len())?;
        for endpoint in endpoints {
            self.out.put_i32(endpoint.node_id.0);
            self.string(&endpoint.host)?;
            self.out.put_i32(endpoint.port);
            match &endpoint.rack {
                Some(rack) => self.string(rack)?,
                None => self.null(),
            }
            self.no_tags();
        }
        Ok(())
    }

    /// Cuts the buffer where records belong and writes the length of the whole in front.
    fn finish(mut self) -> Result<Vec<Part>, WireError> {
        let records: u64 = self.records.iter().flat_map(|(_, parts)| parts).map(Part::len).sum();
        let frame = self.out.len() as u64 - 4 + records;
        let prefix = i32::try_from(frame).map_err(|_| too_large())?;
        self.out[..4].copy_from_slice(&prefix.to_be_bytes());
        let ours = Bytes::from(self.out);
        let mut parts = Vec::with_capacity(2 * self.records.len() + 1);
        let mut from = 0;
        for (at, records) in self.records {
            parts.push(Part::Bytes(ours.slice(from..at)));
            parts.extend(records.into_iter().filter(|part| !part.is_empty()));
            from = at;
        }
        if from < ours.len() {
            parts.push(Part::Bytes(ours.slice(from..)));
        }
        Ok(parts)
    }

    fn error(&mut self, error: ErrorCode) {
        self.out.put_i16(error.code());
    }

    fn count(&mut self, count: usize) -> Result<(), WireError> {
        self.length(count)
    }

    fn length(&mut self, length: usize) -> Result<(), WireError> {
        if self.version >= FLEXIBLE {
            self.varint(length + 1)
        } else {
            self.out.put_i32(i32::try_from(length).map_err(|_| too_large())?);
            Ok(())
        }
    }

    fn string(&mut self, text: &str) -> Result<(), WireError> {
        if self.version >= FLEXIBLE {
            self.varint(text.len() + 1)?;
        } else {
            self.out.put_i16(i16::try_from(text.len()).map_err(|_| too_large())?);
        }
        self.out.put_slice(text.as_bytes());
        Ok(())
    }

    /// A null array, or a null compact string.
    fn null(&mut self) {
        if self.version >= FLEXIBLE { self.out.put_u8(0) } else { self.out.put_i32(-1) }
    }

    /// No tagged fields, where there could be some.
    fn no_tags(&mut self) {
        if self.version >= FLEXIBLE {
            self.out.put_u8(0);
        }
    }

    fn tagged(&mut self, tag: u8, field: &[u8]) -> Result<(), WireError> {
        self.out.put_u8(tag);
        self.varint(field.len())?;
        self.out.put_slice(field);
        Ok(())
    }

    fn varint(&mut self, value: usize) -> Result<(), WireError> {
        let mut value = u32::try_from(value).map_err(|_| too_large())?;
        while value >= 0x80 {
            self.out.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
        Ok(())
    }
}

fn too_large() -> WireError {
    WireError::Encode("larger than its length field can say".into())
}

#[cfg(test)]
mod tests;
