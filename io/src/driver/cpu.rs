//! On which CPUs a shard's thread runs.

use rustix::thread::{CpuSet, sched_setaffinity};

/// Where this thread may run now.
pub(crate) fn allowed() -> libc::cpu_set_t {
    // SAFETY: `cpu_set_t` is plain data for which zero is valid; the kernel writes at most its size. When it fails the
    // set is empty, and the kernel refuses it later, which is harmless.
    unsafe {
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut cpus);
        cpus
    }
}

/// Pins this thread.
pub(crate) fn pin(cpu: usize) -> Result<(), String> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(format!("CPU {cpu} is beyond what the kernel's sets hold"));
    }
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).map_err(|error| format!("pinning to CPU {cpu}: {error}"))
}
