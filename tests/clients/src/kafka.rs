//! Apache Kafka's own broker, for what ours does not have.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::client::jars;

/// Generous: the machine that runs the tests may be compiling at the same moment.
const START: Duration = Duration::from_secs(120);

/// Any, in Kafka's form.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// One node that is broker and controller, of the jars that `tests/install-clients` brings, with a listener for each of
/// some security protocols.
pub struct KafkaBroker {
    jvm: Child,
    addresses: Vec<(String, String)>,
    _data: TempDir,
}

impl KafkaBroker {
    /// Starts a broker and waits until it says that it serves.
    ///
    /// # Panics
    ///
    /// When java or the jars are missing, or it does not serve within two minutes.
    #[must_use]
    pub fn start(protocols: &[&str], settings: &[String]) -> Self {
        Self::start_at(protocols, settings, &[])
    }

    /// As [`KafkaBroker::start`], with these levels of features, as `feature=level`, in place of those of its release.
    ///
    /// # Panics
    ///
    /// As [`KafkaBroker::start`].
    #[must_use]
    pub fn start_at(protocols: &[&str], settings: &[String], levels: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        // All at once, so that they differ.
        let free: Vec<TcpListener> =
            (0..=protocols.len()).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
        let mut ports = free.iter().map(|it| it.local_addr().expect("bound").to_string());
        let controller = ports.next().expect("one more than protocols");
        let addresses: Vec<(String, String)> =
            protocols.iter().map(|protocol| (*protocol).to_owned()).zip(ports).collect();
        drop(free);
        let listeners: Vec<String> =
            addresses.iter().map(|(protocol, address)| format!("{protocol}://{address}")).collect();
        let map: Vec<String> = protocols.iter().map(|protocol| format!("{protocol}:{protocol}")).collect();
        let lines = [
            "node.id=1".to_owned(),
            "process.roles=broker,controller".to_owned(),
            format!("listeners={},CONTROLLER://{controller}", listeners.join(",")),
            format!("listener.security.protocol.map={},CONTROLLER:PLAINTEXT", map.join(",")),
            "controller.listener.names=CONTROLLER".to_owned(),
            format!("controller.quorum.voters=1@{controller}"),
            format!("log.dirs={}", data.path().join("data").display()),
            "offsets.topic.replication.factor=1".to_owned(),
            "offsets.topic.num.partitions=1".to_owned(),
            "group.initial.rebalance.delay.ms=0".to_owned(),
        ];
        let properties = data.path().join("server.properties");
        fs::write(&properties, [&lines[..], settings].concat().join("\n")).expect("written");
        let mut format = java("kafka.tools.StorageTool");
        format.args(["format", "--cluster-id", CLUSTER_ID, "--config"]).arg(&properties);
        format.args(levels.iter().flat_map(|level| ["--feature", level]));
        let output = format.output().expect("java is there: run tests/install-clients");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let jvm = serve(&properties);
        Self { jvm, addresses, _data: data }
    }

    /// Host and port of the listener of this protocol.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn address(&self, protocol: &str) -> &str {
        let found = self.addresses.iter().find(|(name, _)| name == protocol);
        &found.unwrap_or_else(|| panic!("no listener for {protocol}")).1
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        let _ = self.jvm.kill();
        let _ = self.jvm.wait();
    }
}

fn serve(properties: &Path) -> Child {
    let mut command = java("kafka.Kafka");
    command.arg(properties).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: prctl with PR_SET_PDEATHSIG takes a number, touches no memory, and may be called between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut jvm = command.spawn().expect("java is there: run tests/install-clients");
    let log = BufReader::new(jvm.stderr.take().expect("piped"));
    let (sender, serving) = mpsc::channel();
    thread::spawn(move || {
        let mut last = String::new();
        // To the end, so that it never waits for a reader.
        for line in log.lines().map_while(Result::ok) {
            if line.contains("Kafka Server started") {
                let _ = sender.send(String::new());
            }
            last = line;
        }
        let _ = sender.send(last);
    });
    let said = serving.recv_timeout(START).expect("Kafka serves within two minutes");
    assert!(said.is_empty(), "Kafka has ended: {said}");
    jvm
}

fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]);
    command.arg("-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info");
    command.args(["-cp", &jars(), class]);
    command
}
