//! The power goes at any moment of a cleaning, of a swap, or of the start behind it.

use super::{compact, keyed, read_all, shape};
use crate::{
    ids::Offset,
    log::{
        AppendError, CleanerSettings, Event, Fault, LogSettings,
        testing::{Machine, MemDisk, Rng, Shape},
    },
    records::Codec,
};
use std::collections::BTreeMap;

/// Keyed records at random, now and then an operation of the disk, and power cuts.
struct Workload {
    rng: Rng,
    next: u64,
    /// By offset: what was appended.
    appended: Vec<(u8, Option<u64>)>,
    flushed: usize,
}

impl Workload {
    fn step(&mut self, machine: &mut Machine) {
        for _ in 0..self.rng.below(8) {
            let records = (0..=self.rng.below(4)).map(|_| {
                self.next += 1;
                let key = u8::try_from(self.rng.below(12)).expect("small");
                (key, (self.rng.below(5) > 0).then_some(self.next))
            });
            let records: Vec<_> = records.collect();
            let codec = Codec::ALL[usize::try_from(self.rng.below(9)).expect("small").saturating_sub(4)];
            let bytes = keyed(codec, &records, machine.now.unix_ms);
            match machine.append(0, &bytes) {
                Ok(appended) => {
                    assert_eq!(appended.base_offset, Offset(self.appended.len() as i64));
                    self.appended.extend(records);
                }
                Err(AppendError::Full) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        if self.rng.below(4) == 0 {
            let ms = self.rng.below(30_000);
            machine.now.monotonic = machine.now.monotonic.after_ms(ms);
            machine.now.unix_ms += i64::try_from(ms).expect("small");
            let mut events = Vec::new();
            machine.with(0, |store, now, out| store.tick(now, out, &mut events));
            machine.events.extend(events.into_iter().map(|event| (0, event)));
        }
        machine.turn();
        for _ in 0..self.rng.below(20) {
            machine.step();
            if self.rng.below(3) == 0 {
                machine.turn();
            }
        }
        for (_, event) in std::mem::take(&mut machine.events) {
            match event {
                Event::Flushed { end, .. } => self.flushed = usize::try_from(end.0).expect("not negative"),
                Event::PartitionOffline { reason, .. } => panic!("{reason}"),
                _ => {}
            }
        }
    }

    /// Whatever is there was appended there; of each key nothing is missing behind which no later record of it is
    /// there; and of a key whose last record is a tombstone, nothing else has come back.
    fn verify(&self, machine: &mut Machine) -> Result<usize, String> {
        let found = read_all(machine);
        let (shard, slot) = machine.open(0);
        let end = usize::try_from(machine.stores[shard].log_end(slot).0).expect("not negative");
        if end < self.flushed {
            return Err(format!("ends at {end}, {} were flushed", self.flushed));
        }
        let mut last: BTreeMap<u8, (i64, Option<u64>)> = BTreeMap::new();
        for (offset, (key, number)) in self.appended[..end].iter().enumerate() {
            last.insert(*key, (i64::try_from(offset).expect("small"), *number));
        }
        let mut seen: BTreeMap<u8, (i64, Option<u64>)> = BTreeMap::new();
        for (offset, key, number) in &found {
            if self.appended.get(usize::try_from(*offset).expect("not negative")) != Some(&(*key, *number)) {
                return Err(format!("{offset} holds {key} = {number:?}, which was not appended there"));
            }
            seen.insert(*key, (*offset, *number));
        }
        for (key, expected) in last {
            let found = seen.get(&key);
            let is_gone_for_good = expected.1.is_none() && found.is_none();
            if found != Some(&expected) && !is_gone_for_good {
                return Err(format!("key {key} is {found:?}, its last record was {expected:?}"));
            }
        }
        Ok(found.len())
    }
}

fn crash_and_recover(seed: u64, fault: Fault) -> Result<usize, String> {
    let log = LogSettings { segment_bytes: 6 << 10, delete_retention_ms: 40_000, ..shape().log };
    let map_bytes_max = if seed.is_multiple_of(3) { 0 } else { 1 << 20 };
    let cleaner = CleanerSettings { map_bytes_max, backoff_ms: 1000, ..CleanerSettings::default() };
    let shape = Shape { log, cleaner, fault, cache_bytes: 8 << 10, ..shape() };
    let mut machine =
        Machine::boot(MemDisk::new(), shape.clone(), seed).map_err(|fatal| fatal.to_string())?;
    let mut workload = Workload { rng: Rng(seed), next: 0, appended: Vec::new(), flushed: 0 };
    let mut gone = 0;
    for life in 0..4 {
        for _ in 0..20 + seed % 30 {
            workload.step(&mut machine);
        }
        let disk = machine.disk.clone();
        disk.crash(&mut workload.rng);
        for cut in 0..2 {
            disk.calls_left(Some(workload.rng.below(60)));
            if Machine::boot(disk.clone(), shape.clone(), seed * 100 + life * 10 + cut).is_err() {
                disk.crash(&mut workload.rng);
            }
        }
        disk.calls_left(None);
        machine = Machine::boot(disk, shape.clone(), seed * 100 + life * 10 + 9)
            .map_err(|fatal| fatal.to_string())?;
        machine.settle();
        let (shard, slot) = machine.open(0);
        if let Some(reason) = machine.stores[shard].offline(slot) {
            return Err(reason.to_string());
        }
        workload.verify(&mut machine)?;
        compact(&mut machine);
        if machine.stores[shard].is_uncleanable(slot) {
            return Err("nothing is wrong with the disk, but the log is not compacted any more".to_owned());
        }
        let left = workload.verify(&mut machine)?;
        let end = usize::try_from(machine.stores[shard].log_end(slot).0).expect("not negative");
        workload.appended.truncate(end);
        workload.flushed = end;
        gone = end - left;
        machine.now.unix_ms += 1_000_000 * i64::try_from(life).expect("small");
    }
    Ok(gone)
}

#[test]
fn the_last_record_of_every_key_survives_whenever_the_power_goes() {
    let mut gone = 0;
    for seed in 0..150 {
        gone += crash_and_recover(seed, Fault::None).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    assert!(gone > 5_000, "only {gone} records were compacted away");
}

fn fails_with(fault: Fault) -> bool {
    (0..60).any(|seed| {
        let run = || crash_and_recover(seed, fault).is_err();
        std::panic::catch_unwind(run).unwrap_or(true)
    })
}

#[test]
fn the_crash_test_sees_a_file_that_is_removed_before_the_checkpoint() {
    assert!(fails_with(Fault::RemoveBeforeCheckpoint));
}

#[test]
fn the_crash_test_sees_the_first_record_of_a_key_kept_for_the_last() {
    assert!(fails_with(Fault::KeepFirstOfKey));
}
