//! A consumer on one thread: [`Consumer::next`] hands out one record after the other, and in between keeps fetches, the
//! group's heartbeats and commits going. What is handed out counts as read, so the position is exactly behind it.

mod assign;
mod chunk;
mod classic;
mod config;
mod fetch;
mod member;
mod modern;
mod position;
mod sticky;

pub use chunk::ConsumedRecord;
pub use config::{ConsumerConfig, GroupProtocol};

use super::{
    ClientConfig, Cluster, Properties, TopicPartition,
    cluster::Topics,
    error::{ClientError, Result},
    groups,
    member_data::Assignment,
};
use crate::{java, log};
use classic::Classic;
use corelane_core::records::Scratch;
use fancy_regex::Regex;
use fetch::{Buffer, Fetched, Fetcher, NAP_MAX, Want};
use member::{Joined, Member};
use modern::Modern;
use position::Positions;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

/// What is read.
#[derive(Clone, Debug)]
pub enum Subscription {
    /// These topics, shared with the group.
    Topics(Vec<String>),
    /// Topics whose whole name matches, shared with the group.
    Pattern(Regex),
    /// These partitions, whoever else reads them, each from an offset or one of the special ones of
    /// [`offsets`](super::offsets).
    Partitions(BTreeMap<TopicPartition, i64>),
}

/// Records that are handed out before fetches and heartbeats are looked at again.
const RECORDS_BETWEEN_UPKEEP: u32 = 512;

/// A consumer.
pub struct Consumer {
    config: ConsumerConfig,
    cluster: Cluster,
    subscription: Subscription,
    /// The topics that the subscription means, with their numbers of partitions, as the metadata have it.
    topics: BTreeMap<String, i32>,
    member: Option<Box<dyn Member>>,
    positions: Positions,
    fetcher: Fetcher,
    buffer: Buffer,
    scratch: Scratch,
    metadata_due: Instant,
    commit_due: Option<Instant>,
    interrupted: fn() -> bool,
    told: BTreeSet<String>,
    rebalances: Vec<Rebalance>,
    until_upkeep: u32,
}

/// What the group gave or took, for tools that tell of it.
#[derive(Clone, Debug)]
pub enum Rebalance {
    /// It is going to be shared out anew.
    Revoked(Instant),
    /// It was.
    Assigned(Instant),
}

impl Consumer {
    /// The settings that every client has.
    pub fn client(&self) -> &ClientConfig {
        self.cluster.config()
    }

    /// Reads the settings; connects when records are asked for. `interrupted` says when to give up waiting.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn new(
        properties: &Properties,
        subscription: Subscription,
        interrupted: fn() -> bool,
    ) -> Result<Consumer> {
        let config = ConsumerConfig::read(properties)?;
        let is_shared = !matches!(subscription, Subscription::Partitions(_));
        let member: Option<Box<dyn Member>> = match (&config.group, is_shared) {
            (_, false) => None,
            (None, true) => {
                let why = "To use the group management or offset commit APIs, you must provide a valid group.id in the \
                           consumer configuration.";
                return Err(ClientError::Broker { code: 24, message: Some(why.into()) });
            }
            (Some(group), true) => Some(match config.protocol {
                GroupProtocol::Classic => Box::new(Classic::new(&config, group)),
                GroupProtocol::Consumer => Box::new(Modern::new(&config, group)),
            }),
        };
        let mut consumer = Consumer {
            cluster: Cluster::with(config.client.clone()).interrupted_by(interrupted),
            positions: Positions::default(),
            fetcher: Fetcher::new(&config),
            buffer: Buffer::default(),
            scratch: Scratch::new(),
            topics: BTreeMap::new(),
            metadata_due: Instant::now(),
            commit_due: config.auto_commit.map(|interval| Instant::now() + interval),
            told: BTreeSet::new(),
            rebalances: Vec::new(),
            until_upkeep: RECORDS_BETWEEN_UPKEEP,
            config,
            subscription,
            member,
            interrupted,
        };
        if let Subscription::Partitions(partitions) = &consumer.subscription {
            consumer.positions.assign_at(partitions);
        }
        Ok(consumer)
    }

    /// The next record, waited for at most `limit`; `None` where none came.
    ///
    /// # Errors
    /// [`ClientError::Interrupted`]; what keeps it from reading on.
    pub fn next(&mut self, limit: Duration) -> Result<Option<ConsumedRecord>> {
        let deadline = Instant::now().checked_add(limit);
        loop {
            if (self.interrupted)() {
                return Err(ClientError::Interrupted);
            }
            self.keep_up()?;
            if let Some(record) = self.take()? {
                return Ok(Some(record));
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Ok(None);
            }
            self.wait(deadline.map_or(NAP_MAX, |deadline| deadline - now));
            self.receive()?;
        }
    }

    /// The next record if one is here, without waiting. Now and then it sees to fetches and heartbeats, so that the next
    /// records are on their way while these are read.
    ///
    /// # Errors
    /// As [`Consumer::next`].
    pub fn buffered(&mut self) -> Result<Option<ConsumedRecord>> {
        self.until_upkeep -= 1;
        if self.until_upkeep == 0 {
            self.until_upkeep = RECORDS_BETWEEN_UPKEEP;
            if (self.interrupted)() {
                return Err(ClientError::Interrupted);
            }
            self.keep_up()?;
            self.receive()?;
        }
        self.take()
    }

    /// Rebalances since the last time this was asked.
    pub fn rebalances(&mut self) -> Vec<Rebalance> {
        std::mem::take(&mut self.rebalances)
    }

    fn take(&mut self) -> Result<Option<ConsumedRecord>> {
        while let Some(chunk) = self.buffer.front() {
            let next = chunk.next(&mut self.scratch);
            let position = chunk.position();
            match next {
                Ok(Some(record)) => {
                    self.positions.read_to(&record.place, record.offset + 1);
                    return Ok(Some(record));
                }
                Ok(None) => {
                    if let Some(chunk) = self.buffer.pop() {
                        self.positions.read_to(&chunk.place, position);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Everything that is due and does not wait for records.
    fn keep_up(&mut self) -> Result<()> {
        self.learn()?;
        self.keep_membership()?;
        self.commit_if_due();
        self.find_positions()?;
        self.fetch()
    }

    /// The metadata of what is subscribed to.
    fn learn(&mut self) -> Result<()> {
        let now = Instant::now();
        if now < self.metadata_due {
            return Ok(());
        }
        let named: Vec<String> = match &self.subscription {
            Subscription::Topics(topics) => topics.clone(),
            Subscription::Pattern(_) => Vec::new(),
            Subscription::Partitions(partitions) => {
                partitions.keys().map(|place| place.topic.clone()).collect()
            }
        };
        let asked = match (&self.subscription, self.config.create_topics) {
            (Subscription::Pattern(_), _) => Topics::All,
            (_, true) => Topics::NamedOrCreated(&named),
            (_, false) => Topics::Named(&named),
        };
        let answer = match self.cluster.metadata(asked) {
            Ok(answer) => answer,
            Err(error) if error.is_retriable() => {
                self.metadata_due = now + self.config.client.backoff;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let (mut topics, mut leaders) = (BTreeMap::new(), BTreeMap::new());
        let mut is_whole = true;
        for topic in answer.topics {
            let name = topic.name.map(|name| name.0.to_string()).unwrap_or_default();
            match ClientError::of(topic.error_code, None) {
                None => (),
                Some(error) if error.is_retriable() => {
                    is_whole = false;
                    if self.told.insert(name.clone()) {
                        log::warn(&format!(
                            "The metadata response reported a recoverable issue: topic {name}: {error}"
                        ));
                    }
                    continue;
                }
                Some(_) if topic.error_code == 17 => {
                    let message = Some(format!("Invalid topics: [{name}]"));
                    return Err(ClientError::Broker { code: 17, message });
                }
                Some(error) => return Err(error),
            }
            let is_meant = match &self.subscription {
                Subscription::Pattern(pattern) => {
                    java::matches(pattern, &name) && !(self.config.exclude_internal && topic.is_internal)
                }
                _ => true,
            };
            if is_meant {
                topics.insert(name.clone(), i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX));
                for partition in topic.partitions {
                    let leader = Some(partition.leader_id.0).filter(|id| *id >= 0);
                    is_whole &= leader.is_some();
                    leaders.insert(TopicPartition::new(name.as_str(), partition.partition_index), leader);
                }
            }
        }
        self.positions.leaders(leaders);
        let wait = if is_whole { self.config.metadata_age } else { self.config.client.backoff };
        self.metadata_due = now + wait;
        if self.topics != topics {
            self.topics = topics;
            if let Some(member) = &mut self.member
                && self.config.protocol == GroupProtocol::Classic
                && member.is_joined()
            {
                if member.keeps() {
                    member.rejoin(true);
                } else {
                    self.give_back();
                }
            }
        }
        Ok(())
    }

    /// The topics to name to the coordinator.
    fn subscribed(&self) -> Vec<String> {
        match &self.subscription {
            Subscription::Topics(topics) => topics.clone(),
            Subscription::Pattern(_) | Subscription::Partitions(_) => self.topics.keys().cloned().collect(),
        }
    }

    fn keep_membership(&mut self) -> Result<()> {
        if self.member.is_none() {
            return Ok(());
        }
        let topics = self.subscribed();
        let asked = self.interrupted;
        let Some(member) = &mut self.member else { return Ok(()) };
        match member.poll(&mut self.cluster, &topics, asked)? {
            Joined::Same => (),
            Joined::Leaving => self.give_back(),
            Joined::New(assignment) => self.take_over(&assignment),
        }
        Ok(())
    }

    /// Before the group shares out anew: what was read is committed, what was fetched forgotten.
    fn give_back(&mut self) {
        self.rebalances.push(Rebalance::Revoked(Instant::now()));
        if self.config.auto_commit.is_some() {
            self.commit_and_tell();
        }
        self.positions.assign(BTreeSet::new());
        self.buffer.keep(|_| false);
        if let Some(member) = &mut self.member {
            member.rejoin(false);
        }
    }

    fn take_over(&mut self, assignment: &Assignment) {
        let places = assignment.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(|partition| TopicPartition::new(topic.as_str(), *partition))
        });
        let places: BTreeSet<TopicPartition> = places.collect();
        if self.config.auto_commit.is_some() && self.positions.loses(&places) {
            self.commit_and_tell();
        }
        self.buffer.keep(|chunk| places.contains(&chunk.place));
        self.positions.assign(places);
        self.rebalances.push(Rebalance::Assigned(Instant::now()));
        self.metadata_due = self.metadata_due.min(Instant::now());
    }

    fn commit_if_due(&mut self) {
        let now = Instant::now();
        if let (Some(due), Some(interval)) = (self.commit_due, self.config.auto_commit)
            && now >= due
        {
            self.commit_due = Some(now + interval);
            self.commit_and_tell();
        }
    }

    fn commit_and_tell(&mut self) {
        if let Err(error) = self.commit() {
            log::warn(&format!("Offsets were not committed: {error}"));
        }
    }

    /// Commits what was read, where it is more than was committed.
    ///
    /// # Errors
    /// The coordinator's.
    pub fn commit(&mut self) -> Result<()> {
        let Some(group) = self.config.group.clone() else { return Ok(()) };
        let offsets = self.positions.uncommitted();
        if offsets.is_empty() {
            return Ok(());
        }
        let committer =
            self.member.as_ref().map_or_else(groups::Committer::nobody, |member| member.committer());
        groups::commit(&mut self.cluster, &group, &committer, &offsets)?;
        self.positions.committed(&offsets);
        Ok(())
    }

    fn find_positions(&mut self) -> Result<()> {
        if !self.positions.has_open() {
            return Ok(());
        }
        self.positions.find(&mut self.cluster, &self.config)
    }

    fn fetch(&mut self) -> Result<()> {
        let most = usize::try_from(self.config.max_bytes).unwrap_or(usize::MAX);
        if self.buffer.bytes() >= most {
            return Ok(());
        }
        let mut by_leader: BTreeMap<i32, Vec<Want>> = BTreeMap::new();
        for want in self.positions.wanted() {
            if !self.fetcher.is_busy(want.leader) {
                by_leader.entry(want.leader).or_default().push(want);
            }
        }
        for (leader, wanted) in by_leader {
            match self.fetcher.send(&mut self.cluster, leader, wanted) {
                Ok(()) => (),
                Err(error) if error.is_retriable() => self.soon(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Leaders may have moved.
    fn soon(&mut self) {
        self.metadata_due = self.metadata_due.min(Instant::now() + self.config.client.backoff);
    }

    fn receive(&mut self) -> Result<()> {
        let fetched = match self.fetcher.receive() {
            Ok(fetched) => fetched,
            Err((leader, error)) if error.is_retriable() => {
                log::warn(&format!("Fetching from broker {leader}: {error}"));
                self.soon();
                return Ok(());
            }
            Err((_, error)) => return Err(error),
        };
        for one in fetched {
            match one {
                Fetched::Chunk(chunk) => {
                    let (from, end) = (chunk.position(), chunk.end());
                    if end > from && self.positions.fetched(&chunk.place, from, end) {
                        self.buffer.push(chunk);
                    }
                }
                Fetched::Refused(place, from, error) => self.refused(&place, from, error)?,
            }
        }
        Ok(())
    }

    fn refused(&mut self, place: &TopicPartition, from: i64, error: ClientError) -> Result<()> {
        match error {
            // OFFSET_OUT_OF_RANGE
            ClientError::Broker { code: 1, .. } => {
                log::warn(&format!(
                    "Fetch position {from} is out of range for partition {place}, resetting offset"
                ));
                self.positions.reset(place, from);
                Ok(())
            }
            error if error.is_retriable() => {
                self.soon();
                self.positions.pause(place, Instant::now() + self.config.client.backoff);
                Ok(())
            }
            error => Err(error),
        }
    }

    /// Sleeps until an answer comes or something is due.
    fn wait(&self, most: Duration) {
        let now = Instant::now();
        let mut until = now + most.min(NAP_MAX);
        let beat = self.member.as_ref().and_then(|member| member.next_beat());
        for due in [beat, self.commit_due, Some(self.metadata_due)].into_iter().flatten() {
            until = until.min(due);
        }
        let left = until.saturating_duration_since(now).max(Duration::from_millis(1));
        let links = self.fetcher.links().chain(self.member.as_ref().and_then(|member| member.link()));
        let mut sockets: Vec<PollFd<'_>> =
            links.map(|link| PollFd::new(link.socket(), PollFlags::IN)).collect();
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
        if poll(&mut sockets, Some(&timeout)).is_err() {
            // A signal: whoever asks looks around again.
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Commits, if that is on, and leaves the group.
    ///
    /// # Errors
    /// The coordinator's.
    pub fn close(mut self) -> Result<()> {
        // The signal that ended it must not end its last words.
        self.cluster = Cluster::with(self.config.client.clone());
        let committed = if self.config.auto_commit.is_some() { self.commit() } else { Ok(()) };
        let left = self.member.as_mut().map_or(Ok(()), |member| member.leave());
        committed.and(left)
    }
}
