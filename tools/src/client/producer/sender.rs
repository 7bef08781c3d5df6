//! The producer's thread: sends what is ready, takes answers, tries again.

use super::{
    batch::{Batch, Identity, Sequence},
    config::ProducerConfig,
    state::{Queue, Shared, State},
};
use crate::{
    client::{
        Cluster, Connection,
        cluster::Topics,
        error::{ClientError, Result},
        text, topic_name,
    },
    log,
};
use corelane_core::{
    ids::{ProducerEpoch, ProducerId},
    records::header::sequence_plus,
};
use kafka_protocol::messages::{
    InitProducerIdRequest, ProduceRequest, ProduceResponse,
    produce_request::{PartitionProduceData, TopicProduceData},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::Read,
    os::unix::net::UnixStream,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// The last version that names topics; with 13 come their ids (KIP-516).
const PRODUCE_VERSION_MAX: i16 = 12;

/// The last version in which a leader expects the partition to be in the transaction already (KIP-890).
const PRODUCE_VERSION_ADDED: i16 = 11;

/// How often the partitions of a topic that is not there yet are asked for.
const METADATA_PAUSE: Duration = Duration::from_millis(100);

pub struct Sender {
    shared: Arc<Shared>,
    config: ProducerConfig,
    cluster: Cluster,
    woken: UnixStream,
    links: BTreeMap<i32, Link>,
    /// A batch is lost: the sequence has a gap, and goes on only under a new producer id.
    is_broken: bool,
    /// Leaders may have changed.
    is_stale: bool,
    metadata_at: Option<Instant>,
    told: BTreeSet<String>,
}

struct Link {
    connection: Connection,
    sent: VecDeque<Sent>,
}

/// A request that is not answered yet.
struct Sent {
    version: i16,
    deadline: Instant,
    batches: Vec<(String, i32, Batch)>,
}

impl Sender {
    pub fn new(shared: Arc<Shared>, config: ProducerConfig, woken: UnixStream) -> Sender {
        let cluster = Cluster::with(config.client.clone());
        Sender {
            shared,
            config,
            cluster,
            woken,
            links: BTreeMap::new(),
            is_broken: false,
            is_stale: false,
            metadata_at: None,
            told: BTreeSet::new(),
        }
    }

    pub fn run(mut self) {
        loop {
            if let Err(error) = self.turn() {
                self.give_up(&error);
                return;
            }
            let state = self.shared.lock();
            if state.closing && (state.is_idle() || state.flushing == 0) {
                return;
            }
        }
    }

    /// Nothing can be sent any more: everybody is told.
    fn give_up(&mut self, error: &ClientError) {
        let mut batches = Vec::new();
        let mut state = self.shared.lock();
        state.failed = Some(error.clone());
        for queue in state.topics.values_mut().flat_map(|topic| &mut topic.queues) {
            batches.extend(queue.again.drain(..).chain(queue.waiting.drain(..)));
        }
        drop(state);
        let sent = std::mem::take(&mut self.links).into_values().flat_map(|link| link.sent);
        batches.extend(sent.flat_map(|sent| sent.batches).map(|(_, _, batch)| batch));
        for batch in batches {
            batch.fail(error);
        }
        self.shared.notify();
    }

    fn turn(&mut self) -> Result<()> {
        if let Some(error) = self.shared.lock().failed.clone() {
            return Err(error);
        }
        self.learn()?;
        self.prepare_producer()?;
        self.expire();
        self.send_ready();
        let wait = self.next_wait();
        self.wait(wait);
        self.receive();
        Ok(())
    }

    /// Asks for the partitions of topics that have none, and of all where leaders may have moved.
    fn learn(&mut self) -> Result<()> {
        let (missing, all): (bool, Vec<String>) = {
            let state = self.shared.lock();
            (state.topics.values().any(|topic| !topic.is_known()), state.topics.keys().cloned().collect())
        };
        let now = Instant::now();
        let is_due = self.metadata_at.is_none_or(|at| now >= at);
        if all.is_empty() || !is_due || !missing && !self.is_stale {
            return Ok(());
        }
        self.metadata_at = Some(now + METADATA_PAUSE.max(self.cluster.backoff()));
        let answer = match self.cluster.metadata(Topics::NamedOrCreated(&all)) {
            Ok(answer) => answer,
            Err(error) if error.is_retriable() => return Ok(()),
            Err(error) => return Err(error),
        };
        self.is_stale = false;
        let mut state = self.shared.lock();
        for topic in answer.topics {
            let name = topic.name.map(|name| name.0.to_string()).unwrap_or_default();
            let known = state.topic(&name);
            if let Some(error) = ClientError::of(topic.error_code, None) {
                if error.is_retriable() {
                    if self.told.insert(name.clone()) {
                        log::warn(&format!("Error while fetching metadata of topic {name}: {error}"));
                    }
                } else {
                    known.failed = Some(match topic.error_code {
                        17 => ClientError::Broker {
                            code: 17,
                            message: Some(format!("Invalid topics: [{name}]")),
                        },
                        _ => error,
                    });
                }
                continue;
            }
            if known.queues.len() < topic.partitions.len() {
                known.queues.resize_with(topic.partitions.len(), Queue::default);
            }
            for partition in topic.partitions {
                let index = usize::try_from(partition.partition_index).unwrap_or(usize::MAX);
                if let Some(queue) = known.queues.get_mut(index) {
                    queue.leader = Some(partition.leader_id.0).filter(|id| *id >= 0);
                    self.is_stale |= queue.leader.is_none();
                }
            }
        }
        drop(state);
        self.shared.notify();
        Ok(())
    }

    /// Gets a producer id before the first batch, and a new one when a batch was lost: then all sequences begin again. A
    /// transactional producer gets it otherwise, and does not outlive the loss of a batch.
    fn prepare_producer(&mut self) -> Result<()> {
        let is_known = self.shared.lock().identity.is_some() && !self.is_broken;
        if !self.config.idempotent || is_known || self.config.transactional_id.is_some() {
            return Ok(());
        }
        if self.links.values().any(|link| !link.sent.is_empty()) || self.shared.lock().is_idle() {
            return Ok(());
        }
        let answer = self.cluster.retry("initProducerId", |cluster| {
            cluster.on_any(|connection| {
                let version = connection.version::<InitProducerIdRequest>()?;
                let mut request = InitProducerIdRequest::default();
                request.transactional_id = None;
                request.transaction_timeout_ms = i32::MAX;
                request.producer_id = (-1).into();
                request.producer_epoch = -1;
                let answer = connection.call(version, &request)?;
                ClientError::check(answer.error_code)?;
                Ok(answer)
            })
        })?;
        self.is_broken = false;
        self.shared.lock().identify(Identity {
            producer: ProducerId(answer.producer_id.0),
            epoch: ProducerEpoch(answer.producer_epoch),
        });
        Ok(())
    }

    /// What is left of a transaction that has lost a batch must not be committed: nothing goes on.
    fn lose(&mut self, error: &ClientError) {
        if self.config.transactional_id.is_some() {
            self.shared.lock().failed.get_or_insert_with(|| error.clone());
        }
    }

    /// Fails what is older than `delivery.timeout.ms`.
    fn expire(&mut self) {
        let mut expired = Vec::new();
        {
            let mut state = self.shared.lock();
            let limit = self.config.delivery_timeout;
            let mut freed = 0;
            for (name, topic) in &mut state.topics {
                for (index, queue) in topic.queues.iter_mut().enumerate() {
                    for list in [&mut queue.again, &mut queue.waiting] {
                        while let Some(batch) = list.pop_front_if(|batch| batch.created.elapsed() >= limit) {
                            freed += batch.bytes;
                            self.is_broken |= batch.sequence.is_some();
                            expired.push((format!("{name}-{index}"), batch));
                        }
                    }
                }
            }
            state.buffered = state.buffered.saturating_sub(freed);
        }
        if expired.is_empty() {
            return;
        }
        for (place, batch) in expired {
            let (count, millis) = (batch.records(), batch.created.elapsed().as_millis());
            let error = ClientError::TimedOut(format!(
                "Expiring {count} record(s) for {place}:{millis} ms has passed since batch creation"
            ));
            self.lose(&error);
            batch.fail(&error);
        }
        self.shared.notify();
    }

    fn send_ready(&mut self) {
        let nodes: BTreeSet<i32> = {
            let state = self.shared.lock();
            if self.config.idempotent && (state.identity.is_none() || self.is_broken) {
                return;
            }
            state.topics.values().flat_map(|topic| &topic.queues).filter_map(|queue| queue.leader).collect()
        };
        for node in nodes {
            while self.links.get(&node).is_none_or(|link| link.sent.len() < self.config.in_flight) {
                let batches = self.collect(node);
                if batches.is_empty() {
                    break;
                }
                self.send(node, batches);
            }
        }
    }

    /// At most one batch of each partition of a leader that is ready, up to the size of a request.
    fn collect(&mut self, node: i32) -> Vec<(String, i32, Batch)> {
        let mut batches = Vec::new();
        let mut bytes = 0;
        let mut state = self.shared.lock();
        let hurry = state.closing || state.flushing > 0 || state.is_full;
        let State { topics, identity, .. } = &mut *state;
        for (name, topic) in topics {
            for (index, queue) in (0..).zip(&mut topic.queues) {
                if queue.leader != Some(node) || bytes >= self.config.max_request_bytes {
                    continue;
                }
                let Some(mut batch) = take_ready(queue, &self.config, hurry) else { continue };
                if let (Some(identity), None) = (*identity, batch.sequence) {
                    batch.sequence = Some(Sequence { identity, base: queue.next_sequence });
                    queue.next_sequence = sequence_plus(queue.next_sequence, batch.records());
                }
                batch.attempts += 1;
                queue.in_flight += 1;
                bytes += batch.bytes;
                batches.push((name.clone(), index, batch));
            }
        }
        batches
    }

    fn send(&mut self, node: i32, batches: Vec<(String, i32, Batch)>) {
        let request = request(&batches, &self.config);
        let must_be_added = request.transactional_id.is_some() && !self.shared.lock().adds_partitions;
        let most = if must_be_added { PRODUCE_VERSION_ADDED } else { PRODUCE_VERSION_MAX };
        let sent = self.link(node).and_then(|link| {
            let version = link.connection.version_up_to::<ProduceRequest>(most)?;
            if request.acks == 0 {
                link.connection.send_without_answer(version, &request)?;
            } else {
                link.connection.send(version, &request)?;
            }
            Ok(version)
        });
        match sent {
            Ok(_) if self.config.acks == 0 => {
                for (topic, partition, batch) in batches {
                    self.settle(&topic, partition, batch, Ok(-1));
                }
            }
            Ok(version) => {
                let deadline = Instant::now() + self.config.client.request_timeout;
                if let Some(link) = self.links.get_mut(&node) {
                    link.sent.push_back(Sent { version, deadline, batches });
                }
            }
            Err(error) => {
                self.fail_requests(vec![batches], &error);
                self.drop_link(node, &error);
            }
        }
    }

    fn link(&mut self, node: i32) -> Result<&mut Link> {
        if !self.links.contains_key(&node) {
            let connection = self.cluster.take_link(node)?;
            self.links.insert(node, Link { connection, sent: VecDeque::new() });
        }
        Ok(self.links.get_mut(&node).expect("it was put there"))
    }

    fn drop_link(&mut self, node: i32, error: &ClientError) {
        self.is_stale = true;
        if let Some(link) = self.links.remove(&node) {
            self.fail_requests(link.sent.into_iter().map(|sent| sent.batches).collect(), error);
        }
    }

    fn fail_requests(&mut self, requests: Vec<Vec<(String, i32, Batch)>>, error: &ClientError) {
        for (topic, partition, batch) in requests.into_iter().flatten() {
            self.settle(&topic, partition, batch, Err(error.clone()));
        }
    }

    /// How long nothing will be due.
    fn next_wait(&self) -> Duration {
        let now = Instant::now();
        let mut next = now + Duration::from_secs(1);
        let state = self.shared.lock();
        if state.topics.values().any(|topic| !topic.is_known()) || self.is_stale && !state.is_idle() {
            next = next.min(self.metadata_at.unwrap_or(now));
        }
        for queue in state.topics.values().flat_map(|topic| &topic.queues) {
            // What is held up by requests under way is looked at when they are answered.
            if let Some(batch) = queue.again.front().filter(|_| queue.in_flight == 0) {
                next = next.min(batch.not_before.unwrap_or(now));
            } else if let Some(batch) = queue.waiting.front().filter(|_| queue.leader.is_some()) {
                let due = batch.created + self.config.linger;
                next = next.min(if due > now { due } else { now + Duration::from_millis(5) });
            }
        }
        let answers = self.links.values().filter_map(|link| link.sent.front()).map(|sent| sent.deadline);
        next = answers.fold(next, Instant::min);
        next.saturating_duration_since(now)
    }

    /// Sleeps until a broker answers, the producer has something new, or the time is over.
    fn wait(&mut self, most: Duration) {
        if self.links.values().any(|link| link.connection.has_early()) {
            return;
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(most.subsec_nanos()),
        };
        let mut sockets = vec![PollFd::new(&self.woken, PollFlags::IN)];
        let busy = self.links.values().filter(|link| !link.sent.is_empty());
        sockets.extend(busy.map(|link| PollFd::new(link.connection.socket(), PollFlags::IN)));
        if poll(&mut sockets, Some(&timeout)).is_err() {
            // A signal: the loop looks around again.
            thread::sleep(Duration::from_millis(1));
        }
        let mut woken = &self.woken;
        while woken.read(&mut [0; 256]).is_ok_and(|count| count == 256) {}
    }

    fn receive(&mut self) {
        let nodes: Vec<i32> = self.links.keys().copied().collect();
        for node in nodes {
            if let Err(error) = self.receive_from(node) {
                self.drop_link(node, &error);
            }
        }
    }

    fn receive_from(&mut self, node: i32) -> Result<()> {
        while let Some(link) = self.links.get_mut(&node) {
            let Some(first) = link.sent.front() else { return Ok(()) };
            let Some(frame) = link.connection.frame_if_here()? else {
                if Instant::now() >= first.deadline {
                    let peer = link.connection.peer();
                    return Err(ClientError::TimedOut(format!(
                        "{peer} did not answer a produce request in time"
                    )));
                }
                return Ok(());
            };
            let answer: ProduceResponse = link.connection.decode(first.version, &frame)?;
            let Some(sent) = link.sent.pop_front() else { return Ok(()) };
            for (topic, partition, batch) in sent.batches {
                let outcome = outcome(&answer, &topic, partition);
                self.settle(&topic, partition, batch, outcome);
            }
        }
        Ok(())
    }

    /// A batch is answered: done, lost, or to be sent again.
    fn settle(&mut self, topic: &str, partition: i32, mut batch: Batch, outcome: Result<i64>) {
        let index = usize::try_from(partition).unwrap_or_default();
        let mut state = self.shared.lock();
        let queue = &mut state.topic(topic).queues[index];
        queue.in_flight = queue.in_flight.saturating_sub(1);
        let error = match outcome {
            Ok(offset) => {
                state.buffered = state.buffered.saturating_sub(batch.bytes);
                state.is_full = false;
                drop(state);
                batch.acknowledge(partition, offset);
                self.shared.notify();
                return;
            }
            Err(error) => error,
        };
        // OUT_OF_ORDER_SEQUENCE_NUMBER behind a batch that failed for now is that batch's consequence.
        let follows = matches!(error, ClientError::Broker { code: 45, .. })
            && batch.sequence.is_some_and(|own| {
                queue.again.iter().any(|other| other.sequence.is_some_and(|first| first.base < own.base))
            });
        let may_retry =
            batch.attempts <= self.config.retries && batch.created.elapsed() < self.config.delivery_timeout;
        if may_retry && (error.is_retriable() || follows) {
            self.is_stale = true;
            batch.not_before = Some(Instant::now() + self.config.client.backoff);
            queue.put_back(batch);
            return;
        }
        self.is_broken |= batch.sequence.is_some();
        state.buffered = state.buffered.saturating_sub(batch.bytes);
        drop(state);
        self.lose(&error);
        batch.fail(&error);
        self.shared.notify();
    }
}

/// What may be sent now: a batch that failed, alone; else the next, when it is full, its time is over, or there is hurry.
/// Without sequences there is at most one under way, so that their order stays.
fn take_ready(queue: &mut Queue, config: &ProducerConfig, hurry: bool) -> Option<Batch> {
    if let Some(first) = queue.again.front() {
        let is_due = first.not_before.is_none_or(|at| Instant::now() >= at);
        return if is_due && queue.in_flight == 0 { queue.again.pop_front() } else { None };
    }
    let first = queue.waiting.front()?;
    let is_ready = hurry || queue.waiting.len() > 1 || first.created.elapsed() >= config.linger;
    let in_order = config.idempotent || queue.in_flight == 0 || config.acks == 0;
    if is_ready && in_order { queue.waiting.pop_front() } else { None }
}

fn request(batches: &[(String, i32, Batch)], config: &ProducerConfig) -> ProduceRequest {
    let mut topics: Vec<TopicProduceData> = Vec::new();
    for (topic, partition, batch) in batches {
        let data = PartitionProduceData::default().with_index(*partition).with_records(Some(batch.encode()));
        match topics.last_mut().filter(|last| last.name.0.as_str() == topic) {
            Some(last) => last.partition_data.push(data),
            None => {
                let first = TopicProduceData::default().with_name(topic_name(topic));
                topics.push(first.with_partition_data(vec![data]));
            }
        }
    }
    let mut request = ProduceRequest::default();
    request.transactional_id = config.transactional_id.as_deref().map(|id| text(id).into());
    request.acks = config.acks;
    request.timeout_ms = i32::try_from(config.client.request_timeout.as_millis()).unwrap_or(i32::MAX);
    request.topic_data = topics;
    request
}

/// The base offset at which a batch was appended.
fn outcome(answer: &ProduceResponse, topic: &str, partition: i32) -> Result<i64> {
    let topics = answer.responses.iter().filter(|answered| answered.name.0.as_str() == topic);
    let mut partitions = topics.flat_map(|topic| &topic.partition_responses);
    let Some(answered) = partitions.find(|answered| answered.index == partition) else {
        return Err(ClientError::Protocol {
            peer: "the leader".into(),
            reason: format!("no answer for {topic}-{partition}"),
        });
    };
    match answered.error_code {
        // DUPLICATE_SEQUENCE_NUMBER: an earlier attempt was appended.
        0 | 46 => Ok(answered.base_offset),
        code => {
            Err(ClientError::of(code, answered.error_message.as_deref()).unwrap_or(ClientError::Interrupted))
        }
    }
}
