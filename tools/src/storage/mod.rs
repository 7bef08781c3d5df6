//! `kafka-storage` (`kafka.tools.StorageTool`): what a node's directories are, before it starts.

mod features;
mod format;

use crate::{
    Tool,
    args::{Argparse, Opt, Parsed},
    console::{Console, Outcome, Stop},
    java::id_text,
    say,
};
use corelane_core::config::{
    BrokerConfig, ReadOptions, Source,
    formatted::{META_PROPERTIES, MetaProperties, directory_text},
    properties,
};
use std::path::{Path, PathBuf};

/// The cluster of a configuration that names none.
const UNFORMATTED: &str = "(not formatted)";

const OPTIONS: &[Opt] = &[
    Opt::text("config", "CONFIG", "info, format: the node's configuration file."),
    Opt::text("c", "CONFIG", "The same.").alias_of("config"),
    Opt::text("cluster-id", "CLUSTER_ID", "format: the cluster's id."),
    Opt::text("t", "CLUSTER_ID", "The same.").alias_of("cluster-id"),
    Opt::text("add-scram", "ADD_SCRAM", "format: not built yet."),
    Opt::text("S", "ADD_SCRAM", "The same.").alias_of("add-scram"),
    Opt::flag("ignore-formatted", "format: leave directories alone that are formatted."),
    Opt::flag("g", "The same.").alias_of("ignore-formatted"),
    Opt::text("release-version", "RELEASE_VERSION", "format, version-mapping: a release of Kafka's."),
    Opt::text("r", "RELEASE_VERSION", "The same.").alias_of("release-version"),
    Opt::text("feature", "FEATURE", "format, feature-dependencies: a feature's level, as NAME=LEVEL."),
    Opt::text("f", "FEATURE", "The same.").alias_of("feature"),
    Opt::flag("standalone", "format: this controller begins a quorum alone, to which others are added."),
    Opt::flag("s", "The same.").alias_of("standalone"),
    Opt::flag("no-initial-controllers", "format: this node joins a quorum that there is."),
    Opt::flag("N", "The same.").alias_of("no-initial-controllers"),
    Opt::text(
        "initial-controllers",
        "INITIAL_CONTROLLERS",
        "format: the voters that begin a quorum together, as ID@HOST:PORT:DIRECTORY,...; the same for all of them.",
    ),
    Opt::text("I", "INITIAL_CONTROLLERS", "The same.").alias_of("initial-controllers"),
];

const PARSER: Argparse = Argparse {
    name: "kafka-storage",
    form: "[-h]\n                     {info,format,version-mapping,feature-dependencies,random-uuid}\n                     ...",
    purpose: "The Kafka storage tool.",
    options: OPTIONS,
};

const INFO: Argparse = Argparse { name: "kafka-storage", form: "info [-h] --config CONFIG", ..PARSER };

const FORMAT: Argparse = Argparse {
    form: "format [-h] --config CONFIG --cluster-id CLUSTER_ID\n                     [--add-scram ADD_SCRAM] \
           [--ignore-formatted]\n                     [--release-version RELEASE_VERSION]\n                     \
           [--feature FEATURE] [--standalone |\n                     --no-initial-controllers |\n                     \
           --initial-controllers INITIAL_CONTROLLERS]",
    ..PARSER
};

const MAPPING: Argparse =
    Argparse { form: "version-mapping [-h] [--release-version RELEASE_VERSION]", ..PARSER };

const DEPENDENCIES: Argparse = Argparse { form: "feature-dependencies [-h] --feature FEATURE", ..PARSER };

const RANDOM: Argparse = Argparse { form: "random-uuid [-h]", ..PARSER };

pub const TOOL: Tool = Tool {
    name: "kafka-storage",
    purpose: "Format a node's directories, and show what they are.",
    options: OPTIONS,
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let command = arguments.iter().find(|argument| !argument.starts_with('-')).map(String::as_str);
    let (parser, own): (&Argparse, &[&str]) = match command {
        Some("info") => (&INFO, &["config"]),
        Some("format") => (
            &FORMAT,
            &[
                "config",
                "cluster-id",
                "add-scram",
                "ignore-formatted",
                "release-version",
                "feature",
                "standalone",
                "no-initial-controllers",
                "initial-controllers",
            ],
        ),
        Some("version-mapping") => (&MAPPING, &["release-version"]),
        Some("feature-dependencies") => (&DEPENDENCIES, &["feature"]),
        Some("random-uuid") => (&RANDOM, &[]),
        Some(_) | None => (&PARSER, &[]),
    };
    let parsed = parser.parse(console, arguments)?;
    let foreign = OPTIONS.iter().filter(|option| option.same_as.is_none() && !own.contains(&option.name));
    if let Some(option) = foreign.map(|option| option.name).find(|name| parsed.has(name)) {
        return Err(parser.error(console, &format!("unrecognized arguments: '--{option}'")));
    }
    if let Some(more) = parsed.rest.get(1) {
        return Err(parser.error(console, &format!("unrecognized arguments: '{more}'")));
    }
    match parsed.rest.first().map(String::as_str) {
        Some("info") => {
            let config = configuration(parser, &parsed, console)?;
            info(&directories(&config), console)
        }
        Some("format") => {
            check_exclusive(&parsed, console)?;
            if parsed.value("cluster-id")?.is_none() {
                return Err(FORMAT.error(console, "argument --cluster-id/-t is required"));
            }
            let config = configuration(parser, &parsed, console)?;
            format::run(&parsed, &config, console)
        }
        Some("version-mapping") => features::print_mapping(parsed.value("release-version")?, console),
        Some("feature-dependencies") if parsed.has("feature") => {
            features::print_dependencies(&parsed.values("feature"), console)
        }
        Some("feature-dependencies") => Err(DEPENDENCIES.error(console, "argument --feature/-f is required")),
        Some("random-uuid") => {
            say!(console, "{}", id_text(format::random_id()));
            Ok(())
        }
        Some(other) => {
            let message = format!(
                "invalid choice: '{other}' (choose from 'info', 'format', 'version-mapping', 'feature-dependencies', \
                 'random-uuid')"
            );
            Err(PARSER.error(console, &message))
        }
        None => Err(PARSER.error(console, "too few arguments")),
    }
}

/// How the quorum begins is said once.
fn check_exclusive(parsed: &Parsed, console: &mut Console) -> Outcome {
    let given = parsed.order(&["standalone", "no-initial-controllers", "initial-controllers"]);
    let short = |name: &str| match name {
        "standalone" => "-s",
        "no-initial-controllers" => "-N",
        _ => "-I",
    };
    let Some(second) = given.iter().find(|name| **name != given[0]) else { return Ok(()) };
    let told = |name: &str| format!("--{name}/{}", short(name));
    let message = format!("argument {}: not allowed with argument {}", told(second), told(given[0]));
    Err(FORMAT.error(console, &message))
}

/// The node's configuration, as its start reads it.
fn configuration(parser: &Argparse, parsed: &Parsed, console: &mut Console) -> Outcome<BrokerConfig> {
    let Some(path) = parsed.value("config")? else {
        return Err(parser.error(console, "argument --config/-c is required"));
    };
    let bytes = std::fs::read(path).map_err(|error| Stop::failed(format!("{path}: {error}")))?;
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| error.as_bytes().iter().copied().map(char::from).collect());
    let entries =
        properties::parse(&text).map_err(|errors| Stop::failed(format!("{path}: {}", errors[0])))?;
    let source = |line| Source::File { path: path.into(), line };
    let entries: Vec<_> =
        entries.into_iter().map(|entry| (source(entry.line), entry.key, entry.value)).collect();
    // Which cluster it is of is what is to be written, or told.
    let options = ReadOptions {
        allow_unknown: true,
        formatted_for: |_| Some(UNFORMATTED.to_owned()),
        ..ReadOptions::default()
    };
    let read = BrokerConfig::from_entries(&entries, &options);
    read.map(|(config, _)| config).map_err(|errors| {
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Stop::failed(told.join("\n"))
    })
}

/// Where a node keeps what is formatted, in order.
fn directories(config: &BrokerConfig) -> Vec<PathBuf> {
    let mut all = vec![config.metadata_dir.clone()];
    all.extend(config.roles.broker.then(|| config.data_dir.clone()));
    all.sort();
    all.dedup();
    all
}

/// What a directory says that it is; `None` if it is not formatted.
///
/// # Errors
/// It cannot be read.
fn read_meta(directory: &Path) -> Result<Option<MetaProperties>, String> {
    let path = directory.join(META_PROPERTIES);
    let loading = |why: &dyn std::fmt::Display| format!("Error loading {}: {why}", path.display());
    match std::fs::read_to_string(&path) {
        Ok(text) => MetaProperties::parse(&text).map(Some).map_err(|why| loading(&why)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(loading(&error)),
    }
}

/// `info`.
fn info(directories: &[PathBuf], console: &mut Console) -> Outcome {
    let (mut found, mut problems, mut known) = (Vec::new(), Vec::new(), None::<MetaProperties>);
    for directory in directories {
        let name = directory.display();
        if !directory.is_dir() {
            let what = if directory.exists() { "is not a directory" } else { "does not exist" };
            problems.push(format!("{name} {what}"));
            continue;
        }
        found.push(name.to_string());
        match (read_meta(directory), &known) {
            (Ok(None), _) => problems.push(format!("{name} is not formatted.")),
            (Ok(Some(meta)), None) => known = Some(meta),
            (Ok(Some(meta)), Some(other)) if meta.cluster_id != other.cluster_id => {
                problems.push("Mismatched cluster IDs between storage directories.".to_owned());
            }
            (Ok(Some(meta)), Some(other)) if meta.node_id != other.node_id => {
                problems.push("Mismatched node IDs between storage directories.".to_owned());
            }
            (Ok(Some(_)), Some(_)) => {}
            (Err(why), _) => problems.push(why),
        }
    }
    let list = |console: &mut Console, (one, many): (&str, &str), lines: &[String]| -> Outcome {
        if !lines.is_empty() {
            say!(console, "{}", if lines.len() == 1 { one } else { many });
            for line in lines {
                say!(console, "  {line}");
            }
            say!(console, "");
        }
        Ok(())
    };
    list(console, ("Found log directory:", "Found log directories:"), &found)?;
    if let Some(MetaProperties { cluster_id, node_id, directory_id }) = known {
        let directory = directory_id.map(|id| format!(", directory.id={}", directory_text(id)));
        let directory = directory.unwrap_or_default();
        say!(
            console,
            "Found metadata: {{cluster.id={cluster_id}{directory}, node.id={node_id}, version=1}}\n"
        );
    }
    list(console, ("Found problem:", "Found problems:"), &problems)?;
    if problems.is_empty() { Ok(()) } else { Err(Stop::Code(1)) }
}

#[cfg(test)]
mod tests;
