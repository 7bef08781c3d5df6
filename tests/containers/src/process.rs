//! Child processes that end with their handles.

use anyhow::{Context, ensure};
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Seconds that a command which ends by itself may take; GNU timeout ends it then.
const LIMIT: &str = "120";

/// How a command ended and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A command, under a time limit.
pub fn limited(words: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT]).args(words);
    command
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started, or ends by a signal.
pub fn run(mut command: Command, input: &str) -> anyhow::Result<Ran> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    let mut stdin = child.stdin.take().context("it was piped")?;
    let input = input.to_owned();
    // Who reads nothing closes the pipe.
    let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output()?;
    writer.join().expect("writing does not panic");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().with_context(|| format!("{command:?} ended with {}", output.status))?;
    Ok(Ran { code, out: text(&output.stdout), err: text(&output.stderr) })
}

/// Runs a command that must succeed; what it printed.
///
/// # Errors
/// When it does not, with all it said.
pub fn succeed(words: &[&str]) -> anyhow::Result<String> {
    successful(limited(words))
}

/// [`succeed`], of a command with more to it.
///
/// # Errors
/// As there.
pub fn successful(command: Command) -> anyhow::Result<String> {
    let told = format!("{command:?}");
    let ran = run(command, "")?;
    ensure!(ran.code == 0, "{told} ended with {}: {}{}", ran.code, ran.out, ran.err);
    Ok(ran.out)
}

/// A command that runs on. Dropping it ends it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// Starts a command; its lines are those of standard output, or also those of standard error.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, both: bool) -> anyhow::Result<Running> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let child_of_ours = || {
            // Should this process be killed, it must not outlive it.
            // SAFETY: prctl with PR_SET_PDEATHSIG takes a number and touches no memory.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            Ok(())
        };
        // SAFETY: between fork and exec it calls prctl only.
        unsafe { command.pre_exec(child_of_ours) };
        let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
        let (told, lines) = channel();
        let said = Arc::new(Mutex::new(String::new()));
        let keep = |pipe: Box<dyn Read + Send>, told: Option<std::sync::mpsc::Sender<String>>| {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
                    *said += &line;
                    said.push('\n');
                    // Whoever waited may have gone.
                    told.iter().for_each(|told| drop(told.send(line.clone())));
                }
            })
        };
        let out = child.stdout.take().context("it was piped")?;
        let err = child.stderr.take().context("it was piped")?;
        keep(Box::new(err), both.then(|| told.clone()));
        keep(Box::new(out), Some(told));
        Ok(Running { child, lines, said })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that holds a text.
    ///
    /// # Errors
    /// When none comes for `patience`, or it ends; with all it said.
    pub fn await_line(&self, text: &str, patience: Duration) -> anyhow::Result<String> {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return Ok(line),
                Ok(_) => (),
                Err(RecvTimeoutError::Timeout) => {
                    anyhow::bail!("no {text:?} after {patience:?}: {}", self.said())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    anyhow::bail!("it ended without {text:?}: {}", self.said())
                }
            }
        }
    }

    /// All it said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has ended by itself or by somebody else.
    pub fn wait(&mut self) {
        // Fails only for a process that is reaped already.
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // All of its group: a command may run others. SAFETY: kill touches no memory; the group's leader is not reaped
        // before, so the number is its own.
        unsafe { libc::kill(-self.child.id().cast_signed(), libc::SIGKILL) };
        self.wait();
    }
}
