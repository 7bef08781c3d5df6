//! The log as a whole: stores, journal, segments and recovery on a disk that loses what was not flushed.

use super::{testing::*, *};
use crate::ids::Offset;
use std::collections::BTreeMap;

#[test]
fn what_was_flushed_is_read_back_and_recovered_with_another_number_of_shards() {
    let mut machine = Machine::boot(MemDisk::new(), Shape::default(), 1).unwrap();
    for mark in 0..40 {
        machine.append(i32::try_from(mark % 5).unwrap(), &batch(mark, 3, 50, 0)).unwrap();
        machine.settle();
    }
    let before: Vec<_> = (0..5).map(|index| machine.read_all(index)).collect();
    assert!(before.iter().all(|marks| marks.len() == 24));
    for shards in [1, 3, 2] {
        let disk = machine.disk.fork();
        disk.crash(&mut Rng(u64::from(shards)));
        let mut again = Machine::boot(disk, Shape { shards, ..Shape::default() }, 2).unwrap();
        again.settle();
        for index in 0..5 {
            assert_eq!(again.read_all(index), before[usize::try_from(index).unwrap()]);
        }
    }
}

/// Appends of many sizes to some logs, an operation of the disk carried out now and then; what is known to be
/// flushed is kept.
struct Workload {
    rng: Rng,
    next_mark: u64,
    appended: BTreeMap<i32, Vec<u64>>,
    flushed: BTreeMap<i32, usize>,
}

impl Workload {
    fn new(seed: u64) -> Workload {
        Workload { rng: Rng(seed), next_mark: 0, appended: BTreeMap::new(), flushed: BTreeMap::new() }
    }

    fn note(&mut self, machine: &mut Machine) {
        for (shard, event) in std::mem::take(&mut machine.events) {
            if let Event::Flushed { slot, end } = event {
                let (id, _) = machine.stores[shard].slots().find(|(_, found)| *found == slot).unwrap();
                let end = usize::try_from(end.0).unwrap();
                let known = self.flushed.entry(id.index).or_default();
                assert!(end > *known, "the flushed end only moves on");
                *known = end;
            }
        }
    }

    fn step(&mut self, machine: &mut Machine) {
        for _ in 0..self.rng.below(6) {
            let index = i32::try_from(self.rng.below(6)).unwrap();
            let size = [20, 300, 3000, 20_000, 90_000][usize::try_from(self.rng.below(5)).unwrap()];
            let count = 1 + usize::try_from(self.rng.below(4)).unwrap();
            let mark = self.next_mark;
            match machine.append(index, &batch(mark, count, size, 0)) {
                Ok(appended) => {
                    self.next_mark += 1;
                    let log = self.appended.entry(index).or_default();
                    assert_eq!(appended.base_offset, Offset(log.len() as i64));
                    log.extend((0..count).map(|_| mark));
                }
                Err(AppendError::Full) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        machine.turn();
        for _ in 0..self.rng.below(12) {
            machine.step();
        }
        self.note(machine);
    }

    /// Everything flushed is there, once and in order; what follows was appended in this order too.
    fn verify(&mut self, machine: &mut Machine) -> Result<(), String> {
        machine.settle();
        for index in 0..6 {
            let found = machine.read_all(index);
            let appended = self.appended.get(&index).cloned().unwrap_or_default();
            let flushed = self.flushed.get(&index).copied().unwrap_or(0);
            if found.len() < flushed || found.len() > appended.len() || found != appended[..found.len()] {
                return Err(format!(
                    "{index}: {} found, {flushed} flushed, {} appended",
                    found.len(),
                    appended.len()
                ));
            }
        }
        Ok(())
    }
}

fn crash_and_recover(seed: u64, steps: u64, shape: &Shape) -> Result<(), String> {
    let mut machine = Machine::boot(MemDisk::new(), shape.clone(), seed).unwrap();
    let mut workload = Workload::new(seed);
    for life in 0..3 {
        for _ in 0..steps {
            workload.step(&mut machine);
        }
        let disk = machine.disk.clone();
        disk.crash(&mut workload.rng);
        // Recovery itself is cut off a few times.
        for cut in 0..3 {
            disk.calls_left(Some(workload.rng.below(200)));
            let shards = 1 + u16::try_from(workload.rng.below(3)).unwrap();
            let shape = Shape { shards, ..shape.clone() };
            if Machine::boot(disk.clone(), shape, seed * 100 + life * 10 + cut).is_err() {
                disk.crash(&mut workload.rng);
            }
        }
        disk.calls_left(None);
        let shards = 1 + u16::try_from(workload.rng.below(3)).unwrap();
        let shape = Shape { shards, ..shape.clone() };
        machine =
            Machine::boot(disk, shape, seed * 100 + life * 10 + 9).map_err(|fatal| fatal.to_string())?;
        workload.verify(&mut machine)?;
        for (index, marks) in &mut workload.appended {
            let found = machine.read_all(*index);
            *marks = found;
            workload.flushed.insert(*index, marks.len());
        }
        machine.events.clear();
    }
    Ok(())
}

#[test]
fn nothing_flushed_is_lost_whenever_the_power_goes() {
    for seed in 0..60 {
        crash_and_recover(seed, 5 + seed % 40, &Shape::default())
            .unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}
