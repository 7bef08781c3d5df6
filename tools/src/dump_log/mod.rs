//! `kafka-dump-log` (`org.apache.kafka.tools.DumpLogSegments`), for Kafka's files and for Corelane's segments.

mod cluster_metadata;
mod control;
mod framed;
mod indexes;
mod legacy;
mod log;
mod remote_log;

use crate::{
    Tool,
    args::{Command, Opt},
    console::{Console, Outcome, Stop},
    say,
};
use std::{collections::BTreeMap, path::Path};

pub const TOOL: Tool = Tool {
    name: "kafka-dump-log",
    purpose: "Print what stands in the files of a log.",
    options: &[
        Opt::flag("print-data-log", "Print keys and values."),
        Opt::flag("verify-index-only", "Only compare an index with its log."),
        Opt::flag("index-sanity-check", "Only look whether an index can be used."),
        Opt::text("files", "file1, file2, ...", "REQUIRED: files to print, separated by commas."),
        Opt::integer("max-message-size", "size", "Bytes of the largest batch.").or("5242880"),
        Opt::integer("max-bytes", "size", "How many bytes of a log are read, in whole batches.")
            .or("2147483647"),
        Opt::flag("deep-iteration", "Print the records of batches."),
        Opt::perhaps(
            "value-decoder-class",
            "",
            "What reads values: StringDecoder, IntegerDecoder or LongDecoder of org.apache.kafka.tools.api.",
        )
        .or(log::STRING_DECODER),
        Opt::perhaps("key-decoder-class", "", "What reads keys, as --value-decoder-class.")
            .or(log::STRING_DECODER),
        Opt::flag("offsets-decoder", "Print what stands in segments of __consumer_offsets, as JSON."),
        Opt::flag(
            "transaction-log-decoder",
            "Print what stands in segments of __transaction_state, as JSON.",
        ),
        Opt::flag(
            "cluster-metadata-decoder",
            "Print what stands in segments and snapshots of Kafka's __cluster_metadata, as JSON.",
        ),
        Opt::flag(
            "remote-log-metadata-decoder",
            "Print what stands in segments of __remote_log_metadata, as Kafka's objects print themselves.",
        ),
        Opt::flag(
            "share-group-state-decoder",
            "Print what stands in segments of __share_group_state, as JSON.",
        ),
        Opt::flag("skip-record-metadata", "Print keys and values without what else is known of a record."),
    ],
    run,
};

/// What is wrong with files, told after all of them, by file.
#[derive(Default)]
pub struct Faults {
    mismatches: BTreeMap<String, Vec<(i64, i64)>>,
    time_mismatches: BTreeMap<String, Vec<(i64, i64)>>,
    times_out_of_order: BTreeMap<String, Vec<(i64, i64)>>,
    offsets_not_found: BTreeMap<String, Vec<(i64, i64)>>,
    gaps: BTreeMap<String, Vec<(i64, i64)>>,
}

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = Command::parse(TOOL.options, arguments)?;
    command.help_or_version(
        console,
        "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log \
         segment.",
    )?;
    command.required(console, &["files"])?;
    let options = log::Options::read(&command)?;
    let mut faults = Faults::default();
    for name in command.value("files")?.unwrap_or_default().split(',') {
        let path = Path::new(name);
        say!(console, "Dumping {name}");
        let told = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Stop::from(error),
            _ => Stop::failed(format!("{name}: {error}")),
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("log" | "checkpoint") => log::dump(path, &options, console, &mut faults).map_err(told)?,
            Some("index") => indexes::dump_offsets(path, &command, console, &mut faults).map_err(told)?,
            Some("timeindex") => indexes::dump_times(path, &command, console, &mut faults).map_err(told)?,
            Some("txnindex") => indexes::dump_transactions(path, console).map_err(told)?,
            Some("snapshot") => indexes::dump_producers(path, console).map_err(told)?,
            _ => console.complain(&format!("Ignoring unknown file {name}"))?,
        }
    }
    tell(&faults, console)
}

fn tell(faults: &Faults, console: &mut Console) -> Outcome {
    let mut list =
        |title: &str, faults: &BTreeMap<String, Vec<(i64, i64)>>, line: fn(i64, i64) -> String| -> Outcome {
            for (file, pairs) in faults {
                console.complain(&format!("{title}{file}"))?;
                for (one, other) in pairs {
                    console.complain(&line(*one, *other))?;
                }
            }
            Ok(())
        };
    list("Mismatches in :", &faults.mismatches, |index, log| {
        format!("  Index offset: {index}, log offset: {log}")
    })?;
    list("Found timestamp mismatch in :", &faults.time_mismatches, |index, log| {
        format!("  Index timestamp: {index}, log timestamp: {log}")
    })?;
    list("Found out of order timestamp in :", &faults.times_out_of_order, |index, before| {
        format!("  Index timestamp: {index}, Previously indexed timestamp: {before}")
    })?;
    list("The following indexed offsets are not found in :", &faults.offsets_not_found, |indexed, found| {
        format!("Indexed offset: {indexed}, found log offset: {found}")
    })?;
    list("Non-consecutive offsets in ", &faults.gaps, |before, next| {
        format!("  {before} is followed by {next}")
    })
}

/// The offset in a segment's name: twenty digits, before a point or Corelane's serial number.
fn base_offset(path: &Path) -> std::io::Result<i64> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let digits = name.split(['.', '-']).next().unwrap_or_default();
    digits.parse().map_err(|_| {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, format!("For input string: \"{digits}\""))
    })
}
