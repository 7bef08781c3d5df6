//! Members of groups that commit without a pause, and go on after their broker was killed from where they know that they
//! stood.

use crate::{
    Client,
    commits::{Commits, Fate},
    group_requests::{COMMIT_VERSION, Identity, beside, commit_request, text},
    producer::is_disconnect,
};
use anyhow::{Context, bail, ensure};
use corelane_core::error::ErrorCode;
use kafka_protocol::{
    messages::{OffsetCommitRequest, TopicName, consumer_group_heartbeat_request::TopicPartitions},
    protocol::StrBytes,
};
use std::{collections::VecDeque, net::SocketAddr, ops::Range};

/// Commits under way at once, of one member.
const IN_FLIGHT: usize = 4;
/// After so many commits a member does what its protocol asks for.
const COMMITS_BETWEEN: usize = 20;

/// How a member belongs to its group.
#[derive(Debug)]
enum Role {
    /// Not at all: it only commits.
    Simple,
    /// By the classic protocol, alone. It joins again and again.
    Classic {
        /// Its name, and its last generation.
        who: Identity,
        /// It was told its assignment under this name: the name is durable.
        is_stored: bool,
        /// It is about to leave that generation: what becomes of it is not known before the next one.
        moves: bool,
    },
    /// By the new protocol, with others who come and go.
    Consumer {
        /// Its name, and its epoch as it was told last.
        who: Identity,
        /// What it owns, as it was told last.
        owned: Vec<TopicPartitions>,
        /// Heartbeats without an answer since the last that had one.
        unanswered: u32,
    },
}

/// One member and what it committed, by partition.
#[derive(Debug)]
pub(crate) struct Member {
    pub group: String,
    topic: &'static str,
    role: Role,
    pub commits: Vec<Commits>,
    /// Generations and epochs that it entered.
    pub epochs: u64,
}

impl Member {
    fn new(group: &str, topic: &'static str, partitions: Range<i32>, role: Role) -> Member {
        let commits = partitions.map(|partition| Commits::new(group, partition)).collect();
        Member { group: group.to_owned(), topic, role, commits, epochs: 0 }
    }

    /// Commits for these partitions without being a member.
    pub fn simple(group: &str, topic: &'static str, partitions: Range<i32>) -> Member {
        Member::new(group, topic, partitions, Role::Simple)
    }

    /// The only member of a classic group.
    pub fn classic(group: &str, topic: &'static str, partitions: Range<i32>) -> Member {
        let role = Role::Classic { who: Identity::none(), is_stored: false, moves: true };
        Member::new(group, topic, partitions, role)
    }

    /// A member of a consumer group. It commits for all of its partitions whether it owns them or not, as a coordinator
    /// lets members do who are in their present epoch.
    pub fn consumer(group: &str, topic: &'static str, partitions: Range<i32>) -> Member {
        let who = Identity { id: text("committing"), epoch: 0 };
        Member::new(group, topic, partitions, Role::Consumer { who, owned: Vec::new(), unanswered: 0 })
    }

    /// Commits until the connection breaks.
    ///
    /// # Errors
    /// When a commit is refused, or the group does not know the member as it was acknowledged to be.
    pub fn run(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        match self.commit_on(address) {
            Err(error) if is_disconnect(&error) => Ok(()),
            ended => ended.with_context(|| format!("a member of {}", self.group)),
        }
    }

    fn commit_on(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let mut client = Client::connect(address)?;
        let mut sent: VecDeque<Vec<i64>> = VecDeque::new();
        self.come_back(&mut client)?;
        for count in 1.. {
            if sent.len() >= IN_FLIGHT {
                self.receive(&mut client, &mut sent)?;
            }
            let offsets: Vec<i64> = self.commits.iter_mut().map(Commits::send).collect();
            let each = self.commits.iter().map(|commits| commits.partition).zip(offsets.iter().copied());
            let request = commit_request(&self.group, &self.identity(), self.topic, each, beside);
            // Whether it arrives or not: from here on its fate is not known.
            sent.push_back(offsets);
            client.send(COMMIT_VERSION, &request)?;
            if count % COMMITS_BETWEEN == 0 {
                while !sent.is_empty() {
                    self.receive(&mut client, &mut sent)?;
                }
                self.go_on(&mut client)?;
            }
        }
        Ok(())
    }

    fn identity(&self) -> Identity {
        match &self.role {
            Role::Simple => Identity::none(),
            Role::Classic { who, .. } | Role::Consumer { who, .. } => who.clone(),
        }
    }

    fn receive(&mut self, client: &mut Client, sent: &mut VecDeque<Vec<i64>>) -> anyhow::Result<()> {
        let (response, _) = client.receive::<OffsetCommitRequest>(COMMIT_VERSION)?;
        let offsets = sent.pop_front().context("nothing was committed")?;
        let told = response.topics.iter().flat_map(|topic| &topic.partitions);
        let mut answered = 0;
        for ((commits, offset), told) in self.commits.iter_mut().zip(offsets).zip(told) {
            ensure!(told.partition_index == commits.partition, "another partition was answered");
            let fate = if told.error_code == 0 { Fate::Acknowledged } else { Fate::Refused };
            commits.answered(offset, fate);
            ensure!(fate == Fate::Acknowledged, "a commit was refused: {}", told.error_code);
            answered += 1;
        }
        ensure!(answered == self.commits.len(), "{answered} partitions were answered");
        Ok(())
    }

    /// After a restart: the group knows it as it was told last.
    fn come_back(&mut self, client: &mut Client) -> anyhow::Result<()> {
        match &self.role {
            Role::Classic { who, moves: false, .. } => {
                let error = client.classic_heartbeat(&self.group, who)?;
                ensure!(error == ErrorCode::None, "generation {} is not known any more: {error}", who.epoch);
                Ok(())
            }
            Role::Simple | Role::Classic { .. } | Role::Consumer { .. } => self.go_on(client),
        }
    }

    fn go_on(&mut self, client: &mut Client) -> anyhow::Result<()> {
        match &mut self.role {
            Role::Simple => {}
            Role::Classic { who, is_stored, moves } => {
                *moves = true;
                join_and_sync(client, &self.group, self.topic, who, is_stored)?;
                *moves = false;
                self.epochs += 1;
            }
            Role::Consumer { who, owned, unanswered } => {
                let before = who.epoch;
                // Twice: what it was told to give up is given up with the next one.
                for _ in 0..2 {
                    beat(client, &self.group, self.topic, (who, owned, unanswered))?;
                }
                self.epochs += u64::from(who.epoch != before);
            }
        }
        Ok(())
    }
}

/// The next generation of a classic group of one.
fn join_and_sync(
    client: &mut Client,
    group: &str,
    topic: &str,
    who: &mut Identity,
    is_stored: &mut bool,
) -> anyhow::Result<()> {
    let generation = loop {
        let (error, response) = client.join_group(group, &who.id, topic)?;
        match error {
            ErrorCode::None => break response.generation_id,
            ErrorCode::MemberIdRequired => who.id = response.member_id,
            // A name that was given, and that the group was killed before it wrote down.
            ErrorCode::UnknownMemberId if !*is_stored && !who.id.is_empty() => who.id = text(""),
            error => bail!("JoinGroup as {:?}, known {is_stored}: {error}", who.id.as_str()),
        }
    };
    ensure!(generation > who.epoch, "generation {generation} after {}", who.epoch);
    let next = Identity { id: who.id.clone(), epoch: generation };
    let (error, response) = client.sync_group(group, &next)?;
    ensure!(error == ErrorCode::None, "SyncGroup: {error}");
    ensure!(&response.assignment[..] == b"all", "another assignment than the leader's");
    (*who, *is_stored) = (next, true);
    Ok(())
}

/// A heartbeat of a member of the new protocol, which joins with its first one.
fn beat(
    client: &mut Client,
    group: &str,
    topic: &str,
    (who, owned, unanswered): (&mut Identity, &mut Vec<TopicPartitions>, &mut u32),
) -> anyhow::Result<()> {
    *unanswered += 1;
    let (error, response) = client.consumer_heartbeat(group, who, |request| {
        let owned = Some(if who.epoch == 0 { Vec::new() } else { owned.clone() });
        let request = request.with_topic_partitions(owned).with_rebalance_timeout_ms(60_000);
        request.with_subscribed_topic_names(Some(vec![TopicName(text(topic))]))
    })?;
    match error {
        ErrorCode::None => {}
        // Each of two heartbeats whose answers are lost may have brought it into another epoch; a coordinator remembers
        // the one before.
        ErrorCode::FencedMemberEpoch if *unanswered > 2 => {
            (who.epoch, *unanswered) = (0, 0);
            owned.clear();
            return beat(client, group, topic, (who, owned, unanswered));
        }
        error => bail!("a heartbeat in epoch {}, {unanswered} unanswered: {error}", who.epoch),
    }
    *unanswered = 0;
    ensure!(response.member_epoch >= who.epoch, "epoch {} after {}", response.member_epoch, who.epoch);
    who.epoch = response.member_epoch;
    if let Some(assignment) = response.assignment {
        let each = assignment.topic_partitions.into_iter();
        *owned = each
            .map(|it| TopicPartitions::default().with_topic_id(it.topic_id).with_partitions(it.partitions))
            .collect();
    }
    Ok(())
}

/// Joins a consumer group under one name and leaves it, again and again, until the connection breaks.
///
/// # Errors
/// When it is not let in or out.
pub(crate) fn come_and_go(address: SocketAddr, group: &str, topic: &str) -> anyhow::Result<()> {
    let name: StrBytes = text("joining");
    let run = || -> anyhow::Result<()> {
        let mut client = Client::connect(address)?;
        loop {
            let (mut who, mut owned) = (Identity { id: name.clone(), epoch: 0 }, Vec::new());
            for _ in 0..3 {
                beat(&mut client, group, topic, (&mut who, &mut owned, &mut 0))?;
            }
            let leaves = Identity { epoch: -1, ..who };
            let (error, _) = client.consumer_heartbeat(group, &leaves, |request| request)?;
            ensure!(error == ErrorCode::None, "leaving: {error}");
        }
    };
    match run() {
        Err(error) if is_disconnect(&error) => Ok(()),
        ended => ended.context("a member that comes and goes"),
    }
}
