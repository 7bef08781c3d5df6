//! The start-up probe: what the drivers need of the machine, asked before they start, so that what is missing is said
//! in words and not by a panic inside a runtime.
//!
//! [`Readings::take`] looks at the machine; [`judge`] judges the readings and touches nothing, so each judgement has a
//! test. Where a driver was not asked for, it also chooses: the ring driver where the kernel has what it waits in, else
//! the glommio driver; what keeps both from running, and not the portable one, is then a warning.

mod readings;

pub use readings::{ClockReading, DirectReading, Readings, RingReading, usable_cpus};

use crate::driver::DriverKind;
use std::fmt;

/// Something that keeps the broker from running well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the broker must not start.
    pub is_fatal: bool,
    /// The fact.
    pub what_is_wrong: String,
    /// What comes of it.
    pub why_it_matters: String,
    /// A command, or a setting, that mends it.
    pub command_that_mends: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. To mend it: {}", self.what_is_wrong, self.why_it_matters, self.command_that_mends)
    }
}

/// What will be asked of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Shards, the quorum's included: each has four rings.
    pub shards: usize,
    /// Connections to be served at a time.
    pub connections: u64,
}

/// Memory that one shard's rings may lock where the kernel still counts them against RLIMIT_MEMLOCK (before 5.12), and
/// what glommio registers: three small rings, one of 256 entries, and 64 KiB of buffers.
const MEMLOCK_PER_SHARD: u64 = 512 << 10;
/// Descriptors beside connections: segments, journals, rings, eventfds, logs.
const FILES_BESIDE_CONNECTIONS: u64 = 1_024;
const RING_WHY: &str = "every read, write and flush goes through io_uring (--driver portable does without)";
/// What the portable driver costs; measured under `corelane-bench produce`, see the README.
const PORTABLE_COST: &str = "the portable driver serves instead, on epoll and threads for files: as safe, but an \
                             acknowledgement takes longer, where it was measured by a third to a half";

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The driver that was asked for, or the best that runs here.
    pub driver: DriverKind,
    /// Empty: all is well.
    pub findings: Vec<Finding>,
}

/// Judges for this driver, or for the best that runs here.
pub fn judge(readings: &Readings, wanted: Wanted, asked: Option<DriverKind>) -> Judgement {
    let (driver, mut findings) = match asked {
        Some(DriverKind::Glommio) => (DriverKind::Glommio, glommio(readings, wanted).collect()),
        Some(DriverKind::Ring) => (DriverKind::Ring, ring_driver(readings, wanted)),
        Some(DriverKind::Portable) => (DriverKind::Portable, Vec::new()),
        None => match glommio(readings, wanted).next() {
            None if readings.missing_for_ring.is_empty() => (DriverKind::Ring, Vec::new()),
            // As safe, and the difference in CPU is no reason to tell an operator of a kernel that they may not choose.
            None => (DriverKind::Glommio, Vec::new()),
            // One is enough to say: what else is missing would be told once this is mended.
            Some(reason) => (
                DriverKind::Portable,
                vec![Finding { is_fatal: false, why_it_matters: PORTABLE_COST.to_owned(), ..reason }],
            ),
        },
    };
    findings.extend(open_files(readings, wanted));
    findings.extend(directory(readings));
    findings.extend(clock(readings));
    Judgement { driver, findings }
}

/// What keeps the glommio driver from running.
fn glommio(readings: &Readings, wanted: Wanted) -> impl Iterator<Item = Finding> {
    ring(readings).into_iter().chain(memory(readings, wanted)).chain(direct(readings))
}

/// What keeps the ring driver from running: what keeps the glommio driver from it, which has the quorum's shard, and a
/// kernel that is too old.
fn ring_driver(readings: &Readings, wanted: Wanted) -> Vec<Finding> {
    let mut findings: Vec<Finding> = glommio(readings, wanted).collect();
    if findings.is_empty() && !readings.missing_for_ring.is_empty() {
        findings.push(fatal(
            format!("this kernel's io_uring lacks {}", readings.missing_for_ring.join(", ")),
            "the ring driver waits in rings of that kind (--driver glommio does without)",
            "boot Linux 6.1 or later",
        ));
    }
    findings
}

fn fatal(what: impl Into<String>, why: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding {
        is_fatal: true,
        what_is_wrong: what.into(),
        why_it_matters: why.into(),
        command_that_mends: mend.into(),
    }
}

fn warning(what: impl Into<String>, why: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { is_fatal: false, ..fatal(what, why, mend) }
}

fn ring(readings: &Readings) -> Option<Finding> {
    match &readings.ring {
        RingReading::Works { missing } if missing.is_empty() => None,
        RingReading::Works { missing } => Some(fatal(
            format!("this kernel's io_uring lacks {}", missing.join(", ")),
            RING_WHY,
            "boot Linux 6.1 or later (5.19 is the least)",
        )),
        RingReading::Refused { errno } => Some(refused(*errno, readings)),
    }
}

fn refused(errno: i32, readings: &Readings) -> Finding {
    match (errno, readings.io_uring_disabled) {
        // A filter may deny that there is such a call; a kernel without it has no switch for it.
        (libc::ENOSYS, None) if !readings.is_filtered => fatal(
            "this kernel has no io_uring",
            RING_WHY,
            "boot Linux 6.1 or later; under gVisor or WSL 1, use a real kernel",
        ),
        (libc::EPERM, Some(level @ 1..)) => fatal(
            format!("io_uring is switched off (kernel.io_uring_disabled = {level})"),
            RING_WHY,
            "sysctl -w kernel.io_uring_disabled=0",
        ),
        (libc::EPERM | libc::EACCES | libc::ENOSYS, _) => fatal(
            "io_uring is forbidden to this process, by a seccomp profile as container runtimes have it",
            RING_WHY,
            "docker run --security-opt seccomp=docker/seccomp.json --ulimit memlock=-1 (or seccomp=unconfined)",
        ),
        (libc::ENOMEM, _) => fatal(
            "there is not enough lockable memory for a single io_uring",
            RING_WHY,
            "ulimit -l unlimited (LimitMEMLOCK=infinity in a systemd unit, docker run --ulimit memlock=-1)",
        ),
        (libc::EMFILE | libc::ENFILE, _) => {
            fatal("no descriptor is left for an io_uring", RING_WHY, "ulimit -n 1048576")
        }
        (errno, _) => fatal(
            format!("io_uring_setup failed: {}", std::io::Error::from_raw_os_error(errno)),
            RING_WHY,
            "see dmesg; boot Linux 6.1 or later",
        ),
    }
}

fn memory(readings: &Readings, wanted: Wanted) -> Option<Finding> {
    let needed = (wanted.shards as u64).saturating_mul(MEMLOCK_PER_SHARD);
    let limit = readings.memlock.filter(|limit| *limit < needed && !readings.may_lock_all)?;
    Some(fatal(
        format!("only {} KiB may be locked in memory, {} KiB are needed", limit >> 10, needed >> 10),
        format!("the rings of {} shards must fit", wanted.shards),
        "ulimit -l unlimited (LimitMEMLOCK=infinity in a systemd unit, docker run --ulimit memlock=-1)",
    ))
}

fn open_files(readings: &Readings, wanted: Wanted) -> Option<Finding> {
    let needed = wanted.connections.saturating_add(FILES_BESIDE_CONNECTIONS);
    let (soft, hard) = readings.open_files;
    if soft >= needed {
        return None;
    }
    let what = format!("only {soft} files may be open, {needed} are wanted (hard limit {hard})");
    let why = format!("{} connections, segments and journals each need one", wanted.connections);
    let mend = format!("ulimit -n {needed} (LimitNOFILE={needed} in a systemd unit)");
    // With less than this not even the data can be opened.
    if soft < FILES_BESIDE_CONNECTIONS {
        return Some(fatal(what, why, mend));
    }
    Some(warning(what, why, mend))
}

fn direct(readings: &Readings) -> Option<Finding> {
    match &readings.direct {
        Some((path, DirectReading::Unsupported)) => Some(fatal(
            format!("the file system of {} does not support direct I/O", path.display()),
            "acknowledged data is written past the page cache (--driver portable does without); on tmpfs nothing would survive a restart \
             of the machine anyway",
            "set log.dirs to a directory on ext4 or XFS",
        )),
        None | Some((_, DirectReading::Works | DirectReading::Failed(_))) => None,
    }
}

fn directory(readings: &Readings) -> Option<Finding> {
    match &readings.direct {
        None | Some((_, DirectReading::Works | DirectReading::Unsupported)) => None,
        Some((path, DirectReading::Failed(error))) => Some(fatal(
            format!("a test file cannot be written in {}: {error}", path.display()),
            "the log lives there",
            format!("check owner, free space and mount options: ls -ld {0}; df {0}", path.display()),
        )),
    }
}

fn clock(readings: &Readings) -> Option<Finding> {
    match &readings.clock {
        ClockReading { unix_ms, .. } if *unix_ms < YEAR_2020_MS => Some(fatal(
            "the wall clock stands before the year 2020",
            "records would get wrong timestamps, and retention would delete by them",
            "timedatectl set-ntp true",
        )),
        ClockReading { source: Some(source), .. } if SLOW_CLOCKS.contains(&source.as_str()) => Some(warning(
            format!("the clock source is {source}"),
            "reading the time is a system call with it, several for each request",
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource",
        )),
        ClockReading { .. } => None,
    }
}

const YEAR_2020_MS: i64 = 1_577_836_800_000;
const SLOW_CLOCKS: [&str; 4] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];

#[cfg(test)]
mod tests;
