//! kafka-producer-perf-test, Apache's own tool, as an independent witness of throughput and latency.

use super::{brokers::Brokers, load::producers, model::System, session::Session};
use crate::schedule::Rate;
use anyhow::{Context, Result, ensure};
use std::process::Stdio;

/// Records of 1 KiB on 16 partitions, at the producer's defaults: unthrottled, and at half of Kafka's saturation if the system
/// can do that.
///
/// # Errors
/// When java does not run or the tool says something else than its summary.
pub fn run(session: &mut Session<'_>, brokers: &Brokers<'_>, system: System) -> Result<()> {
    let half = 0.5 * session.base.records_per_s;
    let seconds = session.plan.seconds + session.plan.warmup;
    // The tool is told how many records, not how long.
    let found = session.load(brokers, system, 16, &producers(4, Rate::Max), 0)?;
    let own = found.sent.acknowledged_measured as f64 / found.timeline.measured_seconds();
    for (case, throughput) in [("saturation", None), ("load 0.5", Some(half))] {
        if throughput.is_some_and(|rate| rate > own) {
            continue; // it would take long, and say how deep the queue is
        }
        let records = (throughput.unwrap_or(own) * seconds).ceil().max(1.0);
        let warmup = records * session.plan.warmup / seconds;
        let mut tool = session.ground.tool("org.apache.kafka.tools.ProducerPerformance");
        let addresses = brokers.addresses();
        let text = session.with_topic(brokers, system, 16, &[], |topic| {
            tool.args(["--bootstrap-server", &addresses, "--topic", &topic.name.0]);
            tool.args(["--record-size", "1024", "--command-property", "acks=all"]);
            tool.args([
                "--num-records",
                &format!("{records:.0}"),
                "--warmup-records",
                &format!("{warmup:.0}"),
            ]);
            let throughput = throughput.map_or("-1".into(), |rate| format!("{rate:.0}"));
            tool.args(["--throughput", &throughput]).stdin(Stdio::null());
            let output = tool.output().context("cannot run java")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "kafka-producer-perf-test: {said}");
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        })?;
        let figures = summary(&text).with_context(|| format!("kafka-producer-perf-test said: {text}"))?;
        session.keep_figures(("witness", case), system, &figures);
    }
    Ok(())
}

/// Reads the last line of its kind: `N records sent, R records/sec (M MB/sec), A ms avg latency, X ms max latency, P ms
/// 50th, P ms 95th, P ms 99th, P ms 99.9th.`
fn summary(text: &str) -> Option<Vec<(&'static str, f64)>> {
    let line = text.lines().rfind(|line| line.contains("99.9th"))?;
    let before = |what: &str| {
        let (head, _) = line.split_once(what)?;
        head.trim_end().rsplit([' ', '(']).next()?.parse::<f64>().ok()
    };
    Some(vec![
        ("records_per_s", before("records/sec")?),
        ("p50_ms", before("ms 50th")?),
        ("p99_ms", before("ms 99th")?),
        ("p99_9_ms", before("ms 99.9th")?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_the_whole_run_is_read_and_no_window_of_it() {
        let text = "501 records sent, 100.2 records/sec (0.10 MB/sec), 2.1 ms avg latency, 9.0 ms max latency.\n\
            1000 records sent, 99.98 records/sec (0.10 MB/sec), 1.53 ms avg latency, 320.00 ms max latency, 1 ms 50th, \
            2 ms 95th, 7 ms 99th, 320 ms 99.9th.\n";
        let expected = vec![("records_per_s", 99.98), ("p50_ms", 1.0), ("p99_ms", 7.0), ("p99_9_ms", 320.0)];
        assert_eq!(summary(text), Some(expected));
        assert_eq!(summary("nothing"), None);
    }
}
