//! Transactions, from a client's side, on one broker.

use super::{
    broker::Broker,
    clients::{create, fetch, name, produce, records, transactional},
    files::Files,
};
use crate::{
    engine::{Guard, Input},
    error::ErrorCode,
    ids::LeaderEpoch,
};
use bytes::Bytes;
use corelane_seam::ConnectionId;
use kafka_protocol::{
    messages::{
        AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
        AddPartitionsToTxnResponse, CreateTopicsResponse, DescribeTransactionsRequest,
        DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse, FetchResponse, FindCoordinatorRequest,
        FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest,
        ListTransactionsResponse, OffsetFetchRequest, OffsetFetchResponse, ProduceResponse,
        TxnOffsetCommitRequest, TxnOffsetCommitResponse,
        add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
        txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
    },
    protocol::StrBytes,
};

const ID: &str = "tx";

fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A producer with its id and epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Producer {
    id: i64,
    epoch: i16,
}

/// A broker with a topic of two partitions, and the topic of transactions.
fn broker() -> (Broker, ConnectionId) {
    let mut broker = Broker::start(2, Files::default());
    let client = broker.connect(0, 1);
    let created: CreateTopicsResponse = broker.ask(client, 7, &create("t", 2, &[]));
    assert_eq!(created.topics[0].error_code, 0);
    let request = FindCoordinatorRequest::default().with_key(s(ID)).with_key_type(1);
    let found: FindCoordinatorResponse = broker.ask(client, 3, &request);
    assert_eq!((found.error_code, found.node_id.0), (0, 1));
    (broker, client)
}

fn init(broker: &mut Broker, client: ConnectionId) -> Producer {
    let response = try_init(broker, client, None);
    assert_eq!(response.error_code, 0);
    Producer { id: response.producer_id.0, epoch: response.producer_epoch }
}

fn try_init(broker: &mut Broker, client: ConnectionId, of: Option<Producer>) -> InitProducerIdResponse {
    let Producer { id, epoch } = of.unwrap_or(Producer { id: -1, epoch: -1 });
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(s(ID).into()))
        .with_transaction_timeout_ms(10_000)
        .with_producer_id(id.into())
        .with_producer_epoch(epoch);
    broker.ask(client, 5, &request)
}

fn add(broker: &mut Broker, client: ConnectionId, producer: Producer, partitions: &[i32]) -> Vec<ErrorCode> {
    let topic = AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(partitions.to_vec());
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(s(ID).into())
        .with_v3_and_below_producer_id(producer.id.into())
        .with_v3_and_below_producer_epoch(producer.epoch)
        .with_v3_and_below_topics(vec![topic]);
    let response: AddPartitionsToTxnResponse = broker.ask(client, 3, &request);
    let results = response.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
    results.map(|result| ErrorCode::from_code(result.partition_error_code).expect("a code")).collect()
}

/// Produces to a partition in a version: up to 11 partitions must have been added, from 12 on they are.
fn write(broker: &mut Broker, client: ConnectionId, version: i16, partition: i32, batch: Bytes) -> ErrorCode {
    let request = produce("t", -1, &[(partition, batch)]).with_transactional_id(Some(s(ID).into()));
    let response: ProduceResponse = broker.ask(client, version, &request);
    ErrorCode::from_code(response.responses[0].partition_responses[0].error_code).expect("a code")
}

fn end(
    broker: &mut Broker,
    client: ConnectionId,
    version: i16,
    producer: Producer,
    commit: bool,
) -> (ErrorCode, Producer) {
    let request = EndTxnRequest::default()
        .with_transactional_id(s(ID).into())
        .with_producer_id(producer.id.into())
        .with_producer_epoch(producer.epoch)
        .with_committed(commit);
    let response: EndTxnResponse = broker.ask(client, version, &request);
    let error = ErrorCode::from_code(response.error_code).expect("a code");
    (error, Producer { id: response.producer_id.0, epoch: response.producer_epoch })
}

/// What a reader of committed records sees of a partition.
fn committed(broker: &mut Broker, client: ConnectionId, partition: i32) -> (Vec<String>, Vec<i64>) {
    let request = fetch("t", &[(partition, 0)], 0, 0).with_isolation_level(1);
    let response: FetchResponse = broker.ask(client, 11, &request);
    let values = records(&response).into_iter().map(|(.., value)| value).collect();
    let aborted = response.responses[0].partitions[0].aborted_transactions.clone().unwrap_or_default();
    (values, aborted.iter().map(|it| it.producer_id.0).collect())
}

#[test]
fn a_transaction_of_version_1_is_seen_when_it_is_committed_and_not_before() {
    let (mut broker, client) = broker();
    let producer = init(&mut broker, client);
    let Producer { id, epoch } = producer;
    let batch = transactional(&["a"], id, epoch, 0);
    assert_eq!(write(&mut broker, client, 11, 0, batch.clone()), ErrorCode::TransactionAbortable);
    assert_eq!(write(&mut broker, client, 9, 0, batch.clone()), ErrorCode::InvalidTxnState);
    assert_eq!(add(&mut broker, client, producer, &[0, 1]), [ErrorCode::None; 2]);
    assert_eq!(write(&mut broker, client, 9, 0, batch), ErrorCode::None);
    assert_eq!(write(&mut broker, client, 9, 1, transactional(&["b"], id, epoch, 0)), ErrorCode::None);
    assert_eq!(write(&mut broker, client, 9, 0, transactional(&["c"], id, epoch, 1)), ErrorCode::None);
    assert_eq!(committed(&mut broker, client, 0).0, Vec::<String>::new());
    assert_eq!(end(&mut broker, client, 3, producer, true).0, ErrorCode::None);
    assert_eq!(committed(&mut broker, client, 0), (vec!["a".into(), "c".into()], vec![]));
    assert_eq!(committed(&mut broker, client, 1), (vec!["b".into()], vec![]));
    // The answer may have been lost.
    assert_eq!(end(&mut broker, client, 3, producer, true).0, ErrorCode::None);
    assert_eq!(end(&mut broker, client, 3, producer, false).0, ErrorCode::InvalidTxnState);
    // The next one has the same epoch.
    assert_eq!(add(&mut broker, client, producer, &[0]), [ErrorCode::None]);
    assert_eq!(write(&mut broker, client, 9, 0, transactional(&["d"], id, epoch, 2)), ErrorCode::None);
    assert_eq!(end(&mut broker, client, 3, producer, false).0, ErrorCode::None);
    assert_eq!(committed(&mut broker, client, 0), (["a", "c", "d"].map(String::from).to_vec(), vec![id]));
}

#[test]
fn a_transaction_of_version_2_adds_partitions_by_writing_and_has_an_epoch_of_its_own() {
    let (mut broker, client) = broker();
    let first = init(&mut broker, client);
    assert_eq!(
        write(&mut broker, client, 12, 0, transactional(&["a"], first.id, first.epoch, 0)),
        ErrorCode::None
    );
    assert_eq!(
        write(&mut broker, client, 12, 0, transactional(&["b"], first.id, first.epoch, 1)),
        ErrorCode::None
    );
    let (error, second) = end(&mut broker, client, 5, first, true);
    assert_eq!((error, second), (ErrorCode::None, Producer { epoch: first.epoch + 1, ..first }));
    assert_eq!(committed(&mut broker, client, 0).0, ["a", "b"]);
    // What comes late of the first transaction begins no other.
    let late = transactional(&["late"], first.id, first.epoch, 2);
    assert_eq!(write(&mut broker, client, 12, 0, late), ErrorCode::InvalidProducerEpoch);
    let batch = transactional(&["c"], second.id, second.epoch, 0);
    assert_eq!(write(&mut broker, client, 12, 1, batch), ErrorCode::None);
    let (error, third) = end(&mut broker, client, 5, second, false);
    assert_eq!((error, third.epoch), (ErrorCode::None, first.epoch + 2));
    assert_eq!(committed(&mut broker, client, 1), (vec!["c".into()], vec![first.id]));
    assert_eq!(end(&mut broker, client, 5, second, false), (ErrorCode::None, third), "asked again");
}

#[test]
fn a_producer_that_begins_again_aborts_what_it_left_open_and_fences_its_former_self() {
    let (mut broker, client) = broker();
    let old = init(&mut broker, client);
    let batch = transactional(&["a"], old.id, old.epoch, 0);
    assert_eq!(write(&mut broker, client, 12, 0, batch), ErrorCode::None);
    let asked = try_init(&mut broker, client, None);
    assert_eq!(asked.error_code, ErrorCode::ConcurrentTransactions.code(), "it is being aborted");
    let new = init(&mut broker, client);
    assert_eq!((new.id, new.epoch > old.epoch), (old.id, true));
    assert_eq!(committed(&mut broker, client, 0), (vec!["a".into()], vec![old.id]));
    let batch = transactional(&["b"], old.id, old.epoch, 1);
    assert_eq!(write(&mut broker, client, 12, 0, batch), ErrorCode::InvalidProducerEpoch);
    assert_eq!(end(&mut broker, client, 5, old, true).0, ErrorCode::ProducerFenced);
    assert_eq!(end(&mut broker, client, 1, old, true).0, ErrorCode::InvalidProducerEpoch, "an older client");
}

#[test]
fn a_transaction_that_goes_on_for_too_long_is_aborted() {
    let (mut broker, client) = broker();
    let producer = init(&mut broker, client);
    let batch = transactional(&["a"], producer.id, producer.epoch, 0);
    assert_eq!(write(&mut broker, client, 12, 0, batch), ErrorCode::None);
    broker.pass_ms(9_000);
    assert_eq!(committed(&mut broker, client, 0).0, Vec::<String>::new());
    broker.pass_ms(11_000);
    broker.pass_ms(1_000);
    assert_eq!(committed(&mut broker, client, 0), (vec!["a".into()], vec![producer.id]));
    assert_eq!(end(&mut broker, client, 3, producer, true).0, ErrorCode::ProducerFenced);
    assert_eq!(end(&mut broker, client, 5, producer, true).0, ErrorCode::InvalidTxnState);
}

#[test]
fn a_partition_that_there_is_not_is_added_to_nothing() {
    let (mut broker, client) = broker();
    let producer = init(&mut broker, client);
    let errors = add(&mut broker, client, producer, &[0, 7]);
    assert_eq!(errors, [ErrorCode::OperationNotAttempted, ErrorCode::UnknownTopicOrPartition]);
    let batch = transactional(&["a"], producer.id, producer.epoch, 0);
    assert_eq!(write(&mut broker, client, 9, 0, batch), ErrorCode::InvalidTxnState);
}

#[test]
fn a_batch_whose_check_is_older_than_the_end_of_its_transaction_begins_no_other() {
    let (mut broker, client) = broker();
    let producer = init(&mut broker, client);
    assert_eq!(add(&mut broker, client, producer, &[0]), [ErrorCode::None]);
    // The coordinator's answer is known, and the batch comes to its partition behind the abort.
    let asked = (producer.id, producer.epoch);
    let guard = broker.may_begin("t", 0, asked, None).expect("it may").expect("it has not begun");
    assert_eq!(broker.may_begin("t", 0, asked, Some(guard)), Ok(None));
    assert_eq!(end(&mut broker, client, 3, producer, false).0, ErrorCode::None);
    assert_eq!(broker.may_begin("t", 0, asked, Some(guard)), Err(ErrorCode::InvalidTxnState));
    let guard = broker.may_begin("t", 0, asked, None).expect("it may").expect("it has not begun");
    assert_eq!(broker.may_begin("t", 0, asked, Some(guard)), Ok(None), "of a transaction after that");
    let other = Guard { leader_epoch: LeaderEpoch(guard.leader_epoch.0 + 1), ..guard };
    assert_eq!(broker.may_begin("t", 0, asked, Some(other)), Err(ErrorCode::NotLeaderOrFollower));
}

fn commit_offset(
    broker: &mut Broker,
    client: ConnectionId,
    version: i16,
    producer: Producer,
    offset: i64,
) -> ErrorCode {
    let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = TxnOffsetCommitRequestTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = TxnOffsetCommitRequest::default()
        .with_transactional_id(s(ID).into())
        .with_group_id(s("g").into())
        .with_producer_id(producer.id.into())
        .with_producer_epoch(producer.epoch)
        .with_topics(vec![topic]);
    let response: TxnOffsetCommitResponse = broker.ask(client, version, &request);
    ErrorCode::from_code(response.topics[0].partitions[0].error_code).expect("a code")
}

fn offset(broker: &mut Broker, client: ConnectionId) -> i64 {
    let topic = OffsetFetchRequestTopics::default().with_name(name("t")).with_partition_indexes(vec![0]);
    let group =
        OffsetFetchRequestGroup::default().with_group_id(s("g").into()).with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let response: OffsetFetchResponse = broker.ask(client, 8, &request);
    response.groups[0].topics[0].partitions[0].committed_offset
}

fn find_group(broker: &mut Broker, client: ConnectionId) {
    let request = FindCoordinatorRequest::default().with_key(s("g"));
    let found: FindCoordinatorResponse = broker.ask(client, 3, &request);
    assert_eq!(found.error_code, 0);
}

#[test]
fn offsets_count_when_their_transaction_does() {
    let (mut broker, client) = broker();
    find_group(&mut broker, client);
    let first = init(&mut broker, client);
    assert_eq!(commit_offset(&mut broker, client, 5, first, 7), ErrorCode::None);
    assert_eq!(offset(&mut broker, client), -1);
    let (error, second) = end(&mut broker, client, 5, first, true);
    assert_eq!(error, ErrorCode::None);
    assert_eq!(offset(&mut broker, client), 7);
    assert_eq!(commit_offset(&mut broker, client, 5, second, 9), ErrorCode::None);
    assert_eq!(end(&mut broker, client, 5, second, false).0, ErrorCode::None);
    assert_eq!(offset(&mut broker, client), 7, "it was aborted");
    assert_eq!(commit_offset(&mut broker, client, 5, second, 9), ErrorCode::InvalidProducerEpoch);
}

#[test]
fn offsets_of_version_1_need_their_group_added_first() {
    let (mut broker, client) = broker();
    let producer = init(&mut broker, client);
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(s(ID).into())
        .with_producer_id(producer.id.into())
        .with_producer_epoch(producer.epoch)
        .with_group_id(s("g").into());
    let response: AddOffsetsToTxnResponse = broker.ask(client, 3, &request);
    assert_eq!(response.error_code, ErrorCode::CoordinatorLoadInProgress.code(), "the topic was made for it");
    assert_eq!(commit_offset(&mut broker, client, 3, producer, 7), ErrorCode::InvalidTxnState);
    assert_eq!(commit_offset(&mut broker, client, 4, producer, 7), ErrorCode::TransactionAbortable);
    let response: AddOffsetsToTxnResponse = broker.ask(client, 3, &request);
    assert_eq!(response.error_code, 0);
    assert_eq!(commit_offset(&mut broker, client, 3, producer, 7), ErrorCode::None);
    assert_eq!(end(&mut broker, client, 3, producer, true).0, ErrorCode::None);
    assert_eq!(offset(&mut broker, client), 7);
}

#[test]
fn transactions_are_described_and_listed() {
    let (mut broker, client) = broker();
    let producer = init(&mut broker, client);
    let batch = transactional(&["a"], producer.id, producer.epoch, 0);
    assert_eq!(write(&mut broker, client, 12, 1, batch), ErrorCode::None);
    let request =
        DescribeTransactionsRequest::default().with_transactional_ids(vec![s(ID).into(), s("nobody").into()]);
    let described: DescribeTransactionsResponse = broker.ask(client, 0, &request);
    let [tx, nobody] = &described.transaction_states[..] else { panic!("{described:?}") };
    assert_eq!((tx.error_code, tx.transaction_state.as_str(), tx.producer_id.0), (0, "Ongoing", producer.id));
    assert_eq!((tx.topics.len(), &tx.topics[0].partitions[..]), (1, &[1][..]));
    assert_eq!(nobody.error_code, ErrorCode::TransactionalIdNotFound.code());
    let request = ListTransactionsRequest::default().with_duration_filter(-1);
    let listed: ListTransactionsResponse = broker.ask(client, 2, &request);
    assert_eq!(listed.transaction_states.len(), 1);
    assert_eq!(listed.transaction_states[0].transactional_id.as_str(), ID);
    let request = request.with_state_filters(vec![s("Empty"), s("Bored")]);
    let listed: ListTransactionsResponse = broker.ask(client, 2, &request);
    assert_eq!((listed.transaction_states.len(), &listed.unknown_state_filters[..]), (0, &[s("Bored")][..]));
}

#[test]
fn a_broker_that_comes_back_goes_on_with_its_transactions() {
    let (mut broker, client) = broker();
    let producer = init(&mut broker, client);
    let batch = transactional(&["a"], producer.id, producer.epoch, 0);
    assert_eq!(write(&mut broker, client, 12, 0, batch), ErrorCode::None);
    let (files, image) = (broker.files.clone(), broker.image());
    let mut broker = Broker::start_with(2, files, image);
    broker.pass_ms(1);
    let client = broker.connect(1, 1);
    let batch = transactional(&["b"], producer.id, producer.epoch, 1);
    assert_eq!(write(&mut broker, client, 12, 0, batch), ErrorCode::None);
    assert_eq!(end(&mut broker, client, 5, producer, true).0, ErrorCode::None);
    assert_eq!(committed(&mut broker, client, 0).0, ["a", "b"]);
}

#[test]
fn a_broker_that_asks_while_a_transaction_is_completed_is_answered_when_it_is() {
    let (mut broker, client) = broker();
    let first = init(&mut broker, client);
    let batch = transactional(&["a"], first.id, first.epoch, 0);
    assert_eq!(write(&mut broker, client, 12, 0, batch), ErrorCode::None);
    let other = broker.connect(1, 2);
    // Nothing is flushed from now on: the decision comes to no log.
    broker.held = Some(std::collections::VecDeque::new());
    let request = EndTxnRequest::default()
        .with_transactional_id(s(ID).into())
        .with_producer_id(first.id.into())
        .with_producer_epoch(first.epoch)
        .with_committed(true);
    broker.send(client, 5, &request);
    let topic = AddPartitionsToTxnTopic::default().with_name(name("t")).with_partitions(vec![1]);
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(s(ID).into())
        .with_producer_id(first.id.into())
        .with_producer_epoch(first.epoch + 1)
        .with_topics(vec![topic]);
    let adding = AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]);
    broker.send(other, 5, &adding);
    assert!(broker.response::<AddPartitionsToTxnResponse>(other, 5).is_none(), "it waits");
    broker.release();
    broker.pass_ms(1);
    let added: AddPartitionsToTxnResponse = broker.response(other, 5).expect("it was answered");
    let result = &added.results_by_transaction[0].topic_results[0].results_by_partition[0];
    assert_eq!(result.partition_error_code, 0);
    // Not for ever.
    assert_eq!(
        end(&mut broker, client, 5, Producer { epoch: first.epoch + 1, ..first }, true).0,
        ErrorCode::None
    );
}

#[test]
fn the_next_transaction_may_be_checked_while_the_one_before_is_completed() {
    let (mut broker, client) = broker();
    let first = init(&mut broker, client);
    let batch = transactional(&["a"], first.id, first.epoch, 0);
    assert_eq!(write(&mut broker, client, 12, 0, batch), ErrorCode::None);
    let (of_first, of_second) = ((first.id, first.epoch), (first.id, first.epoch + 1));
    let guard = broker.may_begin("t", 0, of_second, None).expect("it may").expect("it has not begun");
    let guard = Guard { has_own_epoch: true, ..guard };
    // The marker has the epoch of the next transaction.
    let (error, second) = end(&mut broker, client, 5, first, true);
    assert_eq!((error, second.epoch), (ErrorCode::None, first.epoch + 1));
    assert_eq!(broker.may_begin("t", 0, of_second, Some(guard)), Ok(None));
    assert_eq!(
        broker.may_begin("t", 0, of_first, Some(guard)),
        Err(ErrorCode::InvalidTxnState),
        "it is over"
    );
    let batch = transactional(&["b"], second.id, second.epoch, 0);
    assert_eq!(write(&mut broker, client, 12, 0, batch), ErrorCode::None);
    assert_eq!(end(&mut broker, client, 5, second, false).0, ErrorCode::None);
    assert_eq!(
        broker.may_begin("t", 0, of_second, Some(guard)),
        Err(ErrorCode::InvalidTxnState),
        "it is over"
    );
}

#[test]
fn what_is_decided_while_a_broker_stops_is_told_to_the_partitions_by_whoever_coordinates_then() {
    let (mut broker, client) = broker();
    let producer = init(&mut broker, client);
    let batch = transactional(&["a"], producer.id, producer.epoch, 0);
    assert_eq!(write(&mut broker, client, 12, 0, batch), ErrorCode::None);
    broker.held = Some(std::collections::VecDeque::new());
    let request = EndTxnRequest::default()
        .with_transactional_id(s(ID).into())
        .with_producer_id(producer.id.into())
        .with_producer_epoch(producer.epoch)
        .with_committed(true);
    broker.send(client, 5, &request);
    (0..2).for_each(|shard| broker.input(shard, Input::Stop));
    broker.release();
    assert_eq!(broker.stopped, [true, true], "it waits for no marker");
    let (files, image) = (broker.files.clone(), broker.image());
    let mut broker = Broker::start_with(2, files, image);
    // It is loaded, and then it is time to send what is due.
    (0..2).for_each(|_| broker.pass_ms(1));
    let client = broker.connect(0, 1);
    assert_eq!(committed(&mut broker, client, 0).0, ["a"]);
}
