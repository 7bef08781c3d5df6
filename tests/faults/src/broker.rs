//! The real binary as a child process: started, watched, killed, and gone when its handle goes, also on panic.

use anyhow::{Context, bail, ensure};
use corelane_io::DriverKind;
use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Longest that a start may take, recovery included.
pub const START_PATIENCE: Duration = Duration::from_secs(60);

/// Limits of a process that a child is given instead of ours.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// `RLIMIT_…`.
    pub resource: libc::__rlimit_resource_t,
    /// Soft and hard alike.
    pub value: u64,
}

/// How a broker is started.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// `log.dirs`.
    pub data_dir: PathBuf,
    /// `corelane.shards`.
    pub shards: u16,
    /// 0: a free one.
    pub port: u16,
    /// `key=value`.
    pub overrides: Vec<String>,
    /// `--driver`; None lets the broker choose.
    pub driver: Option<DriverKind>,
    /// Instead of ours.
    pub limits: Vec<Limit>,
    /// Runs as this user and group.
    pub user: Option<u32>,
    /// The system calls it may make.
    pub filter: Option<seccompiler::BpfProgram>,
    /// What is called, with the binary and its arguments behind: `unshare …`. Must end in an exec.
    pub wrapper: Vec<String>,
    /// The binary; [`binary`] unless a test needs a copy.
    pub program: Option<PathBuf>,
}

impl BrokerOptions {
    /// On a free port of loopback and the [`driver`] of all tests, with nothing special.
    pub fn new(data_dir: &Path, shards: u16) -> BrokerOptions {
        BrokerOptions {
            data_dir: data_dir.to_owned(),
            shards,
            port: 0,
            overrides: Vec::new(),
            driver: driver(),
            limits: Vec::new(),
            user: None,
            filter: None,
            wrapper: Vec::new(),
            program: None,
        }
    }

    /// With a setting more.
    pub fn with(mut self, key: &str, value: impl ToString) -> BrokerOptions {
        self.overrides.push(format!("{key}={}", value.to_string()));
        self
    }

    fn command(&self) -> anyhow::Result<Command> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => binary()?.to_owned(),
        };
        let mut words = self.wrapper.iter().map(PathBuf::from).chain([program]);
        let mut command = Command::new(words.next().context("a program")?);
        command.args(words).arg("start").env_clear().env("RUST_BACKTRACE", "1");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let settings = [
            format!("listeners=PLAINTEXT://127.0.0.1:{}", self.port),
            format!("log.dirs={}", self.data_dir.display()),
            format!("corelane.shards={}", self.shards),
        ];
        for setting in settings.iter().chain(&self.overrides) {
            command.args(["--override", setting]);
        }
        if let Some(driver) = self.driver {
            command.args(["--driver", &driver.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let (limits, filter) = (self.limits.clone(), self.filter.clone());
        let child = move || {
            for limit in &limits {
                set_limit(limit.resource, limit.value)?;
            }
            end_with_parent()?;
            match &filter {
                Some(filter) => seccompiler::apply_filter(filter).map_err(std::io::Error::other),
                None => Ok(()),
            }
        };
        // SAFETY: between fork and exec it calls only setrlimit, prctl and seccomp, which are safe there; the vectors it
        // reads were allocated before.
        unsafe { command.pre_exec(child) };
        Ok(command)
    }
}

/// The driver that all brokers of the tests run on: `CORELANE_TEST_DRIVER`, and without it what the broker chooses.
///
/// # Panics
/// When the variable names none.
pub fn driver() -> Option<DriverKind> {
    let name = std::env::var("CORELANE_TEST_DRIVER").ok()?;
    let named = DriverKind::ALL.into_iter().find(|kind| kind.to_string() == name);
    Some(named.unwrap_or_else(|| panic!("CORELANE_TEST_DRIVER={name}: there is no such driver")))
}

/// Has a child, which calls this before it becomes another program, killed when the thread that started it is gone: should
/// this process be killed, its children must not outlive it. Safe between fork and exec.
///
/// # Errors
/// As the kernel says.
pub(crate) fn end_with_parent() -> std::io::Result<()> {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes a number and touches no memory.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Sets a limit of this process, soft and hard.
///
/// # Errors
/// As the kernel says.
pub fn set_limit(resource: libc::__rlimit_resource_t, value: u64) -> std::io::Result<()> {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: the pointer is to a live value of the right type.
    if unsafe { libc::setrlimit(resource, &limit) } == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

/// Builds the binary if need be, with the profile of whoever asks, and says where it is. `CORELANE_BINARY` names
/// another one, which is taken as it is.
///
/// # Errors
/// When it cannot be built.
pub fn binary() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("{error}"),
    }
}

fn build() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("CORELANE_BINARY") {
        return Ok(path.into());
    }
    let ours = std::env::current_exe().context("cannot name this executable")?;
    let mut folder = ours.parent().context("a folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("a folder")?;
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    if folder.ends_with("release") {
        command.args(["build", "--quiet", "--release", "--package", "corelane", "--bin", "corelane"]);
    } else {
        // As `cargo test --workspace` builds it, with the same features, so that there it is there already.
        command.args(["test", "--quiet", "--no-run", "--workspace", "--test", "command_line"]);
    }
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
    let status = command.status().context("cannot run cargo")?;
    ensure!(status.success(), "the binary cannot be built");
    Ok(folder.join("corelane"))
}

/// A broker process. Dropping it kills it.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    address: Option<SocketAddr>,
    said: Arc<Mutex<Vec<String>>>,
    serving: Receiver<SocketAddr>,
    reader: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// When it does not; what it said is in the text.
    pub fn start(options: &BrokerOptions) -> anyhow::Result<Broker> {
        let mut broker = Broker::spawn(options)?;
        broker.await_serving(START_PATIENCE)?;
        Ok(broker)
    }

    /// Starts one and waits for nothing.
    ///
    /// # Errors
    /// When the process cannot be made.
    pub fn spawn(options: &BrokerOptions) -> anyhow::Result<Broker> {
        Broker::spawn_command(&mut options.command()?)
    }

    /// Starts whatever this is, its standard error piped, and waits for nothing. Only ours says when it serves.
    ///
    /// # Errors
    /// When the process cannot be made.
    pub(crate) fn spawn_command(command: &mut Command) -> anyhow::Result<Broker> {
        let mut child = command.spawn().context("cannot start the broker")?;
        let stderr = child.stderr.take().context("standard error was asked for")?;
        let said = Arc::new(Mutex::new(Vec::new()));
        let (serves, serving) = channel();
        let lines = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if let Some(address) = served_address(&line) {
                    // Whoever waited may have given up.
                    let _ = serves.send(address);
                }
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Ok(Broker { child, address: None, said, serving, reader: Some(reader) })
    }

    /// Waits until it serves; where.
    ///
    /// # Errors
    /// When it ends first, or takes longer than `patience`.
    pub fn await_serving(&mut self, patience: Duration) -> anyhow::Result<SocketAddr> {
        match self.serving.recv_timeout(patience) {
            Ok(address) => {
                self.address = Some(address);
                Ok(address)
            }
            Err(RecvTimeoutError::Timeout) => {
                bail!("the broker does not serve after {patience:?}; it said:\n{}", self.said())
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.wait(Duration::from_secs(5))?;
                bail!("the broker ended with {status} before it served; it said:\n{}", self.said())
            }
        }
    }

    /// Where it serves.
    ///
    /// # Panics
    /// Before it does.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("the test waited until the broker serves")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// `kill -9`; returns when the process is gone.
    pub fn kill(&mut self) {
        // Fails only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.end_reader();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: libc::c_int) {
        // SAFETY: kill touches no memory; the child is not reaped before this handle says so, so the id is its own.
        unsafe { libc::kill(self.child.id().cast_signed(), signal) };
    }

    /// SIGTERM, and then how it ended.
    ///
    /// # Errors
    /// When it still runs after `patience`.
    pub fn terminate(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        self.signal(libc::SIGTERM);
        self.wait(patience)
    }

    /// How it ended by itself.
    ///
    /// # Errors
    /// When it still runs after `patience`.
    pub fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for the broker")? {
                self.end_reader();
                return Ok(status);
            }
            ensure!(
                Instant::now() < deadline,
                "the broker still runs after {patience:?}; it said:\n{}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// When it does not, with how it ended and what it said.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                self.end_reader();
                let signal = status.signal().map_or(String::new(), |signal| format!(" (signal {signal})"));
                bail!("the broker ended with {status}{signal}; it said:\n{}", self.said())
            }
        }
    }

    /// Resident memory.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn memory_bytes(&self) -> anyhow::Result<u64> {
        memory_bytes(self.id())
    }

    /// Open descriptors.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.id()))?.count())
    }

    fn end_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            // A panic there has been printed; the lines so far are kept.
            let _ = reader.join();
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("what the broker said:\n{}", self.said());
        }
    }
}

/// Resident memory of a process.
pub(crate) fn memory_bytes(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// The address in "serving on 127.0.0.1:9092 after 12 ms"; the first, if there are several.
fn served_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("serving on ")?;
    let (addresses, _) = rest.split_once(" after ")?;
    addresses.split(", ").next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_line_that_tells_it() {
        let line = "2026-01-01T00:00:00Z  INFO serving on 127.0.0.1:9092, [::1]:9093 after 12 ms shards=2";
        assert_eq!(served_address(line), Some("127.0.0.1:9092".parse().expect("an address")));
        assert_eq!(served_address("serving soon"), None);
    }
}
