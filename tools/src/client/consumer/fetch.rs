//! Fetching from all leaders at once: at most one request to each is under way, and one long wait serves them all.

use super::{chunk::Chunk, config::ConsumerConfig};
use crate::client::{
    Cluster, Connection, TopicPartition,
    error::{ClientError, Result},
    topic_name,
};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse,
    fetch_request::{FetchPartition, FetchTopic},
    fetch_response::PartitionData,
};
use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    time::{Duration, Instant},
};

/// The last version that names topics; with 13 come their ids (KIP-516).
const VERSION_MAX: i16 = 12;

/// No session (KIP-227): every request names what it wants.
const NO_SESSION_EPOCH: i32 = -1;

/// A partition to be fetched.
#[derive(Clone, Debug)]
pub struct Want {
    pub place: TopicPartition,
    pub leader: i32,
    pub from: i64,
}

/// What came of a partition.
pub enum Fetched {
    /// Records, perhaps none.
    Chunk(Chunk),
    /// The leader refuses.
    Refused(TopicPartition, i64, ClientError),
}

pub struct Fetcher {
    config: ConsumerConfig,
    links: BTreeMap<i32, Link>,
}

struct Link {
    connection: Connection,
    sent: Option<Sent>,
}

struct Sent {
    version: i16,
    deadline: Instant,
    wanted: Vec<Want>,
}

impl Fetcher {
    pub fn new(config: &ConsumerConfig) -> Fetcher {
        Fetcher { config: config.clone(), links: BTreeMap::new() }
    }

    /// Whether a request to this leader is under way.
    pub fn is_busy(&self, leader: i32) -> bool {
        self.links.get(&leader).is_some_and(|link| link.sent.is_some())
    }

    /// The connections on which answers are to come.
    pub fn links(&self) -> impl Iterator<Item = &Connection> {
        self.links.values().filter(|link| link.sent.is_some()).map(|link| &link.connection)
    }

    /// Asks one leader for its partitions.
    ///
    /// # Errors
    /// [`ClientError::Connection`] and the like.
    pub fn send(&mut self, cluster: &mut Cluster, leader: i32, wanted: Vec<Want>) -> Result<()> {
        let request = self.request(&wanted);
        let link = match self.links.entry(leader) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Link { connection: cluster.take_link(leader)?, sent: None }),
        };
        let sent = link.connection.version_up_to::<FetchRequest>(VERSION_MAX).and_then(|version| {
            link.connection.send(version, &request)?;
            Ok(version)
        });
        match sent {
            Ok(version) => {
                let deadline = Instant::now() + self.config.max_wait + self.config.client.request_timeout;
                link.sent = Some(Sent { version, deadline, wanted });
                Ok(())
            }
            Err(error) => {
                self.links.remove(&leader);
                Err(error)
            }
        }
    }

    fn request(&self, wanted: &[Want]) -> FetchRequest {
        let config = &self.config;
        let mut topics: Vec<FetchTopic> = Vec::new();
        for want in wanted {
            let mut partition = FetchPartition::default();
            partition.partition = want.place.partition;
            partition.current_leader_epoch = -1;
            partition.fetch_offset = want.from;
            partition.last_fetched_epoch = -1;
            partition.log_start_offset = -1;
            partition.partition_max_bytes = config.partition_bytes;
            match topics.iter_mut().find(|topic| topic.topic.0.as_str() == want.place.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => {
                    let topic = FetchTopic::default().with_topic(topic_name(&want.place.topic));
                    topics.push(topic.with_partitions(vec![partition]));
                }
            }
        }
        let mut request = FetchRequest::default();
        request.replica_id = (-1).into();
        request.max_wait_ms = i32::try_from(config.max_wait.as_millis()).unwrap_or(i32::MAX);
        request.min_bytes = config.min_bytes;
        request.max_bytes = config.max_bytes;
        request.isolation_level = i8::from(config.read_committed);
        request.session_epoch = NO_SESSION_EPOCH;
        request.topics = topics;
        request
    }

    /// All answers that are here.
    ///
    /// # Errors
    /// A leader's number and what is wrong with its connection, which is given up.
    pub fn receive(&mut self) -> std::result::Result<Vec<Fetched>, (i32, ClientError)> {
        let mut fetched = Vec::new();
        let leaders: Vec<i32> = self.links.keys().copied().collect();
        for leader in leaders {
            let Some(link) = self.links.get_mut(&leader) else { continue };
            match receive_from(link) {
                Ok(Some((answer, wanted))) => fetched.extend(self.sort_out(answer, wanted)),
                Ok(None) => (),
                Err(error) => {
                    self.links.remove(&leader);
                    return Err((leader, error));
                }
            }
        }
        Ok(fetched)
    }

    fn sort_out(&self, answer: FetchResponse, wanted: Vec<Want>) -> Vec<Fetched> {
        if let Some(error) = ClientError::of(answer.error_code, None) {
            let refused = |want: Want| Fetched::Refused(want.place, want.from, error.clone());
            return wanted.into_iter().map(refused).collect();
        }
        let mut data: BTreeMap<TopicPartition, PartitionData> = BTreeMap::new();
        for topic in answer.responses {
            for partition in topic.partitions {
                data.insert(
                    TopicPartition::new(topic.topic.0.as_str(), partition.partition_index),
                    partition,
                );
            }
        }
        wanted.into_iter().filter_map(|want| Some(self.one(data.remove(&want.place)?, want))).collect()
    }

    fn one(&self, data: PartitionData, want: Want) -> Fetched {
        if let Some(error) = ClientError::of(data.error_code, None) {
            return Fetched::Refused(want.place, want.from, error);
        }
        let aborted = self.config.read_committed.then(|| {
            let transactions = data.aborted_transactions.unwrap_or_default().into_iter();
            transactions.map(|transaction| (transaction.producer_id.0, transaction.first_offset)).collect()
        });
        let records = data.records.unwrap_or_default();
        Fetched::Chunk(Chunk::new(want.place, want.from, records, aborted, self.config.check_crcs))
    }
}

fn receive_from(link: &mut Link) -> Result<Option<(FetchResponse, Vec<Want>)>> {
    let Some(sent) = &link.sent else { return Ok(None) };
    let Some(frame) = link.connection.frame_if_here()? else {
        if Instant::now() < sent.deadline {
            return Ok(None);
        }
        let peer = link.connection.peer();
        return Err(ClientError::TimedOut(format!("{peer} did not answer a fetch request in time")));
    };
    let answer = link.connection.decode(sent.version, &frame)?;
    Ok(link.sent.take().map(|sent| (answer, sent.wanted)))
}

/// Chunks that were fetched and not read yet.
#[derive(Default)]
pub struct Buffer {
    chunks: VecDeque<Chunk>,
}

impl Buffer {
    pub fn push(&mut self, chunk: Chunk) {
        self.chunks.push_back(chunk);
    }

    pub fn front(&mut self) -> Option<&mut Chunk> {
        self.chunks.front_mut()
    }

    pub fn pop(&mut self) -> Option<Chunk> {
        self.chunks.pop_front()
    }

    pub fn bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::bytes).sum()
    }

    pub fn keep(&mut self, wanted: impl FnMut(&Chunk) -> bool) {
        self.chunks.retain(wanted);
    }
}

/// The longest that a consumer sleeps without looking around.
pub const NAP_MAX: Duration = Duration::from_millis(200);
