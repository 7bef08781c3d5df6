//! Which cores brokers and load generator run on: the same for every system.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::io;

/// Cores by number.
#[derive(Clone, Debug)]
pub struct Pinning {
    /// For brokers.
    pub brokers: Vec<usize>,
    /// For this process and the tools it runs.
    pub generator: Vec<usize>,
    /// All that this process may use.
    pub all: Vec<usize>,
}

impl Pinning {
    /// The cores that this process may use: the latter half, rounded down, is the generator's, the others the
    /// brokers'. Shared, both have all of them.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn new(share: bool) -> Result<Pinning> {
        let all = allowed()?;
        if share || all.len() < 2 {
            return Ok(Pinning { brokers: all.clone(), generator: all.clone(), all });
        }
        let (brokers, generator) = all.split_at(all.len() - all.len() / 2);
        Ok(Pinning { brokers: brokers.to_vec(), generator: generator.to_vec(), all })
    }

    /// For people.
    pub fn describe(&self) -> String {
        match self.brokers == self.generator {
            true => format!("brokers and load generator share cores {:?}", self.all),
            false => format!("brokers on cores {:?}, load generator on {:?}", self.brokers, self.generator),
        }
    }
}

fn allowed() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("the cores of this process cannot be read")?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// A set of cores, made beforehand so that it can be applied between fork and exec.
#[derive(Clone, Copy)]
pub struct Cores(CpuSet);

impl Cores {
    /// Of these numbers.
    pub fn new(cores: &[usize]) -> Cores {
        let mut set = CpuSet::new();
        cores.iter().filter(|core| **core < CpuSet::MAX_CPU).for_each(|core| set.set(*core));
        Cores(set)
    }

    /// Has the calling thread, and those it starts from now on, run there. One system call and nothing else: safe between
    /// fork and exec.
    ///
    /// # Errors
    /// The kernel's.
    pub fn apply(&self) -> io::Result<()> {
        Ok(sched_setaffinity(None, &self.0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apart_no_core_is_in_both_halves_and_shared_all_are() {
        let apart = Pinning::new(false).unwrap();
        if apart.all.len() > 1 {
            assert!(apart.brokers.iter().all(|core| !apart.generator.contains(core)));
            assert_eq!(apart.brokers.len() + apart.generator.len(), apart.all.len());
        }
        let shared = Pinning::new(true).unwrap();
        assert_eq!(shared.brokers, shared.all);
    }

    #[test]
    fn a_pinned_thread_may_use_the_cores_it_was_given() {
        let one = allowed().unwrap()[..1].to_vec();
        let seen = std::thread::spawn({
            let cores = Cores::new(&one);
            move || cores.apply().and_then(|()| allowed().map_err(io::Error::other))
        });
        assert_eq!(seen.join().unwrap().unwrap(), one);
    }
}
