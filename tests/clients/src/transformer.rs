//! Consume, transform, produce: a client that is started again when it ends, as an operator would.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::client::Client;

/// Generous: a producer whose broker was killed waits for its own time-outs, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Said {
    transformed: usize,
}

/// See the module.
pub struct Transformer {
    client: Client,
    arguments: Vec<String>,
    process: Option<(Child, Option<ChildStdin>)>,
    /// Records of transactions that were told to be committed, over all of its lives.
    transformed: Arc<AtomicUsize>,
    /// How often it ended by itself.
    failures: usize,
}

impl Transformer {
    /// Starts it: from one topic to another, by a group and a transactional id.
    ///
    /// # Panics
    ///
    /// When the client is missing.
    #[must_use]
    pub fn start(client: Client, address: &str, from: &str, to: &str, name: &str) -> Self {
        let arguments = ["transform", address, from, to, name, name].map(str::to_owned).to_vec();
        let mut made = Self { client, arguments, process: None, transformed: Arc::default(), failures: 0 };
        made.begin();
        made
    }

    fn begin(&mut self) {
        let (program, first) = self.client.command();
        let mut child = Command::new(program)
            .args(first)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client is there: run tests/install-clients");
        let stdout = child.stdout.take().expect("piped");
        let transformed = Arc::clone(&self.transformed);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let said: Said =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
                transformed.fetch_add(said.transformed, Ordering::SeqCst);
            }
        });
        let stdin = child.stdin.take();
        self.process = Some((child, stdin));
    }

    /// Waits until so many records were told to be transformed, and starts it again whenever it has ended.
    ///
    /// # Panics
    ///
    /// When that is not so within two minutes, or it ends again and again.
    pub fn wait_for(&mut self, records: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.transformed.load(Ordering::SeqCst) < records {
            let so_far = self.transformed.load(Ordering::SeqCst);
            assert!(Instant::now() < deadline, "{:?} has transformed {so_far} of {records}", self.client);
            self.keep_alive();
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts it again if it has ended.
    ///
    /// # Panics
    ///
    /// When it ends again and again.
    pub fn keep_alive(&mut self) {
        let (child, _) = self.process.as_mut().expect("it runs");
        if child.try_wait().expect("a child of this process").is_some() {
            self.failures += 1;
            assert!(self.failures < 20, "{:?} ends again and again", self.client);
            self.begin();
        }
    }

    /// Kills it, and starts another in its place.
    ///
    /// # Panics
    ///
    /// When it cannot be killed.
    pub fn replace(&mut self) {
        let (mut child, _stdin) = self.process.take().expect("it runs");
        // Without effect where it has ended by itself.
        let _ = child.kill();
        child.wait().expect("a child of this process");
        self.begin();
    }
}

impl Drop for Transformer {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
