//! The cluster, the producer and the application under strikes.

use super::{
    Victim,
    strike::{Strike, Strikes},
};
use crate::{
    Stack, Transformer,
    cluster::{Cluster, ClusterOptions, History, Load},
    transformer::FAILURES_MAX,
};
use anyhow::{Context, ensure};
use rand::{SeedableRng, rngs::SmallRng};
use std::{
    collections::BTreeMap,
    fmt, fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// What is produced.
pub(super) const INPUT: &str = "from";
/// What becomes of it.
pub(super) const OUTPUT: &str = "to";
/// Of both; every broker leads one.
pub(super) const PARTITIONS: i32 = 3;

/// Topics that are whole again before the next strike.
const TOPICS: [&str; 4] = [INPUT, OUTPUT, "__consumer_offsets", "__transaction_state"];

/// Records a second of the producer: less than any stack transforms, so that it catches up.
const RATE: u32 = 40;

/// Longest that a cluster may take after a strike until every replica is in sync.
const HEAL_PATIENCE: Duration = Duration::from_secs(60);

/// Longest until everything that was acknowledged before has been made something of: clients give up requests after half a
/// minute, and ends that hang are ended by the transaction's own time-out.
const PATIENCE: Duration = Duration::from_secs(180);

/// After so long without anything new, an application that is known to hang is started again.
const HANG_PATIENCE: Duration = Duration::from_secs(20);

const PACE: Duration = Duration::from_millis(50);

/// What happened.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often who was killed.
    pub strikes: BTreeMap<Victim, u32>,
    /// How often the application ended by itself, with an error that it does not retry, and was started again.
    pub failures: usize,
    /// How often it hung, and was killed and started again.
    pub hangs: usize,
    /// Records that were acknowledged; of each was made once what was to be.
    pub records: usize,
    /// From the end of a strike until all that was acknowledged by then was transformed, the longest.
    pub recovery_max: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = self.strikes.iter().map(|(victim, count)| match victim {
            Victim::Broker => format!("{count} of a broker"),
            Victim::Application => format!("{count} of the application"),
            Victim::Both => format!("{count} of both"),
        });
        write!(
            f,
            "{} kills ({}); the application ended by itself {} times and hung {} times; it had caught up within {:.1?} \
             of a kill; {} records acknowledged",
            self.strikes.values().sum::<u32>(),
            kinds.collect::<Vec<_>>().join(", "),
            self.failures,
            self.hangs,
            self.recovery_max,
            self.records,
        )
    }
}

/// Three nodes that notice within a few seconds who is gone, and take what two of them have.
fn options() -> ClusterOptions {
    ClusterOptions::new()
        .with("broker.session.timeout.ms", 3000)
        .with("broker.heartbeat.interval.ms", 500)
        .with("replica.lag.time.max.ms", 4000)
        .with("default.replication.factor", 3)
        .with("min.insync.replicas", 2)
        .with("transaction.state.log.replication.factor", 3)
        .with("transaction.state.log.min.isr", 2)
        .with("transaction.abort.timed.out.transaction.cleanup.interval.ms", 1000)
        .with("group.initial.rebalance.delay.ms", 0)
        .with("corelane.journal.bytes.max", 32 << 20)
}

/// Has `play` play on a cluster. What its nodes said stays in a directory, which is named, when something is wrong.
pub(super) fn on_a_cluster<T>(
    play: impl FnOnce(&mut Cluster, &Path) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let directory = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&options(), directory.path())?;
    for topic in [INPUT, OUTPUT] {
        cluster.create_topic(topic, PARTITIONS, &[])?;
    }
    play(&mut cluster, directory.path()).map_err(|error| {
        let said = fs::write(directory.path().join("said"), cluster.said());
        let kept = directory.keep();
        error.context(format!("everything is in {} ({said:?})", kept.display()))
    })
}

/// See the module.
pub(super) struct Scene<'a> {
    pub cluster: &'a mut Cluster,
    pub input: Load,
    pub application: Transformer,
    /// How much is to be made of what was acknowledged; without another word, as many records.
    pub goal: fn(&History) -> usize,
    /// Whether it is known that the application may hang.
    pub may_hang: bool,
    strikes: Strikes,
    pub tally: Tally,
}

impl<'a> Scene<'a> {
    /// The producer begins. Its stack does not compress without being told to: not every application has every codec.
    pub fn new(cluster: &'a mut Cluster, application: Transformer, seed: u64) -> anyhow::Result<Scene<'a>> {
        let mut input = Load::new(cluster.bootstrap(), INPUT, PARTITIONS);
        input.add_producer(Stack::Librdkafka, RATE, &[])?;
        let strikes = Strikes::new(SmallRng::seed_from_u64(seed), cluster.len());
        Ok(Scene {
            cluster,
            input,
            application,
            goal: History::acknowledged,
            may_hang: false,
            strikes,
            tally: Tally::default(),
        })
    }

    /// Plays so many rounds, each from a moment at which nothing is wrong; `done` tells how much was made of them, as a
    /// reader of committed records sees it.
    pub fn rounds(
        &mut self,
        rounds: u32,
        mut done: impl FnMut() -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        self.await_done(1, &mut done).context("before the first round")?;
        for round in 0..rounds {
            let strike = self.strikes.next();
            self.round(strike, &mut done).with_context(|| format!("round {round}: {strike}"))?;
            *self.tally.strikes.entry(strike.victim).or_default() += 1;
        }
        Ok(())
    }

    fn round(
        &mut self,
        strike: Strike,
        done: &mut impl FnMut() -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        println!("{strike}");
        self.stand_by(strike.after)?;
        if strike.victim != Victim::Application {
            self.cluster.kill(strike.node);
        }
        if strike.victim != Victim::Broker {
            self.application.replace()?;
        }
        if strike.victim != Victim::Application {
            self.stand_by(strike.gone)?;
            self.cluster.heal()?;
        }
        let begun = Instant::now();
        for topic in TOPICS {
            self.cluster.await_whole(topic, HEAL_PATIENCE).with_context(|| topic.to_owned())?;
        }
        let healed = begun.elapsed();
        let goal = (self.goal)(&self.input.history());
        self.await_done(goal, done)?;
        self.tally.recovery_max = self.tally.recovery_max.max(begun.elapsed());
        println!("    whole after {healed:.1?}, {goal} done after {:.1?}", begun.elapsed());
        self.cluster.ensure_well()?;
        self.input.ensure_well()
    }

    /// Lets time pass.
    fn stand_by(&mut self, time: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.look()?;
            thread::sleep(PACE.min(time.saturating_sub(begun.elapsed())));
        }
        Ok(())
    }

    /// Whoever should run does.
    fn look(&mut self) -> anyhow::Result<()> {
        self.cluster.ensure_running()?;
        self.application.keep_alive()
    }

    /// Waits until so much was made.
    fn await_done(
        &mut self,
        goal: usize,
        done: &mut impl FnMut() -> anyhow::Result<usize>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let failures = self.application.failures();
        let (mut known, mut moved) = (0, Instant::now());
        loop {
            self.look()?;
            let count = done()?;
            if count >= goal {
                return Ok(());
            }
            if count > known {
                (known, moved) = (count, Instant::now());
            }
            if self.may_hang && moved.elapsed() > HANG_PATIENCE {
                println!("    the application hangs at {count} of {goal}");
                self.application.replace()?;
                self.tally.hangs += 1;
                moved = Instant::now();
            }
            let failed = self.application.failures() - failures;
            ensure!(
                begun.elapsed() <= PATIENCE && failed <= FAILURES_MAX,
                "{count} of {goal} are done after {:.1?} and {failed} ends of the application; it said:\n{}",
                begun.elapsed(),
                self.application.said()
            );
            thread::sleep(PACE);
        }
    }

    /// The producer ends, and the application when it has made something of everything; what was produced, and what
    /// happened.
    pub fn end(
        mut self,
        mut done: impl FnMut() -> anyhow::Result<usize>,
    ) -> anyhow::Result<(History, Tally)> {
        self.input.end_producers()?;
        let input = self.input.history();
        self.await_done((self.goal)(&input), &mut done).context("at the end")?;
        self.tally.records = input.acknowledged();
        self.tally.failures = self.application.failures();
        self.tally.hangs += self.application.end()?;
        Ok((input, self.tally))
    }
}
