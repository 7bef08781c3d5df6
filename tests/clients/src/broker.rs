//! A broker of the test's own.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
        mpsc::{self, Sender},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tempfile::TempDir;

use crate::client::target;

/// Generous: the machine that runs the tests may be compiling at the same moment.
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(60);

/// The real binary on a free port of the loopback interface, its data in a directory that goes with it. Four
/// partitions for a topic that a client brings into being by naming it.
pub struct Broker {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
    settings: Vec<String>,
    data: TempDir,
}

/// The driver that all brokers of the tests run on: `CORELANE_TEST_DRIVER`, and without it what the broker chooses.
fn driver() -> Option<String> {
    std::env::var("CORELANE_TEST_DRIVER").ok()
}

impl Broker {
    /// Starts a broker and waits until it says that it serves.
    ///
    /// # Panics
    ///
    /// When the binary is missing or does not serve within a minute.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further settings, each as `key=value`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", settings)
    }

    /// Starts a broker that will [`crash`](Self::crash), at an address of its own: nobody else takes its port meanwhile.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_to_crash(settings: &[&str]) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [high, low] = u16::try_from(std::process::id() % 65_536).unwrap_or(0).to_be_bytes();
        // The last part is neither 0 nor 255 for the few that one process starts.
        let own = NEXT.fetch_add(1, Ordering::Relaxed);
        let listen = format!("127.{}.{low}.{own}:0", 128 | (high >> 1));
        Self::start_at(&listen, settings)
    }

    fn start_at(listen: &str, settings: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let log = Arc::default();
        let (child, address) = launch(&data, listen, &settings, &log);
        Self { child, address, log, settings, data }
    }

    /// Kills the broker, as the kernel would, and starts it again over its data where it was.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn crash(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child of this process");
        (self.child, self.address) = launch(&self.data, &self.address, &self.settings, &self.log);
    }

    /// Host and port, as clients take them.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What the broker has logged so far, once that contains these words.
    ///
    /// # Panics
    ///
    /// When it does not within a minute.
    #[must_use]
    pub fn log_with(&self, words: &str) -> String {
        let deadline = Instant::now() + START;
        loop {
            let log = self.log.lock().expect("no reader panicked").clone();
            if log.contains(words) {
                return log;
            }
            assert!(Instant::now() < deadline, "the broker did not log {words:?} within a minute");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The wall clock that the broker goes by, in milliseconds since 1970; a moment that lies behind all that was
    /// written before and not behind anything that is written after.
    ///
    /// # Panics
    ///
    /// When the clock stands before 1970.
    #[must_use]
    pub fn now_ms(&self) -> u128 {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis();
        let written = now();
        // Timestamps are whole milliseconds: the next one has to begin.
        loop {
            let at = now();
            if at > written {
                return at;
            }
            thread::yield_now();
        }
    }

    /// Stops the broker in order, by SIGTERM.
    ///
    /// # Panics
    ///
    /// When it does not end within a minute, ends with another code than 0, or has said that anything panicked.
    pub fn stop(mut self) {
        let id = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: sends a signal to a child that has not been waited for, so the id is still the child's.
        assert_eq!(unsafe { libc::kill(id, libc::SIGTERM) }, 0, "the broker had ended before it was told to");
        let deadline = Instant::now() + STOP;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of this process") {
                break status;
            }
            assert!(Instant::now() < deadline, "the broker did not stop within a minute");
            thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "the broker ended with {status}");
        let log = self.log.lock().expect("no reader panicked").clone();
        assert!(!log.contains("panicked"), "the broker panicked");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Without effect when it has ended: the child remembers having been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking()
            && let Ok(log) = self.log.lock()
        {
            eprintln!("--- the broker's log\n{log}---");
        }
    }
}

/// `CORELANE_BIN`, or the debug build beside the test executable.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("CORELANE_BIN").map_or_else(|| target().join("debug/corelane"), PathBuf::from)
}

/// Starts a broker over this data, and waits until it serves; where it does.
fn launch(data: &TempDir, listen: &str, settings: &[String], log: &Arc<Mutex<String>>) -> (Child, String) {
    let mut child = Command::new(binary())
        .arg("start")
        .args(["--override", &format!("listeners=PLAINTEXT://{listen}")])
        .args(["--override", &format!("log.dirs={}", data.path().display())])
        .args(["--override", "num.partitions=4"])
        .args(settings.iter().flat_map(|setting| ["--override", setting]))
        .args(driver().iter().flat_map(|driver| ["--driver", driver]))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the broker's binary is there: cargo build --package corelane");
    let (sender, serving) = mpsc::channel();
    keep_log(child.stdout.take().expect("piped"), Arc::clone(log), sender.clone());
    keep_log(child.stderr.take().expect("piped"), Arc::clone(log), sender);
    let address = serving.recv_timeout(START).expect("the broker serves within a minute");
    (child, address)
}

/// Reads on until the broker closes the pipe, so that it never waits for a reader.
fn keep_log(pipe: impl Read + Send + 'static, log: Arc<Mutex<String>>, serving: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let Some((_, after)) = line.split_once("serving on ") {
                let address = after.split_whitespace().next().unwrap_or_default();
                // Nobody listens after the first address.
                let _ = serving.send(address.to_owned());
            }
            if let Ok(mut log) = log.lock() {
                log.push_str(&line);
                log.push('\n');
            }
        }
    });
}
