//! A quorum of one on a disk that loses what was not flushed.

mod support;

use corelane_core::{
    ids::NodeId,
    log::Fault,
    metadata::{BATCH_BYTES_MAX, Batch, Image, Precondition, Record},
};
use corelane_raft_meta::{
    Bounds, PROPOSALS_IN_FLIGHT_MAX, ProposeError, Quorum, QuorumInput, QuorumOutput, QuorumSettings, Timing,
};
use corelane_seam::{FileOperation, Monotonic, Now, Token};
use std::{collections::BTreeMap, path::PathBuf};
use support::{MemoryDisk, Random, Rest};

/// How long a write or a flush takes.
const STEP_NS: u64 = 500_000;

fn settings() -> QuorumSettings {
    QuorumSettings {
        node_id: NodeId(1),
        voters: vec![(NodeId(1), "127.0.0.1:9093".to_owned())],
        directories: BTreeMap::new(),
        joins: false,
        directory: PathBuf::from("/quorum"),
        cluster_id: None,
        new_cluster_id: "corelane-test".to_owned(),
        new_directory_id: 0xd1,
        seed: 1,
        first_token: 1 << 40,
        bounds: Bounds { segment_bytes_max: 600, snapshot_entries: 20, snapshot_log_bytes_min: 1 << 20 },
        timing: Timing::default(),
        fault: Fault::None,
    }
}

enum Event {
    Begin(Token, FileOperation),
    Finish(Token, Rest),
}

/// A process with a quorum.
struct Process {
    quorum: Quorum,
    disk: MemoryDisk,
    events: Vec<Event>,
    now_ns: u64,
    random: Option<Random>,
    /// All outputs but file operations, as text: what two runs of a seed are compared by.
    told: Vec<String>,
    proposed: Vec<(u64, Result<u64, ProposeError>)>,
    applied: Vec<u64>,
    image: Image,
    writable: bool,
    fatal: Option<String>,
    stopped: bool,
}

impl Process {
    fn start(disk: &MemoryDisk) -> Process {
        Process::start_with(disk, settings(), None)
    }

    /// With a seed, tasks and events are taken in its order, else in their own.
    fn start_with(disk: &MemoryDisk, settings: QuorumSettings, seed: Option<u64>) -> Process {
        let mut quorum = Quorum::open(settings, disk, Now::default()).expect("opens");
        if let Some(seed) = seed {
            let mut random = Random(!seed);
            quorum.set_choice(Box::new(move |count| random.below(count)));
        }
        let image = quorum.image();
        let mut process = Process {
            quorum,
            disk: disk.clone(),
            events: Vec::new(),
            now_ns: 0,
            random: seed.map(Random),
            told: Vec::new(),
            proposed: Vec::new(),
            applied: Vec::new(),
            image,
            writable: false,
            fatal: None,
            stopped: false,
        };
        process.poll();
        process
    }

    fn now(&self) -> Now {
        Now { monotonic: Monotonic(self.now_ns), unix_ms: 0 }
    }

    fn poll(&mut self) {
        let mut out = Vec::new();
        self.quorum.poll(self.now(), &mut out);
        for output in out {
            match output {
                QuorumOutput::File { token, operation } => {
                    self.events.push(Event::Begin(token, operation));
                    continue;
                }
                QuorumOutput::Applied { offset, ref image, .. } => {
                    self.applied.push(offset.0);
                    self.image = image.clone();
                }
                QuorumOutput::ImageReplaced { ref image, .. } => self.image = image.clone(),
                QuorumOutput::Proposed { id, ref result } => {
                    self.proposed.push((id, result.clone().map(|offset| offset.0)));
                }
                QuorumOutput::LeaderChanged { writable, .. } => self.writable = writable,
                QuorumOutput::Call { .. } | QuorumOutput::Answer { .. } => {
                    panic!("a quorum of one calls: {output:?}")
                }
                QuorumOutput::Fatal(ref fatal) => self.fatal = Some(fatal.to_string()),
                QuorumOutput::Stopped => self.stopped = true,
                QuorumOutput::VotersChanged { .. } | QuorumOutput::Located(_) => {}
            }
            self.told.push(format!("{} {output:?}", self.now_ns));
        }
    }

    /// Lets one thing happen on the disk. False if nothing was under way.
    fn step(&mut self) -> bool {
        if self.events.is_empty() {
            return false;
        }
        let place = match &mut self.random {
            Some(random) => random.below(self.events.len()),
            None => 0,
        };
        self.now_ns += STEP_NS;
        let (token, result) = match self.events.remove(place) {
            Event::Begin(token, operation) => {
                let (result, rest) = self.disk.begin(operation);
                if let Rest::Flush(_) = rest {
                    self.events.push(Event::Finish(token, rest));
                }
                (token, result)
            }
            Event::Finish(token, Rest::Flush(file)) => (token, self.disk.flush_handle(&file)),
            Event::Finish(_, Rest::Nothing) => unreachable!("only flushes are left over"),
        };
        self.quorum.handle(self.now(), QuorumInput::FileCompletion(token, result));
        self.poll();
        true
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.step() {
                return;
            }
        }
        panic!("the quorum never idles");
    }

    fn propose(&mut self, id: u64, batch: Batch) {
        self.quorum.handle(self.now(), QuorumInput::Propose { id, batch });
        self.poll();
    }
}

fn name(id: u64) -> String {
    format!("feature-{id}")
}

/// Raises a counter from `id` to `id + 1`, and leaves a mark.
fn batch(id: u64) -> Batch {
    let next = i64::try_from(id).expect("small");
    Batch {
        preconditions: vec![Precondition::ProducerIdsNext(next)],
        records: vec![
            Record::ProducerIds { broker: NodeId(1), next: next + 1 },
            Record::FeatureLevel { name: name(id), level: 1 },
        ],
    }
}

/// The image holds the first `count` batches, and nothing else.
fn holds(image: &Image) -> u64 {
    let count = u64::try_from(image.next_producer_id()).expect("never negative");
    assert_eq!(image.features().count() as u64, count);
    assert!((0..count).all(|id| image.feature(&name(id)) == 1));
    count
}

#[test]
fn a_new_quorum_of_one_is_writable_within_milliseconds_and_then_idles() {
    let disk = MemoryDisk::default();
    for _ in 0..3 {
        let mut process = Process::start(&disk);
        let mut writable_ns = None;
        while process.step() {
            if process.writable {
                writable_ns.get_or_insert(process.now_ns);
            }
        }
        assert!(writable_ns.expect("it leads") <= 20_000_000, "{writable_ns:?}");
        // openraft's ticker sleeps once before it notices that it is switched off.
        process.now_ns = process.quorum.next_deadline().expect("the ticker").0;
        process.poll();
        assert_eq!(process.quorum.next_deadline(), None, "no ticks, no heartbeats");
        assert_eq!(process.quorum.cluster_id(), "corelane-test");
    }
}

#[test]
fn an_answered_proposal_survives_a_power_cut_at_once() {
    let mut process = Process::start(&MemoryDisk::default());
    process.settle();
    for id in 0..30 {
        process.propose(id, batch(id));
        while process.proposed.len() as u64 == id {
            assert!(process.step(), "an answer comes");
        }
        assert!(process.proposed[usize::try_from(id).expect("small")].1.is_ok());
        assert_eq!(holds(&process.image), id + 1, "applied before it is answered");
        let cut = process.disk.copy();
        cut.hard_cut();
        let mut again = Process::start(&cut);
        again.settle();
        assert_eq!(holds(&again.image), id + 1);
    }
}

#[test]
fn what_is_committed_and_how_long_the_log_is_can_be_told_in_the_leaders_epoch() {
    let disk = MemoryDisk::default();
    let mut process = Process::start(&disk);
    let begun = process.quorum.standing(process.now());
    assert_eq!((begun.committed_end, begun.log_end), (0, 1), "the first entry is on its way to the disk");
    process.settle();
    let before = process.quorum.standing(process.now());
    assert_eq!(before.committed_end, before.log_end, "nothing is under way");
    process.propose(0, batch(0));
    process.settle();
    let after = process.quorum.standing(process.now());
    assert_eq!(after.committed_end, before.committed_end + 1);
    assert_eq!(after.log_end, *process.applied.last().expect("it was applied") + 1);
    let mut again = Process::start(&disk);
    again.settle();
    assert!(again.quorum.standing(again.now()).term > after.term, "another reign");
    assert!(
        again.quorum.standing(again.now()).log_end > after.log_end,
        "which began with an entry of its own"
    );
}

#[test]
fn a_violated_precondition_is_an_answer_and_has_no_effect() {
    let mut process = Process::start(&MemoryDisk::default());
    process.settle();
    process.propose(0, batch(0));
    process.propose(1, batch(0));
    process.propose(2, batch(1));
    process.settle();
    let results: Vec<bool> = process.proposed.iter().map(|(_, result)| result.is_ok()).collect();
    assert_eq!(results, [true, false, true]);
    assert!(matches!(process.proposed[1].1, Err(ProposeError::Violated(_))));
    assert_eq!((holds(&process.image), process.applied.len()), (2, 2));
}

#[test]
fn what_is_too_much_is_refused_at_once() {
    let mut process = Process::start(&MemoryDisk::default());
    process.settle();
    let name = "x".repeat(BATCH_BYTES_MAX);
    process.propose(0, Batch::of(vec![Record::FeatureLevel { name, level: 1 }]));
    assert!(matches!(process.proposed[..], [(0, Err(ProposeError::TooLarge { .. }))]));
    process.proposed.clear();
    let count = PROPOSALS_IN_FLIGHT_MAX as u64 + 5;
    for id in 0..count {
        process.quorum.handle(process.now(), QuorumInput::Propose { id, batch: batch(id) });
    }
    process.poll();
    process.settle();
    let busy = process.proposed.iter().filter(|(_, result)| *result == Err(ProposeError::Busy)).count();
    assert_eq!((process.proposed.len() as u64, busy), (count, 5));
    assert_eq!(holds(&process.image), count - 5);
}

#[test]
fn before_it_leads_proposals_are_refused_not_lost() {
    let mut process = Process::start(&MemoryDisk::default());
    process.propose(7, batch(0));
    process.settle();
    assert_eq!(process.proposed.len(), 1);
    assert_eq!(process.proposed[0].0, 7);
}

#[test]
fn snapshots_bound_the_log_and_restarts_go_on_from_them() {
    let disk = MemoryDisk::default();
    let mut process = Process::start(&disk);
    process.settle();
    for id in 0..200 {
        process.propose(id, batch(id));
        process.settle();
    }
    let names = disk.names();
    assert!(names.contains(&"snapshot".to_owned()), "{names:?}");
    assert!(names.len() < 12, "purged segments are removed: {names:?}");
    let mut again = Process::start(&disk);
    assert!(holds(&again.image) >= 150, "the snapshot alone");
    again.settle();
    assert_eq!(holds(&again.image), 200);
    assert!(again.applied.len() <= 50);
}

/// Proposes and crashes over and over. What was answered must be there, in order, whatever was lost. With `errors`,
/// flushes fail from some moment on in every other process.
fn crash_loop(seed: u64, errors: bool) -> (Vec<String>, u64) {
    let mut random = Random(seed);
    let disk = MemoryDisk::default();
    let (mut acknowledged, mut told, mut trace) = (0, Vec::new(), 0);
    for round in 0..12 {
        let seed = random.next();
        let mut process = Process::start_with(&disk, QuorumSettings { seed, ..settings() }, Some(seed));
        let mut next = None;
        let fails_at = (errors && random.below(2) == 0).then(|| random.below(60));
        for step in 0..random.below(120) {
            if Some(step) == fails_at {
                disk.fail_flushes();
            }
            if process.fatal.is_none() && process.writable && random.below(3) == 0 {
                let id = *next.get_or_insert_with(|| holds(&process.image));
                process.propose(id, batch(id));
                next = Some(id + 1);
            }
            process.step();
            assert!(fails_at.is_some() || process.fatal.is_none(), "{:?}", process.fatal);
            if process.writable {
                assert!(holds(&process.image) >= acknowledged, "seed {seed}: a writable leader knows all");
            }
            for (id, result) in process.proposed.drain(..) {
                assert!(fails_at.is_some() || result.is_ok(), "{result:?}");
                acknowledged = acknowledged.max(result.map_or(0, |_| id + 1));
            }
        }
        told.append(&mut process.told);
        trace ^= process.quorum.trace().rotate_left(round);
        drop(process);
        match random.below(3) {
            // The process is killed, the machine lives on.
            0 => disk.repair(),
            1 => disk.power_cut(&mut random),
            _ => disk.hard_cut(),
        }
    }
    let mut last = Process::start(&disk);
    last.settle();
    assert!(holds(&last.image) >= acknowledged, "seed {seed}");
    (told, trace)
}

#[test]
fn a_kill_or_power_cut_at_any_event_loses_nothing_acknowledged() {
    for crash_at in 0.. {
        let disk = MemoryDisk::default();
        let mut process = Process::start(&disk);
        let mut events = 0;
        let mut next = 0;
        while events < crash_at && (process.step() || next < 30) {
            events += 1;
            // Three at a time, so that groups and snapshots hold several.
            while process.writable && next < 30 && next < process.proposed.len() as u64 + 3 {
                process.propose(next, batch(next));
                next += 1;
            }
        }
        let acknowledged = process.proposed.iter().filter(|(_, result)| result.is_ok()).count() as u64;
        let is_over = events < crash_at;
        drop(process);
        let (killed, cut, torn) = (disk.copy(), disk.copy(), disk.copy());
        cut.hard_cut();
        torn.power_cut(&mut Random(crash_at));
        for left in [killed, cut, torn] {
            let mut again = Process::start(&left);
            again.settle();
            assert!(again.writable);
            assert!(holds(&again.image) >= acknowledged, "crash at event {crash_at}");
        }
        if is_over {
            assert_eq!(acknowledged, 30);
            return;
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_crash_loops() {
    for seed in 0..60 {
        crash_loop(seed, false);
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_crash_loops_on_a_disk_whose_flushes_fail() {
    for seed in 0..200 {
        crash_loop(seed, true);
    }
}

/// A disk on which one batch was acknowledged, and the flush of the next failed before the process was killed: that
/// one stands in the page cache, over several pages, and not on the medium.
fn after_a_failed_flush(segment_bytes_max: u64) -> (QuorumSettings, MemoryDisk) {
    let bounds = Bounds { segment_bytes_max, ..settings().bounds };
    let settings = QuorumSettings { bounds, ..settings() };
    let disk = MemoryDisk::default();
    let mut process = Process::start_with(&disk, settings.clone(), None);
    process.settle();
    process.propose(0, batch(0));
    process.settle();
    assert!(matches!(process.proposed[..], [(0, Ok(_))]), "{:?}", process.proposed);
    disk.fail_flushes();
    let mut long = batch(1);
    long.records.extend(vec![long.records[1].clone(); 2_000]);
    process.propose(1, long);
    process.settle();
    assert!(process.fatal.is_some() && process.proposed[1].1.is_err());
    disk.repair();
    (settings, disk)
}

#[test]
fn what_a_failed_flush_left_in_the_page_cache_is_durable_before_anything_stands_behind_it() {
    // Behind it in its segment, and in the next segment.
    for segment_bytes_max in [1 << 20, 600] {
        let (settings, disk) = after_a_failed_flush(segment_bytes_max);
        let mut second = Process::start_with(&disk, settings.clone(), None);
        second.settle();
        assert_eq!(holds(&second.image), 2, "the page cache shows both");
        second.propose(2, batch(2));
        second.settle();
        assert!(second.proposed[0].1.is_ok(), "{:?}", second.proposed);
        disk.hard_cut();
        let mut third = Process::start_with(&disk, settings, None);
        third.settle();
        assert_eq!(holds(&third.image), 3);
    }
}

#[test]
fn a_crash_at_any_call_of_recovery_after_a_failed_flush_is_survived() {
    for calls in 0.. {
        let mut was_open = false;
        for power_goes in [false, true] {
            let (settings, disk) = after_a_failed_flush(1 << 20);
            disk.fail_after(calls);
            was_open = Quorum::open(settings.clone(), &disk, Now::default()).is_ok();
            if power_goes {
                disk.hard_cut()
            } else {
                disk.repair()
            }
            let mut again = Process::start_with(&disk, settings, None);
            again.settle();
            assert!(again.writable && holds(&again.image) >= 1, "crash at call {calls}");
        }
        if was_open {
            assert!(calls > 3, "it reads, lists and replaces");
            return;
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 100..105 {
        let first = crash_loop(seed, false);
        assert!(!first.0.is_empty());
        assert_eq!(first, crash_loop(seed, false));
    }
    assert_ne!(crash_loop(100, false).1, crash_loop(101, false).1);
}

#[test]
fn a_crash_at_any_call_of_formatting_or_recovery_is_survived() {
    let mut random = Random(5);
    let disk = MemoryDisk::default();
    for calls in 0.. {
        assert!(calls < 100, "opening ends");
        disk.fail_after(calls);
        let opened = Quorum::open(settings(), &disk, Now::default());
        let is_open = opened.is_ok();
        disk.power_cut(&mut random);
        if is_open {
            break;
        }
    }
    let mut process = Process::start(&disk);
    process.settle();
    assert!(process.writable);
}

#[test]
fn a_failed_flush_is_fatal_once_and_for_all() {
    let disk = MemoryDisk::default();
    let mut process = Process::start(&disk);
    process.settle();
    disk.fail_flushes();
    process.propose(0, batch(0));
    process.settle();
    let reason = process.fatal.clone().expect("fatal");
    assert!(reason.contains("flushed in vain"), "{reason}");
    assert!(matches!(process.proposed[..], [(0, Err(ProposeError::Fatal(_)))]), "{:?}", process.proposed);
    process.propose(1, batch(1));
    assert!(matches!(process.proposed[1], (1, Err(ProposeError::Fatal(_)))));
    assert!(process.events.is_empty() && process.quorum.has_ended());
    assert_eq!(process.told.iter().filter(|told| told.contains("Fatal(Fatal")).count(), 1);
}

#[test]
fn stopping_finishes_what_is_under_way() {
    let mut process = Process::start(&MemoryDisk::default());
    process.settle();
    process.propose(0, batch(0));
    process.quorum.handle(process.now(), QuorumInput::Stop);
    process.poll();
    process.settle();
    assert!(process.stopped && process.fatal.is_none());
    assert_eq!(process.proposed.len(), 1, "every proposal is answered");
    process.propose(1, batch(1));
    assert_eq!(process.proposed[1], (1, Err(ProposeError::Stopped)));
}

fn refusal(settings: QuorumSettings, disk: &MemoryDisk) -> String {
    Quorum::open(settings, disk, Now::default()).expect_err("refused").to_string()
}

#[test]
fn another_nodes_or_clusters_directory_is_refused() {
    let disk = MemoryDisk::default();
    drop(Process::start(&disk));
    let other = QuorumSettings {
        node_id: NodeId(2),
        voters: vec![(NodeId(2), "127.0.0.1:9093".to_owned())],
        ..settings()
    };
    let text = refusal(other, &disk);
    assert!(text.contains("belongs to node.id 1") && text.contains("node.id 2"), "{text}");
    let text = refusal(QuorumSettings { cluster_id: Some("other".to_owned()), ..settings() }, &disk);
    assert!(text.contains("belongs to cluster corelane-test"), "{text}");
}

#[test]
fn an_unknown_version_and_a_lost_log_are_refused() {
    let disk = MemoryDisk::default();
    drop(Process::start(&disk));
    let path = PathBuf::from("/quorum/quorum.properties");
    let known = disk.contents(&path);

    let later = disk.copy();
    let text = String::from_utf8(known).expect("text").replace("version=1", "version=2");
    later.tamper(&path, text.into_bytes());
    assert!(refusal(settings(), &later).contains("version 2"));

    let lost = disk.copy();
    lost.begin(FileOperation::Remove { path: PathBuf::from("/quorum/00000000000000000001.log") });
    assert!(refusal(settings(), &lost).contains("no readable log segment"));

    disk.begin(FileOperation::Remove { path });
    assert!(refusal(settings(), &disk).contains("no quorum.properties"));
}

#[test]
fn several_voters_without_a_cluster_id_and_voters_without_this_node_are_refused() {
    let mut settings = settings();
    settings.voters.push((NodeId(2), "127.0.0.1:9094".to_owned()));
    assert!(refusal(settings.clone(), &MemoryDisk::default()).contains("Set corelane.cluster.id"));
    settings.voters.remove(0);
    assert!(refusal(settings, &MemoryDisk::default()).contains("Add 1@HOST:PORT to it"));
}

#[test]
fn a_cluster_of_one_does_not_become_another_by_another_configuration() {
    let disk = MemoryDisk::default();
    Process::start(&disk).settle();
    let mut settings = settings();
    settings.voters.push((NodeId(2), "127.0.0.1:9094".to_owned()));
    let mut process = Process::start_with(&disk, settings, None);
    process.settle();
    assert_eq!(process.fatal, None);
    assert!(process.writable, "the log's voters count");
    assert_eq!(process.quorum.voters(), [NodeId(1)]);
}
