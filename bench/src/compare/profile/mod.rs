//! Where a CPU-second of the broker goes: perf samples its threads while a load runs, and their stacks are folded.

pub mod flame;

use super::{brokers::Ground, model::Profile};
use anyhow::{Context, Result, ensure};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    thread,
    time::Duration,
};

/// Samples for each second of CPU time: a few thousand in a run, and no multiple of anything that the broker does.
const SAMPLES_PER_S: u32 = 199;

/// Of each stack, in bytes: enough for the futures of a shard's thread. The stacks are unwound by the binary's unwind tables,
/// because optimised code keeps no frame pointers.
const STACK_BYTES: u32 = 16_384;

/// A process that samples others.
pub struct Recording<'a> {
    ground: &'a Ground,
    child: Child,
    data: PathBuf,
}

impl<'a> Recording<'a> {
    /// Begins.
    ///
    /// # Errors
    /// When perf is not there, or may not look at these processes: with what it says.
    pub fn start(ground: &'a Ground, pids: &[u32]) -> Result<Recording<'a>> {
        let data = ground.directory.join("perf.data");
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let mut command = ground.own_tool("perf");
        // The clock of the CPU is there also where a virtual machine has no hardware counters.
        command.args(["record", "--quiet", "--event", "cpu-clock", "--freq", &SAMPLES_PER_S.to_string()]);
        command.args(["--call-graph", &format!("dwarf,{STACK_BYTES}"), "--pid", &pids.join(","), "--output"]);
        command.arg(&data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().context("perf cannot be run (Debian's package is linux-perf)")?;
        let mut recording = Recording { ground, child, data };
        // What perf may not do it says at once.
        thread::sleep(Duration::from_millis(300));
        if recording.child.try_wait()?.is_some() {
            recording.say_why_not()?;
        }
        Ok(recording)
    }

    fn say_why_not(&mut self) -> Result<()> {
        let said = self.child.stderr.take().map(std::io::read_to_string).transpose()?.unwrap_or_default();
        let said: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).take(3).collect();
        anyhow::bail!("perf does not record: {}", said.join(" "))
    }

    /// Ends it, and folds what it saw.
    ///
    /// # Errors
    /// When perf fails.
    pub fn finish(mut self, name: &str, caption: &str) -> Result<Profile> {
        let id = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: sends a signal to a child that has not been waited for, so the id is still the child's.
        ensure!(unsafe { libc::kill(id, libc::SIGINT) } == 0, "perf has ended");
        self.child.wait()?;
        let stacks = fold(&self.script()?);
        ensure!(!stacks.is_empty(), "perf saw the broker do nothing");
        Ok(Profile { name: name.to_owned(), caption: caption.to_owned(), stacks })
    }

    fn script(&self) -> Result<String> {
        let mut command = self.ground.own_tool("perf");
        // Inlined functions would each take a search through the debugging information.
        command.args(["script", "--no-inline", "--fields", "comm,ip,sym,dso", "--input"]).arg(&self.data);
        let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output()?;
        ensure!(status.success(), "perf script: {}", String::from_utf8_lossy(&stderr));
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        // It may have ended; nothing can be done about a failure here.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.data);
    }
}

/// Stacks as perf prints them, the innermost frame first, to how often each was seen: frames joined by `;`, the thread
/// first.
fn fold(script: &str) -> BTreeMap<String, u64> {
    let mut folded = BTreeMap::new();
    for sample in script.split("\n\n") {
        let mut lines = sample.lines().skip_while(|line| line.trim().is_empty() || line.starts_with('#'));
        let Some(thread) = lines.next() else { continue };
        let mut frames: Vec<String> = lines.filter_map(frame).collect();
        frames.push(thread_name(thread));
        frames.reverse();
        *folded.entry(frames.join(";")).or_insert(0) += 1;
    }
    folded
}

/// Threads of one kind are one: `shard-0` and `shard-1` are `shard`.
fn thread_name(line: &str) -> String {
    line.trim().trim_end_matches(|last: char| last.is_ascii_digit()).trim_end_matches(['-', ' ']).to_owned()
}

/// `ADDRESS SYMBOL (FILE)`: what to call the frame.
fn frame(line: &str) -> Option<String> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (symbol, file) = rest.rsplit_once(" (")?;
    let file = file.trim_end_matches(')');
    if symbol == "[unknown]" {
        let name = Path::new(file).file_name()?.to_string_lossy().into_owned();
        return Some(format!("[{}]", name.trim_matches(['[', ']'])));
    }
    let kernel = file.starts_with('[') && file != "[vdso]";
    let symbol = symbol.replace(';', ":");
    Some(if kernel { format!("{symbol}{}", flame::KERNEL) } else { symbol })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "\
data-0 
\tffffffff8a tcp_sendmsg ([kernel.kallsyms])
\t    55aa10 corelane_io::driver::send (/usr/bin/corelane)
\t    7f0001 [unknown] (/lib/libc.so.6)

data-1 
\tffffffff8a tcp_sendmsg ([kernel.kallsyms])
\t    55aa10 corelane_io::driver::send (/usr/bin/corelane)
\t    7f0001 [unknown] (/lib/libc.so.6)

quorum 
\t    55bb10 <alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop (/usr/bin/corelane)

";

    #[test]
    fn stacks_are_turned_about_and_equal_ones_of_threads_of_one_kind_are_counted_together() {
        let folded = fold(SCRIPT);
        let expected = [
            ("data;[libc.so.6];corelane_io::driver::send;tcp_sendmsg (kernel)", 2),
            ("quorum;<alloc::vec::Vec<T,A> as core::ops::drop::Drop>::drop", 1),
        ];
        assert_eq!(folded, expected.into_iter().map(|(stack, count)| (stack.to_owned(), count)).collect());
    }

    #[test]
    fn what_is_no_sample_is_none() {
        assert!(fold("").is_empty());
        assert!(fold("# a heading\n\n").is_empty());
    }
}
