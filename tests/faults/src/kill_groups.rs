//! `kill -9` while groups commit, again and again, each time restarted with another number of shards.

use crate::{
    Broker, BrokerOptions, Client,
    commits::Fate,
    group_requests::{Told, beside},
    members::{Member, come_and_go},
};
use anyhow::{Context, ensure};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::Path,
    thread,
    time::Duration,
};

const TOPIC: &str = "read";
const PARTITIONS: i32 = 8;
const SHARDS_MAX: u16 = 4;
/// The group in which members come and go.
const BUSY: &str = "consumer";

/// How long a clean stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// How often, and by which seed.
#[derive(Clone, Copy, Debug)]
pub struct KillGroupsSettings {
    /// Kills while groups commit.
    pub rounds: u32,
    /// For moments and shards. The moment within the broker's work is the machine's.
    pub seed: u64,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct KillGroupsReport {
    /// Kills while groups commit.
    pub kills: u32,
    /// Commits that were acknowledged, and are there, or later ones.
    pub acknowledged: u64,
    /// Commits without an answer.
    pub unknown: u64,
    /// Generations and epochs that members entered.
    pub epochs: u64,
}

impl fmt::Display for KillGroupsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills while groups commit: {} commits acknowledged and there, or later ones; {} unknown; members entered \
             {} generations and epochs",
            self.kills, self.acknowledged, self.unknown, self.epochs
        )
    }
}

/// Runs it. The data directory stays, and is named, when something is wrong.
///
/// # Errors
/// Everything that must not happen.
pub fn run(settings: KillGroupsSettings) -> anyhow::Result<KillGroupsReport> {
    let directory = tempfile::tempdir()?;
    let mut run = Run::new(settings, directory.path());
    let outcome = run.all();
    let report = run.report;
    outcome.map(|()| report).map_err(|error| {
        let kept = directory.keep();
        let (seed, round) = (settings.seed, report.kills);
        error.context(format!("seed {seed}, round {round}; the data is in {}", kept.display()))
    })
}

struct Run<'a> {
    rounds: u32,
    data_dir: &'a Path,
    chance: SmallRng,
    members: Vec<Member>,
    report: KillGroupsReport,
}

impl<'a> Run<'a> {
    fn new(settings: KillGroupsSettings, data_dir: &'a Path) -> Run<'a> {
        let mut members: Vec<Member> =
            (0..4).map(|number| Member::simple(&format!("alone-{number}"), TOPIC, 0..3)).collect();
        members.extend((0..2).map(|half| Member::simple("shared", TOPIC, half * 4..half * 4 + 4)));
        members.extend((0..2).map(|number| Member::classic(&format!("classic-{number}"), TOPIC, 0..2)));
        members.push(Member::consumer(BUSY, TOPIC, 0..2));
        Run {
            rounds: settings.rounds,
            data_dir,
            chance: SmallRng::seed_from_u64(settings.seed),
            members,
            report: KillGroupsReport::default(),
        }
    }

    fn all(&mut self) -> anyhow::Result<()> {
        for round in 0..self.rounds {
            let mut broker = self.start()?;
            if round == 0 {
                let mut client = Client::connect(broker.address())?;
                client.create_topics(&[TOPIC], PARTITIONS, &[])?;
                client.await_topic(TOPIC, PARTITIONS as usize, Duration::from_secs(20))?;
                client.await_coordinator(BUSY)?;
            }
            self.verify(broker.address())?;
            self.commit_and_kill(&mut broker)?;
            self.report.kills += 1;
        }
        let mut broker = self.start()?;
        self.verify(broker.address())?;
        let status = broker.terminate(STOP_PATIENCE)?;
        ensure!(status.success(), "a clean stop ended with {status}");
        let broker = self.start()?;
        self.verify(broker.address())
    }

    fn start(&mut self) -> anyhow::Result<Broker> {
        // Small segments and a hasty cleaner: the topic of the offsets is compacted while it is being killed.
        let options = BrokerOptions::new(self.data_dir, self.chance.random_range(1..=SHARDS_MAX))
            .with("corelane.journal.bytes.max", 16 << 20)
            .with("corelane.disk.reserve.bytes", 0)
            .with("offsets.topic.num.partitions", 8)
            .with("offsets.topic.segment.bytes", 1 << 20)
            .with("log.cleaner.backoff.ms", 50)
            .with("group.initial.rebalance.delay.ms", 0)
            .with("group.consumer.assignment.interval.ms", 0);
        Broker::start(&options)
    }

    fn commit_and_kill(&mut self, broker: &mut Broker) -> anyhow::Result<()> {
        let address = broker.address();
        let long = self.chance.random_ratio(2, 3);
        let moment = Duration::from_millis(self.chance.random_range(if long { 200..900 } else { 1..200 }));
        let members = &mut self.members;
        thread::scope(|scope| {
            let mut threads: Vec<_> =
                members.iter_mut().map(|member| scope.spawn(|| member.run(address))).collect();
            threads.push(scope.spawn(|| come_and_go(address, BUSY, TOPIC)));
            // The load's length, not a wait for something.
            thread::sleep(moment);
            let ran = broker.ensure_running();
            broker.kill();
            ran?;
            for thread in threads {
                thread.join().map_err(|_| anyhow::anyhow!("a member panicked"))??;
            }
            Ok::<_, anyhow::Error>(())
        })
        .with_context(|| format!("while groups commit; the broker said:\n{}", broker.said()))
    }

    /// What every group is told is held against what its members committed.
    fn verify(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let mut client = Client::connect(address)?;
        let groups: BTreeSet<String> = self.members.iter().map(|member| member.group.clone()).collect();
        let mut told: BTreeMap<(String, i32), Told> = BTreeMap::new();
        for group in &groups {
            let each = client.committed_offsets(group)?.into_iter();
            told.extend(each.map(|it| ((group.clone(), it.partition), it)));
        }
        for commits in self.members.iter_mut().flat_map(|member| &mut member.commits) {
            let of_it = told.remove(&(commits.group.clone(), commits.partition));
            if let Some(it) = &of_it {
                ensure!(it.metadata == beside(it.offset), "{}: {it:?}", commits.group);
            }
            commits.judge(of_it.map(|it| it.offset)).map_err(|wrong| anyhow::anyhow!("{wrong}"))?;
        }
        ensure!(told.is_empty(), "nobody committed {told:?}");
        let all = || self.members.iter().flat_map(|member| &member.commits);
        self.report.acknowledged = all().map(|commits| commits.count(Fate::Acknowledged)).sum();
        self.report.unknown = all().map(|commits| commits.count(Fate::Unknown)).sum();
        self.report.epochs = self.members.iter().map(|member| member.epochs).sum();
        Ok(())
    }
}
