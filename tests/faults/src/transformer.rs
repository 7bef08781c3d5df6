//! Consume, transform, produce: a client that is started again when it ends, as an operator would.

use crate::stack::{Stack, tie};
use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Generous: a producer whose broker was killed waits for its own time-outs, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Longest that one may take to end in order.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// How often one is asked to end that did not and was replaced.
const ENDS_MAX: usize = 3;

/// As often one may end by itself: with errors that it does not retry, after what was done to it.
pub(crate) const FAILURES_MAX: usize = 20;

const PACE: Duration = Duration::from_millis(20);

/// Lines of its standard error that are kept for a failure's report.
const LINES_KEPT: usize = 200;

/// See the module.
#[derive(Debug)]
pub struct Transformer {
    name: String,
    words: Vec<OsString>,
    process: Option<(Child, Option<ChildStdin>)>,
    /// Records of transactions that were told to be committed, over all of its lives.
    transformed: Arc<AtomicUsize>,
    /// The last lines of standard error, and of standard output what is not in the contract.
    said: Arc<Mutex<VecDeque<String>>>,
    /// How often it ended by itself.
    failures: usize,
}

impl Transformer {
    /// Starts the scripted client of a stack (`transform` of the contract in `tests/clients`): from one topic to another,
    /// by a group and a transactional id, both of this name.
    ///
    /// # Errors
    /// When the client is missing.
    pub fn start(
        stack: Stack,
        addresses: &str,
        from: &str,
        to: &str,
        name: &str,
    ) -> anyhow::Result<Transformer> {
        let (program, first) = stack.script()?;
        let mut command = Command::new(program);
        command.args(first).args(["transform", addresses, from, to, name, name]);
        Transformer::start_command(format!("{stack:?}"), &command)
    }

    /// Starts whatever reads until its standard input ends, and tells of nothing or as the contract has it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_command(name: String, command: &Command) -> anyhow::Result<Transformer> {
        let words = [command.get_program()].into_iter().chain(command.get_args());
        let mut made = Transformer {
            name,
            words: words.map(OsString::from).collect(),
            process: None,
            transformed: Arc::default(),
            said: Arc::default(),
            failures: 0,
        };
        made.begin()?;
        Ok(made)
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        tie(&mut command);
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.name))?;
        let transformed = Arc::clone(&self.transformed);
        let told = move |line: &str| {
            let told = serde_json::from_str::<Value>(line).ok();
            let count = told.and_then(|told| usize::try_from(told["transformed"].as_u64()?).ok());
            transformed.fetch_add(count.unwrap_or(0), Ordering::SeqCst);
            count.is_some()
        };
        self.listen(child.stdout.take().context("piped")?, told);
        self.listen(child.stderr.take().context("piped")?, |_| false);
        let stdin = child.stdin.take();
        self.process = Some((child, stdin));
        Ok(())
    }

    /// Keeps the lines that are not understood.
    fn listen(
        &self,
        pipe: impl Read + Send + 'static,
        is_understood: impl Fn(&str) -> bool + Send + 'static,
    ) {
        let said = Arc::clone(&self.said);
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if !is_understood(&line) {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    said.push_back(line);
                    if said.len() > LINES_KEPT {
                        said.pop_front();
                    }
                }
            }
        });
    }

    /// What it said last that is not in the contract.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    /// How often it ended by itself.
    pub fn failures(&self) -> usize {
        self.failures
    }

    /// Errs when it ends again and again.
    ///
    /// # Errors
    /// With what it said.
    pub fn ensure_steady(&self) -> anyhow::Result<()> {
        let (name, failures) = (&self.name, self.failures);
        ensure!(failures < FAILURES_MAX, "{name} has ended {failures} times; it said:\n{}", self.said());
        Ok(())
    }

    /// Waits until so many records were told to be transformed, and starts it again whenever it has ended.
    ///
    /// # Errors
    /// When that is not so within two minutes, or it ends again and again.
    pub fn wait_for(&mut self, records: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let so_far = self.transformed.load(Ordering::SeqCst);
            if so_far >= records {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} has transformed {so_far} of {records}; it said:\n{}", self.name, self.said());
            }
            self.keep_alive()?;
            self.ensure_steady()?;
            thread::sleep(PACE);
        }
    }

    /// Starts it again if it has ended.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn keep_alive(&mut self) -> anyhow::Result<()> {
        let (child, _) = self.process.as_mut().context("it runs")?;
        if child.try_wait()?.is_some() {
            self.failures += 1;
            self.begin()?;
        }
        Ok(())
    }

    /// Kills it, and starts another in its place.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn replace(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.begin()
    }

    fn kill(&mut self) {
        if let Some((mut child, _)) = self.process.take() {
            // Without effect where it has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends it in order, so that no transaction is left open. One that does not end in time is replaced first: whoever
    /// comes next with a transactional id ends what was open. How often that was so.
    ///
    /// # Errors
    /// When none ends well.
    pub fn end(mut self) -> anyhow::Result<usize> {
        for replaced in 0..ENDS_MAX {
            let (child, stdin) = self.process.as_mut().context("it runs")?;
            drop(stdin.take());
            let deadline = Instant::now() + END_PATIENCE;
            let mut ended = child.try_wait()?;
            while ended.is_none() && Instant::now() < deadline {
                thread::sleep(PACE);
                ended = child.try_wait()?;
            }
            if ended.is_some_and(|status| status.success()) {
                return Ok(replaced);
            }
            self.replace()?;
        }
        bail!("{} does not end in order; it said:\n{}", self.name, self.said());
    }
}

impl Drop for Transformer {
    fn drop(&mut self) {
        self.kill();
    }
}
