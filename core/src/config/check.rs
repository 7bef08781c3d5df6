//! Settings against each other, and what no range says.

use super::{read::Findings, settings::Settings};

/// The least memory of a log cleaner's key map.
const DEDUPE_BYTES_MIN: i64 = 1024 * 1024;

/// Kafka's selector that sends consumers to a replica in their own rack (KIP-392).
pub(super) const RACK_AWARE_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
/// The one that never does.
const LEADER_SELECTOR: &str = "org.apache.kafka.common.replica.LeaderSelector";

/// What is wrong with a broker setting's value although it is in the row's range; `None` for nothing.
pub(super) fn alone(name: &str, value: &str) -> Option<String> {
    let number = value.parse::<i64>().ok();
    match name {
        // Kafka's words for these three.
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" => {
            let fits = number.is_none_or(|number| number == -1 || number >= 1);
            (!fits).then(|| format!("{name} must be unlimited (-1) or, equal or greater than 1"))
        }
        "log.roll.ms" => {
            number.is_some_and(|number| number < 1).then(|| format!("{name} must be equal or greater than 1"))
        }
        "log.roll.jitter.ms" => {
            number.is_some_and(|number| number < 0).then(|| format!("{name} must be equal or greater than 0"))
        }
        "log.flush.interval.ms" | "log.flush.scheduler.interval.ms" => {
            number.is_some_and(|number| number < 0).then(|| format!("{name} must be equal or greater than 0"))
        }
        "socket.send.buffer.bytes" | "socket.receive.buffer.bytes" => {
            let fits = number.is_none_or(|number| number == -1 || number >= 1);
            (!fits).then(|| format!("{name} must be -1 (as the kernel likes) or, equal or greater than 1"))
        }
        "default.replication.factor" => {
            let fits = number.is_none_or(|number| (1..=i64::from(i16::MAX)).contains(&number));
            (!fits).then(|| format!("{name} must be between 1 and {}", i16::MAX))
        }
        // Kafka asks for this much per cleaner thread.
        "log.cleaner.dedupe.buffer.size" => number
            .is_some_and(|number| number < DEDUPE_BYTES_MIN)
            .then(|| format!("{name} must be at least {DEDUPE_BYTES_MIN}")),
        "log.cleaner.io.buffer.load.factor" => value
            .parse::<f64>()
            .is_ok_and(|load| !(load > 0.0 && load <= 1.0))
            .then(|| format!("{name} must be above 0 and at most 1")),
        "replica.selector.class" => (!matches!(value, "" | RACK_AWARE_SELECTOR | LEADER_SELECTOR))
            .then(|| format!("no such class is known here; there is {RACK_AWARE_SELECTOR}")),
        _ => None,
    }
}

/// What holds between settings.
pub(super) fn relations(settings: &Settings, findings: &mut Findings) {
    let fixed = settings.fixed.clone();
    for (name, value) in &fixed {
        if let Some(wrong) = alone(name, value) {
            let mend = format!("change {name}, or remove it");
            findings.refuse(
                name,
                format!("Invalid value {value} for configuration {name}: {wrong}"),
                "the broker would not do what the setting says",
                mend,
            );
        }
    }
    let least = settings.integer("log.cleaner.min.compaction.lag.ms");
    let most = settings.integer("log.cleaner.max.compaction.lag.ms");
    if least > most {
        findings.refuse(
            "log.cleaner.min.compaction.lag.ms",
            format!(
                "log.cleaner.min.compaction.lag.ms ({least}) > log.cleaner.max.compaction.lag.ms ({most})"
            ),
            "no record could be compacted in time",
            "lower the one or raise the other",
        );
    }
    let request = settings.integer("socket.request.max.bytes");
    let memory = settings.integer("corelane.shard.memory.bytes");
    if request > memory {
        findings.refuse(
            "socket.request.max.bytes",
            format!("socket.request.max.bytes ({request}) > corelane.shard.memory.bytes ({memory})"),
            "the largest request that may be sent would never fit into a shard's memory",
            "lower the one or raise the other",
        );
    }
    consumer_groups(settings, findings);
}

/// The defaults of consumer groups lie within the bounds, and a session outlives a heartbeat interval
/// (`GroupCoordinatorConfig`).
fn consumer_groups(settings: &Settings, findings: &mut Findings) {
    for what in ["session.timeout.ms", "heartbeat.interval.ms", "assignment.interval.ms"] {
        let name = format!("group.consumer.{what}");
        let [least, most] = ["min", "max"].map(|end| format!("group.consumer.{end}.{what}"));
        for (low, high) in [(&least, &name), (&name, &most), (&least, &most)] {
            let (below, above) = (settings.integer(low), settings.integer(high));
            if below > above {
                findings.refuse(
                    &name,
                    format!("{low} ({below}) > {high} ({above})"),
                    "a group could not have the value that is its default",
                    "lower the one or raise the other",
                );
                break;
            }
        }
    }
    const SESSION: &str = "group.consumer.session.timeout.ms";
    const HEARTBEAT: &str = "group.consumer.heartbeat.interval.ms";
    let (session, heartbeat) = (settings.integer(SESSION), settings.integer(HEARTBEAT));
    if heartbeat >= session {
        findings.refuse(
            HEARTBEAT,
            format!("{HEARTBEAT} ({heartbeat}) >= {SESSION} ({session})"),
            "members would be removed before their next heartbeat is due",
            "lower the one or raise the other",
        );
    }
}

/// What a setting takes back of what is promised by default, and what it does not do although one might think so.
pub(super) fn promises(settings: &Settings, findings: &mut Findings) {
    const MESSAGES: &str = "log.flush.interval.messages";
    let messages = settings.integer(MESSAGES);
    let timed = ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    let timed = timed.into_iter().find(|name| settings.given(name).is_some());
    if messages > 1 {
        findings.warn(
            MESSAGES,
            format!(
                "{MESSAGES}={messages} gives up that what is acknowledged is on disk: a power cut loses what was \
                 not flushed yet; remove the setting to flush every append before it is acknowledged"
            ),
        );
    } else if let Some(timed) = timed {
        findings.warn(
            timed,
            format!(
                "{timed} changes nothing: every append is flushed before it is acknowledged unless {MESSAGES} is \
                 above 1"
            ),
        );
    }
}
