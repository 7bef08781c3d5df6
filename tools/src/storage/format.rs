//! `format`: who a directory is, and how its cluster begins (`org.apache.kafka.metadata.storage.Formatter`).

use super::{UNFORMATTED, features, read_meta};
use crate::{
    args::Parsed,
    console::{Console, Outcome, Stop},
    java::id_text,
    releases, say,
};
use corelane_core::{
    config::{
        BrokerConfig,
        formatted::{
            BOOTSTRAP_PROPERTIES, Beginning, InitialQuorum, InitialVoter, META_PROPERTIES, MetaProperties,
        },
    },
    controller::KRAFT_VERSION,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// A voter's own log, which says the same since before there was this tool.
const VOTERS_OWN: &str = "__cluster_metadata/quorum.properties";

/// Formats the directories of a configuration.
pub fn run(parsed: &Parsed, config: &BrokerConfig, console: &mut Console) -> Outcome {
    let Some(cluster_id) = parsed.value("cluster-id")? else {
        return Err(Stop::failed("You must specify the cluster id."));
    };
    let named = config.cluster_id.as_deref().filter(|named| *named != UNFORMATTED);
    if let Some(wanted) = named.filter(|named| *named != cluster_id) {
        return Err(Stop::failed(format!(
            "corelane.cluster.id is {wanted}, but the directory is to be formatted for {cluster_id}."
        )));
    }
    if parsed.has("add-scram") {
        return Err(Stop::failed("--add-scram is not built yet: no credentials are kept"));
    }
    let (release, asked) = asked(parsed)?;
    let quorum = quorum(parsed, config)?;
    let mut levels = features::effective(release, &asked).map_err(Stop::failed)?;
    levels.insert(KRAFT_VERSION.to_owned(), kraft_version(config, &asked)?);
    let beginning = Beginning { quorum, levels };
    format(parsed.has("ignore-formatted"), config, cluster_id, (release, &beginning), console)
}

/// The release and the single features that were asked for.
fn asked(parsed: &Parsed) -> Outcome<(i16, BTreeMap<String, i16>)> {
    let pairs = parsed.values("feature").into_iter().map(releases::name_and_level);
    let asked = pairs.collect::<Result<BTreeMap<_, _>, _>>().map_err(Stop::failed)?;
    let named = parsed.value("release-version")?;
    let named = named.map(|name| releases::level_of(name, false)).transpose().map_err(Stop::failed)?;
    let release = match (named, asked.get(releases::METADATA_VERSION)) {
        (Some(_), Some(_)) => {
            return Err(Stop::failed(
                "Use --release-version instead of --feature metadata.version=X to avoid ambiguity.",
            ));
        }
        (Some(level), None) => level,
        (None, Some(level)) => match releases::version_text(*level) {
            Some(text) => releases::level_of(text, false)
                .map_err(|_| Stop::failed(format!("metadata.version {text} is not yet stable.")))?,
            None => return Err(Stop::failed(format!("No MetadataVersion with feature level {level}"))),
        },
        (None, None) => releases::level_of("4.3", false).map_err(Stop::failed)?,
    };
    Ok((release, asked))
}

/// Voters that nobody configured may change.
fn kraft_version(config: &BrokerConfig, asked: &BTreeMap<String, i16>) -> Outcome<i16> {
    let flags = "--standalone, --initial-controllers, or --no-initial-controllers";
    match (asked.get(KRAFT_VERSION), config.voters.is_empty()) {
        (Some(0), true) => Err(Stop::failed(format!(
            "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags {flags} is used. For \
             dynamic controllers support, try removing the --feature flag for kraft.version."
        ))),
        (Some(level @ 1..), false) => Err(Stop::failed(format!(
            "Cannot set kraft.version to {level} unless controller.quorum.voters is empty and one of the flags {flags} is \
             used. For dynamic controllers support, try using one of {flags} and removing controller.quorum.voters."
        ))),
        (_, is_dynamic) => Ok(i16::from(is_dynamic)),
    }
}

/// Who votes at first.
fn quorum(parsed: &Parsed, config: &BrokerConfig) -> Outcome<InitialQuorum> {
    let initial = parsed.value("initial-controllers")?;
    let is_standalone = parsed.has("standalone");
    if !config.voters.is_empty() {
        if initial.is_some() || is_standalone {
            return Err(Stop::failed(
                "You cannot specify controller.quorum.voters and format the node with --initial-controllers or \
                 --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters and specify \
                 controller.quorum.bootstrap.servers instead.",
            ));
        }
        return Ok(InitialQuorum::Configured);
    }
    if let Some(initial) = initial {
        return InitialVoter::parse_all(initial).map(InitialQuorum::Voters).map_err(Stop::failed);
    }
    if is_standalone {
        if !config.roles.controller {
            return Err(Stop::failed("You can only use --standalone on a controller."));
        }
        let Some(endpoint) = &config.controller_endpoint else {
            return Err(Stop::failed("No controller listeners found."));
        };
        let (host, port) = (endpoint.host.clone(), endpoint.port);
        let voter = InitialVoter { node: config.node_id, host, port, directory: random_id().as_u128() };
        return Ok(InitialQuorum::Voters(vec![voter]));
    }
    if config.roles.controller && !parsed.has("no-initial-controllers") {
        return Err(Stop::failed(
            "Because controller.quorum.voters is not set on this controller, you must specify one of the following: \
             --standalone, --initial-controllers, or --no-initial-controllers.",
        ));
    }
    Ok(InitialQuorum::Existing)
}

/// An id that is nobody's, and looks like no option on a command line (`Uuid.randomUuid`).
pub fn random_id() -> Uuid {
    loop {
        let id = uuid::Builder::from_random_bytes(rand::random()).into_uuid();
        if !id_text(id).starts_with('-') {
            return id;
        }
    }
}

fn format(
    ignores_formatted: bool,
    config: &BrokerConfig,
    cluster_id: &str,
    (release, beginning): (i16, &Beginning),
    console: &mut Console,
) -> Outcome {
    let mut empty: Vec<PathBuf> = Vec::new();
    for directory in super::directories(config) {
        let known = read_meta(&directory).map_err(Stop::failed)?;
        let path = directory.join(META_PROPERTIES);
        let Some(known) = known else {
            if directory.join(VOTERS_OWN).exists() && directory == config.metadata_dir {
                return Err(Stop::failed(format!(
                    "Log directory {} is a controller's already. Start it.",
                    directory.display()
                )));
            }
            empty.push(directory);
            continue;
        };
        let invalid = |name: &str, wanted: &dyn std::fmt::Display, read: &dyn std::fmt::Display| {
            let path = path.display();
            Stop::failed(format!("Invalid {name} in: {path}. Expected {wanted}, but read {read}"))
        };
        if known.cluster_id != cluster_id {
            return Err(invalid("cluster.id", &cluster_id, &known.cluster_id));
        }
        if known.node_id != config.node_id {
            return Err(invalid("node.id", &config.node_id, &known.node_id));
        }
        if !ignores_formatted {
            return Err(Stop::failed(format!(
                "Log directory {} is already formatted. Use --ignore-formatted to ignore this directory and format the \
                 others.",
                directory.display()
            )));
        }
    }
    if empty.is_empty() {
        say!(console, "All of the log directories are already formatted.");
        return Ok(());
    }
    say!(console, "Bootstrap metadata: {}", bootstrap_text(beginning));
    let release = releases::version_text(release).unwrap_or_default();
    for directory in empty {
        let (kind, id) = kind(config, beginning, &directory);
        say!(console, "Formatting {kind} {} with metadata.version {release}.", directory.display());
        let meta = MetaProperties {
            cluster_id: cluster_id.to_owned(),
            node_id: config.node_id,
            directory_id: Some(id.as_u128()),
        };
        let beginning = (directory == config.metadata_dir).then_some(beginning);
        write(&directory, &meta, beginning).map_err(|error| {
            let directory = directory.display();
            Stop::failed(format!("Error while writing meta.properties file {directory}: {error}"))
        })?;
    }
    Ok(())
}

/// What the directory is called, and its id.
fn kind(config: &BrokerConfig, beginning: &Beginning, directory: &Path) -> (&'static str, Uuid) {
    if directory != config.metadata_dir {
        return ("data directory", random_id());
    }
    let InitialQuorum::Voters(voters) = &beginning.quorum else { return ("metadata directory", random_id()) };
    match voters.iter().find(|voter| voter.node == config.node_id) {
        Some(voter) => ("dynamic metadata voter directory", Uuid::from_u128(voter.directory)),
        None => ("dynamic metadata directory", random_id()),
    }
}

/// As Kafka writes `BootstrapMetadata`.
fn bootstrap_text(beginning: &Beginning) -> String {
    let release = beginning.levels.get(releases::METADATA_VERSION).copied().unwrap_or_default();
    let others = beginning
        .levels
        .iter()
        .filter(|(name, level)| **level > 0 && *name != releases::METADATA_VERSION && *name != KRAFT_VERSION);
    let record = |name: &str, level: i16| {
        format!("ApiMessageAndVersion(FeatureLevelRecord(name='{name}', featureLevel={level}) at version 0)")
    };
    let records: Vec<String> = std::iter::once(record(releases::METADATA_VERSION, release))
        .chain(others.map(|(name, level)| record(name, *level)))
        .collect();
    format!(
        "BootstrapMetadata(records=[{}], metadataVersionLevel={release}, source=format command)",
        records.join(", ")
    )
}

/// The file that makes a directory formatted comes last: what ends before it is formatted anew.
fn write(directory: &Path, meta: &MetaProperties, beginning: Option<&Beginning>) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    if let Some(beginning) = beginning {
        put(directory, BOOTSTRAP_PROPERTIES, &beginning.render())?;
    }
    put(directory, META_PROPERTIES, &meta.render())
}

/// Whole or not at all, and still there after a power cut.
fn put(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let (written, path) = (directory.join(format!("{name}.tmp")), directory.join(name));
    let mut file = File::create(&written)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&written, &path)?;
    File::open(directory)?.sync_all()
}
