//! What a directory says of itself that was formatted before its node starts: who it is (`meta.properties`, in Kafka's own
//! layout, so that Kafka's tools read it too) and how its cluster begins (`bootstrap.properties`, ours).

use super::properties;
use crate::ids::{NodeId, TopicId};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The file that says who a directory is, at the top of it.
pub const META_PROPERTIES: &str = "meta.properties";

/// The file that says how the cluster begins, beside [`META_PROPERTIES`].
pub const BOOTSTRAP_PROPERTIES: &str = "bootstrap.properties";

/// Who a directory is (`org.apache.kafka.metadata.properties.MetaProperties`, version 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// Whose cluster's.
    pub cluster_id: String,
    /// Which node's.
    pub node_id: NodeId,
    /// The directory's own id; Kafka of old wrote none.
    pub directory_id: Option<u128>,
}

impl MetaProperties {
    /// The file's content.
    pub fn render(&self) -> String {
        let directory = self.directory_id.map(|id| format!("directory.id={}\n", directory_text(id)));
        format!(
            "cluster.id={}\n{}node.id={}\nversion=1\n",
            self.cluster_id,
            directory.unwrap_or_default(),
            self.node_id
        )
    }

    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<MetaProperties, String> {
        let fields = fields(text)?;
        version(&fields)?;
        let node_id = field(&fields, "node.id")?;
        let node_id = node_id.parse().ok().filter(|id| *id >= 0).map(NodeId);
        Ok(MetaProperties {
            cluster_id: field(&fields, "cluster.id")?.to_owned(),
            node_id: node_id.ok_or("its node.id is no node's")?,
            directory_id: fields.get("directory.id").map(|id| directory_id(id)).transpose()?,
        })
    }
}

/// A voter of a quorum that is formatted with all it begins with (`org.apache.kafka.raft.DynamicVoter`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialVoter {
    /// Which node.
    pub node: NodeId,
    /// Where the others reach it, without brackets.
    pub host: String,
    /// Where the others reach it.
    pub port: u16,
    /// The id of its directory.
    pub directory: u128,
}

impl InitialVoter {
    /// `HOST:PORT`, an IPv6 address in brackets.
    pub fn endpoint(&self) -> String {
        let InitialVoter { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// `ID@HOST:PORT:DIRECTORY`.
    ///
    /// # Errors
    /// What is wrong with it, in Kafka's words.
    pub fn parse(text: &str) -> Result<InitialVoter, String> {
        let (id, rest) = text.trim().split_once('@').ok_or("No @ found in dynamic voter string.")?;
        if id.is_empty() {
            return Err("Invalid @ at beginning of dynamic voter string.".to_owned());
        }
        let id: i32 = id.parse().map_err(|_| "Failed to parse node id in dynamic voter string.")?;
        if id < 0 {
            return Err(format!("Invalid negative node id {id} in dynamic voter string."));
        }
        if rest.is_empty() {
            return Err("No hostname found after node id.".to_owned());
        }
        let (host, rest) = match rest.strip_prefix('[') {
            Some(inner) => inner
                .split_once(']')
                .ok_or("Hostname began with left bracket, but no right bracket was found.")?,
            None => {
                let colon = rest.find(':').ok_or("No colon following hostname could be found.")?;
                rest.split_at(colon)
            }
        };
        let rest = rest.strip_prefix(':').ok_or("Port section must start with a colon.")?;
        let (port, directory) = rest.split_once(':').ok_or("No colon following port could be found.")?;
        let port: i32 = port.parse().map_err(|_| "Failed to parse port in dynamic voter string.")?;
        let port =
            u16::try_from(port).map_err(|_| format!("Invalid port {port} in dynamic voter string."))?;
        let directory = directory_id(directory)
            .map_err(|_| "Failed to parse directory ID in dynamic voter string.".to_owned())?;
        Ok(InitialVoter { node: NodeId(id), host: host.to_owned(), port, directory })
    }

    /// Several, with commas between.
    ///
    /// # Errors
    /// What is wrong with one of them, or that there is none, or a node twice; in Kafka's words.
    pub fn parse_all(text: &str) -> Result<Vec<InitialVoter>, String> {
        let texts = text.trim().split(',').filter(|text| !text.is_empty());
        let mut voters = texts.map(InitialVoter::parse).collect::<Result<Vec<_>, _>>()?;
        if voters.is_empty() {
            return Err("No voters given.".to_owned());
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = voters.iter().find(|voter| !seen.insert(voter.node)) {
            return Err(format!("Node id {} was specified more than once.", twice.node));
        }
        voters.sort_by_key(|voter| voter.node);
        Ok(voters)
    }

    fn render(&self) -> String {
        format!("{}@{}:{}", self.node, self.endpoint(), directory_text(self.directory))
    }
}

/// Who votes at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialQuorum {
    /// `controller.quorum.voters` says.
    Configured,
    /// A quorum that there is already; this node has no vote before it is added to it.
    Existing,
    /// These.
    Voters(Vec<InitialVoter>),
}

/// How a cluster begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// Who votes.
    pub quorum: InitialQuorum,
    /// The level at which each feature is finalized.
    pub levels: BTreeMap<String, i16>,
}

impl Beginning {
    /// The file's content.
    pub fn render(&self) -> String {
        let quorum = match &self.quorum {
            InitialQuorum::Configured => "quorum=configured\n".to_owned(),
            InitialQuorum::Existing => "quorum=existing\n".to_owned(),
            InitialQuorum::Voters(voters) => {
                let voters: Vec<String> = voters.iter().map(InitialVoter::render).collect();
                format!("quorum=voters\nvoters={}\n", voters.join(","))
            }
        };
        let levels = self.levels.iter().map(|(name, level)| format!("feature.{name}={level}\n"));
        format!("version=1\n{quorum}{}", levels.collect::<String>())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Beginning, String> {
        let fields = fields(text)?;
        version(&fields)?;
        let quorum = match field(&fields, "quorum")? {
            "configured" => InitialQuorum::Configured,
            "existing" => InitialQuorum::Existing,
            "voters" => InitialQuorum::Voters(InitialVoter::parse_all(field(&fields, "voters")?)?),
            other => return Err(format!("its quorum is {other:?}")),
        };
        let level = |(key, value): (&String, &String)| {
            let name = key.strip_prefix("feature.")?;
            Some(
                value.parse().map(|level| (name.to_owned(), level)).map_err(|_| format!("{key} is no level")),
            )
        };
        Ok(Beginning { quorum, levels: fields.iter().filter_map(level).collect::<Result<_, _>>()? })
    }
}

/// A directory's id as Kafka writes it.
pub fn directory_text(id: u128) -> String {
    TopicId(Uuid::from_u128(id)).to_string()
}

/// A directory's id from Kafka's text.
///
/// # Errors
/// It is none.
pub fn directory_id(text: &str) -> Result<u128, String> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|error| error.to_string())?;
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| format!("{text:?} is no id of 16 bytes"))?;
    Ok(u128::from_be_bytes(bytes))
}

fn fields(text: &str) -> Result<BTreeMap<String, String>, String> {
    let parsed = properties::parse(text).map_err(|errors| errors[0].to_string())?;
    Ok(parsed.into_iter().map(|property| (property.key, property.value)).collect())
}

fn field<'a>(fields: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, String> {
    fields.get(name).map(String::as_str).ok_or_else(|| format!("it has no {name}"))
}

fn version(fields: &BTreeMap<String, String>) -> Result<(), String> {
    match field(fields, "version")? {
        "1" => Ok(()),
        other => Err(format!("its layout has version {other}, this is 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_a_directory_is_is_written_as_kafka_does_and_read_back() {
        let meta =
            MetaProperties { cluster_id: "c".to_owned(), node_id: NodeId(3), directory_id: Some(1 << 64) };
        let text = "cluster.id=c\ndirectory.id=AAAAAAAAAAEAAAAAAAAAAA\nnode.id=3\nversion=1\n";
        assert_eq!(meta.render(), text);
        assert_eq!(MetaProperties::parse(text), Ok(meta));
        let kafkas = "#\n#Sat Nov 28 02:24:04 UTC 2026\nnode.id=3\nversion=1\ncluster.id=c\n";
        assert_eq!(MetaProperties::parse(kafkas).expect("Kafka's own").directory_id, None);
        for (text, wrong) in [
            ("", "version"),
            ("version=0\nbroker.id=1\n", "version 0"),
            ("version=1\ncluster.id=c\nnode.id=-1\n", "node.id"),
            ("version=1\ncluster.id=c\nnode.id=1\ndirectory.id=AAAA\n", "16 bytes"),
        ] {
            let told = MetaProperties::parse(text).expect_err("not one");
            assert!(told.contains(wrong), "{told}");
        }
    }

    #[test]
    fn how_a_cluster_begins_is_read_back() {
        let voters = "2@[::1]:9093:AAAAAAAAAAAAAAAAAAAAAQ,1@a:1:AAAAAAAAAAAAAAAAAAAAAg";
        let voters = InitialVoter::parse_all(voters).expect("two");
        assert_eq!((voters[0].node, voters[1].endpoint()), (NodeId(1), "[::1]:9093".to_owned()));
        let levels = BTreeMap::from([("kraft.version".to_owned(), 1)]);
        for quorum in
            [InitialQuorum::Configured, InitialQuorum::Existing, InitialQuorum::Voters(voters.clone())]
        {
            let beginning = Beginning { quorum, levels: levels.clone() };
            assert_eq!(Beginning::parse(&beginning.render()), Ok(beginning));
        }
        assert!(Beginning::parse("version=1\nquorum=voters\n").is_err());
        assert!(Beginning::parse("version=1\nquorum=existing\nfeature.x=many\n").is_err());
    }

    #[test]
    fn a_voter_that_cannot_be_is_refused_in_kafkas_words() {
        for (text, told) in [
            ("", "No voters given."),
            ("1", "No @ found in dynamic voter string."),
            ("@h", "Invalid @ at beginning of dynamic voter string."),
            ("x@h", "Failed to parse node id in dynamic voter string."),
            ("-1@h", "Invalid negative node id -1 in dynamic voter string."),
            ("1@", "No hostname found after node id."),
            ("1@[::1", "Hostname began with left bracket, but no right bracket was found."),
            ("1@h", "No colon following hostname could be found."),
            ("1@[::1]x", "Port section must start with a colon."),
            ("1@h:1", "No colon following port could be found."),
            ("1@h:x:y", "Failed to parse port in dynamic voter string."),
            ("1@h:65536:y", "Invalid port 65536 in dynamic voter string."),
            ("1@h:1:y", "Failed to parse directory ID in dynamic voter string."),
            (
                "1@h:1:AAAAAAAAAAAAAAAAAAAAAQ,1@i:1:AAAAAAAAAAAAAAAAAAAAAQ",
                "Node id 1 was specified more than once.",
            ),
        ] {
            assert_eq!(InitialVoter::parse_all(text), Err(told.to_owned()), "{text}");
        }
    }
}
