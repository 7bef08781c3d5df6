//! Compose files, as far as the project's own and its tests' use them. What is not known here is refused, so that nothing
//! a file asks for is passed over without a word.

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// A compose file with its variables filled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// All the services' networks are taken for one.
    #[serde(default)]
    pub networks: BTreeMap<String, ()>,
    /// Those with a name.
    #[serde(default)]
    pub volumes: BTreeMap<String, ()>,
}

/// A service of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// What it runs.
    pub image: String,
    /// Its name to `docker exec`; another one of its names on the network.
    pub container_name: Option<String>,
    /// What it calls itself; without one, its container's id.
    pub hostname: Option<String>,
    /// Values as written: numbers, too, are text to a process.
    #[serde(default)]
    pub environment: BTreeMap<String, Value>,
    /// `[ADDRESS:]HOST:CONTAINER`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// `FOLDER:PLACE` or `NAME:PLACE`.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// `USER:GROUP`.
    pub user: Option<String>,
    /// A profile for system calls, among others.
    #[serde(default)]
    pub security_opt: Vec<String>,
    /// By name.
    #[serde(default)]
    pub cap_drop: Vec<String>,
    /// Whether all but the volumes is read-only.
    #[serde(default)]
    pub read_only: bool,
    /// By name. A stand-in leaves them: not every root may raise them.
    #[serde(default)]
    pub ulimits: BTreeMap<String, i64>,
    /// How long a stop may take. No test stops a container in order.
    #[expect(dead_code, reason = "read so that it is known")]
    pub stop_grace_period: Option<String>,
    /// All are taken for one.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// A scalar.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `1`
    Number(i64),
    /// `true`
    Switch(bool),
    /// Anything else.
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Number(number) => number.fmt(f),
            Value::Switch(on) => on.fmt(f),
            Value::Text(text) => text.fmt(f),
        }
    }
}

/// A published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Where the host listens.
    pub host: (Ipv4Addr, u16),
    /// Where the container does.
    pub container: u16,
}

/// Something of the host's in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// A folder of the host, made as root where there is none.
    Folder(PathBuf, PathBuf),
    /// One that the engine keeps, which at first has the owner of what the image has there.
    Named(String, PathBuf),
}

/// Reads a compose file, with the variables of `.env` beside it.
///
/// # Errors
/// What is wrong with either.
pub fn read(file: &Path) -> anyhow::Result<Project> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let variables = match fs::read_to_string(file.with_file_name(".env")) {
        Ok(text) => variables(&text)?,
        Err(_) => BTreeMap::new(),
    };
    let project: Project = serde_saphyr::from_str(&substituted(&text, &variables)?)
        .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    for (name, service) in &project.services {
        project.check(service).with_context(|| name.clone())?;
    }
    Ok(project)
}

impl Project {
    /// Whether a service can be read, and names only what is defined.
    fn check(&self, service: &Service) -> anyhow::Result<()> {
        ensure!(service.image == "corelane", "{} is another image", service.image);
        service.ports()?;
        for network in &service.networks {
            ensure!(self.networks.contains_key(network), "network {network} is not defined");
        }
        for volume in service.volumes()? {
            let Volume::Named(name, _) = volume else { continue };
            ensure!(self.volumes.contains_key(&name), "volume {name} is not defined");
        }
        Ok(())
    }
}

impl Service {
    /// What it publishes.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn ports(&self) -> anyhow::Result<Vec<Port>> {
        self.ports
            .iter()
            .map(|text| port(text).with_context(|| format!("{text:?} is no published port")))
            .collect()
    }

    /// What it has of the host's.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn volumes(&self) -> anyhow::Result<Vec<Volume>> {
        let volume = |text: &String| {
            let (what, place) = text.split_once(':').with_context(|| format!("{text:?} is no volume"))?;
            Ok(match what.starts_with(['.', '/']) {
                true => Volume::Folder(what.into(), place.into()),
                false => Volume::Named(what.into(), place.into()),
            })
        };
        self.volumes.iter().map(volume).collect()
    }

    /// Whether it brings a seccomp profile of its own instead of the engine's.
    pub fn has_profile(&self) -> bool {
        self.security_opt.iter().any(|option| option.starts_with("seccomp"))
    }
}

fn port(text: &str) -> anyhow::Result<Port> {
    let parts: Vec<&str> = text.split(':').collect();
    let (address, host, container) = match &parts[..] {
        [host, container] => (Ipv4Addr::UNSPECIFIED, host, container),
        [address, host, container] => (address.parse()?, host, container),
        _ => bail!("too many parts, or too few"),
    };
    Ok(Port { host: (address, host.parse()?), container: container.parse()? })
}

/// `NAME=VALUE`, a line each.
fn variables(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').with_context(|| format!("{line:?} is no variable"))?;
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// `${NAME}` replaced.
fn substituted(text: &str, variables: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut pieces = text.split("${");
    let mut whole = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once('}').context("${ without }")?;
        whole += variables.get(name).with_context(|| format!("${{{name}}} is not set"))?;
        whole += rest;
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(text: &str) -> anyhow::Result<Project> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("compose.yml");
        fs::write(&file, text)?;
        fs::write(folder.path().join(".env"), "# ports\nPORT=9093\n\nDIR=kafka-data\n")?;
        read(&file)
    }

    #[test]
    fn variables_ports_and_volumes_are_read() {
        let text = "volumes:\n  kept:\nservices:\n  one:\n    image: corelane\n    ports: [\"${PORT}:9092\", \"127.0.0.1:1:2\"]\n    volumes:\n      - ./${DIR}/one:/data\n      - kept:/kept\n    environment:\n      A: 1\n      B: \"x,y\"\n";
        let project = project(text).expect("it reads");
        let one = &project.services["one"];
        let everywhere = Port { host: (Ipv4Addr::UNSPECIFIED, 9093), container: 9092 };
        let local = Port { host: (Ipv4Addr::LOCALHOST, 1), container: 2 };
        assert_eq!(one.ports().expect("ports"), [everywhere, local]);
        let folder = Volume::Folder("./kafka-data/one".into(), "/data".into());
        assert_eq!(one.volumes().expect("volumes"), [folder, Volume::Named("kept".into(), "/kept".into())]);
        let environment: Vec<_> =
            one.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(environment, ["A=1", "B=x,y"]);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (text, told) in [
            ("services:\n  one:\n    image: corelane\n    privileged: true\n", "privileged"),
            ("services:\n  one:\n    image: corelane\n    networks: [somewhere]\n", "somewhere"),
            ("services:\n  one:\n    image: corelane\n    volumes: [\"kept:/data\"]\n", "kept"),
            ("services:\n  one:\n    image: ${IMAGE}\n", "IMAGE"),
            ("services:\n  one:\n    image: corelane\n    ports: [\"9093kafka:9093\"]\n", "9093kafka"),
            // As the page has it: the service stands beside the services.
            ("services:\none:\n  image: it\n", "one"),
        ] {
            let error = project(text).expect_err(text);
            assert!(format!("{error:#}").contains(told), "{error:#}");
        }
    }
}
