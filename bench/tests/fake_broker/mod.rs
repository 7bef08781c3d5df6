//! A broker of one thread per connection that keeps batches in memory: just enough of one to show that the load
//! generator's requests are right and that it believes nothing it should not.

use bytes::{Bytes, BytesMut};
use corelane_core::{
    ids::{LeaderEpoch, Offset},
    records::{Batches, header},
    wire::{RequestHeader, decode_request, encode_response},
};
use kafka_protocol::{
    messages::{
        ApiVersionsResponse, BrokerId, CreateTopicsRequest, CreateTopicsResponse, EndTxnRequest,
        EndTxnResponse, FetchRequest, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse,
        InitProducerIdResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataResponse, ProduceRequest,
        ProduceResponse, TopicName,
        api_versions_response::{ApiVersion, FinalizedFeatureKey},
        create_topics_response::CreatableTopicResult,
        fetch_response::FetchableTopicResponse,
        fetch_response::PartitionData,
        find_coordinator_response::Coordinator,
        list_offsets_response::ListOffsetsPartitionResponse,
        list_offsets_response::ListOffsetsTopicResponse,
        metadata_response::MetadataResponseBroker,
        metadata_response::MetadataResponsePartition,
        metadata_response::MetadataResponseTopic,
        produce_response::PartitionProduceResponse,
        produce_response::TopicProduceResponse,
    },
    protocol::StrBytes,
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use uuid::Uuid;

const TOPIC_ID: Uuid = Uuid::from_u128(7);

/// API keys that it serves, with the newest version.
const SERVED: [(i16, i16); 9] =
    [(0, 13), (1, 16), (2, 7), (3, 12), (10, 4), (18, 3), (19, 7), (22, 4), (26, 5)];

/// What it shall do wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Refuses every n-th batch with this code.
    pub refuse: Option<(u64, i16)>,
    /// Flips a bit in what it gives to consumers.
    pub damage: bool,
    /// Leaves out every n-th batch when it gives them to consumers.
    pub skip: Option<usize>,
    /// Closes a connection instead of answering Produce.
    pub hang_up: bool,
    /// Answers every n-th EndTxn that something is going on yet.
    pub busy: Option<u64>,
    /// Finalizes no version of transactions.
    pub without_transactions: bool,
}

#[derive(Default)]
struct State {
    name: Option<TopicName>,
    partitions: Vec<Partition>,
    batches: u64,
    producer_ids: i64,
    /// Transactions that were ended, and how often that was asked.
    ended: u64,
    end_asked: u64,
    /// Batches whose sequence was not the one that had to follow.
    sequence_faults: u64,
}

#[derive(Default)]
struct Partition {
    batches: Vec<(i64, Bytes)>,
    end: i64,
    /// By id and epoch.
    producers: std::collections::BTreeMap<(i64, i16), i32>,
}

/// Serves until the test's process ends.
#[derive(Clone)]
pub struct FakeBroker {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    faults: Faults,
}

impl FakeBroker {
    pub fn start(faults: Faults) -> FakeBroker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let broker = FakeBroker { address, state: Arc::default(), faults };
        let serving = broker.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let broker = serving.clone();
                // A client that hangs up, or is made to, ends only its own thread.
                thread::spawn(move || broker.serve(stream.unwrap()));
            }
        });
        broker
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Records in all partitions.
    pub fn records(&self) -> i64 {
        self.state.lock().unwrap().partitions.iter().map(|partition| partition.end).sum()
    }

    pub fn sequence_faults(&self) -> u64 {
        self.state.lock().unwrap().sequence_faults
    }

    /// Transactions that were committed.
    pub fn ended(&self) -> u64 {
        self.state.lock().unwrap().ended
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        loop {
            let mut prefix = [0; 4];
            stream.read_exact(&mut prefix).ok()?;
            let mut frame = BytesMut::zeroed(usize::try_from(i32::from_be_bytes(prefix)).unwrap());
            stream.read_exact(&mut frame).ok()?;
            let frame = frame.freeze();
            let header = RequestHeader::parse(&frame).unwrap();
            let (id, version) = (header.correlation_id, header.api_version);
            let answer = match header.api_key {
                0 => self.produce(id, version, &decode_request(&header, &frame).unwrap())?,
                1 => encode_response(
                    id,
                    version,
                    &self.fetch(version, &decode_request(&header, &frame).unwrap()),
                ),
                2 => encode_response(
                    id,
                    version,
                    &self.list_offsets(&decode_request(&header, &frame).unwrap()),
                ),
                3 => encode_response(id, version, &self.metadata()),
                10 => encode_response(
                    id,
                    version,
                    &self.coordinators(&decode_request(&header, &frame).unwrap()),
                ),
                18 => encode_response(id, version, &api_versions(!self.faults.without_transactions)),
                19 => encode_response(id, version, &self.create(&decode_request(&header, &frame).unwrap())),
                22 => encode_response(id, version, &self.producer_id()),
                26 => encode_response(id, version, &self.end(&decode_request(&header, &frame).unwrap())),
                other => panic!("key {other} is not advertised"),
            };
            stream.write_all(&answer.unwrap()).ok()?;
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let state = self.state.lock().unwrap();
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(1))
            .with_host(StrBytes::from_string(self.address.ip().to_string()))
            .with_port(i32::from(self.address.port()));
        let partition = |index| {
            MetadataResponsePartition::default()
                .with_partition_index(i32::try_from(index).unwrap())
                .with_leader_id(BrokerId(1))
        };
        let topic = match &state.name {
            None => MetadataResponseTopic::default().with_error_code(3).with_name(Some(TopicName::default())),
            Some(name) => MetadataResponseTopic::default()
                .with_name(Some(name.clone()))
                .with_topic_id(TOPIC_ID)
                .with_partitions((0..state.partitions.len()).map(partition).collect()),
        };
        MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic])
    }

    fn create(&self, request: &CreateTopicsRequest) -> CreateTopicsResponse {
        let mut state = self.state.lock().unwrap();
        let wanted = &request.topics[0];
        if state.name.as_ref() == Some(&wanted.name) {
            let exists = CreatableTopicResult::default().with_name(wanted.name.clone()).with_error_code(36);
            return CreateTopicsResponse::default().with_topics(vec![exists]);
        }
        state.name = Some(wanted.name.clone());
        state.partitions = (0..wanted.num_partitions).map(|_| Partition::default()).collect();
        let created = CreatableTopicResult::default().with_name(wanted.name.clone()).with_topic_id(TOPIC_ID);
        CreateTopicsResponse::default().with_topics(vec![created])
    }

    fn producer_id(&self) -> InitProducerIdResponse {
        let mut state = self.state.lock().unwrap();
        state.producer_ids += 1;
        InitProducerIdResponse::default().with_producer_id(state.producer_ids.into()).with_producer_epoch(0)
    }

    /// It coordinates everything itself.
    fn coordinators(&self, request: &FindCoordinatorRequest) -> FindCoordinatorResponse {
        let found = |key: &StrBytes| {
            Coordinator::default()
                .with_key(key.clone())
                .with_host(StrBytes::from_string(self.address.ip().to_string()))
                .with_port(i32::from(self.address.port()))
        };
        FindCoordinatorResponse::default()
            .with_coordinators(request.coordinator_keys.iter().map(found).collect())
    }

    /// Gives the next epoch, as version 2 of transactions has it.
    fn end(&self, request: &EndTxnRequest) -> EndTxnResponse {
        let mut state = self.state.lock().unwrap();
        state.end_asked += 1;
        if self.faults.busy.is_some_and(|nth| state.end_asked.is_multiple_of(nth)) {
            return EndTxnResponse::default().with_error_code(51);
        }
        assert!(request.committed);
        state.ended += 1;
        EndTxnResponse::default()
            .with_producer_id(request.producer_id)
            .with_producer_epoch(request.producer_epoch + 1)
    }

    /// `None` ends the connection.
    fn produce(
        &self,
        id: i32,
        version: i16,
        request: &ProduceRequest,
    ) -> Option<Result<Bytes, corelane_core::wire::WireError>> {
        if self.faults.hang_up {
            return None;
        }
        let mut state = self.state.lock().unwrap();
        assert_eq!(request.topic_data[0].topic_id, TOPIC_ID, "version 13 names topics by id");
        let mut answers = Vec::new();
        for data in &request.topic_data[0].partition_data {
            state.batches += 1;
            let refused = self.faults.refuse.filter(|(nth, _)| state.batches.is_multiple_of(*nth));
            let answer = PartitionProduceResponse::default().with_index(data.index);
            answers.push(match refused {
                Some((_, code)) => answer.with_error_code(code),
                None => answer.with_base_offset(state.append(data.index, data.records.as_ref().unwrap())),
            });
        }
        let topic = TopicProduceResponse::default().with_topic_id(TOPIC_ID).with_partition_responses(answers);
        let response = ProduceResponse::default().with_responses(vec![topic]);
        Some(encode_response(id, version, &response))
    }

    fn list_offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let state = self.state.lock().unwrap();
        let answer = |one: &kafka_protocol::messages::list_offsets_request::ListOffsetsPartition| {
            let end = state.partitions[usize::try_from(one.partition_index).unwrap()].end;
            ListOffsetsPartitionResponse::default()
                .with_partition_index(one.partition_index)
                .with_offset(if one.timestamp == -1 { end } else { 0 })
        };
        let asked = &request.topics[0];
        let topic = ListOffsetsTopicResponse::default()
            .with_name(asked.name.clone())
            .with_partitions(asked.partitions.iter().map(answer).collect());
        ListOffsetsResponse::default().with_topics(vec![topic])
    }

    /// Keeps no sessions, which a broker may.
    fn fetch(&self, version: i16, request: &FetchRequest) -> FetchResponse {
        assert!(version >= 13 && request.session_id == 0);
        let mut response = self.fetch_now(request);
        if response.responses[0].partitions.iter().all(|data| data.records.as_ref().unwrap().is_empty()) {
            thread::sleep(Duration::from_millis(1));
            response = self.fetch_now(request);
        }
        response
    }

    fn fetch_now(&self, request: &FetchRequest) -> FetchResponse {
        let state = self.state.lock().unwrap();
        let asked = &request.topics[0];
        assert_eq!(asked.topic_id, TOPIC_ID);
        let partition = |one: &kafka_protocol::messages::fetch_request::FetchPartition| {
            let stored = &state.partitions[usize::try_from(one.partition).unwrap()];
            let mut records = BytesMut::new();
            for (place, (last, batch)) in stored.batches.iter().enumerate() {
                let skipped = self.faults.skip.is_some_and(|nth| place % nth == nth - 1);
                if *last >= one.fetch_offset && !skipped && records.len() < 64 * 1024 {
                    records.extend_from_slice(batch);
                }
            }
            if let Some(byte) = records.last_mut().filter(|_| self.faults.damage) {
                *byte ^= 0x40;
            }
            PartitionData::default()
                .with_partition_index(one.partition)
                .with_high_watermark(stored.end)
                .with_records(Some(records.freeze()))
        };
        let topic = FetchableTopicResponse::default()
            .with_topic_id(TOPIC_ID)
            .with_partitions(asked.partitions.iter().map(partition).collect());
        FetchResponse::default().with_responses(vec![topic])
    }
}

impl State {
    fn append(&mut self, index: i32, records: &Bytes) -> i64 {
        let partition = &mut self.partitions[usize::try_from(index).unwrap()];
        let batches: Vec<_> = Batches::new(records).collect::<Result<_, _>>().unwrap();
        assert_eq!(batches.len(), 1, "one batch for a partition of a request");
        assert!(batches[0].checksum_matches());
        if let Some(producer) = batches[0].header().producer() {
            let next = partition.producers.entry((producer.id.0, producer.epoch.0)).or_default();
            self.sequence_faults += u64::from(producer.base_sequence != *next);
            *next = header::sequence_plus(producer.last_sequence, 1);
        }
        let base = partition.end;
        let mut stored = records.to_vec();
        header::place(&mut stored, Offset(base), LeaderEpoch(0));
        partition.end += i64::from(batches[0].header().record_count());
        partition.batches.push((partition.end - 1, Bytes::from(stored)));
        base
    }
}

fn api_versions(has_transactions: bool) -> ApiVersionsResponse {
    let key = |(key, max): (i16, i16)| ApiVersion::default().with_api_key(key).with_max_version(max);
    let version_2 = FinalizedFeatureKey::default()
        .with_name(StrBytes::from_static_str("transaction.version"))
        .with_max_version_level(2);
    ApiVersionsResponse::default()
        .with_api_keys(SERVED.into_iter().map(key).collect())
        .with_finalized_features(has_transactions.then_some(version_2).into_iter().collect())
}
