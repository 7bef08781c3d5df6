//! Many partitions: how fast a cluster creates them, what they take, how long a killed broker's leaderships are without
//! a leader, and how long that broker takes to be back in every ISR.

use super::{Setup, results::figure};
use crate::{
    client::{Client, check},
    options::RunOptions,
    process::Process,
    report::{Report, Section},
    topic::{TopicSettings, create_anew},
};
use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::messages::{MetadataRequest, MetadataResponse};
use std::{
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

const MIB: f64 = (1 << 20) as f64;

/// Between two looks at the metadata.
const LOOK: Duration = Duration::from_millis(20);

/// What is to grow, and what is to fail.
pub(super) struct Wanted {
    /// Partitions in all, and of each topic.
    pub partitions: i32,
    pub step: i32,
    /// The brokers' processes, for their memory.
    pub pids: Vec<u32>,
    /// The one that is killed; --broker must be another.
    pub kill: Option<u32>,
    /// Starts it again.
    pub restart: Option<String>,
    /// How long to wait for anything.
    pub patience: Duration,
}

pub(super) fn run(run: &RunOptions, wanted: &Wanted) -> Result<Report> {
    let mut setup = Setup::new("growth", run)?;
    ensure!(wanted.step > 0 && wanted.partitions >= wanted.step, "--partitions below --step");
    setup
        .report
        .settings
        .push(("partitions".into(), format!("{} of {} replicas", wanted.partitions, run.replication_factor)));
    setup.report.settings.push(("topics of".into(), format!("{} partitions", wanted.step)));
    let mut report = setup.report;
    let mut client = Client::connect(&run.broker)?;
    report.sections.push(grow(run, wanted, &mut client)?);
    if let Some(pid) = wanted.kill {
        report.sections.push(fail(wanted, pid, &mut client)?);
    }
    Ok(report)
}

/// Creates everything, a topic at a time.
fn grow(run: &RunOptions, wanted: &Wanted, client: &mut Client) -> Result<Section> {
    let processes: Vec<Process> = wanted.pids.iter().map(|pid| Process::new(*pid)).collect();
    let memory = || -> Result<Vec<f64>> {
        processes.iter().map(|process| Ok(process.sample()?.rss_bytes as f64)).collect()
    };
    let before = memory()?;
    let (mut slowest, mut creating, mut made) = (Duration::ZERO, Duration::ZERO, 0);
    while made < wanted.partitions {
        let settings = TopicSettings {
            name: format!("{}-{made}", run.topic().name),
            partitions: Some(wanted.step.min(wanted.partitions - made)),
            replication_factor: run.replication_factor,
            configs: run.topic().configs,
        };
        let begun = Instant::now();
        create_anew(client, &settings)?;
        made += wanted.step;
        let expected = usize::try_from(made.min(wanted.partitions)).unwrap_or(usize::MAX);
        await_state(client, wanted.patience, "leaders of new partitions", |state| state.led >= expected)?;
        let took = begun.elapsed();
        (slowest, creating) = (slowest.max(took), creating + took);
    }
    let count = f64::from(wanted.partitions);
    let mut section = Section::new("growth");
    section.push(
        figure("partitions_per_s", "created", count / creating.as_secs_f64(), "/s")
            .note("until each has a leader by the metadata"),
    );
    section.push(figure("slowest_topic_s", "slowest topic", slowest.as_secs_f64(), "s"));
    for (number, (before, after)) in before.iter().zip(memory()?).enumerate() {
        section.push(figure(
            &format!("broker_{number}_rss_mib"),
            &format!("memory of broker {number}"),
            after / MIB,
            "MiB",
        ));
        section.push(
            figure(
                &format!("broker_{number}_kib_per_partition"),
                "for each partition",
                (after - before).max(0.0) / 1024.0 / count,
                "KiB",
            )
            .note("resident memory that has come since the start"),
        );
    }
    Ok(section)
}

/// Kills a broker, waits until everything is led by others, starts it again and waits until it is in every ISR.
fn fail(wanted: &Wanted, pid: u32, client: &mut Client) -> Result<Section> {
    let before = state(client)?;
    let victim = i32::try_from(pid).context("a process id")?;
    // SAFETY: a plain system call; the caller named the process.
    let failed = unsafe { libc::kill(victim, libc::SIGKILL) };
    ensure!(failed == 0, "process {pid} cannot be killed: {}", std::io::Error::last_os_error());
    let begun = Instant::now();
    // As long as the metadata names the dead broker it counts as leading: the ISRs shrink with its leaderships.
    await_state(client, wanted.patience, "the dead broker to lead nothing", |now| {
        now.live < before.live && now.led == before.led
    })?;
    let mut section = Section::new("failure");
    section.push(
        figure("failover_s", "all led by others after", begun.elapsed().as_secs_f64(), "s")
            .note(format!("{} partitions, kill -9, by the metadata of another broker", before.led)),
    );
    if let Some(command) = &wanted.restart {
        let begun = Instant::now();
        let _child = start(command)?;
        await_state(client, wanted.patience, "the broker to be back in every ISR", |now| {
            now.live == before.live && now.in_sync == before.in_sync
        })?;
        section.push(
            figure("return_s", "back in every ISR after", begun.elapsed().as_secs_f64(), "s")
                .note("from the start of its process"),
        );
    }
    Ok(section)
}

/// It goes on when this program has ended.
fn start(command: &str) -> Result<Child> {
    Command::new("sh").args(["-c", command]).spawn().with_context(|| format!("cannot run {command:?}"))
}

/// What the metadata says of all partitions together.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    live: usize,
    /// Partitions whose leader lives.
    led: usize,
    /// Members of all ISRs.
    in_sync: usize,
}

fn state(client: &mut Client) -> Result<State> {
    let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
    let response: MetadataResponse = client.call(&request)?;
    let mut state = State { live: response.brokers.len(), ..State::default() };
    for topic in &response.topics {
        check(topic.error_code, "Metadata of a topic")?;
        for partition in &topic.partitions {
            let lives = response.brokers.iter().any(|broker| broker.node_id == partition.leader_id);
            state.led += usize::from(lives);
            state.in_sync += partition.isr_nodes.len();
        }
    }
    Ok(state)
}

fn await_state(
    client: &mut Client,
    patience: Duration,
    what: &str,
    is_reached: impl Fn(State) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let now = state(client)?;
        if is_reached(now) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("waited {} s for {what}: {now:?}", patience.as_secs());
        }
        thread::sleep(LOOK);
    }
}
