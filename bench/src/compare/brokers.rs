//! Starts and ends the brokers under test. Both programs are given the same properties but for what only one has.

use super::{
    affinity::{Cores, Pinning},
    model::{Program, System, Watched},
    watcher::Watcher,
};
use crate::client::Client;
use anyhow::{Context, Result, bail, ensure};
use kafka_protocol::messages::MetadataRequest;
use std::{
    cell::RefCell,
    fs::{self, File},
    io,
    net::TcpListener,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Any, in Kafka's form.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

/// Generous: recovery of a large log is part of a start.
const START_PATIENCE: Duration = Duration::from_secs(600);
const STOP_PATIENCE: Duration = Duration::from_secs(180);

/// What Kafka's own start script sets beside the heap (KAFKA_JVM_PERFORMANCE_OPTS of kafka-run-class.sh).
const JVM_OPTIONS: [&str; 6] = [
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// What all brokers of a comparison have in common.
pub struct Ground {
    /// Their data lies below; it is removed with this value.
    pub directory: PathBuf,
    /// The binary.
    pub corelane: PathBuf,
    /// Kafka's.
    pub jars: PathBuf,
    /// Another peer's binary, where there is one.
    pub tansu: Option<PathBuf>,
    /// Cores.
    pub pinning: Pinning,
    /// Of this machine.
    pub memory_bytes: u64,
    /// All processes so far.
    pub processes: RefCell<Vec<u32>>,
    /// All brokers that have ended.
    pub watched: RefCell<Vec<Watched>>,
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Nothing can be done about a failure here.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Ground {
    /// The heap of each of `nodes` nodes on this machine, in MiB: 6 GiB as Kafka's documentation has it in its example
    /// ("Hardware and OS", "Java version": `-Xmx6g -Xms6g`), but all heaps together at most a quarter of the memory,
    /// because the page cache wants the rest, and no less than 512 MiB each.
    pub fn heap_mib(&self, nodes: usize) -> u64 {
        let share = self.memory_bytes / 4 / nodes as u64 / (1 << 20);
        share.clamp(512, 6144)
    }

    fn java(&self, heap_mib: u64) -> Command {
        let mut command = Command::new("java");
        command.arg(format!("-Xmx{heap_mib}m")).arg(format!("-Xms{heap_mib}m")).args(JVM_OPTIONS);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        command.arg("-cp").arg(self.jars.join("*"));
        command
    }

    /// A Java tool of Kafka's, on the generator's cores.
    pub fn tool(&self, class: &str) -> Command {
        let mut command = self.java(512);
        command.arg(class);
        self.place(&mut command, &self.pinning.generator);
        command
    }

    /// A program that looks at brokers, on the generator's cores.
    pub fn own_tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.place(&mut command, &self.pinning.generator);
        command
    }

    fn place(&self, command: &mut Command, cores: &[usize]) {
        let cores = Cores::new(cores);
        // SAFETY: both are single system calls on memory that was made before the fork.
        unsafe {
            command.pre_exec(move || {
                cores.apply()?;
                match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
    }

    /// What is compared, for the report.
    ///
    /// # Errors
    /// When the binary does not run.
    pub fn program(&self, system: System) -> Result<Program> {
        let example = NodeOptions { system, ..NodeOptions::default() };
        let settings = properties(&example, 0, &[9092], &[9093], Path::new("DATA"));
        let version_of = |program: &Path| {
            let output = Command::new(program).arg("--version").output();
            let output = output.with_context(|| format!("cannot run {}", program.display()))?;
            Ok::<_, anyhow::Error>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        Ok(match system {
            System::Corelane => {
                let version = version_of(&self.corelane)?;
                Program { version, command: "corelane start --config FILE".into(), settings }
            }
            System::Tansu => Program {
                version: version_of(self.tansu()?)?,
                command: format!("tansu {}", tansu_arguments(9092).join(" ")),
                settings: Vec::new(),
            },
            System::Kafka | System::KafkaFlushing => Program {
                version: self.kafka_version()?,
                command: format!(
                    "java -Xmx{0}m -Xms{0}m {1} kafka.Kafka FILE",
                    self.heap_mib(1),
                    JVM_OPTIONS.join(" ")
                ),
                settings,
            },
        })
    }

    /// The programs that are compared, by their names in the report; of Kafka's two settings the default one.
    pub fn programs(&self) -> Vec<(&'static str, System)> {
        let mut programs = vec![("corelane", System::Corelane), ("kafka", System::Kafka)];
        programs.extend(self.tansu.is_some().then_some(("tansu", System::Tansu)));
        programs
    }

    fn tansu(&self) -> Result<&Path> {
        self.tansu.as_deref().context("no Tansu was named: --tansu PATH")
    }

    fn kafka_version(&self) -> Result<String> {
        let jars = fs::read_dir(&self.jars)
            .with_context(|| format!("{} is missing: run tests/install-clients java", self.jars.display()))?;
        let names = jars.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let version = |name: String| Some(name.strip_prefix("kafka_2.13-")?.strip_suffix(".jar")?.to_owned());
        let version = names.filter_map(version).next();
        version.with_context(|| format!("no Apache Kafka in {}", self.jars.display()))
    }
}

/// How brokers are started.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Which program.
    pub system: System,
    /// How many, each broker and controller both.
    pub nodes: usize,
    /// `key=value`.
    pub overrides: Vec<String>,
    /// Other cores than the brokers' of the plan.
    pub cores: Option<Vec<usize>>,
    /// For the report.
    pub purpose: String,
    /// For the report.
    pub round: u32,
}

impl Default for NodeOptions {
    fn default() -> Self {
        NodeOptions {
            system: System::Corelane,
            nodes: 1,
            overrides: Vec::new(),
            cores: None,
            purpose: "a node alone".into(),
            round: 1,
        }
    }
}

/// On one node, with its data where it is started.
fn tansu_arguments(port: u16) -> Vec<String> {
    let listener = format!("tcp://127.0.0.1:{port}");
    let named = [
        ("--cluster-id", CLUSTER_ID),
        ("--listener-url", &listener),
        ("--advertised-listener-url", &listener),
        ("--storage-engine", "sqlite://tansu.db"),
    ];
    let named = named.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]);
    std::iter::once("broker".to_owned()).chain(named).collect()
}

fn properties(
    options: &NodeOptions,
    index: usize,
    ports: &[u16],
    controllers: &[u16],
    data: &Path,
) -> Vec<String> {
    let voters = controllers.iter().enumerate().map(|(node, port)| format!("{}@127.0.0.1:{port}", node + 1));
    let mut lines = vec![
        format!("node.id={}", index + 1),
        "process.roles=broker,controller".to_owned(),
        format!(
            "listeners=PLAINTEXT://127.0.0.1:{},CONTROLLER://127.0.0.1:{}",
            ports[index], controllers[index]
        ),
        "controller.listener.names=CONTROLLER".to_owned(),
        format!("controller.quorum.voters={}", voters.collect::<Vec<_>>().join(",")),
        format!("log.dirs={}", data.display()),
        format!("offsets.topic.replication.factor={}", ports.len()),
    ];
    if options.system == System::Corelane {
        lines.push(format!("corelane.cluster.id={CLUSTER_ID}"));
    }
    lines.extend_from_slice(&options.overrides);
    lines
}

struct Node {
    directory: PathBuf,
    child: Option<Child>,
}

/// Brokers that run, or have run and may be started again. All processes and data end with this.
pub struct Brokers<'a> {
    ground: &'a Ground,
    options: NodeOptions,
    directory: PathBuf,
    ports: Vec<u16>,
    nodes: Vec<Node>,
    watcher: Option<Watcher>,
}

impl<'a> Brokers<'a> {
    /// Formats, starts, and waits until all know each other.
    ///
    /// # Errors
    /// With what the broker said last.
    pub fn start(ground: &'a Ground, options: NodeOptions) -> Result<Brokers<'a>> {
        let number = ground.processes.borrow().len();
        let directory = ground.directory.join(format!("brokers-{number}"));
        let ports = free_ports(2 * options.nodes)?;
        let (ports, controllers) = ports.split_at(options.nodes);
        let mut nodes = Vec::new();
        for index in 0..options.nodes {
            let own = directory.join(format!("node{}", index + 1));
            fs::create_dir_all(&own).with_context(|| format!("cannot create {}", own.display()))?;
            let lines = properties(&options, index, ports, controllers, &own.join("data"));
            fs::write(own.join("server.properties"), lines.join("\n") + "\n")?;
            nodes.push(Node { directory: own, child: None });
        }
        let ports = ports.to_vec();
        let mut brokers = Brokers { ground, options, directory, ports, nodes, watcher: None };
        if matches!(brokers.options.system, System::Kafka | System::KafkaFlushing) {
            brokers.format()?;
        }
        brokers.spawn()?;
        brokers.await_serving()?;
        Ok(brokers)
    }

    fn format(&self) -> Result<()> {
        for node in &self.nodes {
            let mut format = self.ground.tool("kafka.tools.StorageTool");
            format.args(["format", "--cluster-id", CLUSTER_ID, "--config"]);
            let output = format.arg(node.directory.join("server.properties")).output();
            let output = output.context("cannot run java: is a JRE of version 17 or later installed?")?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "formatting Kafka's storage: {said}");
        }
        Ok(())
    }

    /// Starts the processes, without waiting; their data is as they left it.
    ///
    /// # Errors
    /// When there is nothing to start.
    pub fn spawn(&mut self) -> Result<()> {
        let heap = self.ground.heap_mib(self.nodes.len());
        for (node, port) in self.nodes.iter_mut().zip(&self.ports) {
            let log = File::options().create(true).append(true).open(node.directory.join("log"))?;
            let properties = node.directory.join("server.properties");
            let mut command = match self.options.system {
                System::Corelane => {
                    let mut command = Command::new(&self.ground.corelane);
                    command.args(["start", "--config"]).arg(properties);
                    command
                }
                System::Kafka | System::KafkaFlushing => {
                    let mut command = self.ground.java(heap);
                    command.arg("kafka.Kafka").arg(properties);
                    command
                }
                System::Tansu => {
                    let mut command = Command::new(self.ground.tansu()?);
                    command.args(tansu_arguments(*port)).current_dir(&node.directory);
                    command
                }
            };
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            self.ground
                .place(&mut command, self.options.cores.as_ref().unwrap_or(&self.ground.pinning.brokers));
            let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
            self.ground.processes.borrow_mut().push(child.id());
            node.child = Some(child);
        }
        self.watcher = Some(Watcher::start(self.pids()));
        Ok(())
    }

    /// Of the nodes that run.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().filter_map(|node| Some(node.child.as_ref()?.id())).collect()
    }

    /// Of the first node.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }

    /// Of all nodes, as clients take them.
    pub fn addresses(&self) -> String {
        let all: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        all.join(",")
    }

    /// Where the nodes' data is.
    pub fn data(&self) -> &Path {
        &self.directory
    }

    /// Notes what begins now.
    pub fn phase(&self, name: &str) {
        if let Some(watcher) = &self.watcher {
            watcher.phase(name);
        }
    }

    fn await_serving(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if self.brokers_known().is_some_and(|known| known == self.nodes.len()) {
                return Ok(());
            }
            self.ensure_alive()?;
            ensure!(
                Instant::now() < deadline,
                "the broker does not serve within {START_PATIENCE:?}: {}",
                self.said()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The least number of brokers that a node knows; none while one does not answer.
    fn brokers_known(&self) -> Option<usize> {
        let known = self.ports.iter().map(|port| {
            let mut client = Client::connect(&format!("127.0.0.1:{port}")).ok()?;
            Some(client.call(&MetadataRequest::default().with_topics(Some(Vec::new()))).ok()?.brokers.len())
        });
        known.min().flatten()
    }

    /// # Errors
    /// When a node has ended, with what it said last.
    pub fn ensure_alive(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            if let Some(status) = node.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("the broker ended with {status}: {}", self.said());
            }
        }
        Ok(())
    }

    /// The end of all logs.
    fn said(&self) -> String {
        let end = |node: &Node| {
            let text = fs::read(node.directory.join("log")).unwrap_or_default();
            String::from_utf8_lossy(&text[text.len().saturating_sub(1500)..]).into_owned()
        };
        self.nodes.iter().map(end).collect::<Vec<_>>().join("\n")
    }

    fn signal(&self, signal: libc::c_int) -> Result<()> {
        for pid in self.pids() {
            let id = libc::pid_t::try_from(pid)?;
            // SAFETY: sends a signal to a child that has not been waited for, so the id is still the child's.
            let failed = unsafe { libc::kill(id, signal) };
            ensure!(failed == 0, "process {pid} has ended");
        }
        Ok(())
    }

    /// Stops them in order (SIGTERM); how long that took.
    ///
    /// # Errors
    /// When one does not end, or says that something failed.
    pub fn stop(&mut self) -> Result<Duration> {
        let asked = Instant::now();
        self.signal(libc::SIGTERM)?;
        self.take_watched();
        for node in &mut self.nodes {
            let Some(child) = &mut node.child else { continue };
            let status = await_exit(child, asked + STOP_PATIENCE)?;
            node.child = None;
            // A JVM that ends by SIGTERM says 143; Tansu leaves the signal to the kernel.
            let by_signal = status.code() == Some(143)
                || self.options.system == System::Tansu && status.signal() == Some(libc::SIGTERM);
            ensure!(status.success() || by_signal, "the broker ended with {status}: {}", self.said());
        }
        Ok(asked.elapsed())
    }

    /// Kills them (SIGKILL).
    ///
    /// # Errors
    /// When one has ended before.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(libc::SIGKILL)?;
        self.take_watched();
        for child in self.nodes.iter_mut().filter_map(|node| node.child.take()) {
            let mut child = child;
            child.wait()?;
        }
        Ok(())
    }

    fn take_watched(&mut self) {
        let Some(watcher) = self.watcher.take() else { return };
        let (samples, phases) = watcher.finish();
        self.ground.watched.borrow_mut().push(Watched {
            system: self.options.system,
            round: self.options.round,
            purpose: self.options.purpose.clone(),
            pids: self.pids(),
            samples,
            phases,
        });
    }
}

impl Drop for Brokers<'_> {
    fn drop(&mut self) {
        self.take_watched();
        for child in self.nodes.iter_mut().filter_map(|node| node.child.as_mut()) {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn await_exit(child: &mut Child, deadline: Instant) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        ensure!(Instant::now() < deadline, "the broker does not stop within {STOP_PATIENCE:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// All at once, so that they differ.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let free: io::Result<Vec<TcpListener>> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
    Ok(free?.iter().map(|one| Ok(one.local_addr()?.port())).collect::<io::Result<_>>()?)
}
