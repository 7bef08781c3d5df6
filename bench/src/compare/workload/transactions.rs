//! Many transactional producers on three brokers.

use crate::{
    compare::{
        load::{Spent, Times, curve, watch},
        model::{Measurement, System},
        session::{Session, systems},
    },
    topic::Topic,
    transactions::{self, Tally, TransactionSettings},
};
use anyhow::{Result, anyhow};
use std::{collections::BTreeMap, thread};

/// As many as large applications of Kafka Streams have.
const PRODUCERS: usize = 1_000;

/// A thousand producers, each of which commits ten records of 100 B every 100 ms, as Kafka Streams does; and every second,
/// which is less than what most machines can do.
///
/// # Errors
/// The connections', or the brokers'.
pub fn transactions(session: &mut Session<'_>, program: System) -> Result<()> {
    let mut brokers = session.start(program, 3, &["min.insync.replicas=2"], "transactions")?;
    session.warm_up(&brokers, program)?;
    let (times, pids, address) = (session.times(), brokers.pids(), brokers.address());
    for system in systems(program) {
        for every_ms in [1_000, 100] {
            let settings =
                TransactionSettings { producers: PRODUCERS, every_ms, records: 10, record_bytes: 100 };
            let (tally, spent) = session.with_topic(&brokers, *system, 16, &[], |topic| {
                run(&address, topic, &settings, times, &pids)
            })?;
            session.keep(Measurement {
                workload: "transactions".into(),
                case: format!("every {every_ms} ms"),
                system: *system,
                round: session.round,
                figures: figures(&tally, &spent, times.seconds),
                percentiles_ms: curve(&tally.latencies),
                errors: BTreeMap::new(),
            });
        }
    }
    brokers.stop()?;
    Ok(())
}

fn run(
    broker: &str,
    topic: &Topic,
    settings: &TransactionSettings,
    times: Times,
    pids: &[u32],
) -> Result<(Tally, Spent)> {
    let prepared = transactions::prepare(broker, topic, settings)?;
    let timeline = times.timeline();
    thread::scope(|scope| {
        let producing = scope.spawn(move || prepared.run(timeline));
        let spent = watch(pids, timeline)?;
        let tally = producing.join().map_err(|_| anyhow!("the thread of the producers panicked"))??;
        Ok((tally, spent))
    })
}

fn figures(tally: &Tally, spent: &Spent, seconds: f64) -> BTreeMap<String, f64> {
    let committed = tally.committed_measured as f64;
    let cpu = spent.cpu.as_secs_f64();
    let mut figures = vec![
        ("transactions_per_s", committed / seconds),
        ("unfinished", tally.unfinished as f64),
        ("retries", tally.retries as f64),
        ("cpu_cores", cpu / seconds),
        ("generator_cores", spent.generator_cpu.as_secs_f64() / seconds),
        ("rss_max_mib", spent.rss_bytes_max as f64 / f64::from(1 << 20)),
    ];
    if committed > 0.0 {
        figures.push(("cpu_us_per_transaction", cpu * 1e6 / committed));
    }
    for (name, percent) in [("p50_ms", 50.0), ("p99_ms", 99.0), ("p99_9_ms", 99.9)] {
        figures.extend(tally.latencies.percentile_ms(percent).map(|ms| (name, ms)));
    }
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
