//! Runs seeds and says how they went.

use clap::Parser;
use corelane_core::log::Fault;
use corelane_simulation::run::{Failed, Options, Passed, run};
use std::{
    panic,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

/// Simulates brokers, one seed after the other.
#[derive(Parser)]
#[command(name = "corelane-sim")]
struct Arguments {
    /// One seed.
    #[arg(long, required_unless_present = "seeds")]
    seed: Option<u64>,
    /// Seeds from the first to before the second, `A..B`.
    #[arg(long, value_parser = range)]
    seeds: Option<(u64, u64)>,
    /// How many brokers there are; otherwise one, or, of odd seeds, three.
    #[arg(long)]
    brokers: Option<usize>,
    /// Runs each seed twice and compares the schedules.
    #[arg(long)]
    twice: bool,
    /// Plants a bug, to see that it is found.
    #[arg(long, value_parser = fault)]
    fault: Option<Fault>,
    /// Prints every event to standard error, with what brokers say to their logs.
    #[arg(long)]
    trace: bool,
}

/// Bugs that can be planted, by name.
const FAULTS: &[(&str, Fault)] = &[
    ("acknowledge-before-flush", Fault::AcknowledgeBeforeFlush),
    ("tell-groups-alone", Fault::TellGroupsAlone),
    ("reuse-needed-blocks", Fault::ReuseNeededBlocks),
    ("remove-before-checkpoint", Fault::RemoveBeforeCheckpoint),
    ("keep-first-of-key", Fault::KeepFirstOfKey),
    ("fetch-unflushed", Fault::FetchUnflushed),
    ("keep-parked", Fault::KeepParked),
    ("lead-as-before", Fault::LeadAsBefore),
    ("forget-votes", Fault::ForgetVotes),
    ("commit-offsets-at-once", Fault::CommitOffsetsAtOnce),
    ("tell-unconfirmed", Fault::TellUnconfirmed),
    ("forget-aborted", Fault::ForgetAborted),
    ("trust-producers", Fault::TrustProducers),
    ("forget-point-producers", Fault::ForgetPointProducers),
];

fn fault(text: &str) -> Result<Fault, String> {
    let named = FAULTS.iter().find(|(name, _)| *name == text);
    named.map(|(_, fault)| *fault).ok_or_else(|| {
        let names: Vec<&str> = FAULTS.iter().map(|(name, _)| *name).collect();
        format!("one of {}", names.join(", "))
    })
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("not of the form A..B")?;
    let number = |part: &str| part.parse::<u64>().map_err(|error| error.to_string());
    Ok((number(from)?, number(to)?))
}

/// How one seed went.
enum Verdict {
    Passed(Passed),
    Failed(Box<Failed>),
    Differs(u64, u64),
}

fn judge(options: &Options, twice: bool) -> Verdict {
    let passed = match run(options) {
        Ok(passed) => passed,
        Err(failed) => return Verdict::Failed(failed),
    };
    if twice {
        let again = run(options).map_or_else(|failed| failed.hash, |passed| passed.hash);
        if again != passed.hash {
            return Verdict::Differs(passed.hash, again);
        }
    }
    Verdict::Passed(passed)
}

fn print(options: &Options, verdict: &Verdict, one: bool) {
    let Options { seed, brokers, .. } = options;
    match verdict {
        Verdict::Passed(passed) if one => println!(
            "seed {seed}: {} events, {} records, {} starts, hash {:016x}",
            passed.events, passed.records, passed.starts, passed.hash
        ),
        Verdict::Passed(_) => {}
        Verdict::Failed(failed) => {
            println!("seed {seed} broke {}: {}", failed.promise, failed.text);
            failed.last_events.iter().for_each(|line| println!("    {line}"));
            println!("replay: cargo xtask sim --brokers {brokers} --seed {seed}");
        }
        Verdict::Differs(first, second) => {
            println!("seed {seed} is not deterministic: hash {first:016x}, then {second:016x}");
            println!("replay: cargo xtask sim --twice --brokers {brokers} --seed {seed}");
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic of a shard is caught and told with its seed.
    panic::set_hook(Box::new(|_| {}));
    if arguments.trace {
        tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().with_ansi(false).init();
    }
    let (from, to) = match (arguments.seeds, arguments.seed) {
        (Some(range), _) => range,
        (None, Some(seed)) => (seed, seed + 1),
        (None, None) => (0, 0),
    };
    let started = Instant::now();
    let (next, passed, failed) = (AtomicU64::new(from), AtomicU64::new(0), AtomicU64::new(0));
    let events = AtomicU64::new(0);
    let output = Mutex::new(());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= to {
                        return;
                    }
                    let fault = arguments.fault.unwrap_or_default();
                    let ordinary = Options::new(seed);
                    let brokers = arguments.brokers.unwrap_or(ordinary.brokers);
                    let options = Options { trace: arguments.trace, brokers, fault, ..ordinary };
                    let verdict = judge(&options, arguments.twice);
                    match &verdict {
                        Verdict::Passed(told) => {
                            passed.fetch_add(1, Relaxed);
                            events.fetch_add(told.events, Relaxed);
                        }
                        Verdict::Failed(_) | Verdict::Differs(..) => {
                            failed.fetch_add(1, Relaxed);
                        }
                    }
                    let _printing = output.lock().unwrap_or_else(PoisonError::into_inner);
                    print(&options, &verdict, to - from == 1);
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{} events in {:.1} s", events.into_inner(), started.elapsed().as_secs_f64());
    println!("seeds: {} passed, {failed} failed", passed.into_inner());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
