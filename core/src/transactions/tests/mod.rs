//! What a coordinator decides: the replies, the exact records, and the markers.

mod ending;
mod initialising;
mod markers;
mod model;
mod time;

pub(super) use model::Bug;

use super::{
    records::{Layout, Record, Transaction},
    *,
};
use crate::{
    config::BrokerConfig,
    engine::{Asker, GatherId},
    error::ErrorCode,
    groups::OFFSETS_TOPIC,
    ids::{LeaderEpoch, NodeId, ProducerEpoch, ProducerId, TopicId, partition_of_name},
    metadata::{self, Batch, Image, MetadataOffset, PartitionRecord},
};
use corelane_seam::{Monotonic, Now, ShardId};
use kafka_protocol::{messages::ListTransactionsRequest, protocol::StrBytes};
use std::{collections::VecDeque, sync::Arc};
use uuid::Uuid;

pub(super) const UNIX_MS: i64 = 1_700_000_000_000;
pub(super) const COORDINATOR_EPOCH: LeaderEpoch = LeaderEpoch(9);
const TIMEOUT_MS: i32 = 60_000;

/// A coordinator with its world. Partition `n` of topic `t` is led by broker `n`.
pub(super) struct Bench {
    pub coordinator: Coordinator,
    pub image: Image,
    pub config: BrokerConfig,
    pub now: Now,
    pub fresh_id: Option<ProducerId>,
    applied: u64,
    tickets: u32,
    log: Vec<Record>,
}

/// What came of a request when everything was committed.
struct Done {
    reply: Option<Reply>,
    records: Vec<Transaction>,
    markers: Vec<Markers>,
}

impl Bench {
    pub fn new(level: i16) -> Bench {
        let mut bench = Bench {
            coordinator: Coordinator::new(COORDINATOR_EPOCH),
            image: Image::default(),
            config: BrokerConfig::default(),
            now: Now { monotonic: Monotonic(1_000_000_000), unix_ms: UNIX_MS },
            fresh_id: Some(ProducerId(1000)),
            applied: 0,
            tickets: 0,
            log: Vec::new(),
        };
        bench.finalize(level);
        bench.create("t", 4);
        bench.create(OFFSETS_TOPIC, 50);
        bench.restart();
        bench
    }

    fn apply(&mut self, records: Vec<metadata::Record>) {
        self.applied += 1;
        self.image.apply(MetadataOffset(self.applied), &Batch::of(records)).expect("possible");
    }

    fn finalize(&mut self, level: i16) {
        self.apply(vec![metadata::Record::FeatureLevel { name: TRANSACTION_VERSION.into(), level }]);
    }

    fn create(&mut self, name: &str, partitions: i32) {
        let topic = metadata::Record::Topic { name: name.into(), id: topic_id(name) };
        let partition = |index| {
            metadata::Record::Partition(PartitionRecord {
                topic: topic_id(name),
                index,
                replicas: vec![NodeId(index)],
                isr: vec![NodeId(index)],
                leader: Some(NodeId(index)),
                ..PartitionRecord::default()
            })
        };
        self.apply([topic].into_iter().chain((0..partitions).map(partition)).collect());
    }

    fn delete(&mut self, name: &str) {
        self.apply(vec![metadata::Record::RemoveTopic { id: topic_id(name) }]);
    }

    /// Partition 0 of topic `t` is led by this broker from now on, or by nobody.
    fn lead(&mut self, leader: Option<i32>) {
        let replicas = leader.map(|leader| vec![NodeId(leader)]);
        let change = metadata::PartitionChangeRecord {
            topic: topic_id("t"),
            index: 0,
            replicas: replicas.clone(),
            isr: replicas,
            leader: leader.map_or(metadata::LeaderChange::Offline, |leader| {
                metadata::LeaderChange::Leader(NodeId(leader))
            }),
            ..metadata::PartitionChangeRecord::default()
        };
        self.apply(vec![metadata::Record::PartitionChange(change)]);
    }

    /// Another leader begins, with what the log says.
    fn restart(&mut self) {
        self.coordinator = Coordinator::new(LeaderEpoch(self.coordinator.epoch.0 + 1));
        for record in &self.log {
            // Through the bytes, as a log holds it.
            let read = Record::decode(&record.key(), record.value().as_deref());
            self.coordinator.replay(read.expect("it reads").expect("it is ours"));
        }
        self.with(|coordinator, scene| coordinator.loaded(scene));
    }

    pub fn with<R>(&mut self, call: impl FnOnce(&mut Coordinator, Scene<'_>) -> R) -> R {
        let scene =
            Scene { now: self.now, image: &self.image, config: &self.config, fresh_id: self.fresh_id };
        let result = call(&mut self.coordinator, scene);
        self.coordinator.check();
        result
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        let asker = Asker { shard: ShardId(0), gather: GatherId(u64::from(self.tickets)) };
        Ticket { asker, place: 0 }
    }

    /// Decides, and appends as its owner would: nothing is committed yet.
    fn ask(&mut self, request: Request) -> Outcome {
        let ticket = self.ticket();
        let outcome = self.with(|coordinator, scene| coordinator.handle(scene, ticket, request));
        self.append(&outcome);
        outcome
    }

    fn append(&mut self, outcome: &Outcome) {
        if matches!(outcome.producer_id, ProducerIdUse::Taken) {
            self.fresh_id = self.fresh_id.map(|id| ProducerId(id.0 + 1000));
        }
        for record in &outcome.records {
            self.log.push(record.clone());
            self.coordinator.replay(record.clone());
        }
        self.coordinator.check();
    }

    /// Everything is committed, and what follows is, until nothing follows.
    fn commit(&mut self, outcome: Outcome) -> Done {
        let mut done = Done { reply: None, records: Vec::new(), markers: Vec::new() };
        let mut left = VecDeque::from([outcome]);
        while let Some(outcome) = left.pop_front() {
            done.records.extend(outcome.records.into_iter().filter_map(|record| record.value));
            done.markers.extend(outcome.markers);
            done.reply = outcome.replies.into_iter().map(|(_, reply)| reply).next().or(done.reply);
            if let Some(then) = outcome.then {
                let next = self.with(|coordinator, scene| coordinator.stored(scene, then, Ok(())));
                self.append(&next);
                left.push_back(next);
            }
        }
        done
    }

    fn run(&mut self, request: Request) -> Done {
        let outcome = self.ask(request);
        self.commit(outcome)
    }

    /// The answer to a request, of which everything is committed.
    fn answer(&mut self, request: Request) -> Reply {
        self.run(request).reply.expect("an answer")
    }

    /// Every partition takes its marker.
    fn marked(&mut self, markers: &[Markers]) -> Done {
        let mut done = Done { reply: None, records: Vec::new(), markers: Vec::new() };
        for markers in markers {
            let next = self.answered(markers, ErrorCode::None);
            done.records.extend(next.records);
            done.markers.extend(next.markers);
        }
        done
    }

    /// Every partition of these says the same.
    fn answered(&mut self, markers: &Markers, error: ErrorCode) -> Done {
        let all = markers.partitions.iter().map(|(topic, partition)| (Arc::clone(topic), partition, error));
        let all: Vec<_> = all.collect();
        let next = self.with(|coordinator, scene| coordinator.marked(scene, markers, Ok(all)));
        self.append(&next);
        self.commit(next)
    }

    /// Time passes, alarm by alarm; what they bring about.
    fn pass_ms(&mut self, ms: u64) -> Done {
        self.now.monotonic = self.now.monotonic.after_ms(ms);
        self.now.unix_ms += i64::try_from(ms).expect("small");
        let mut done = Done { reply: None, records: Vec::new(), markers: Vec::new() };
        for _ in 0..1000 {
            let Some(outcome) = self.with(Coordinator::alarm) else { return done };
            self.append(&outcome);
            let next = self.commit(outcome);
            done.records.extend(next.records);
            done.markers.extend(next.markers);
        }
        panic!("alarms go on and on");
    }

    fn state(&self) -> Option<State> {
        self.coordinator.transactions.get("x").map(|it| it.state)
    }

    fn transaction(&self) -> &Transaction {
        &self.coordinator.transactions["x"]
    }

    /// A producer begins.
    fn init(&mut self) -> Producer {
        initialised(self.answer(init(None)))
    }

    /// A producer with an epoch that would take long to reach.
    fn init_with_epoch(&mut self, epoch: i16) -> Producer {
        let producer = self.init();
        let value = Transaction { epoch: ProducerEpoch(epoch), ..self.transaction().clone() };
        let outcome =
            Outcome { records: vec![Record { id: "x".into(), value: Some(value) }], ..Outcome::default() };
        self.append(&outcome);
        Producer { epoch: ProducerEpoch(epoch), ..producer }
    }

    fn add(&mut self, producer: Producer, partitions: &[i32], version: i16) -> Reply {
        self.answer(add(producer, partitions, version))
    }

    /// A producer with a transaction on these partitions.
    fn begun(&mut self, partitions: &[i32], version: i16) -> Producer {
        let producer = self.init();
        assert_eq!(self.add(producer, partitions, version), Ok(added(partitions)));
        producer
    }
}

fn topic_id(name: &str) -> TopicId {
    TopicId(Uuid::from_u128(name.bytes().fold(7, |sum, byte| sum * 31 + u128::from(byte))))
}

pub(super) fn init(continues: Option<Producer>) -> Request {
    Request::Init(InitProducer {
        id: "x".into(),
        timeout_ms: TIMEOUT_MS,
        continues,
        two_phase: false,
        keep_prepared: false,
    })
}

fn initialised(reply: Reply) -> Producer {
    match reply {
        Ok(Response::Initialised(producer)) => producer,
        other => panic!("not initialised: {other:?}"),
    }
}

fn of_t(partitions: &[i32]) -> PartitionSet {
    partitions.iter().map(|partition| (Arc::from("t"), *partition)).collect()
}

fn addition(producer: Producer, partitions: &[i32], version: i16) -> AddPartitions {
    AddPartitions { id: "x".into(), producer, partitions: of_t(partitions), version }
}

fn add(producer: Producer, partitions: &[i32], version: i16) -> Request {
    Request::AddPartitions(addition(producer, partitions, version))
}

fn added(partitions: &[i32]) -> Response {
    judged(&partitions.iter().map(|partition| (*partition, ErrorCode::None)).collect::<Vec<_>>())
}

fn judged(partitions: &[(i32, ErrorCode)]) -> Response {
    let all = partitions.iter().map(|(partition, error)| (Arc::from("t"), *partition, *error));
    Response::Partitions(all.collect())
}

fn end(producer: Producer, commit: bool, version: i16) -> Request {
    Request::End(EndTransaction { id: "x".into(), producer, commit, version })
}

fn producer(id: i64, epoch: i16) -> Producer {
    Producer { id: ProducerId(id), epoch: ProducerEpoch(epoch) }
}

/// As InitProducerId leaves a transactional id behind.
fn empty(layout: Layout, producer: ProducerId, epoch: i16) -> Transaction {
    Transaction {
        layout,
        producer_id: producer,
        epoch: ProducerEpoch(epoch),
        previous_id: Some(producer),
        next_id: None,
        timeout_ms: TIMEOUT_MS,
        state: State::Empty,
        partitions: PartitionSet::new(),
        updated_ms: UNIX_MS,
        started_ms: -1,
        client_version: 0,
    }
}

#[test]
fn an_id_that_is_empty_or_too_long_is_refused() {
    let mut bench = Bench::new(2);
    for id in [Arc::from(""), Arc::from("x".repeat(records::ID_BYTES_MAX + 1))] {
        let reply = bench.answer(Request::Describe(id));
        assert_eq!(reply, Err(ErrorCode::InvalidRequest));
    }
}

#[test]
fn a_coordinator_that_replays_what_another_wrote_knows_the_same() {
    for level in [0, 1, 2] {
        let mut bench = Bench::new(level);
        let producer = bench.begun(&[0, 1], 4);
        bench.run(end(producer, true, 5));
        let before = bench.coordinator.transactions.clone();
        bench.restart();
        assert_eq!(bench.coordinator.transactions, before, "transaction.version={level}");
    }
}

#[test]
fn the_feature_decides_in_which_layout_records_are_written() {
    for (level, layout) in [(0, Layout::Plain), (1, Layout::Flexible), (2, Layout::Flexible)] {
        let mut bench = Bench::new(level);
        bench.init();
        assert_eq!(bench.transaction().layout, layout, "transaction.version={level}");
    }
}

#[test]
fn versions_before_producer_fenced_are_told_of_an_invalid_epoch() {
    use ErrorCode::{InvalidProducerEpoch, InvalidTxnState, ProducerFenced};
    assert_eq!(told(ProducerFenced, Versioned::InitProducerId, 3), InvalidProducerEpoch);
    assert_eq!(told(ProducerFenced, Versioned::InitProducerId, 4), ProducerFenced);
    for key in [Versioned::AddPartitionsToTxn, Versioned::AddOffsetsToTxn, Versioned::EndTxn] {
        assert_eq!(told(ProducerFenced, key, 1), InvalidProducerEpoch);
        assert_eq!(told(ProducerFenced, key, 2), ProducerFenced);
        assert_eq!(told(InvalidTxnState, key, 0), InvalidTxnState);
    }
}

#[test]
fn what_is_not_stored_has_not_happened_and_may_be_asked_again() {
    let mut bench = Bench::new(2);
    let producer = bench.begun(&[0], 4);
    let ticket = bench.ticket();
    let request = end(producer, true, 5);
    let outcome = bench.with(|coordinator, scene| coordinator.handle(scene, ticket, request.clone()));
    // It is not appended.
    let then = outcome.then.expect("it waits for its record");
    let refusal = Err(refused(ErrorCode::NotEnoughReplicas));
    assert_eq!(refusal, Err(ErrorCode::CoordinatorNotAvailable));
    let next = bench.with(|coordinator, scene| coordinator.stored(scene, then, refusal));
    assert!(next.is_empty(), "{next:?}");
    assert_eq!(bench.state(), Some(State::Ongoing));
    assert!(matches!(bench.answer(request), Ok(Response::Ended(Some(_)))));
}

#[test]
fn a_transactional_id_that_is_not_stored_is_forgotten() {
    let mut bench = Bench::new(2);
    let ticket = bench.ticket();
    let outcome = bench.with(|coordinator, scene| coordinator.handle(scene, ticket, init(None)));
    let then = outcome.then.expect("it waits for its record");
    bench.with(|coordinator, scene| coordinator.stored(scene, then, Err(ErrorCode::NotCoordinator)));
    assert!(bench.coordinator.soft.is_empty());
    assert_eq!(bench.answer(Request::Describe("x".into())), Err(ErrorCode::TransactionalIdNotFound));
}

// ---- partitions ----

#[test]
fn the_first_partition_begins_a_transaction_and_further_ones_join_it() {
    let mut bench = Bench::new(2);
    let producer = bench.init();
    let outcome = bench.ask(add(producer, &[1], 3));
    let began = Transaction {
        layout: Layout::Flexible,
        producer_id: producer.id,
        epoch: producer.epoch,
        previous_id: Some(producer.id),
        next_id: None,
        timeout_ms: TIMEOUT_MS,
        state: State::Ongoing,
        partitions: of_t(&[1]),
        updated_ms: UNIX_MS,
        started_ms: UNIX_MS,
        client_version: 0,
    };
    assert_eq!(outcome.records, [Record { id: "x".into(), value: Some(began.clone()) }]);
    bench.commit(outcome);
    bench.now.unix_ms += 5;
    let outcome = bench.ask(add(producer, &[0, 1], 3));
    let joined = Transaction { partitions: of_t(&[0, 1]), updated_ms: UNIX_MS + 5, ..began };
    assert_eq!(outcome.records, [Record { id: "x".into(), value: Some(joined) }]);
    bench.commit(outcome);
    // What is in it already is answered without a record.
    let outcome = bench.ask(add(producer, &[1], 3));
    assert!(outcome.records.is_empty(), "{outcome:?}");
    assert_eq!(outcome.replies[0].1, Ok(added(&[1])));
}

#[test]
fn partitions_are_added_while_others_are_on_their_way_and_nothing_else_is() {
    let mut bench = Bench::new(2);
    let producer = bench.init();
    let first = bench.ask(add(producer, &[0], 4));
    let second = bench.ask(add(producer, &[1], 4));
    assert_eq!(second.replies[0].1, Ok(added(&[1])));
    for request in [end(producer, true, 5), end(producer, true, 4), init(None)] {
        let outcome = bench.ask(request);
        assert_eq!(outcome.replies[0].1, Err(ErrorCode::ConcurrentTransactions));
    }
    bench.commit(first);
    let outcome = bench.ask(end(producer, true, 5));
    assert_eq!(outcome.replies[0].1, Err(ErrorCode::ConcurrentTransactions), "one is still on its way");
    bench.commit(second);
    assert_eq!(bench.run(end(producer, true, 5)).records[0].partitions, of_t(&[0, 1]));
}

#[test]
fn partitions_that_do_not_exist_are_refused_and_the_others_not_attempted() {
    let mut bench = Bench::new(2);
    let producer = bench.init();
    let outcome = bench.ask(add(producer, &[3, 4], 4));
    let errors = judged(&[(3, ErrorCode::OperationNotAttempted), (4, ErrorCode::UnknownTopicOrPartition)]);
    assert_eq!(outcome.replies[0].1, Ok(errors));
    assert!(outcome.records.is_empty(), "{outcome:?}");
}

#[test]
fn only_the_producer_of_an_id_adds_to_its_transaction() {
    let mut bench = Bench::new(2);
    let unknown = bench.add(producer(1, 0), &[0], 4);
    assert_eq!(unknown, Err(ErrorCode::InvalidProducerIdMapping));
    let old = bench.init();
    let new = bench.init();
    assert_eq!(bench.add(old, &[0], 4), Err(ErrorCode::ProducerFenced));
    let other = Producer { id: ProducerId(77), ..new };
    assert_eq!(bench.add(other, &[0], 4), Err(ErrorCode::InvalidProducerIdMapping));
    assert_eq!(bench.add(new, &[0], 4), Ok(added(&[0])));
}

#[test]
fn verification_tells_what_is_in_a_transaction_and_adds_nothing() {
    let mut bench = Bench::new(2);
    let producer = bench.begun(&[0], 3);
    let verify = |producer| Request::VerifyPartitions(addition(producer, &[0, 1], 5));
    let outcome = bench.ask(verify(producer));
    let errors = judged(&[(0, ErrorCode::None), (1, ErrorCode::TransactionAbortable)]);
    assert_eq!(outcome.replies[0].1, Ok(errors));
    assert!(outcome.records.is_empty(), "{outcome:?}");
    let fenced = Producer { epoch: ProducerEpoch(producer.epoch.0 + 1), ..producer };
    assert_eq!(bench.answer(verify(fenced)), Err(ErrorCode::ProducerFenced));
    bench.run(end(producer, true, 4));
    assert_eq!(bench.answer(verify(producer)), Err(ErrorCode::ConcurrentTransactions));
}

#[test]
fn offsets_are_added_as_the_partition_that_holds_their_group() {
    let mut bench = Bench::new(2);
    let producer = bench.init();
    let offsets = Request::AddOffsets { id: "x".into(), producer, group: "g".into() };
    assert_eq!(bench.answer(offsets.clone()), Ok(Response::OffsetsAdded));
    let partition = partition_of_name("g", 50);
    let partitions = PartitionSet::from_iter([(OFFSETS_TOPIC.into(), partition)]);
    assert_eq!(bench.transaction().partitions, partitions);
    bench.delete(OFFSETS_TOPIC);
    assert_eq!(bench.answer(offsets), Err(ErrorCode::UnknownTopicOrPartition));
}

// ---- what tools ask ----

#[test]
fn a_description_tells_the_producer_and_what_is_in_the_transaction() {
    let mut bench = Bench::new(2);
    let producer = bench.begun(&[0, 1], 3);
    let mut described = DescribedTransaction {
        state: State::Ongoing,
        timeout_ms: TIMEOUT_MS,
        started_ms: UNIX_MS,
        producer,
        partitions: of_t(&[0, 1]),
    };
    let describe = Request::Describe("x".into());
    assert_eq!(bench.answer(describe.clone()), Ok(Response::Described(described.clone())));
    let markers = bench.run(end(producer, true, 3)).markers;
    bench.answered(&markers[0], ErrorCode::None);
    // What has its marker is not in it any more.
    described = DescribedTransaction { state: State::PrepareCommit, partitions: of_t(&[1]), ..described };
    assert_eq!(bench.answer(describe), Ok(Response::Described(described)));
}

#[test]
fn a_list_is_filtered_by_state_producer_duration_and_pattern() {
    let mut bench = Bench::new(2);
    bench.begun(&[0], 3);
    let Request::Init(other) = init(None) else { unreachable!() };
    initialised(bench.answer(Request::Init(InitProducer { id: "app-2.y".into(), ..other })));
    bench.now.unix_ms += 1000;
    let list = |request: &ListTransactionsRequest| {
        let (filter, unknown) = ListFilter::new(request).expect("it is possible");
        let scene =
            Scene { now: bench.now, image: &bench.image, config: &bench.config, fresh_id: bench.fresh_id };
        let listed = bench.coordinator.list(scene, &filter);
        (listed.iter().map(|it| it.id.to_string()).collect::<Vec<_>>(), unknown)
    };
    let all = ListTransactionsRequest::default().with_duration_filter(-1);
    let text = |text: &'static str| StrBytes::from_static_str(text);
    let by_state = |states: &[&'static str]| {
        list(&all.clone().with_state_filters(states.iter().map(|state| text(state)).collect()))
    };
    let both = || vec!["app-2.y".to_owned(), "x".to_owned()];
    assert_eq!(list(&all), (both(), vec![]));
    assert_eq!(by_state(&["Ongoing"]), (vec!["x".to_owned()], vec![]));
    assert_eq!(by_state(&["Ongoing", "Odd"]), (vec!["x".to_owned()], vec!["Odd".to_owned()]));
    assert_eq!(by_state(&["Odd"]), (vec![], vec!["Odd".to_owned()]));
    let by_id = list(&all.clone().with_producer_id_filters(vec![2000.into()]));
    assert_eq!(by_id.0, ["app-2.y"]);
    // An id without a transaction counts as one that began long ago, as in Kafka.
    assert_eq!(list(&all.clone().with_duration_filter(999)).0, both());
    assert_eq!(list(&all.clone().with_duration_filter(1000)).0, ["app-2.y"]);
    let by_pattern = |pattern| list(&all.clone().with_transactional_id_pattern(Some(text(pattern)))).0;
    assert_eq!(by_pattern("app-\\d\\..*"), ["app-2.y"]);
    assert!(by_pattern("app").is_empty(), "the whole id must match");
    assert_eq!(by_pattern(""), both());
    for pattern in ["(", "a)|(b", "(?=x)"] {
        let request = all.clone().with_transactional_id_pattern(Some(text(pattern)));
        let refused = ListFilter::new(&request).map(|_| ());
        assert_eq!(refused, Err(ErrorCode::InvalidRegularExpression), "{pattern}");
    }
}
