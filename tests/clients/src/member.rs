//! Members of groups: clients that go on until they are told to leave, or are killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::client::Client;

/// Generous: several clients start at once on a busy machine, and members that were killed must fall silent first.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a member said, in its order.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Said {
    /// All it owns, after a change.
    Assigned {
        /// Partitions.
        assigned: BTreeSet<u32>,
    },
    /// The next offsets it has committed.
    Committed {
        /// By partition.
        committed: Vec<(u32, u64)>,
    },
    /// A record it has read.
    Read {
        /// Where.
        partition: u32,
        /// Its offset.
        offset: u64,
    },
}

/// A member of a group in a process of its own.
pub struct Member {
    child: Child,
    stdin: Option<ChildStdin>,
    said: Arc<(Mutex<Vec<Said>>, Condvar)>,
}

impl Member {
    /// Starts a member of `group` that reads `topic`.
    ///
    /// # Panics
    ///
    /// When the client is missing.
    #[must_use]
    pub fn start(client: Client, address: &str, topic: &str, group: &str, protocol: &str) -> Self {
        let (program, first) = client.command();
        let mut child = Command::new(program)
            .args(first)
            .args(["member", address, topic, group, protocol])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client is there: run tests/install-clients");
        let said: Arc<(Mutex<Vec<Said>>, Condvar)> = Arc::default();
        let stdout = child.stdout.take().expect("piped");
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let word = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"));
                heard.0.lock().expect("nobody panics with it").push(word);
                heard.1.notify_all();
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, said }
    }

    /// Everything it has said so far.
    ///
    /// # Panics
    ///
    /// When its reader has panicked.
    #[must_use]
    pub fn said(&self) -> Vec<Said> {
        self.said.0.lock().expect("the reader does not panic").clone()
    }

    /// What it owns now.
    #[must_use]
    pub fn owns(&self) -> BTreeSet<u32> {
        let owned = self.said().into_iter().rev().find_map(|word| match word {
            Said::Assigned { assigned } => Some(assigned),
            Said::Committed { .. } | Said::Read { .. } => None,
        });
        owned.unwrap_or_default()
    }

    /// The next offsets it has committed last, by partition.
    #[must_use]
    pub fn committed(&self) -> BTreeMap<u32, u64> {
        let commits = self.said().into_iter().filter_map(|word| match word {
            Said::Committed { committed } => Some(committed),
            Said::Assigned { .. } | Said::Read { .. } => None,
        });
        commits.flatten().collect()
    }

    /// Every record it has read.
    #[must_use]
    pub fn read(&self) -> Vec<(u32, u64)> {
        let read = self.said().into_iter().filter_map(|word| match word {
            Said::Read { partition, offset } => Some((partition, offset)),
            Said::Assigned { .. } | Said::Committed { .. } => None,
        });
        read.collect()
    }

    /// Waits until `done` holds of what the members have said.
    ///
    /// # Panics
    ///
    /// When it does not within two minutes, with what each of them owns.
    pub fn wait(members: &[&Member], what: &str, done: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done() {
            if Instant::now() > deadline {
                let owned: Vec<_> =
                    members.iter().map(|member| (member.owns(), member.committed())).collect();
                panic!("never came true: {what}; members own and have committed {owned:?}");
            }
            // Woken when any of them speaks; the first one's voice is enough, for the time-out covers the others.
            let (lock, spoke) = &*members[0].said;
            let guard = lock.lock().expect("the reader does not panic");
            drop(spoke.wait_timeout(guard, Duration::from_millis(50)));
        }
    }

    /// Ends it without a word, as the kernel would.
    ///
    /// # Panics
    ///
    /// When it had ended before.
    pub fn kill(&mut self) {
        assert!(self.child.try_wait().expect("a child of this process").is_none(), "it had ended by itself");
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child of this process");
    }

    /// Lets it leave in order.
    ///
    /// # Panics
    ///
    /// When it fails, or does not end within two minutes.
    pub fn leave(&mut self) {
        drop(self.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of this process") {
                assert!(status.success(), "a member ended with {status}");
                return;
            }
            assert!(Instant::now() < deadline, "a member does not leave");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Without effect when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
