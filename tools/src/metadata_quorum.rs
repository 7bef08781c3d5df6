//! `kafka-metadata-quorum` (`org.apache.kafka.tools.MetadataQuorumCommand`): `describe`, `add-controller`, `remove-controller`.

use crate::{
    Tool,
    args::{Argparse, Opt, Parsed},
    client::{ClientError, Cluster, Properties, Role, error::Result, topic_name},
    console::{Console, Outcome, Stop},
    java::{id_text, table},
    say,
};
use kafka_protocol::messages::{
    DescribeQuorumRequest,
    describe_quorum_request::{PartitionData as Wanted, TopicData},
    describe_quorum_response::{Node, PartitionData, ReplicaState},
};
use std::time::{SystemTime, UNIX_EPOCH};

mod voters;

const OPTIONS: &[Opt] = &[
    Opt::text("bootstrap-server", "BOOTSTRAP_SERVER", "Brokers to begin with, as HOST1:PORT1,HOST2:PORT2."),
    Opt::text("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "Controllers to begin with."),
    Opt::text(
        "command-config",
        "COMMAND_CONFIG",
        "A properties file with settings of the client; add-controller: also the settings of the controller.",
    ),
    Opt::flag("status", "describe: who leads, who votes, how far behind they are."),
    Opt::flag("replication", "describe: how far each replica is."),
    Opt::flag("human-readable", "describe --replication: times as so long ago."),
    Opt::integer("controller-id", "CONTROLLER_ID", "remove-controller: which one."),
    Opt::integer("i", "CONTROLLER_ID", "The same.").alias_of("controller-id"),
    Opt::text(
        "controller-directory-id",
        "CONTROLLER_DIRECTORY_ID",
        "remove-controller: the id of its directory, as describe tells it.",
    ),
    Opt::text("d", "CONTROLLER_DIRECTORY_ID", "The same.").alias_of("controller-directory-id"),
    Opt::flag("dry-run", "add-controller, remove-controller: only say what would be done."),
];

/// What a command's usage line begins with.
macro_rules! form {
    ($rest:literal) => {
        concat!(
            "(--bootstrap-server BOOTSTRAP_SERVER |\n                             \
             --bootstrap-controller BOOTSTRAP_CONTROLLER)\n                             ",
            $rest
        )
    };
}

const PARSER: Argparse = Argparse {
    name: "kafka-metadata-quorum",
    form: concat!(
        "[-h] [--command-config COMMAND_CONFIG]\n                             ",
        form!("{describe,add-controller,remove-controller}\n                             ...")
    ),
    purpose: "This tool describes kraft metadata quorum status.",
    options: OPTIONS,
};

const DESCRIBE: Argparse =
    Argparse { form: form!("describe [-h] [--status] [--replication] [--human-readable]"), ..PARSER };

const ADD: Argparse = Argparse { form: form!("add-controller [-h] [--dry-run]"), ..PARSER };

const REMOVE: Argparse = Argparse {
    form: form!(
        "remove-controller [-h]\n                             --controller-id \
         CONTROLLER_ID\n                             --controller-directory-id \
         CONTROLLER_DIRECTORY_ID\n                             [--dry-run]"
    ),
    ..PARSER
};

pub const TOOL: Tool = Tool {
    name: "kafka-metadata-quorum",
    purpose: "Show the quorum that keeps the metadata, and change who votes in it.",
    options: OPTIONS,
    run,
};

/// Whose usage is shown with what is wrong: that of the command that is named, as argparse4j does it.
fn parser(arguments: &[String]) -> &'static Argparse {
    let command = arguments.iter().find_map(|argument| match argument.as_str() {
        "describe" => Some(&DESCRIBE),
        "add-controller" => Some(&ADD),
        "remove-controller" => Some(&REMOVE),
        _ => None,
    });
    command.unwrap_or(&PARSER)
}

fn run(arguments: &[String], console: &mut Console) -> Outcome {
    let parsed = parser(arguments).parse(console, arguments)?;
    let command = match parsed.rest.first().map(String::as_str) {
        None => return Err(PARSER.error(console, "too few arguments")),
        Some(command @ ("describe" | "add-controller" | "remove-controller")) => command,
        Some(other) => {
            let message = format!(
                "invalid choice: '{other}' (choose from 'describe', 'add-controller', 'remove-controller')"
            );
            return Err(PARSER.error(console, &message));
        }
    };
    let (kind, servers) = match (parsed.value("bootstrap-server")?, parsed.value("bootstrap-controller")?) {
        (Some(servers), None) => ("bootstrap.servers", servers),
        (None, Some(servers)) => ("bootstrap.controllers", servers),
        (Some(_), Some(_)) => {
            let message = "argument --bootstrap-controller: not allowed with argument --bootstrap-server";
            return Err(PARSER.error(console, message));
        }
        (None, None) => {
            let message = "one of the arguments --bootstrap-server --bootstrap-controller is required";
            return Err(PARSER.error(console, message));
        }
    };
    let mut properties = match parsed.value("command-config")? {
        Some(path) => Properties::load(path)
            .map_err(|_| Stop::failed(format!("Properties file {path} does not exists!")))?,
        None => Properties::default(),
    };
    properties.set(kind, servers);
    let connect = || -> Outcome<Cluster> { Ok(Cluster::new(Role::Admin, &properties)?) };
    match command {
        "add-controller" => voters::add(&parsed, &properties, connect, console),
        "remove-controller" => voters::remove(&REMOVE, &parsed, connect, console),
        _ => {
            check(&parsed)?;
            describe(&parsed, &mut connect()?, console)
        }
    }
}

fn describe(parsed: &Parsed, cluster: &mut Cluster, console: &mut Console) -> Outcome {
    if parsed.has("replication") {
        let (quorum, _) = quorum(cluster)?;
        let table = replication(&quorum, parsed.has("human-readable"), now_ms())?;
        say!(console, "{}", table.trim_end_matches('\n'));
    } else {
        let id = cluster_id(cluster)?;
        let (quorum, nodes) = quorum(cluster)?;
        say!(console, "{}", status(&id, &quorum, &nodes)?);
    }
    Ok(())
}

fn check(parsed: &Parsed) -> Outcome {
    match (parsed.has("status"), parsed.has("replication"), parsed.has("human-readable")) {
        (true, true, _) => Err(Stop::failed(
            "Only one of --status or --replication should be specified with describe sub-command",
        )),
        (true, false, true) => {
            Err(Stop::failed("The option --human-readable is only supported along with --replication"))
        }
        (false, false, _) => {
            Err(Stop::failed("One of --status or --replication must be specified with describe sub-command"))
        }
        _ => Ok(()),
    }
}

fn cluster_id(cluster: &mut Cluster) -> Result<String> {
    cluster.retry("describeCluster", |cluster| Ok(cluster.describe(false)?.cluster_id.to_string()))
}

fn quorum(cluster: &mut Cluster) -> Result<(PartitionData, Vec<Node>)> {
    let wanted = TopicData::default()
        .with_topic_name(topic_name("__cluster_metadata"))
        .with_partitions(vec![Wanted::default().with_partition_index(0)]);
    cluster.retry("describeMetadataQuorum", |cluster| {
        cluster.on_any(|connection| {
            let version = connection.version::<DescribeQuorumRequest>()?;
            let request = DescribeQuorumRequest::default().with_topics(vec![wanted.clone()]);
            let answer = connection.call(version, &request)?;
            if let Some(error) = ClientError::of(answer.error_code, answer.error_message.as_deref()) {
                return Err(error);
            }
            let partition = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
            let partition = partition.ok_or_else(|| ClientError::Protocol {
                peer: connection.peer().into(),
                reason: "an answer about no quorum".into(),
            })?;
            match ClientError::of(partition.error_code, partition.error_message.as_deref()) {
                Some(error) => Err(error),
                None => Ok((partition, answer.nodes)),
            }
        })
    })
}

fn leader(quorum: &PartitionData) -> Outcome<&ReplicaState> {
    let found = quorum.current_voters.iter().find(|voter| voter.replica_id == quorum.leader_id);
    found.ok_or_else(|| Stop::failed("No value present"))
}

fn status(id: &str, quorum: &PartitionData, nodes: &[Node]) -> Outcome<String> {
    let leader = leader(quorum)?;
    let behind = quorum.current_voters.iter().min_by_key(|voter| voter.log_end_offset).unwrap_or(leader);
    let lag_ms = if behind.replica_id == leader.replica_id {
        0
    } else if leader.last_caught_up_timestamp >= 0 && behind.last_caught_up_timestamp >= 0 {
        leader.last_caught_up_timestamp - behind.last_caught_up_timestamp
    } else {
        -1
    };
    Ok(format!(
        "ClusterId:              {id}\nLeaderId:               {}\nLeaderEpoch:            {}\nHighWatermark:          {}\n\
         MaxFollowerLag:         {}\nMaxFollowerLagTimeMs:   {lag_ms}\nCurrentVoters:          {}\nCurrentObservers:       {}",
        quorum.leader_id.0,
        quorum.leader_epoch,
        quorum.high_watermark,
        leader.log_end_offset - behind.log_end_offset,
        replicas(&quorum.current_voters, nodes),
        replicas(&quorum.observers, nodes)
    ))
}

/// `[{"id": 1, "directoryId": "...", "endpoints": ["CONTROLLER://host:9093"]}]`, without what is not known.
fn replicas(replicas: &[ReplicaState], nodes: &[Node]) -> String {
    let one = |replica: &ReplicaState| {
        let mut text = format!("{{\"id\": {}", replica.replica_id.0);
        if !replica.replica_directory_id.is_nil() {
            text.push_str(&format!(", \"directoryId\": \"{}\"", id_text(replica.replica_directory_id)));
        }
        let node = nodes.iter().find(|node| node.node_id == replica.replica_id);
        let endpoints: Vec<String> = node
            .into_iter()
            .flat_map(|node| &node.listeners)
            .map(|it| format!("\"{}://{}:{}\"", it.name, it.host, it.port))
            .collect();
        if !endpoints.is_empty() {
            text.push_str(&format!(", \"endpoints\": [{}]", endpoints.join(", ")));
        }
        text + "}"
    };
    format!("[{}]", replicas.iter().map(one).collect::<Vec<_>>().join(", "))
}

fn replication(quorum: &PartitionData, human: bool, now: i64) -> Outcome<String> {
    let leader = leader(quorum)?;
    let followers = quorum.current_voters.iter().filter(|voter| voter.replica_id != leader.replica_id);
    let all = std::iter::once((leader, "Leader"))
        .chain(followers.map(|voter| (voter, "Follower")))
        .chain(quorum.observers.iter().map(|observer| (observer, "Observer")));
    let mut rows = Vec::new();
    for (replica, status) in all {
        rows.push(vec![
            replica.replica_id.0.to_string(),
            id_text(replica.replica_directory_id),
            replica.log_end_offset.to_string(),
            (leader.log_end_offset - replica.log_end_offset).to_string(),
            time(replica.last_fetch_timestamp, human, now, "last fetch")?,
            time(replica.last_caught_up_timestamp, human, now, "last caught up")?,
            status.into(),
        ]);
    }
    let headers = [
        "NodeId",
        "DirectoryId",
        "LogEndOffset",
        "Lag",
        "LastFetchTimestamp",
        "LastCaughtUpTimestamp",
        "Status",
    ];
    Ok(table(&headers, &rows))
}

fn time(timestamp: i64, human: bool, now: i64, what: &str) -> Outcome<String> {
    if timestamp < 0 || !human {
        return Ok(timestamp.max(-1).to_string());
    }
    if timestamp == 0 || timestamp > now {
        return Err(Stop::failed(format!(
            "Error while computing relative time, possible drift in system clock.\nCurrent timestamp is {now}, {what} timestamp \
             is {timestamp}"
        )));
    }
    Ok(format!("{} ms ago", now - timestamp))
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::text;
    use kafka_protocol::messages::describe_quorum_response::Listener;

    fn replica(id: i32, end: i64, caught_up: i64) -> ReplicaState {
        let mut state = ReplicaState::default();
        state.replica_id = id.into();
        state.log_end_offset = end;
        state.last_fetch_timestamp = caught_up;
        state.last_caught_up_timestamp = caught_up;
        state
    }

    fn quorum() -> PartitionData {
        let mut quorum = PartitionData::default();
        quorum.leader_id = 1.into();
        quorum.high_watermark = 9;
        quorum.current_voters = vec![replica(1, 10, 1000), replica(2, 7, 900)];
        quorum
    }

    #[test]
    fn the_status_tells_of_the_slowest_voter() {
        let mut node = Node::default();
        node.node_id = 1.into();
        node.listeners = vec![Listener::default().with_name(text("C")).with_host(text("h")).with_port(9093)];
        let text = status("id", &quorum(), &[node]).expect("a leader");
        assert!(text.contains("\nMaxFollowerLag:         3\nMaxFollowerLagTimeMs:   100\n"), "{text}");
        let voters =
            "\nCurrentVoters:          [{\"id\": 1, \"endpoints\": [\"C://h:9093\"]}, {\"id\": 2}]\n";
        assert!(text.contains(voters), "{text}");
    }

    #[test]
    fn the_leader_comes_first_and_times_may_be_so_long_ago() {
        let text = replication(&quorum(), true, 1500).expect("a leader");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[1].starts_with("1     \t")
                && lines[1].contains("500 ms ago")
                && lines[1].contains("Leader"),
            "{text}"
        );
        assert!(lines[2].contains("\t3  \t600 ms ago"), "{text}");
        assert!(replication(&quorum(), true, 10).is_err(), "a time that is to come");
    }
}
