use super::{
    LogStore, Salt, create,
    format::{Frame, encode, frame, segment_path},
    recover, write_loop,
};
use crate::{
    executor::Executor,
    machine::{Applied, Machine},
    port::FilePort,
    quorum::{Outbox, QuorumOutput},
    support::{MemoryDisk, Rest},
    types::{EncodedBatch, RaftEntry, RaftLogId, RaftVote, StoredLogId, TypeConfig},
};
use corelane_core::metadata::{Batch, Record};
use corelane_seam::Monotonic;
use openraft::{
    EntryPayload, RaftLogReader, StorageError,
    storage::{IOFlushed, RaftLogStorage, RaftLogStorageExt},
    testing::log::{StoreBuilder, Suite},
};
use std::{cell::RefCell, path::PathBuf, rc::Rc};

const SALT: Salt = Salt(0x0123_4567_89ab_cdef);

/// A disk, an executor, and the operations between them.
struct World {
    disk: MemoryDisk,
    outbox: Outbox,
    port: FilePort,
    stores: usize,
}

impl World {
    fn new(disk: MemoryDisk) -> World {
        let outbox = Outbox::default();
        World { disk, port: FilePort::new(0, outbox.clone()), outbox, stores: 0 }
    }

    fn store(&self, directory: PathBuf, segment_bytes_max: u64) -> LogStore {
        let recovered = recover(&self.disk, &directory, SALT).expect("recovers");
        LogStore::new(recovered, directory, SALT, segment_bytes_max)
    }

    /// Carries out what was asked for; false if there was nothing.
    fn carry_out(&self) -> bool {
        let outputs = self.outbox.take();
        let mut any = false;
        for output in outputs {
            let QuorumOutput::File { token, operation } = output else { continue };
            any = true;
            let (result, rest) = self.disk.begin(operation);
            self.port.complete(token, result);
            if let Rest::Flush(file) = rest {
                self.port.complete(token, self.disk.flush_handle(&file));
            }
        }
        any
    }

    /// Runs a future, and a writer on `log`, to the future's end.
    fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let place = Rc::clone(&result);
        let mut executor = Executor::new(0);
        executor.spawn(async move {
            let value = future.await;
            *place.borrow_mut() = Some(value);
        });
        for _ in 0..100_000 {
            executor.poll(Monotonic(0));
            assert_eq!(executor.panicked(), None);
            if let Some(value) = result.borrow_mut().take() {
                return value;
            }
            self.carry_out();
        }
        panic!("the future does not end");
    }
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fn directory() -> PathBuf {
    PathBuf::from("/quorum")
}

/// openraft asks for a builder that can be shared between threads; the stores cannot, and need not.
struct Builder;

impl StoreBuilder<TypeConfig, LogStore, Machine, ()> for Builder {
    async fn build(&self) -> Result<((), LogStore, Machine), StorageError<TypeConfig>> {
        let (store, machine, writer) = WORLD.with_borrow_mut(|world| {
            let world = world.as_mut().expect("set by the test");
            world.stores += 1;
            let directory = PathBuf::from(format!("/quorum{}", world.stores));
            create(&world.disk, &directory, SALT).expect("the disk works");
            // Small segments, so that they are opened and removed along the way.
            let store = world.store(directory.clone(), 200);
            let (commands, _) = tokio::sync::mpsc::unbounded_channel();
            let machine = Machine::new(
                Rc::new(RefCell::new(Applied::new(None, u64::MAX))),
                world.port.clone(),
                world.outbox.clone(),
                directory,
                SALT,
                (commands.downgrade(), u64::MAX),
            );
            let writer = write_loop(store.stream(), world.port.clone());
            (store, machine, writer)
        });
        drop(<crate::executor::Runtime as openraft_rt::AsyncRuntime>::spawn(writer));
        Ok(((), store, machine))
    }
}

#[test]
fn passes_openrafts_storage_suite() {
    WORLD.set(Some(World::new(MemoryDisk::default())));
    // The suite's stores ask through the world of the thread; its operations are carried out from here.
    let result = Rc::new(RefCell::new(None));
    let place = Rc::clone(&result);
    let mut executor = Executor::new(0);
    executor.spawn(async move {
        let outcome = Suite::<TypeConfig, LogStore, Machine, Builder, ()>::test_all(Builder).await;
        *place.borrow_mut() = Some(outcome);
    });
    let mut now = Monotonic(0);
    while result.borrow().is_none() {
        executor.poll(now);
        assert_eq!(executor.panicked(), None);
        if !WORLD.with_borrow(|world| world.as_ref().expect("set above").carry_out()) {
            now = executor
                .next_deadline()
                .or((result.borrow().is_some()).then_some(now))
                .expect("waits for nothing");
        }
    }
    result.take().expect("just seen").expect("the suite passes");
    assert!(WORLD.with_borrow(|world| world.as_ref().expect("set above").stores) > 30);
}

fn id(term: u64, index: u64) -> RaftLogId {
    StoredLogId { term, index }.into()
}

fn entry(term: u64, index: u64) -> RaftEntry {
    let name = format!("feature-{index}");
    let batch = Batch::of(vec![Record::FeatureLevel { name, level: 1 }]);
    RaftEntry { log_id: id(term, index), payload: EntryPayload::Normal(EncodedBatch(batch.encode().into())) }
}

/// A log as tests compare it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    vote: Option<RaftVote>,
    purged: Option<RaftLogId>,
    last: Option<RaftLogId>,
    entries: Vec<RaftLogId>,
}

async fn seen(store: &mut LogStore) -> Seen {
    let state = store.get_log_state().await.expect("in memory");
    let entries = store.try_get_log_entries(..).await.expect("in memory");
    Seen {
        vote: store.read_vote().await.expect("in memory"),
        purged: state.last_purged_log_id,
        last: state.last_log_id,
        entries: entries.iter().map(|entry| entry.log_id).collect(),
    }
}

/// Writes a small log of all kinds of records; gives what was promised after each of its groups.
fn small_log(disk: &MemoryDisk, segment_bytes_max: u64) -> Vec<Seen> {
    create(disk, &directory(), SALT).expect("the disk works");
    let world = World::new(disk.clone());
    let mut store = world.store(directory(), segment_bytes_max);
    let writer = write_loop(store.stream(), world.port.clone());
    world.run(async move {
        drop(<crate::executor::Runtime as openraft_rt::AsyncRuntime>::spawn(writer));
        let mut promised = vec![seen(&mut store).await];
        store.save_vote(&RaftVote::new_committed(1, 7)).await.expect("flushed");
        promised.push(seen(&mut store).await);
        store.blocking_append([entry(1, 0), entry(1, 1), entry(1, 2)]).await.expect("flushed");
        promised.push(seen(&mut store).await);
        store.save_vote(&RaftVote::new_committed(2, 7)).await.expect("flushed");
        promised.push(seen(&mut store).await);
        store.save_committed(Some(id(1, 1))).await.expect("queued");
        store.truncate_after(Some(id(1, 1))).await.expect("queued");
        promised.push(seen(&mut store).await);
        store.blocking_append([entry(2, 2), entry(2, 3)]).await.expect("flushed");
        promised.push(seen(&mut store).await);
        store.purge(id(1, 0)).await.expect("queued");
        promised.push(seen(&mut store).await);
        store.blocking_append([entry(2, 4)]).await.expect("flushed");
        promised.push(seen(&mut store).await);
        promised
    })
}

/// What recovery makes of a disk: a log, or a refusal's text.
fn recovered(disk: &MemoryDisk) -> Result<Seen, String> {
    let recovered = recover(disk, &directory(), SALT).map_err(|fatal| fatal.to_string())?;
    let mut store = LogStore::new(recovered, directory(), SALT, u64::MAX);
    Ok(World::new(disk.clone()).run(async move { seen(&mut store).await }))
}

/// A correct prefix of the stream: something that was the log at some point while it was written.
fn is_prefix(seen: &Seen, promised: &[Seen]) -> bool {
    let last = promised.last().expect("not empty");
    let mut partial: Vec<Seen> = promised.to_vec();
    for state in promised {
        // A group may be cut after any of its entries.
        let mut state = state.clone();
        while state.entries.len() > 1 {
            state.entries.pop();
            state.last = state.entries.last().copied();
            partial.push(state.clone());
        }
        let mut none = state.clone();
        none.entries.clear();
        none.last = none.purged;
        partial.push(none);
    }
    partial.contains(seen) || seen == last
}

#[test]
fn what_was_flushed_is_there_after_a_restart() {
    for segment_bytes_max in [1, 150, u64::MAX] {
        let disk = MemoryDisk::default();
        let promised = small_log(&disk, segment_bytes_max);
        disk.hard_cut();
        assert_eq!(recovered(&disk).as_ref(), Ok(promised.last().expect("not empty")));
    }
}

fn segments(disk: &MemoryDisk) -> Vec<PathBuf> {
    let names = disk.names();
    names.iter().filter(|name| name.ends_with(".log")).map(|name| directory().join(name)).collect()
}

#[test]
fn every_cut_gives_a_correct_prefix_or_a_refusal() {
    for segment_bytes_max in [1, 150, u64::MAX] {
        let disk = MemoryDisk::default();
        let promised = small_log(&disk, segment_bytes_max);
        let paths = segments(&disk);
        for (place, path) in paths.iter().enumerate() {
            let whole = disk.contents(path);
            for len in 0..whole.len() {
                let cut = disk.copy();
                cut.tamper(path, whole[..len].to_vec());
                match recovered(&cut) {
                    Ok(seen) => {
                        assert!(is_prefix(&seen, &promised), "{} cut at {len}: {seen:?}", path.display());
                        assert_eq!(place + 1, paths.len(), "a segment before the last is never cut");
                    }
                    Err(text) => assert!(text.contains(".log"), "names the file: {text}"),
                }
            }
        }
    }
}

#[test]
fn every_flipped_bit_gives_a_correct_prefix_or_a_refusal() {
    for segment_bytes_max in [1, 150, u64::MAX] {
        let disk = MemoryDisk::default();
        let promised = small_log(&disk, segment_bytes_max);
        for path in segments(&disk) {
            let whole = disk.contents(&path);
            for bit in 0..whole.len() * 8 {
                let flipped = disk.copy();
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                flipped.tamper(&path, bytes);
                match recovered(&flipped) {
                    Ok(seen) => {
                        assert!(is_prefix(&seen, &promised), "{} bit {bit}: {seen:?}", path.display());
                    }
                    Err(text) => assert!(text.contains("offset"), "names the place: {text}"),
                }
            }
        }
    }
}

#[test]
fn damage_before_a_flushed_group_is_refused_not_cut() {
    let disk = MemoryDisk::default();
    small_log(&disk, u64::MAX);
    let path = &segments(&disk)[0];
    let mut bytes = disk.contents(path);
    // Within the first group: groups behind it say that it was flushed.
    bytes[60] ^= 1;
    disk.tamper(path, bytes);
    let text = recovered(&disk).expect_err("refused");
    assert!(text.contains("00000000000000000001.log is damaged at offset"), "{text}");
}

#[test]
fn a_missing_segment_is_refused() {
    let disk = MemoryDisk::default();
    small_log(&disk, 1);
    let paths = segments(&disk);
    assert!(paths.len() >= 3, "{paths:?}");
    // A missing first one looks like a purged one, unless it held entries; a missing last one like a cut.
    for path in &paths[1..paths.len() - 1] {
        let missing = disk.copy();
        missing.begin(corelane_seam::FileOperation::Remove { path: path.clone() });
        recovered(&missing).expect_err("refused");
    }
}

#[test]
fn segments_below_the_purge_point_are_removed_and_the_rest_recovers() {
    let disk = MemoryDisk::default();
    create(&disk, &directory(), SALT).expect("the disk works");
    let world = World::new(disk.clone());
    let mut store = world.store(directory(), 100);
    let writer = write_loop(store.stream(), world.port.clone());
    world.run(async move {
        drop(<crate::executor::Runtime as openraft_rt::AsyncRuntime>::spawn(writer));
        for index in 0..50 {
            store.blocking_append([entry(1, index)]).await.expect("flushed");
        }
        store.purge(id(1, 44)).await.expect("queued");
        store.save_vote(&RaftVote::new(2, 7)).await.expect("flushed");
        store.save_vote(&RaftVote::new(3, 7)).await.expect("flushed");
    });
    assert!(segments(&disk).len() < 10, "{:?}", segments(&disk));
    let seen = recovered(&disk).expect("recovers");
    assert_eq!(seen.purged, Some(id(1, 44)));
    assert_eq!(seen.entries, (45..50).map(|index| id(1, index)).collect::<Vec<_>>());
    assert_eq!(seen.vote, Some(RaftVote::new(3, 7)));
}

#[test]
fn a_vote_is_not_visible_before_it_is_flushed() {
    let disk = MemoryDisk::default();
    create(&disk, &directory(), SALT).expect("the disk works");
    let world = World::new(disk);
    let mut store = world.store(directory(), u64::MAX);
    let mut executor = Executor::new(0);
    let writer = write_loop(store.stream(), world.port.clone());
    executor.spawn(async move { assert!(writer.await) });
    let mut saving = store.clone();
    executor.spawn(async move { saving.save_vote(&RaftVote::new(1, 7)).await.expect("flushed") });
    let mut visible_at = Vec::new();
    for step in 0..6 {
        executor.poll(Monotonic(0));
        let reading = store.read_vote();
        let vote = futures_util::FutureExt::now_or_never(reading).expect("in memory").expect("in memory");
        visible_at.push((step, vote.is_some()));
        if !world.carry_out() {
            break;
        }
    }
    // Asked to open, to allocate, to write, done.
    assert_eq!(visible_at, [(0, false), (1, false), (2, false), (3, true)]);
}

#[test]
fn what_finds_no_space_is_written_when_there_is_some() {
    let disk = MemoryDisk::default();
    create(&disk, &directory(), SALT).expect("the disk works");
    let world = World::new(disk.clone());
    let mut store = world.store(directory(), u64::MAX);
    let (stream, mut another) = (store.stream(), store.clone());
    let mut executor = Executor::new(0);
    let closed = Rc::new(RefCell::new(None));
    let place = Rc::clone(&closed);
    let writer = write_loop(store.stream(), world.port.clone());
    executor.spawn(async move { *place.borrow_mut() = Some(writer.await) });
    let saved = Rc::new(RefCell::new(false));
    let place = Rc::clone(&saved);
    executor.spawn(async move {
        store.save_vote(&RaftVote::new(1, 7)).await.expect("in the end");
        *place.borrow_mut() = true;
    });
    let pass = |executor: &mut Executor, from_ms: u64| {
        for ms in from_ms..from_ms + 1_000 {
            executor.poll(Monotonic(0).after_ms(ms));
            world.carry_out();
        }
        assert_eq!(executor.panicked(), None);
    };
    disk.fill();
    pass(&mut executor, 0);
    assert!(!*saved.borrow() && closed.borrow().is_none(), "it waits");
    recovered(&disk.copy()).expect("the half that went through is cut");
    disk.repair();
    pass(&mut executor, 1_000);
    assert!(*saved.borrow());
    assert_eq!(recovered(&disk.copy()).expect("sound").vote, Some(RaftVote::new(1, 7)));

    // A stop does not wait for space.
    disk.fill();
    executor.spawn(async move { drop(another.save_vote(&RaftVote::new(2, 7)).await) });
    pass(&mut executor, 2_000);
    stream.borrow_mut().close();
    pass(&mut executor, 3_000);
    assert_eq!(*closed.borrow(), Some(false));
}

#[test]
fn a_failed_flush_poisons_for_good() {
    let disk = MemoryDisk::default();
    create(&disk, &directory(), SALT).expect("the disk works");
    let world = World::new(disk.clone());
    let mut store = world.store(directory(), u64::MAX);
    let writer = write_loop(store.stream(), world.port.clone());
    disk.fail_flushes();
    let poison = world.run(async move {
        drop(<crate::executor::Runtime as openraft_rt::AsyncRuntime>::spawn(writer));
        store.save_vote(&RaftVote::new(1, 7)).await.expect_err("not flushed");
        assert_eq!(store.read_vote().await.expect("in memory"), None);
        store.append([entry(1, 0)], IOFlushed::noop()).await.expect_err("poisoned");
        store.poison()
    });
    assert!(poison.is_some_and(|text| text.contains("flushed in vain")));
}

#[test]
fn a_group_mark_is_valid_at_its_own_place_only() {
    let disk = MemoryDisk::default();
    small_log(&disk, u64::MAX);
    let path = segment_path(&directory(), 1);
    let mut bytes = disk.contents(&path);
    let end = bytes.len();
    // A torn write, and behind it a mark that belongs elsewhere: not a proof of a flush.
    bytes.extend_from_slice(&[0xff; 20]);
    frame(&mut bytes, SALT, 1, 12, &encode(&Frame::Group));
    disk.tamper(&path, bytes.clone());
    recovered(&disk.copy()).expect("cut");
    bytes.truncate(end + 20);
    let place = bytes.len() as u64;
    frame(&mut bytes, SALT, 1, place, &encode(&Frame::Group));
    disk.tamper(&path, bytes);
    recovered(&disk).expect_err("that one is a proof");
}
