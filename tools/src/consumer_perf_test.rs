//! `kafka-consumer-perf-test` (`org.apache.kafka.tools.ConsumerPerformance`).

use crate::{
    Tool,
    args::{BOOTSTRAP_SERVER, Command, Opt},
    client::{
        ClientError, Properties,
        consumer::{Consumer, Rebalance, Subscription},
    },
    console::{Console, Outcome, Stop},
    interrupt, java, log,
    metrics::Metrics,
    say,
};
use chrono::{DateTime, Local};
use std::time::{Duration, Instant};

pub const TOOL: Tool = Tool {
    name: "kafka-consumer-perf-test",
    purpose: "Measure how fast records are read.",
    options: &[
        BOOTSTRAP_SERVER,
        Opt::text("topic", "topic", "The topic to read."),
        Opt::text("include", "Java regex (String)", "A regular expression for the topics to read."),
        Opt::text(
            "group",
            "gid",
            "The group to read as a member of; perf-consumer- and a number without it.",
        ),
        Opt::integer(
            "fetch-size",
            "size",
            "Bytes of one partition in one answer (max.partition.fetch.bytes).",
        )
        .or("1048576"),
        Opt::text("command-property", "prop1=val1", "A setting of the consumer; may be given many times."),
        Opt::flag("from-latest", "Begin at the end, where the group has not read yet."),
        Opt::integer(
            "socket-buffer-size",
            "size",
            "Accepted; the system sizes its buffers (receive.buffer.bytes).",
        )
        .or("2097152"),
        Opt::text("consumer.config", "config file", "(DEPRECATED) As --command-config."),
        Opt::text("command-config", "config file", "A properties file with settings of the consumer."),
        Opt::flag("print-metrics", "What the consumer counted, when all is read."),
        Opt::flag("show-detailed-stats", "Tell how it goes after each interval."),
        Opt::perhaps("timeout", "milliseconds", "How long no record may come.").or("10000"),
        Opt::long("messages", "count", "(DEPRECATED) As --num-records."),
        Opt::long("num-records", "count", "REQUIRED: how many records."),
        Opt::long("reporting-interval", "interval_ms", "How often it is told how it goes.").or("5000"),
        Opt::text("date-format", "date format", "How times are printed, as by java.text.SimpleDateFormat.")
            .or("yyyy-MM-dd HH:mm:ss:SSS"),
        Opt::flag("hide-header", "Without the line of headers."),
    ],
    run,
};

const REBALANCE_HEADERS: &str = ", rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec";

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse_or_usage(console, TOOL.options, arguments)?;
    check(&command, console)?;
    let is_detailed = command.has("show-detailed-stats");
    if !command.has("hide-header") {
        let first = if is_detailed { "time, threadId" } else { "start.time, end.time" };
        say!(
            console,
            "{first}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec{REBALANCE_HEADERS}"
        );
    }
    let count = if command.has("messages") { "messages" } else { "num-records" };
    let wanted = command.long(count)?.unwrap_or_default();
    let interval = command.long("reporting-interval")?.unwrap_or_default();
    let Some(interval) = u64::try_from(interval).ok().filter(|interval| *interval > 0) else {
        return Err(Stop::failed("Reporting interval must be greater than 0."));
    };
    let timeout = command.value("timeout")?.unwrap_or("10000");
    let timeout = timeout
        .parse()
        .map_err(|_| Stop::failed(format!("Cannot parse argument '{timeout}' of option timeout")))?;
    let dates = date_format(command.value("date-format")?.unwrap_or_default()).map_err(Stop::Failed)?;
    let subscription = match command.value("include")? {
        Some(pattern) => Subscription::Pattern(java::whole(pattern).map_err(Stop::Failed)?),
        None => Subscription::Topics(command.value("topic")?.into_iter().map(str::to_owned).collect()),
    };
    interrupt::listen();
    let mut consumer = Consumer::new(&properties(&command)?, subscription, interrupt::is_set)?;
    let began = (Local::now(), Instant::now());
    let mut run = Run {
        wanted,
        timeout: Duration::from_millis(timeout),
        interval: Duration::from_millis(interval),
        dates: &dates,
        is_detailed,
        read: Read::default(),
        joining: Some(began.1),
        join: Duration::ZERO,
        join_of_round: Duration::ZERO,
    };
    let consumed = run.consume(&mut consumer, console);
    let ended = (Local::now(), Instant::now());
    let client = consumer.client().clone();
    if let Err(error) = consumer.close() {
        log::warn(&format!("Closing the consumer: {error}"));
    }
    consumed?;
    if !is_detailed {
        let date = |time: DateTime<Local>| time.format(&dates).to_string();
        let times = format!("{}, {}", date(began.0), date(ended.0));
        say!(console, "{times}, {}", run.read.line(Read::default(), ended.1 - began.1, run.join));
    }
    if command.has("print-metrics") {
        let mut metrics = Metrics::new(&client.client_id);
        metrics.add("consumer-metrics", client.traffic.counts());
        metrics.add("consumer-fetch-manager-metrics", [("records-consumed-total", run.read.records as f64)]);
        metrics.print(console)?;
    }
    Ok(())
}

fn check(command: &Command, console: &mut Console) -> Outcome {
    command.help_or_version(console, "This tool is used to verify the consumer performance.")?;
    command.required(console, &["bootstrap-server"])?;
    command.one_of(console, &["topic", "include"])?;
    command.one_of(console, &["messages", "num-records"])?;
    command.excluded(console, "consumer.config", &["command-config"])?;
    for (old, new) in [("messages", "num-records"), ("consumer.config", "command-config")] {
        if command.has(old) {
            say!(console, "Warning: --{old} is deprecated. Use --{new} instead.");
        }
    }
    Ok(())
}

fn properties(command: &Command) -> Outcome<Properties> {
    let config = if command.has("consumer.config") { "consumer.config" } else { "command-config" };
    let mut properties = match command.value(config)? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    properties.add_pairs(&command.values("command-property"));
    properties.set("bootstrap.servers", command.value("bootstrap-server")?.unwrap_or_default());
    let group = command
        .value("group")?
        .map_or_else(|| format!("perf-consumer-{}", rand::random_range(0..100_000)), str::to_owned);
    properties.set_default("client.id", "perf-consumer-client");
    properties.set("group.id", group);
    properties
        .set("max.partition.fetch.bytes", command.integer("fetch-size")?.unwrap_or_default().to_string());
    properties.set("auto.offset.reset", if command.has("from-latest") { "latest" } else { "earliest" });
    properties.set("check.crcs", "false");
    properties.set_default("client.id", "perf-consumer-client");
    Ok(properties)
}

/// What was read.
#[derive(Clone, Copy, Default)]
struct Read {
    records: i64,
    bytes: u64,
}

impl Read {
    /// All that was read, and how fast it was since `before`: in all, and without the time for joining.
    fn line(self, before: Read, elapsed: Duration, join: Duration) -> String {
        let megabytes = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
        let (records, volume) =
            ((self.records - before.records) as f64, megabytes(self.bytes - before.bytes));
        let fetch = elapsed.saturating_sub(join);
        let per_second =
            |amount: f64, time: Duration| if time.is_zero() { 0.0 } else { amount / time.as_secs_f64() };
        format!(
            "{:.4}, {:.4}, {}, {:.4}, {}, {}, {:.4}, {:.4}",
            megabytes(self.bytes),
            per_second(volume, elapsed),
            self.records,
            per_second(records, elapsed),
            join.as_millis(),
            fetch.as_millis(),
            per_second(volume, fetch),
            per_second(records, fetch)
        )
    }
}

struct Run<'a> {
    wanted: i64,
    timeout: Duration,
    interval: Duration,
    dates: &'a str,
    is_detailed: bool,
    read: Read,
    /// Since when the group is being shared out.
    joining: Option<Instant>,
    join: Duration,
    join_of_round: Duration,
}

impl Run<'_> {
    fn consume(&mut self, consumer: &mut Consumer, console: &mut Console) -> Outcome {
        let mut last = Instant::now();
        let (mut reported, mut before) = (last, Read::default());
        while self.read.records < self.wanted && last.elapsed() <= self.timeout {
            let next = match consumer.buffered() {
                Ok(None) => consumer.next(Duration::from_millis(100)),
                other => other,
            };
            let record = match next {
                Ok(record) => record,
                Err(ClientError::Interrupted) => break,
                Err(error) => return Err(error.into()),
            };
            for rebalance in consumer.rebalances() {
                self.rebalanced(&rebalance);
            }
            let Some(record) = record else { continue };
            self.read.records += 1;
            let length = |field: Option<&Vec<u8>>| field.map_or(0, |bytes| bytes.len() as u64);
            self.read.bytes += length(record.key.as_ref()) + length(record.value.as_ref());
            last = Instant::now();
            if last - reported >= self.interval {
                if self.is_detailed {
                    let date = Local::now().format(self.dates).to_string();
                    say!(
                        console,
                        "{date}, 0, {}",
                        self.read.line(before, last - reported, self.join_of_round)
                    );
                    console.flush()?;
                }
                self.join_of_round = Duration::ZERO;
                (reported, before) = (last, self.read);
            }
        }
        if self.read.records < self.wanted {
            say!(
                console,
                "WARNING: Exiting before consuming the expected number of records: timeout ({} ms) exceeded. You can use the \
                 --timeout option to increase the timeout.",
                self.timeout.as_millis()
            );
        }
        Ok(())
    }

    fn rebalanced(&mut self, rebalance: &Rebalance) {
        match rebalance {
            Rebalance::Revoked(at) => self.joining = Some(*at),
            Rebalance::Assigned(at) => {
                let took = self.joining.take().map_or(Duration::ZERO, |since| *at - since);
                self.join += took;
                self.join_of_round += took;
            }
        }
    }
}

/// The pattern of a SimpleDateFormat as chrono has it, for the letters of dates and times.
fn date_format(pattern: &str) -> Result<String, String> {
    let mut format = String::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut count = 1;
        while letter.is_ascii_alphabetic() && letters.next_if_eq(&letter).is_some() {
            count += 1;
        }
        match (letter, count) {
            ('y', 2) => format.push_str("%y"),
            ('y', _) => format.push_str("%Y"),
            ('M', 4..) => format.push_str("%B"),
            ('M', 3) => format.push_str("%b"),
            ('M', _) => format.push_str("%m"),
            ('d', _) => format.push_str("%d"),
            ('H', _) => format.push_str("%H"),
            ('h', _) => format.push_str("%I"),
            ('m', _) => format.push_str("%M"),
            ('s', _) => format.push_str("%S"),
            ('S', _) => format.push_str("%3f"),
            ('a', _) => format.push_str("%p"),
            ('E', _) => format.push_str("%a"),
            ('Z' | 'X', _) => format.push_str("%z"),
            ('%', _) => format.push_str("%%"),
            ('\'', _) => format.extend(letters.by_ref().take_while(|letter| *letter != '\'')),
            (other, _) if other.is_ascii_alphabetic() => {
                return Err(format!("Illegal pattern character '{other}'"));
            }
            (other, _) => format.push(other),
        }
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_patterns_of_dates_are_understood() {
        assert_eq!(date_format("yyyy-MM-dd HH:mm:ss:SSS"), Ok("%Y-%m-%d %H:%M:%S:%3f".into()));
        assert_eq!(date_format("dd MMM 'at' HH"), Ok("%d %b at %H".into()));
        assert_eq!(date_format("qq"), Err("Illegal pattern character 'q'".into()));
    }

    #[test]
    fn rates_are_told_with_and_without_the_time_for_joining() {
        let read = Read { records: 300, bytes: 3 * 1024 * 1024 };
        let before = Read { records: 100, bytes: 1024 * 1024 };
        let line = read.line(before, Duration::from_secs(2), Duration::from_secs(1));
        assert_eq!(line, "3.0000, 1.0000, 300, 100.0000, 1000, 1000, 2.0000, 200.0000");
    }
}
