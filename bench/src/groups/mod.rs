//! Many members of one group: what it costs the coordinator when they all join, when they all restart in turn, and when
//! nothing happens.
//!
//! Members do what clients do as far as the coordinator can tell: they join, one of them assigns (or the coordinator
//! does), they report at intervals, and they join again when they are told to. They read nothing.

mod classic;
mod consumer;

use crate::{
    client::Client,
    clock::now_ns,
    coordinator::{self, KeyType},
    link::{Link, readable},
    process::Process,
};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use corelane_core::{ids::TopicId, wire};
use kafka_protocol::protocol::{Request, StrBytes};
use std::{collections::BTreeSet, time::Duration};

/// How long a group may take to settle.
const PATIENCE: Duration = Duration::from_secs(300);
const NS_PER_MS: u64 = 1_000_000;

/// Which protocol the members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// JoinGroup and SyncGroup.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848).
    Consumer,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct GroupSettings {
    /// Address of a broker of the cluster.
    pub broker: String,
    /// The group's name.
    pub group: String,
    /// What it reads.
    pub topic: String,
    /// Its id.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: i32,
    /// How many members.
    pub members: usize,
    /// How they speak.
    pub protocol: Protocol,
    /// Between two reports of a member of the classic protocol, in milliseconds.
    pub heartbeat_ms: u64,
    /// Members that restart at once.
    pub restart_batch: usize,
    /// How long the settled group is watched.
    pub quiet: Duration,
}

/// What a part of the run took.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Until the group had settled.
    pub time: Duration,
    /// The broker's CPU time; zero where it is not known.
    pub cpu: Duration,
    /// Requests that the members sent.
    pub requests: u64,
    /// Their bytes and those of the answers.
    pub bytes: u64,
}

/// All parts.
#[derive(Clone, Copy, Debug)]
pub struct GroupRun {
    /// Everyone joins.
    pub join: Part,
    /// Everyone leaves and comes back, a batch at a time.
    pub restart: Part,
    /// Nothing but heartbeats.
    pub quiet: Part,
}

/// What a member wants done.
enum Next {
    /// This request, at once.
    Send(Bytes),
    /// This request, at a time.
    SendAt(u64, Bytes),
}

/// One member's side of its protocol.
trait Protocolled {
    /// The first request.
    fn begin(&mut self) -> Result<Bytes>;
    /// An answer came.
    fn answered(&mut self, frame: &Bytes, now_ns: u64) -> Result<Next>;
    /// The request that says that it goes.
    fn leave(&mut self) -> Result<Bytes>;
    /// What it owns; `None` while that may change.
    fn owns(&self) -> Option<&BTreeSet<i32>>;
}

struct Member {
    link: Link,
    state: Box<dyn Protocolled>,
    due: Option<(u64, Bytes)>,
}

/// All members, in one thread.
struct Crowd<'a> {
    settings: &'a GroupSettings,
    coordinator: String,
    members: Vec<Member>,
    born: u64,
    requests: u64,
    bytes: u64,
}

/// Runs it all.
///
/// # Errors
/// With what to check, or what the broker answered.
pub fn run(settings: &GroupSettings, process: Option<Process>) -> Result<GroupRun> {
    ensure!(settings.members > 0 && settings.restart_batch > 0, "a group needs members");
    let group = StrBytes::from_string(settings.group.clone());
    let mut found = coordinator::find(&mut Client::connect(&settings.broker)?, KeyType::Group, &[group])?;
    let coordinator = found.pop().context("the group has no coordinator")?;
    let mut crowd = Crowd { settings, coordinator, members: Vec::new(), born: 0, requests: 0, bytes: 0 };
    let join = crowd.measure(process, |crowd| {
        crowd.start(settings.members)?;
        crowd.settle()
    })?;
    let restart = crowd.measure(process, |crowd| {
        let mut left = settings.members;
        while left > 0 {
            let batch = left.min(settings.restart_batch);
            crowd.restart(batch)?;
            crowd.settle()?;
            left -= batch;
        }
        Ok(())
    })?;
    let quiet = crowd.measure(process, |crowd| {
        let end = now_ns() + u64::try_from(settings.quiet.as_nanos()).unwrap_or(u64::MAX);
        crowd.pump(|_| now_ns() >= end)
    })?;
    Ok(GroupRun { join, restart, quiet })
}

impl Crowd<'_> {
    fn measure(
        &mut self,
        process: Option<Process>,
        part: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Part> {
        let cpu = |process: Option<Process>| -> Result<Duration> {
            process.map_or(Ok(Duration::ZERO), |process| Ok(process.sample()?.cpu))
        };
        let (started, cpu_before) = (now_ns(), cpu(process)?);
        let (requests, bytes) = (self.requests, self.bytes);
        part(self)?;
        Ok(Part {
            time: Duration::from_nanos(now_ns() - started),
            cpu: cpu(process)?.saturating_sub(cpu_before),
            requests: self.requests - requests,
            bytes: self.bytes - bytes,
        })
    }

    fn start(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.born += 1;
            let mut state: Box<dyn Protocolled> = match self.settings.protocol {
                Protocol::Classic => Box::new(classic::ClassicMember::new(self.settings)),
                Protocol::Consumer => Box::new(consumer::ConsumerMember::new(self.settings, self.born)),
            };
            let first = state.begin()?;
            let stream = crate::client::open(&self.coordinator)?;
            let mut member = Member { link: Link::new(stream)?, state, due: None };
            self.requests += 1;
            self.bytes += first.len() as u64;
            member.link.send(first);
            member.link.flush()?;
            self.members.push(member);
        }
        Ok(())
    }

    /// The oldest members leave, and as many new ones come.
    fn restart(&mut self, count: usize) -> Result<()> {
        for mut member in self.members.drain(..count) {
            let leave = member.state.leave()?;
            self.requests += 1;
            self.bytes += leave.len() as u64;
            member.link.send(leave);
            member.link.flush()?;
            // What it still owes is read and dropped, so that the connection ends after the request was taken.
            let deadline = now_ns() + 5_000 * NS_PER_MS;
            while member.link.next_frame()?.is_none() && now_ns() < deadline {
                member.link.fill()?;
                std::thread::yield_now();
            }
        }
        self.start(count)
    }

    /// Until every partition has its owner and nobody waits for anything.
    fn settle(&mut self) -> Result<()> {
        let deadline = now_ns() + u64::try_from(PATIENCE.as_nanos()).unwrap_or(u64::MAX);
        let partitions = usize::try_from(self.settings.partitions)?;
        self.pump(|members| {
            let owned: Option<Vec<&BTreeSet<i32>>> =
                members.iter().map(|member| member.state.owns()).collect();
            let whole = owned.is_some_and(|owned| {
                let count: usize = owned.iter().map(|own| own.len()).sum();
                count == partitions
                    && owned.into_iter().flatten().collect::<BTreeSet<_>>().len() == partitions
            });
            whole || now_ns() > deadline
        })?;
        ensure!(now_ns() <= deadline, "the group did not settle within {} s", PATIENCE.as_secs());
        Ok(())
    }

    /// Lets members talk until `done`, which is asked every few milliseconds.
    fn pump(&mut self, mut done: impl FnMut(&[Member]) -> bool) -> Result<()> {
        let mut ask_at = 0;
        loop {
            let now = now_ns();
            if now >= ask_at {
                if done(&self.members) {
                    return Ok(());
                }
                ask_at = now + 5 * NS_PER_MS;
            }
            for member in &mut self.members {
                if member.due.as_ref().is_some_and(|(at, _)| *at <= now)
                    && let Some((_, frame)) = member.due.take()
                {
                    self.requests += 1;
                    self.bytes += frame.len() as u64;
                    member.link.send(frame);
                }
                if member.link.has_unsent() {
                    member.link.flush()?;
                }
            }
            for index in readable(self.members.iter().map(|member| &member.link), Duration::from_millis(1))? {
                self.hear(index)?;
            }
        }
    }

    fn hear(&mut self, index: usize) -> Result<()> {
        let member = &mut self.members[index];
        member.link.fill().context("a member's connection")?;
        while let Some(frame) = member.link.next_frame()? {
            self.bytes += frame.len() as u64;
            match member.state.answered(&frame, now_ns())? {
                Next::Send(frame) => {
                    self.requests += 1;
                    self.bytes += frame.len() as u64;
                    member.link.send(frame);
                    member.link.flush()?;
                }
                Next::SendAt(at, frame) => member.due = Some((at, frame)),
            }
        }
        Ok(())
    }
}

/// A request with a correlation id that nobody looks at: each member has one request under way.
fn encode<T: Request>(version: i16, request: &T) -> Result<Bytes> {
    Ok(wire::encode_request(1, Some("corelane-bench"), version, request)?)
}

fn decode<T: Request>(version: i16, frame: &Bytes) -> Result<T::Response> {
    Ok(wire::decode_response::<T::Response>(version, frame)?.1)
}

fn unexpected<T>(what: &str, code: i16) -> Result<T> {
    bail!("{what}: {}", crate::client::error_name(code))
}
