//! Corelane and Apache Kafka in turn on this machine, under the same load, several rounds, into one report.

mod affinity;
mod brokers;
mod limits;
mod load;
pub mod model;
mod page;
mod plan;
mod plot;
mod profile;
mod session;
mod targets;
mod watcher;
mod witness;
mod workload;

pub use plan::CompareOptions;

use crate::{
    clock::unix_ms,
    conditions::{conditions, disk, memory_bytes, utc},
};
use affinity::{Cores, Pinning};
use anyhow::{Context, Result, bail};
use brokers::Ground;
use model::{FORMAT, Results};
use plan::Plan;
use std::{cell::RefCell, fs, path::Path};

/// Runs everything and writes `report.json`, `report.html` and the plots.
///
/// # Errors
/// When nothing could be measured, or something could not: then after the report is written.
pub fn run(options: &CompareOptions) -> Result<()> {
    let plan = Plan::new(options)?;
    let pinning = Pinning::new(options.share_cores)?;
    fs::create_dir_all(&options.out).with_context(|| format!("cannot create {}", options.out.display()))?;
    let directory = fs::canonicalize(&options.out)?.join(format!("work-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    raise_open_files();
    let ground = Ground {
        directory,
        corelane: options.corelane.clone(),
        jars: options.jars.clone(),
        tansu: options.tansu.clone(),
        pinning,
        memory_bytes: memory_bytes().unwrap_or(4 << 30),
        processes: RefCell::default(),
        watched: RefCell::default(),
    };
    let mut results = Results { format: FORMAT, ..Results::default() };
    describe(&mut results, options, &plan, &ground)?;
    if plan.has("limits") {
        // With all cores: sender and receiver are both of this process.
        eprintln!("limits of this machine");
        let (limits, notes) = limits::measure(&ground.directory, &plan)?;
        results.limits = limits;
        results.conditions.extend(notes);
    }
    Cores::new(&ground.pinning.generator).apply().context("cannot pin the load generator")?;
    let report = options.out.join("report.json");
    session::run_all(&ground, &plan, &mut results, &|so_far| save(so_far, &ground, &report))?;
    results.conditions.push(("load average at the end".into(), load_average()));
    results.conditions.push(("ended".into(), utc(unix_ms() / 1000)));
    save(&results, &ground, &report)?;
    page_of(&report)?;
    if !results.failures.is_empty() {
        bail!("not everything was measured:\n  {}", results.failures.join("\n  "));
    }
    Ok(())
}

/// Writes what was found so far: a comparison takes long, and may be cut off.
fn save(results: &Results, ground: &Ground, report: &Path) -> Result<()> {
    let results = Results {
        processes: ground.processes.borrow().clone(),
        watched: ground.watched.borrow().clone(),
        targets: targets::judge(results),
        ..results.clone()
    };
    fs::write(report, serde_json::to_string_pretty(&results)? + "\n")
        .with_context(|| format!("cannot write {}", report.display()))
}

/// Writes page and plots of a report beside it.
///
/// # Errors
/// When it is no report, or nothing can be written there.
pub fn page_of(report: &Path) -> Result<()> {
    let text = fs::read(report).with_context(|| format!("cannot read {}", report.display()))?;
    let mut results: Results = serde_json::from_slice(&text).context("this is no report of a comparison")?;
    results.targets = targets::judge(&results);
    let directory = report.parent().unwrap_or(Path::new("."));
    let page = page::write(&results, directory)?;
    println!("{}", targets::table(&results.targets));
    println!("{} and {}", page.display(), report.display());
    Ok(())
}

fn describe(results: &mut Results, options: &CompareOptions, plan: &Plan, ground: &Ground) -> Result<()> {
    let mut pair = |name: &str, text: String| results.conditions.push((name.into(), text));
    for (name, text) in conditions() {
        pair(&name, text);
    }
    let commit = std::env::var("CORELANE_COMMIT").unwrap_or_else(|_| "unknown".into());
    pair("commit", commit);
    pair("disk", disk(&options.out));
    pair("pinning", ground.pinning.describe());
    let heap = format!(
        "{} MiB for a node alone, {} MiB for each of three: 6 GiB as Kafka's documentation has it in its example, but all \
         heaps together at most a quarter of the memory",
        ground.heap_mib(1),
        ground.heap_mib(3)
    );
    pair("Kafka's heap", heap);
    pair("load average at the start", load_average());
    let form = if plan.quick { "quick: shows that it works, not how fast anything is" } else { "full" };
    pair(
        "form",
        format!(
            "{form}; {} rounds, {} s each run after {} s of warm-up",
            plan.rounds, plan.seconds, plan.warmup
        ),
    );
    let sizes =
        format!("{} MiB for (i), {} MiB for (e)", plan.recovery_bytes >> 20, plan.backlog_bytes >> 20);
    pair("log sizes", sizes);
    for (name, system) in ground.programs() {
        results.programs.insert(name.into(), ground.program(system)?);
    }
    Ok(())
}

fn load_average() -> String {
    fs::read_to_string("/proc/loadavg")
        .map_or("unknown".into(), |text| text.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
}

/// A thousand partitions take a few thousand files.
fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is ours for the time of both calls. Failing, they change nothing.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
