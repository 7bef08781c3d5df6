//! The order of a comparison: a calibration, then rounds in which each program has its turn.

use super::{
    brokers::{Brokers, Ground, NodeOptions},
    load::{self, Outcome, Times, producers},
    model::{Measurement, Results, System},
    plan::Plan,
    workload,
};
use crate::{
    client::Client,
    produce::ProduceSettings,
    schedule::Rate,
    topic::{self, Topic, TopicSettings},
};
use anyhow::Result;
use std::{collections::BTreeMap, time::Instant};

/// What fixed loads are parts of: Kafka's own saturation at its defaults, measured once before the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Base {
    /// Records of 1 KiB, workload (a).
    pub records_per_s: f64,
    /// Requests of one record of 100 B from 16 producers, workload (b).
    pub requests_per_s: f64,
}

/// Where in the comparison we are.
pub struct Session<'a> {
    /// How much.
    pub plan: &'a Plan,
    /// Where.
    pub ground: &'a Ground,
    /// Of which loads.
    pub base: Base,
    /// From 1.
    pub round: u32,
    /// What was found so far.
    pub results: &'a mut Results,
    topics: u32,
    began: Instant,
}

/// Runs everything, and has `save` called after each round.
///
/// # Errors
/// When the calibration or saving fails; what fails later is noted among the failures.
pub fn run_all(
    ground: &Ground,
    plan: &Plan,
    results: &mut Results,
    save: &dyn Fn(&Results) -> Result<()>,
) -> Result<()> {
    let base = Base { records_per_s: 1000.0, requests_per_s: 1000.0 };
    let mut session = Session { plan, ground, base, round: 0, results, topics: 0, began: Instant::now() };
    if plan.has_any(&workload::RELATIVE) {
        session.calibrate()?;
    }
    for round in 1..=plan.rounds {
        session.round = round;
        // Whoever is second finds the machine as the first one left it.
        let order = ground.programs();
        let turned = order.iter().cycle().skip(round as usize - 1).take(order.len());
        for (_, program) in turned {
            session.turn(*program);
        }
        save(session.results)?;
    }
    Ok(())
}

/// The systems that a program is, by its settings.
pub fn systems(program: System) -> &'static [System] {
    match program {
        System::Corelane => &[System::Corelane],
        System::Kafka | System::KafkaFlushing => &[System::Kafka, System::KafkaFlushing],
        System::Tansu => &[System::Tansu],
    }
}

/// Whether a program takes part in a workload of a node alone. Other peers do where clients produce.
fn takes_part(program: System, workload: &str) -> bool {
    program != System::Tansu || ["a", "b"].contains(&workload)
}

impl<'a> Session<'a> {
    fn calibrate(&mut self) -> Result<()> {
        eprintln!("calibration: Kafka's saturation");
        let brokers = self.start(System::Kafka, 1, &[], "calibration")?;
        self.warm_up(&brokers, System::Kafka)?;
        // The better of two: the JVM's compiler goes on for a while.
        let mut base = Base { records_per_s: 10.0, requests_per_s: 10.0 };
        for _ in 0..2 {
            let large = self.load(&brokers, System::Kafka, 16, &producers(4, Rate::Max), 0)?;
            let small = self.load(&brokers, System::Kafka, 16, &workload::small_records(16, Rate::Max), 0)?;
            let seconds = large.timeline.measured_seconds();
            base = Base {
                records_per_s: base.records_per_s.max(large.sent.acknowledged_measured as f64 / seconds),
                requests_per_s: base.requests_per_s.max(small.sent.requests_measured as f64 / seconds),
            };
        }
        self.base = base;
        let text = format!(
            "{:.0} records of 1 KiB per second as in (a), {:.0} requests of 100 B per second as in (b) with 16 producers",
            self.base.records_per_s, self.base.requests_per_s
        );
        self.results.conditions.push(("Kafka's saturation, which loads are parts of".into(), text));
        Ok(())
    }

    /// All workloads of one round against one program.
    fn turn(&mut self, program: System) {
        let alone: [(&str, workload::Run); 9] = [
            ("j", workload::idle),
            ("a", workload::rising_load),
            ("b", workload::small_requests),
            ("c", workload::many_partitions),
            ("d", workload::tail_consumers),
            ("e", workload::catch_up),
            ("f", workload::compressed),
            ("g", workload::keyed),
            ("witness", super::witness::run),
        ];
        let wanted: Vec<_> =
            alone.into_iter().filter(|(name, _)| self.plan.has(name) && takes_part(program, name)).collect();
        if !wanted.is_empty() {
            let ran = self.alone(program, &wanted);
            self.note(program, "a node alone", ran);
        }
        let own: [(&str, workload::OwnRun); 6] = [
            ("h", workload::retention),
            ("i", workload::lives),
            ("cluster", workload::cluster),
            ("transactions", workload::transactions),
            ("shards", workload::shards),
            ("profile", workload::profiles),
        ];
        for (name, run) in own {
            // The dear ones once are enough to see that they work.
            let repeated = !self.plan.quick || self.round == 1 || name == "h";
            let takes_part = takes_part(program, name);
            if self.plan.has(name) && repeated && takes_part && self.has_time(program, name) {
                let ran = run(self, program);
                self.note(program, name, ran);
            }
        }
    }

    fn alone(&mut self, program: System, wanted: &[(&str, workload::Run)]) -> Result<()> {
        let mut brokers = self.start(program, 1, &[], "a node alone")?;
        let mut warm = false;
        for (name, run) in wanted {
            if *name != "j" && !warm {
                brokers.phase("warm-up");
                self.warm_up(&brokers, program)?;
                warm = true;
            }
            if !self.has_time(program, name) {
                continue;
            }
            brokers.phase(name);
            let only_defaults = ["j", "f", "g"].contains(name);
            for system in systems(program).iter().filter(|system| !only_defaults || **system == program) {
                let ran = run(self, &brokers, *system);
                self.note(*system, name, ran);
                brokers.ensure_alive()?;
            }
        }
        brokers.stop()?;
        Ok(())
    }

    /// Whether there is time for a workload; if not, that is noted.
    fn has_time(&mut self, program: System, what: &str) -> bool {
        let over = self.plan.budget.is_some_and(|budget| self.began.elapsed() > budget);
        if over {
            let text = format!("{}, {what}, round {}", program.title(), self.round);
            self.results.conditions.push(("left out for lack of time".into(), text));
        }
        !over
    }

    /// Keeps an error for the report.
    fn note(&mut self, system: System, what: &str, ran: Result<()>) {
        if let Err(error) = ran {
            let text = format!("{}, {what}, round {}: {error:#}", system.title(), self.round);
            eprintln!("FAILED {text}");
            self.results.failures.push(text);
        }
    }

    /// Starts brokers of a program.
    ///
    /// # Errors
    /// When they do not serve.
    pub fn start(
        &self,
        system: System,
        nodes: usize,
        overrides: &[&str],
        purpose: &str,
    ) -> Result<Brokers<'a>> {
        Brokers::start(self.ground, self.options(system, nodes, overrides, purpose))
    }

    /// How brokers are started in this round.
    pub fn options(&self, system: System, nodes: usize, overrides: &[&str], purpose: &str) -> NodeOptions {
        eprintln!("round {}: {} for {purpose}", self.round, system.title());
        let overrides = overrides.iter().map(|one| (*one).to_owned()).collect();
        NodeOptions { system, nodes, overrides, purpose: purpose.into(), round: self.round, cores: None }
    }

    /// How long each run takes.
    pub fn times(&self) -> Times {
        Times { warmup: self.plan.warmup, seconds: self.plan.seconds, drain: self.plan.seconds.min(5.0) }
    }

    /// Load that does not count, for the JVM's compiler, caches and the file system; the same for every program.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn warm_up(&mut self, brokers: &Brokers<'_>, system: System) -> Result<()> {
        let times = Times { seconds: self.plan.first_warmup, ..self.times() };
        for settings in [producers(4, Rate::Max), workload::small_records(4, Rate::Max)] {
            self.with_topic(brokers, system, 16, &[], |topic| {
                load::run(topic, &settings, 1, times, &brokers.pids()).map(|_| ())
            })?;
        }
        Ok(())
    }

    /// Creates a topic for one use, and deletes it.
    ///
    /// # Errors
    /// The broker's, and that of `with`.
    pub fn with_topic<T>(
        &mut self,
        brokers: &Brokers<'_>,
        system: System,
        partitions: i32,
        configs: &[(&str, &str)],
        with: impl FnOnce(&Topic) -> Result<T>,
    ) -> Result<T> {
        self.topics += 1;
        let all = system.topic_configs().iter().chain(configs);
        let all = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut client = Client::connect(&brokers.address())?;
        let settings = TopicSettings {
            name: format!("compare-{}", self.topics),
            partitions: Some(partitions),
            replication_factor: i16::try_from(brokers.pids().len())?,
            configs: all,
        };
        let topic = Topic::ensure(&mut client, &settings)?;
        // What earlier runs left to be written shall not be charged to this one.
        // SAFETY: takes no arguments and touches no memory of ours.
        unsafe { libc::sync() };
        let outcome = with(&topic);
        // A connection that was idle for the whole run may have been closed.
        let deleted =
            Client::connect(&brokers.address()).and_then(|mut client| topic::delete(&mut client, &topic));
        let outcome = outcome?;
        deleted.map(|()| outcome)
    }

    /// A run on a topic of its own.
    ///
    /// # Errors
    /// The connections', or the brokers'.
    pub fn load(
        &mut self,
        brokers: &Brokers<'_>,
        system: System,
        partitions: i32,
        settings: &ProduceSettings,
        fan_out: usize,
    ) -> Result<Outcome> {
        let times = self.times();
        self.with_topic(brokers, system, partitions, &[], |topic| {
            load::run(topic, settings, fan_out, times, &brokers.pids())
        })
    }

    /// The same, kept for the report.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn measure(
        &mut self,
        (workload, case): (&str, &str),
        brokers: &Brokers<'_>,
        system: System,
        partitions: i32,
        settings: &ProduceSettings,
        fan_out: usize,
    ) -> Result<Outcome> {
        let outcome = self.load(brokers, system, partitions, settings, fan_out)?;
        self.keep(outcome.measurement(workload, case, system, self.round));
        Ok(outcome)
    }

    /// Keeps a measurement for the report.
    pub fn keep(&mut self, measurement: Measurement) {
        let Measurement { workload, case, system, figures, .. } = &measurement;
        let shown = [
            "records_per_s",
            "requests_per_s",
            "transactions_per_s",
            "p99_ms",
            "cpu_cores",
            "seconds",
            "cpu_percent",
        ];
        let told = shown.iter().filter_map(|name| Some(format!("{name} {:.4}", figures.get(*name)?)));
        eprintln!("  ({workload}) {case}, {}: {}", system.title(), told.collect::<Vec<_>>().join(", "));
        self.results.measurements.push(measurement);
    }

    /// Keeps figures that come from no producer.
    pub fn keep_figures(&mut self, (workload, case): (&str, &str), system: System, figures: &[(&str, f64)]) {
        let finite = figures.iter().filter(|(_, value)| value.is_finite());
        let figures: BTreeMap<_, _> = finite.map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let (workload, case, round) = (workload.to_owned(), case.to_owned(), self.round);
        let (percentiles_ms, errors) = (Vec::new(), BTreeMap::new());
        self.keep(Measurement { workload, case, system, round, figures, percentiles_ms, errors });
    }
}
