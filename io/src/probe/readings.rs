//! Looking at the machine. Nothing here judges, and nothing panics.

use crate::{clock, uring::ring::Ring};
use corelane_seam::{BLOCK, ChunkWriter};
use io_uring::{IoUring, Probe, opcode};
use rustix::thread::{CpuSet, sched_getaffinity};
use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// What was seen.
#[derive(Clone, Debug)]
pub struct Readings {
    /// Whether a ring can be made, and what it can do.
    pub ring: RingReading,
    /// What the ring driver needs beyond that, and this kernel has not.
    pub missing_for_ring: Vec<&'static str>,
    /// `/proc/sys/kernel/io_uring_disabled`, where the kernel has it.
    pub io_uring_disabled: Option<u8>,
    /// A seccomp filter decides which system calls this process may make.
    pub is_filtered: bool,
    /// RLIMIT_MEMLOCK in bytes; `None` is unlimited.
    pub memlock: Option<u64>,
    /// Whether the limit does not bind this process (CAP_IPC_LOCK, or a kernel that counts rings otherwise).
    pub may_lock_all: bool,
    /// RLIMIT_NOFILE, soft (after raising it) and hard.
    pub open_files: (u64, u64),
    /// A direct write into the data directory, if one was given.
    pub direct: Option<(PathBuf, DirectReading)>,
    /// The clocks.
    pub clock: ClockReading,
}

/// The answer to a tiny ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingReading {
    /// It was made; these operations are missing.
    Works {
        /// By the names of the kernel.
        missing: Vec<&'static str>,
    },
    /// It was not made.
    Refused {
        /// Why.
        errno: i32,
    },
}

/// The answer to a direct write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectReading {
    /// It was written.
    Works,
    /// The file system refuses direct access.
    Unsupported,
    /// Something else is wrong with the directory.
    Failed(String),
}

/// The clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The kernel's clock source, where it says.
    pub source: Option<String>,
    /// The wall clock.
    pub unix_ms: i64,
}

impl Readings {
    /// Looks at the machine. Raises the soft limit of open files to the hard one on the way, which every process may.
    /// `data` is an existing directory that a test file may be written to (and is removed from again).
    pub fn take(data: Option<&Path>) -> Readings {
        raise_open_files();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Readings {
            ring: ring(),
            missing_for_ring: missing_for_ring(),
            io_uring_disabled: read_number("/proc/sys/kernel/io_uring_disabled"),
            is_filtered: is_filtered(),
            memlock: limit(libc::RLIMIT_MEMLOCK)
                .map(|(soft, _)| soft)
                .filter(|soft| *soft != libc::RLIM_INFINITY),
            may_lock_all: may_lock_all(),
            open_files: limit(libc::RLIMIT_NOFILE).unwrap_or((0, 0)),
            direct: data.map(|path| (path.to_path_buf(), direct(path))),
            clock: ClockReading {
                source: fs::read_to_string(
                    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
                )
                .ok()
                .map(|source| source.trim().to_owned()),
                unix_ms: clock::now().unix_ms,
            },
        }
        .on_kernel(&kernel)
    }

    /// Since 5.12 the kernel charges rings to the cgroup; what glommio registers (64 KiB a shard) still counts, but fits.
    fn on_kernel(mut self, release: &str) -> Readings {
        let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let per_shard_is_small = self.memlock.is_none_or(|limit| limit >= 8 << 20);
        self.may_lock_all |= version >= (5, 12) && per_shard_is_small;
        self
    }
}

fn ring() -> RingReading {
    let ring = match IoUring::new(4) {
        Ok(ring) => ring,
        Err(error) => return RingReading::Refused { errno: error.raw_os_error().unwrap_or(libc::EIO) },
    };
    let mut probe = Probe::new();
    if ring.submitter().register_probe(&mut probe).is_err() {
        return RingReading::Works { missing: vec!["IORING_REGISTER_PROBE"] };
    }
    let required = [
        ("IORING_OP_ACCEPT", opcode::AcceptMulti::CODE),
        ("IORING_OP_RECV", opcode::Recv::CODE),
        ("IORING_OP_POLL_ADD", opcode::PollAdd::CODE),
        ("IORING_OP_READ", opcode::Read::CODE),
        ("IORING_OP_WRITE", opcode::Write::CODE),
        ("IORING_OP_FSYNC", opcode::Fsync::CODE),
        ("IORING_OP_TIMEOUT", opcode::Timeout::CODE),
        ("IORING_OP_ASYNC_CANCEL", opcode::AsyncCancel::CODE),
        // Multishot accept and cancelling all have no code of their own; they came with this one, in 5.19.
        ("IORING_OP_SOCKET (Linux 5.19)", opcode::Socket::CODE),
    ];
    let missing = required.iter().filter(|(_, code)| !probe.is_supported(*code)).map(|(name, _)| *name);
    RingReading::Works { missing: missing.collect() }
}

/// Asked by what came last, in Linux 6.1: multishot receives, provided buffers and the rest came before it.
fn missing_for_ring() -> Vec<&'static str> {
    let refused = Ring::to_wait_in().err().and_then(|error| error.raw_os_error());
    match refused {
        Some(libc::EINVAL) => vec!["IORING_SETUP_DEFER_TASKRUN (Linux 6.1)"],
        // What else forbids it forbids any ring.
        _ => Vec::new(),
    }
}

fn direct(directory: &Path) -> DirectReading {
    let path = directory.join(".direct-io-probe");
    let written = write_direct(&path);
    // Whether or not it was made; a leftover is harmless and overwritten by the next probe.
    let _ = fs::remove_file(&path);
    match written {
        Ok(()) => DirectReading::Works,
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => {
            DirectReading::Unsupported
        }
        Err(error) => DirectReading::Failed(error.to_string()),
    }
}

fn write_direct(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT);
    let file = options.open(path)?;
    let mut block = ChunkWriter::with_capacity(BLOCK);
    block.append_with(BLOCK, |space| space.fill(1));
    file.write_all_at(&block.slice(0..BLOCK), 0)
}

/// Soft and hard.
fn limit(resource: libc::__rlimit_resource_t) -> Option<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit.
    (unsafe { libc::getrlimit(resource, &raw mut limit) } == 0).then_some((limit.rlim_cur, limit.rlim_max))
}

fn raise_open_files() {
    if let Some((soft, hard)) = limit(libc::RLIMIT_NOFILE)
        && soft < hard
    {
        let raised = libc::rlimit { rlim_cur: hard, rlim_max: hard };
        // SAFETY: the kernel reads one rlimit. If it refuses, the reading shows the old limit.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) };
    }
}

/// CAP_IPC_LOCK, from the effective set of `/proc/self/status`.
fn may_lock_all() -> bool {
    const CAP_IPC_LOCK: u64 = 1 << 14;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .is_some_and(|bits| bits & CAP_IPC_LOCK != 0)
}

/// `Seccomp` in proc_pid_status(5): 2 is a filter.
fn is_filtered() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter_map(|line| line.strip_prefix("Seccomp:")).any(|mode| mode.trim() == "2")
}

fn read_number(path: &str) -> Option<u8> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// CPUs that this process may use: those of its affinity, and no more of them than the cgroup's quota pays for (at
/// least one). Never empty.
pub fn usable_cpus() -> Vec<usize> {
    let quota = fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| cgroup_path(&text))
        .and_then(|path| tightest_quota(Path::new("/sys/fs/cgroup"), &path));
    within_quota(affinity(), quota)
}

fn affinity() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(None) else { return vec![0] };
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// Of cgroup version 2: the line `0::/path`.
pub(super) fn cgroup_path(text: &str) -> Option<PathBuf> {
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(PathBuf::from(path))
}

/// The least `cpu.max` on the way from the root to the group, in CPUs.
fn tightest_quota(root: &Path, path: &Path) -> Option<f64> {
    path.ancestors()
        .filter_map(|group| fs::read_to_string(root.join(group).join("cpu.max")).ok())
        .filter_map(|text| quota_of(&text))
        .min_by(f64::total_cmp)
}

/// `"<quota> <period>"` in microseconds, or `"max <period>"`.
pub(super) fn quota_of(cpu_max: &str) -> Option<f64> {
    let (quota, period) = cpu_max.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0.0).then_some(quota / period)
}

/// A part of a CPU serves no shard of its own: rounded down, but never to none.
pub(super) fn within_quota(mut cpus: Vec<usize>, quota: Option<f64>) -> Vec<usize> {
    if cpus.is_empty() {
        cpus.push(0);
    }
    if let Some(quota) = quota {
        cpus.truncate((quota as usize).max(1));
    }
    cpus
}
