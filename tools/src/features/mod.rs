//! `kafka-features` (`org.apache.kafka.tools.FeatureCommand`).

mod levels;

use crate::{
    Tool,
    args::{Argparse, COMMAND_CONFIG, Opt, Parsed},
    client::{ClientError, Cluster, Connection, Properties, Role, error::Result, text},
    console::{Console, Outcome, Stop},
    releases::{LATEST, METADATA_VERSION, level_of, level_text, name_and_level, version_text},
    say,
};
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, UpdateFeaturesRequest, update_features_request::FeatureUpdateKey,
};
use levels::FEATURES;
use std::collections::{BTreeMap, BTreeSet};

const OPTIONS: &[Opt] = &[
    Opt::text("bootstrap-server", "BOOTSTRAP_SERVER", "Brokers to begin with, as HOST1:PORT1,HOST2:PORT2."),
    Opt::text("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "Controllers to begin with."),
    COMMAND_CONFIG,
    Opt::integer("node-id", "NODE_ID", "describe: the node that is asked; any where none is named."),
    Opt::text(
        "metadata",
        "METADATA",
        "upgrade, downgrade: (DEPRECATED) the level of metadata.version, as 3.3-IV3.",
    ),
    Opt::text(
        "release-version",
        "RELEASE_VERSION",
        "upgrade, downgrade, version-mapping: a release of Kafka, whose levels all features get.",
    ),
    Opt::text(
        "feature",
        "FEATURE",
        "upgrade, downgrade, feature-dependencies: feature=level; disable: a feature. May be given many times.",
    ),
    Opt::flag("unsafe", "downgrade, disable: also where that may destroy metadata for good."),
    Opt::flag("dry-run", "upgrade, downgrade, disable: only look whether it can be done."),
];

/// The commands, and the options that each has besides those of all.
const COMMANDS: [(&str, &[&str]); 6] = [
    ("describe", &["node-id"]),
    ("upgrade", &["metadata", "release-version", "feature", "dry-run"]),
    ("downgrade", &["metadata", "release-version", "feature", "unsafe", "dry-run"]),
    ("disable", &["feature", "unsafe", "dry-run"]),
    ("version-mapping", &["release-version"]),
    ("feature-dependencies", &["feature"]),
];

const PARSER: Argparse = Argparse {
    name: "kafka-features",
    form: "[-h] [--command-config COMMAND_CONFIG]\n                      [--bootstrap-server BOOTSTRAP_SERVER |\n                      \
           --bootstrap-controller BOOTSTRAP_CONTROLLER]\n                      \
           {describe,upgrade,downgrade,disable,version-mapping,feature-dependencies}\n                      ...",
    purpose: "This tool manages feature flags in Kafka.",
    options: OPTIONS,
};

pub const TOOL: Tool = Tool {
    name: "kafka-features",
    purpose: "Show and change the levels of features.",
    options: OPTIONS,
    run,
};

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let wrong =
        |message: String| Stop::failed(format!("Command line error: {message}. Type --help for help."));
    if PARSER.is_help(arguments) {
        return PARSER.parse(console, arguments).map(drop);
    }
    let parsed = PARSER.read(arguments).map_err(wrong)?;
    let command = PARSER.command(&parsed, &COMMANDS).map_err(wrong)?;
    match command {
        "version-mapping" => return map_versions(&parsed, console),
        "feature-dependencies" => {
            if !parsed.has("feature") {
                return Err(wrong("argument --feature is required".into()));
            }
            return tell_dependencies(&parsed, console);
        }
        _ => (),
    }
    let mut properties = match parsed.value("command-config")? {
        Some(path) => Properties::load(path).map_err(Stop::Failed)?,
        None => Properties::default(),
    };
    let (kind, servers) = match (parsed.value("bootstrap-server")?, parsed.value("bootstrap-controller")?) {
        (Some(_), Some(_)) => {
            let message = "argument --bootstrap-controller: not allowed with argument --bootstrap-server";
            return Err(wrong(message.into()));
        }
        (Some(servers), None) => ("bootstrap.servers", servers),
        (None, Some(servers)) => ("bootstrap.controllers", servers),
        (None, None) => {
            let message = "You must specify either --bootstrap-controller or --bootstrap-server.";
            return Err(wrong(message.into()));
        }
    };
    properties.set(kind, servers);
    let mut cluster = Cluster::new(Role::Admin, &properties)?;
    match command {
        "describe" => describe(&parsed, &mut cluster, console),
        "disable" => {
            let updates = disabled(&parsed)?;
            update(command, &parsed, &updates, &mut cluster, console)
        }
        _ => {
            let updates = wanted(command, &parsed, console)?;
            update(command, &parsed, &updates, &mut cluster, console)
        }
    }
}

fn map_versions(parsed: &Parsed, console: &mut Console) -> Outcome {
    let latest = version_text(LATEST).unwrap_or_default();
    let release = parsed.value("release-version")?.unwrap_or(latest);
    let level = level_of(release, true).map_err(Stop::Failed)?;
    say!(console, "{METADATA_VERSION}={level} ({release})");
    for feature in FEATURES {
        say!(console, "{}={}", feature.name, feature.default(level));
    }
    Ok(())
}

fn tell_dependencies(parsed: &Parsed, console: &mut Console) -> Outcome {
    for wanted in parsed.values("feature") {
        let (name, level) = name_and_level(wanted).map_err(Stop::Failed)?;
        if name == METADATA_VERSION {
            let Some(release) = version_text(level) else {
                return Err(Stop::failed(format!("Unknown {METADATA_VERSION} {level}")));
            };
            say!(console, "{name}={level} ({release}) has no dependencies.");
            continue;
        }
        let Some(feature) = FEATURES.iter().find(|feature| feature.name == name) else {
            return Err(Stop::failed(format!("Unknown feature: {name}")));
        };
        match feature.need(level).map_err(Stop::Failed)? {
            None => say!(console, "{name}={level} has no dependencies."),
            Some(need) => {
                say!(console, "{name}={level} requires:");
                say!(console, "    {METADATA_VERSION}={need} ({})", level_text(METADATA_VERSION, need));
            }
        }
    }
    Ok(())
}

fn describe(parsed: &Parsed, cluster: &mut Cluster, console: &mut Console) -> Outcome {
    let node = parsed.integer("node-id")?;
    if let Some(node) = node.filter(|node| *node < 0) {
        return Err(Stop::failed(format!("Invalid node id {node}: must be non-negative.")));
    }
    let answer = cluster.retry("describeFeatures", |cluster| match node {
        Some(id) => cluster.on_node(id, features),
        None => cluster.on_any(features),
    });
    let answer = answer.map_err(told)?;
    let mut supported = answer.supported_features;
    supported.sort_by(|one, other| one.name.cmp(&other.name));
    let epoch = match answer.finalized_features_epoch {
        unknown if unknown < 0 => "-".to_owned(),
        epoch => epoch.to_string(),
    };
    for feature in supported {
        let finalized = answer.finalized_features.iter().find(|finalized| finalized.name == feature.name);
        let level = finalized.map_or(0, |finalized| finalized.max_version_level);
        let text = |level| level_text(&feature.name, level);
        say!(
            console,
            "Feature: {:<40}  SupportedMinVersion: {:<15}  SupportedMaxVersion: {:<15}  FinalizedVersionLevel: {:<15}  \
             Epoch: {epoch}",
            &*feature.name,
            text(feature.min_version),
            text(feature.max_version),
            text(level)
        );
    }
    Ok(())
}

/// Asked in the highest version there is: before 4 a feature whose levels begin at 0 is left out.
fn features(connection: &mut Connection) -> Result<ApiVersionsResponse> {
    let version = connection.version::<ApiVersionsRequest>()?;
    let mut request = ApiVersionsRequest::default();
    if version >= 3 {
        request.client_software_name = text("corelane-tools");
        request.client_software_version = text(crate::VERSION);
    }
    let answer = connection.call(version, &request)?;
    ClientError::check(answer.error_code)?;
    Ok(answer)
}

/// As the message of Java's `ExecutionException`.
fn told(error: ClientError) -> Stop {
    Stop::failed(format!("{}: {error}", error.class()))
}

type Updates = BTreeMap<String, i16>;

fn disabled(parsed: &Parsed) -> Outcome<Updates> {
    let mut updates = Updates::new();
    for feature in parsed.values("feature") {
        if updates.insert(feature.to_owned(), 0).is_some() {
            return Err(Stop::failed(format!("Feature {feature} was specified more than once.")));
        }
    }
    Ok(updates)
}

/// What an upgrade or a downgrade is to reach.
fn wanted(command: &str, parsed: &Parsed, console: &mut Console) -> Outcome<Updates> {
    let mut updates = Updates::new();
    if let Some(release) = parsed.value("release-version")? {
        if parsed.has("metadata") || parsed.has("feature") {
            return Err(Stop::failed("Can not specify `release-version` with other feature flags."));
        }
        let level = level_of(release, true).map_err(Stop::Failed)?;
        updates.insert(METADATA_VERSION.into(), level);
        let others = FEATURES.iter().map(|feature| (feature.name, feature.default(level)));
        // Nothing is upgraded to 0.
        let others = others.filter(|(_, level)| command != "upgrade" || *level > 0);
        updates.extend(others.map(|(name, level)| (name.to_owned(), level)));
        return Ok(updates);
    }
    if let Some(metadata) = parsed.value("metadata")? {
        say!(console, " `metadata` flag is deprecated and may be removed in a future release.");
        updates.insert(METADATA_VERSION.into(), level_of(metadata, true).map_err(Stop::Failed)?);
    }
    for feature in parsed.values("feature") {
        let (name, level) = name_and_level(feature).map_err(Stop::Failed)?;
        if level < 0 {
            return Err(Stop::failed("Cannot specify a negative version level."));
        }
        if level == 0 && command == "upgrade" {
            return Err(Stop::failed(
                "The upgradeType flag should be set to SAFE_DOWNGRADE or UNSAFE_DOWNGRADE when the provided \
                 maxVersionLevel:0 is < 1.",
            ));
        }
        if updates.insert(name.clone(), level).is_some() {
            return Err(Stop::failed(format!("Feature {name} was specified more than once.")));
        }
    }
    Ok(updates)
}

fn update(
    command: &str,
    parsed: &Parsed,
    updates: &Updates,
    cluster: &mut Cluster,
    console: &mut Console,
) -> Outcome {
    if updates.is_empty() {
        return Err(Stop::failed(format!("You must specify at least one feature to {command}")));
    }
    let kind = match (command, parsed.has("unsafe")) {
        ("upgrade", _) => Upgrade::Up,
        (_, false) => Upgrade::Down,
        (_, true) => Upgrade::UnsafeDown,
    };
    let dry = parsed.has("dry-run");
    let failures = ask(cluster, updates, kind, dry).map_err(told)?;
    let failed: BTreeSet<&String> = failures.keys().collect();
    for (name, level) in updates {
        let (object, reached) = match command {
            "disable" => (name.clone(), "disabled.".to_owned()),
            command => (format!("{name} to {level}"), format!("{command}d to {level}.")),
        };
        match failures.get(name) {
            Some(error) => {
                let could = if dry { "Can not" } else { "Could not" };
                say!(console, "{could} {command} {object}. {error}");
            }
            None => {
                let is = if dry { "can be" } else { "was" };
                say!(console, "{name} {is} {reached}");
            }
        }
    }
    match failed.len() {
        0 => Ok(()),
        count => Err(Stop::failed(format!("{count} out of {} operation(s) failed.", updates.len()))),
    }
}

/// `FeatureUpdate.UpgradeType`, by its number.
#[derive(Clone, Copy)]
enum Upgrade {
    Up = 1,
    Down = 2,
    UnsafeDown = 3,
}

/// What could not be done, by feature.
fn ask(
    cluster: &mut Cluster,
    updates: &Updates,
    kind: Upgrade,
    dry: bool,
) -> Result<BTreeMap<String, ClientError>> {
    let asked = cluster.retry("updateFeatures", |cluster| {
        cluster.on_controller(|connection| {
            let version = connection.version::<UpdateFeaturesRequest>()?;
            let mut request = UpdateFeaturesRequest::default();
            request.timeout_ms = 60_000;
            request.validate_only = dry && version >= 1;
            for (name, level) in updates {
                let mut update = FeatureUpdateKey::default();
                update.feature = text(name);
                update.max_version_level = *level;
                if version >= 1 {
                    update.upgrade_type = kind as i8;
                } else {
                    update.allow_downgrade = !matches!(kind, Upgrade::Up);
                }
                request.feature_updates.push(update);
            }
            let answer = connection.call(version, &request)?;
            match ClientError::of(answer.error_code, answer.error_message.as_deref()) {
                Some(error) => Err(error),
                None => Ok(answer.results),
            }
        })
    });
    match asked {
        Ok(results) => Ok(results
            .into_iter()
            .filter_map(|result| {
                let error = ClientError::of(result.error_code, result.error_message.as_deref())?;
                Some((result.feature.to_string(), error))
            })
            .collect()),
        // What is wrong with one is wrong with all.
        Err(error) => Ok(updates.keys().map(|name| (name.clone(), error.clone())).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_upgrades_only_what_it_has() {
        let wanted = |command, arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|&it| it.into()).collect();
            let (mut console, _) = crate::console::testing();
            let parsed = PARSER.read(&arguments).expect("well formed");
            wanted(command, &parsed, &mut console)
        };
        let upgrade = wanted("upgrade", &["--release-version", "3.9"]).expect("a release");
        assert_eq!(upgrade, Updates::from([("kraft.version".into(), 1), (METADATA_VERSION.into(), 21)]));
        let downgrade = wanted("downgrade", &["--release-version", "3.9"]).expect("a release");
        assert_eq!(downgrade.len(), 7);
        assert!(wanted("upgrade", &["--release-version", "3.9", "--feature", "a=1"]).is_err());
        assert!(wanted("upgrade", &["--feature", "a=1", "--feature", "a=2"]).is_err());
        assert!(wanted("upgrade", &["--feature", "a=0"]).is_err());
        assert!(wanted("downgrade", &["--feature", "a=0"]).is_ok());
        assert!(wanted("downgrade", &["--feature", "a=-1"]).is_err());
    }
}
