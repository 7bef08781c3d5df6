//! What a broker's process costs, read from /proc.

use anyhow::{Context, Result, anyhow};
use std::{fs, time::Duration};

/// At one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// CPU time so far, user and system, all threads, in steps of the kernel's tick (10 ms).
    pub cpu: Duration,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Of that, what no file backs.
    pub anonymous_bytes: u64,
    /// Threads.
    pub threads: u64,
}

/// Watches one process.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pid: u32,
}

impl Process {
    /// Of a process id.
    pub fn new(pid: u32) -> Process {
        Process { pid }
    }

    /// Reads it all, and only what the kernel has at hand: counting pages (`smaps_rollup`) takes milliseconds for a large
    /// process, holds it up, and keeps a core from the load generator, which shows in the tail that it measures.
    ///
    /// # Errors
    /// When there is no such process, or it may not be read.
    pub fn sample(&self) -> Result<Sample> {
        let (rss_bytes, anonymous_bytes, threads) = memory_of(&self.read("status")?)?;
        let cpu = cpu_of(&self.read("stat")?, ticks_per_second())?;
        Ok(Sample { cpu, rss_bytes, anonymous_bytes, threads })
    }

    /// CPU time of all threads that live, to the nanosecond: for processes that do next to nothing.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn threads_cpu(&self) -> Result<Duration> {
        let tasks = format!("/proc/{}/task", self.pid);
        let mut total = Duration::ZERO;
        for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            let first = text.split_whitespace().next().unwrap_or_default();
            total += Duration::from_nanos(first.parse().context("/proc/PID/task/TID/schedstat")?);
        }
        Ok(total)
    }

    /// Bytes that it had written to disks so far, by direct writes or by dirtying the page cache.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn written_bytes(&self) -> Result<u64> {
        value(&self.read("io")?, "write_bytes:").ok_or_else(|| anyhow!("no write_bytes in /proc/PID/io"))
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}: is {} the broker?", self.pid))
    }
}

/// CPU time and resident memory of all these processes together.
///
/// # Errors
/// When one of them is gone.
pub fn glance(pids: &[u32]) -> Result<(Duration, u64)> {
    let all = pids.iter().map(|pid| Process::new(*pid).sample()).collect::<Result<Vec<Sample>>>()?;
    Ok((all.iter().map(|one| one.cpu).sum(), all.iter().map(|one| one.rss_bytes).sum()))
}

fn ticks_per_second() -> u64 {
    // SAFETY: reads a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}

/// From /proc/PID/stat, whose second field is a name in brackets that may contain anything.
fn cpu_of(stat: &str, ticks_per_second: u64) -> Result<Duration> {
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| anyhow!("/proc/PID/stat without a name"))?;
    // The field behind the name is number 3; user and system time are 14 and 15.
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<u64, _>>().context("/proc/PID/stat")?;
    Ok(Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64))
}

/// Resident memory, what of it is anonymous, and threads.
fn memory_of(status: &str) -> Result<(u64, u64, u64)> {
    let memory = |name| kilobytes(status, name).ok_or_else(|| anyhow!("no {name} in /proc/PID/status"));
    Ok((memory("VmRSS:")?, memory("RssAnon:")?, value(status, "Threads:").unwrap_or(0)))
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    value(text, name).map(|kib| kib * 1024)
}

fn value(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A process over the measured time.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Before the first connection.
    pub idle: Sample,
    /// When measuring began.
    pub begin: Sample,
    /// When measuring ended.
    pub end: Sample,
    /// The most memory seen in between.
    pub rss_bytes_max: u64,
}

impl Usage {
    /// CPU time within the measured time.
    pub fn cpu(&self) -> Duration {
        self.end.cpu.saturating_sub(self.begin.cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_user_and_system_whatever_the_name_is() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 3 0 250 50 7 8 20 0 12 0 100 5000 600";
        assert_eq!(cpu_of(stat, 100).unwrap(), Duration::from_secs(3));
        assert!(cpu_of("42", 100).is_err());
    }

    #[test]
    fn memory_is_read_in_kibibytes() {
        let status = "Name:\tx\nVmHWM:\t   900 kB\nVmRSS:\t   800 kB\nRssAnon:\t   700 kB\nThreads:\t12\n";
        assert_eq!(memory_of(status).unwrap(), (800 * 1024, 700 * 1024, 12));
        assert!(memory_of("Name:\tx\n").is_err());
    }

    #[test]
    fn this_process_can_be_sampled_and_a_missing_one_is_named() {
        let sample = Process::new(std::process::id()).sample().unwrap();
        assert!(
            sample.rss_bytes > sample.anonymous_bytes && sample.anonymous_bytes > 0 && sample.threads > 0
        );
        let ours = Process::new(std::process::id());
        assert!(ours.threads_cpu().unwrap() > Duration::ZERO);
        ours.written_bytes().unwrap();
        let error = Process::new(u32::MAX).sample().unwrap_err();
        assert!(error.to_string().contains("4294967295"), "{error}");
    }
}
