//! Controllers that come and go, by our tools and by Apache Kafka's: on brokers and controllers of the test's own that
//! `kafka-storage` has formatted.

use corelane_client_tests::{Broker, Pair, Ran, ours};
use std::{net::TcpListener, path::PathBuf, thread, time::Duration};
use tempfile::TempDir;

const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// A port that nobody has. It is free again when this returns: as good as it gets before the node that needs it listens.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

/// A node that is configured, and perhaps formatted and running.
struct Node {
    settings: Vec<String>,
    config: PathBuf,
    _directory: TempDir,
}

impl Node {
    fn new(id: u16, roles: &str, ports: &[u16]) -> Node {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let own = ports[usize::from(id) - 1];
        let clients = if roles.contains("broker") { "PLAINTEXT://127.0.0.1:0," } else { "" };
        let all: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let settings = vec![
            format!("node.id={id}"),
            format!("process.roles={roles}"),
            format!("listeners={clients}CONTROLLER://127.0.0.1:{own}"),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("controller.quorum.bootstrap.servers={}", all.join(",")),
            format!("log.dirs={}", directory.path().join("data").display()),
        ];
        let config = directory.path().join("server.properties");
        std::fs::write(&config, settings.join("\n")).expect("written");
        Node { settings, config, _directory: directory }
    }

    fn config(&self) -> &str {
        self.config.to_str().expect("UTF-8")
    }

    fn format(&self, how: &[&str]) -> Ran {
        let arguments = [&["format", "-t", CLUSTER, "-c", self.config()], how].concat();
        ours("kafka-storage", &arguments, "")
    }

    /// The id of its directory.
    fn directory(&self) -> String {
        let info = ours("kafka-storage", &["info", "-c", self.config()], "");
        let (_, id) = info.out.split_once("directory.id=").unwrap_or_else(|| panic!("{info:?}"));
        id.chars().take(22).collect()
    }

    fn start(&self) -> Broker {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        Broker::start_with(&settings)
    }
}

/// Asks until the answer has these words. The tools' own time-outs end it.
fn until_told(arguments: &[&str], words: &str) -> Ran {
    for _ in 0..300 {
        let ran = ours("kafka-metadata-quorum", arguments, "");
        if ran.out.contains(words) {
            return ran;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("{words:?} is not told by {arguments:?}: {:?}", ours("kafka-metadata-quorum", arguments, ""));
}

#[test]
fn a_controller_is_formatted_follows_votes_and_is_removed_as_kafkas_tools_do_it() {
    let ports = [free_port(), free_port()];
    let (first, second) = (Node::new(1, "broker,controller", &ports), Node::new(2, "controller", &ports));
    let made = first.format(&["--standalone"]);
    assert!(made.code == 0 && made.out.contains("Formatting dynamic metadata voter directory"), "{made:?}");
    let made = second.format(&["--no-initial-controllers"]);
    assert!(made.code == 0 && made.out.contains("Formatting metadata directory"), "{made:?}");
    let broker = first.start();
    // It serves when it has found the quorum.
    let controller = second.start();
    let server = ["--bootstrap-server", broker.address()];
    let on = |arguments: &[&'static str]| [&server[..], arguments].concat();
    let id = second.directory();
    let observer = format!("{{\"id\": 2, \"directoryId\": \"{id}\"}}");
    until_told(&on(&["describe", "--status"]), &observer);

    let tool = "kafka-metadata-quorum";
    let config = ["--command-config", second.config()];
    let add = |more: &[&'static str]| [&server[..], &config[..], &["add-controller"], more].concat();
    let mut pair = Pair::start();
    let dry = pair.same(tool, &add(&["--dry-run"]));
    let place = format!("CONTROLLER://127.0.0.1:{}", ports[1]);
    assert_eq!(
        dry.out.trim_end(),
        format!("DRY RUN of adding controller 2 with directory id {id} and endpoints: {place}")
    );
    let added = ours(tool, &add(&[]), "");
    assert_eq!((added.code, added.out.contains("Added controller 2")), (0, true), "{added:?}");
    let voter = format!("{{\"id\": 2, \"directoryId\": \"{id}\", \"endpoints\": [\"{place}\"]}}]");
    until_told(&on(&["describe", "--status"]), &voter);
    pair.same(tool, &on(&["describe", "--status"]));
    let keys =
        format!("[ReplicaKey(id=1, directoryId={}), ReplicaKey(id=2, directoryId={id})]", first.directory());
    let class = "org.apache.kafka.common.errors";
    let twice = format!(
        "{class}.DuplicateVoterException: The voter id for ReplicaKey(id=2, directoryId={id}) is already part of the set \
         of voters {keys}."
    );
    pair.same_failure(tool, &add(&[]), "", &twice);

    let remove = |node: &'static str, id: &str, more: &[&'static str]| -> Vec<String> {
        let named = ["remove-controller", "--controller-id", node, "-d", id];
        let all = [&server[..], &named, more].concat();
        all.into_iter().map(str::to_owned).collect()
    };
    let run = |arguments: &[String]| -> Vec<String> { arguments.to_vec() };
    let dry = run(&remove("2", &id, &["--dry-run"]));
    pair.same(tool, &dry.iter().map(String::as_str).collect::<Vec<_>>());
    let nobody = "AAAAAAAAAAAAAAAAAAAAAQ";
    let unknown = format!(
        "{class}.VoterNotFoundException: Cannot remove voter ReplicaKey(id=9, directoryId={nobody}) from the set of \
         voters {keys}"
    );
    let stranger = remove("9", nobody, &[]);
    pair.same_failure(tool, &stranger.iter().map(String::as_str).collect::<Vec<_>>(), "", &unknown);
    // Apache Kafka's tool takes the vote away, and gives it back.
    let out = remove("2", &id, &[]);
    let mut java = corelane_client_tests::JavaTools::start();
    let removed = java.run(tool, &out.iter().map(String::as_str).collect::<Vec<_>>(), "");
    assert_eq!(
        (removed.code, removed.out.trim_end()),
        (0, &*format!("Removed  KRaft controller 2 with directory id {id}"))
    );
    until_told(&on(&["describe", "--status"]), &observer);
    let added = java.run(tool, &add(&[]), "");
    assert_eq!((added.code, added.out.contains("Added controller 2")), (0, true), "{added:?}");
    until_told(&on(&["describe", "--status"]), &voter);
    pair.finish();
    // The first one goes: nobody is asked who lives on.
    let gone = remove("2", &id, &[]);
    let removed = ours(tool, &gone.iter().map(String::as_str).collect::<Vec<_>>(), "");
    assert_eq!(removed.code, 0, "{removed:?}");
    controller.stop();
    broker.stop();
}

#[test]
fn voters_that_are_configured_are_neither_added_nor_removed_as_in_kafka() {
    let port = free_port();
    let listeners = format!("listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}");
    let broker = Broker::start_with(&[&listeners, &format!("controller.quorum.voters=1@127.0.0.1:{port}")]);
    let nobody = "AAAAAAAAAAAAAAAAAAAAAQ";
    let arguments = ["--bootstrap-server", broker.address(), "remove-controller", "-i", "2", "-d", nobody];
    let mut pair = Pair::start();
    let sentence = "org.apache.kafka.common.errors.UnsupportedVersionException: Cluster doesn't support removing voter \
                    because the kraft.version feature is 0";
    pair.same_failure("kafka-metadata-quorum", &arguments, "", sentence);
    pair.finish();
    broker.stop();
}

#[test]
fn wrong_command_lines_about_controllers_are_refused_in_kafkas_words() {
    let nowhere = ["--bootstrap-server", "127.0.0.1:1"];
    let mut pair = Pair::start();
    for arguments in [
        &["add-controller"][..],
        &["add-controller", "--bogus"],
        &["remove-controller"],
        &["remove-controller", "-i", "1"],
        &["remove-controller", "-i", "x", "-d", "y"],
        &["remove-controller", "-i", "-1", "-d", "AAAAAAAAAAAAAAAAAAAAAQ"],
    ] {
        pair.same("kafka-metadata-quorum", &[&nowhere[..], arguments].concat());
    }
    pair.finish();
}

/// Without what is drawn, and without the directory of the run.
fn without_ids(out: &str) -> String {
    let mut text = out.to_owned();
    while let Some((before, after)) = text.split_once("directory.id=") {
        text = format!("{before}directory-id{}", &after[22..]);
    }
    text
}

#[test]
fn directories_are_formatted_and_described_as_by_kafkas_tool() {
    let tool = "kafka-storage";
    let mut pair = Pair::start();
    let node = Node::new(1, "controller", &[9093]);
    let config = ["-c", node.config()];
    let with = |command: &'static str, more: &[&'static str]| [&[command], &config[..], more].concat();
    pair.same(tool, &with("info", &[]));
    for arguments in [
        &["-t", "x"][..],
        &[],
        &["-t", "x", "-s", "-N"],
        &["-t", "x", "-s", "-r", "3.0"],
        &["-t", "x", "-s", "-f", "kraft.version=0"],
        &["-t", "x", "-s", "-r", "4.0", "-f", "metadata.version=7"],
    ] {
        pair.same(tool, &with("format", arguments));
    }
    // Apache Kafka's finalizes features that are not served here.
    let formatted = node.format(&["-s"]);
    assert_eq!(formatted.code, 0, "{formatted:?}");
    pair.same_but(tool, &with("info", &[]), without_ids);
    for arguments in [&["-t", CLUSTER, "-s"][..], &["-t", CLUSTER, "-s", "-g"]] {
        pair.same(tool, &with("format", arguments));
    }
    let another = format!(
        "Invalid cluster.id in: {}/meta.properties. Expected another, but read {CLUSTER}",
        node.config.parent().expect("a directory").join("data").display()
    );
    pair.same_failure(tool, &with("format", &["-t", "another", "-s"]), "", &another);
    for arguments in [
        &["random-uuid", "x"][..],
        &["feature-dependencies"],
        &["feature-dependencies", "-f", "group.version=1", "-f", "metadata.version=17"],
        &["feature-dependencies", "-f", "nope=1"],
        &["feature-dependencies", "-f", "group.version=9"],
        &["version-mapping", "-r", "9"],
        &["tell"],
        &[],
    ] {
        pair.same(tool, arguments);
    }
    let id = ours(tool, &["random-uuid"], "").out;
    assert_eq!(id.trim_end().len(), 22, "{id}");
    pair.finish();
}
