//! A shard that does nothing but write, flush and read.

use super::{Access, Latency, Measurement, Phase, plan::FILE_BYTES_MIN};
use corelane_seam::{
    Allocation, BLOCK, ChunkWriter, Completion, FileHandle, FileOperation, FileResult, Flush, Monotonic, Now,
    OpenHow, Operation, Shard, Slice, Token,
};
use std::{collections::VecDeque, io, path::PathBuf, sync::mpsc, time::Duration};

/// What the shard tells whoever waits for it.
pub(super) enum Word {
    Measured(Measurement),
    /// The last word: how large each file became, or what failed.
    Ended(Result<u64, (&'static str, io::Error)>),
}

/// Latencies that are kept of one phase; more operations are counted, not kept.
const SAMPLES_MAX: usize = 1 << 20;
/// What writes take their bytes from: the largest write, at any block of the rest.
const NOISE_BYTES: usize = 5 << 20;
const NOISE_STARTS: usize = (1 << 20) / BLOCK;

type Out = Vec<Operation<()>>;

/// What it is at.
enum Stage {
    Opening,
    Growing {
        until: Option<Monotonic>,
    },
    Running,
    /// The flush that belongs to a phase of unflushed writes.
    Flushing {
        waits_for: usize,
    },
    Ended,
}

/// One operation at a time.
#[derive(Clone, Copy, Default)]
struct Lane {
    asked: Monotonic,
    /// Of its own file.
    cursor: u64,
}

pub(super) struct MeasuringShard {
    paths: Vec<PathBuf>,
    file_bytes_max: u64,
    grow_time: Duration,
    say: mpsc::Sender<Word>,
    phases: VecDeque<Phase>,
    files: Vec<FileHandle>,
    file_bytes: u64,
    noise: Slice,
    draws: u64,
    stage: Stage,
    lanes: Vec<Lane>,
    /// Of the stream, over all files.
    cursor: u64,
    under_way: usize,
    began: Monotonic,
    operations: u64,
    samples: Vec<u64>,
    is_stopping: bool,
}

impl MeasuringShard {
    pub(super) fn new(
        paths: Vec<PathBuf>,
        (file_bytes_max, grow_time): (u64, Duration),
        phases: Vec<Phase>,
        say: mpsc::Sender<Word>,
    ) -> MeasuringShard {
        let mut draws = 0x9e37_79b9_7f4a_7c15;
        // As a journal's groups.
        let mut noise = ChunkWriter::in_huge_pages(NOISE_BYTES);
        noise.append_with(NOISE_BYTES, |space| {
            for word in space.chunks_exact_mut(8) {
                word.copy_from_slice(&draw(&mut draws).to_le_bytes());
            }
        });
        MeasuringShard {
            paths,
            file_bytes_max,
            grow_time,
            say,
            phases: phases.into(),
            files: Vec::new(),
            file_bytes: 0,
            noise: noise.slice(0..NOISE_BYTES),
            draws,
            stage: Stage::Opening,
            lanes: Vec::new(),
            cursor: 0,
            under_way: 0,
            began: Monotonic::default(),
            operations: 0,
            samples: Vec::new(),
            is_stopping: false,
        }
    }

    fn ask(&mut self, token: usize, operation: FileOperation, out: &mut Out) {
        self.under_way += 1;
        out.push(Operation::File { token: Token(token as u64), operation });
    }

    /// Says the last word.
    fn end(&mut self, result: Result<u64, (&'static str, io::Error)>) {
        if !matches!(self.stage, Stage::Ended) {
            self.stage = Stage::Ended;
            // Whoever has gone need not know.
            let _ = self.say.send(Word::Ended(result));
        }
    }

    fn answered(&mut self, now: Now, token: Token, result: FileResult, out: &mut Out) {
        // The flush that was asked for with a write has its own answer, but only after a write that succeeded.
        let flush_follows = matches!(&result, FileResult::Written(Ok(())))
            && self.phases.front().is_some_and(|phase| phase.access == Access::WriteFlushed);
        if flush_follows {
            return;
        }
        self.under_way -= 1;
        let failed = match result {
            FileResult::Opened(Ok((file, _))) => {
                self.files.push(file);
                None
            }
            FileResult::Opened(Err(error)) => Some(("opening a file", error)),
            FileResult::Done(Err(error)) => Some(("filling a file", error)),
            FileResult::Written(Err(error)) => Some(("writing", error)),
            FileResult::Flushed(Err(error)) => Some(("fdatasync", error)),
            FileResult::Read(Err(error)) => Some(("reading", error)),
            FileResult::Space(_)
            | FileResult::Page(_)
            | FileResult::Done(Ok(()))
            | FileResult::Written(Ok(()))
            | FileResult::Flushed(Ok(()))
            | FileResult::Read(Ok(_)) => None,
        };
        if let Some(failed) = failed {
            return self.end(Err(failed));
        }
        match &mut self.stage {
            Stage::Opening if self.under_way == 0 => self.stage = Stage::Growing { until: None },
            Stage::Opening | Stage::Ended => return,
            Stage::Growing { .. } => {}
            Stage::Running => return self.operation_done(now, token.0 as usize, out),
            Stage::Flushing { waits_for } => {
                *waits_for -= 1;
                if *waits_for == 0 {
                    self.phase_done(now, out);
                }
                return;
            }
        }
        if self.under_way == 0 {
            self.grow(now, out);
        }
    }

    /// Makes all files larger, by the same, while there is time; then the first phase begins.
    fn grow(&mut self, now: Now, out: &mut Out) {
        let Stage::Growing { until } = &mut self.stage else { return };
        let until = *until.get_or_insert(now.monotonic + self.grow_time);
        let is_enough = self.file_bytes > 0 && now.monotonic >= until;
        if is_enough || self.file_bytes >= self.file_bytes_max {
            return self.begin_phase(now, out);
        }
        let offset = self.file_bytes;
        self.file_bytes += FILE_BYTES_MIN;
        for index in 0..self.files.len() {
            let file = self.files[index].clone();
            let operation =
                FileOperation::Allocate { file, offset, len: FILE_BYTES_MIN, how: Allocation::Zero };
            self.ask(index, operation, out);
        }
    }

    fn begin_phase(&mut self, now: Now, out: &mut Out) {
        let Some(phase) = self.phases.front().copied() else { return self.end(Ok(self.file_bytes)) };
        self.stage = Stage::Running;
        self.lanes = vec![Lane::default(); usize::from(phase.depth)];
        (self.cursor, self.operations, self.began) = (0, 0, now.monotonic);
        self.samples.clear();
        for lane in 0..self.lanes.len() {
            self.issue(now, lane, phase, out);
        }
    }

    fn issue(&mut self, now: Now, lane: usize, phase: Phase, out: &mut Out) {
        let (file, offset) = self.place(lane, phase);
        let file = self.files[file].clone();
        self.lanes[lane].asked = now.monotonic;
        let operation = match phase.access {
            Access::Write | Access::WriteFlushed => {
                let start = draw(&mut self.draws) as usize % NOISE_STARTS * BLOCK;
                let data = self.noise.slice(start..start + phase.bytes);
                let flush = if phase.access == Access::WriteFlushed { Flush::After } else { Flush::No };
                FileOperation::Write { file, offset, data, flush }
            }
            Access::Read | Access::ReadAnywhere => FileOperation::Read { file, offset, len: phase.bytes },
        };
        self.ask(lane, operation, out);
    }

    /// The file, and where in it, of a lane's next operation.
    fn place(&mut self, lane: usize, phase: Phase) -> (usize, u64) {
        let bytes = phase.bytes as u64;
        match phase.access {
            Access::WriteFlushed => {
                let cursor = &mut self.lanes[lane].cursor;
                let offset = *cursor;
                *cursor = (offset + bytes) % self.file_bytes;
                (lane, offset)
            }
            Access::Write | Access::Read => {
                let at = self.cursor;
                self.cursor = (at + bytes) % (self.file_bytes * self.files.len() as u64);
                ((at / self.file_bytes) as usize, at % self.file_bytes)
            }
            Access::ReadAnywhere => {
                let drawn = draw(&mut self.draws);
                let place = (drawn >> 16) % (self.file_bytes / bytes) * bytes;
                (drawn as usize % self.files.len(), place)
            }
        }
    }

    fn operation_done(&mut self, now: Now, lane: usize, out: &mut Out) {
        let Some(phase) = self.phases.front().copied() else { return };
        self.operations += 1;
        if self.samples.len() < SAMPLES_MAX {
            let taken = now.monotonic.since(self.lanes[lane].asked);
            self.samples.push(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX));
        }
        if now.monotonic.since(self.began) < phase.time && !self.is_stopping {
            return self.issue(now, lane, phase, out);
        }
        if self.under_way > 0 {
            return;
        }
        if phase.access != Access::Write {
            return self.phase_done(now, out);
        }
        self.stage = Stage::Flushing { waits_for: self.files.len() };
        for index in 0..self.files.len() {
            let file = self.files[index].clone();
            self.ask(index, FileOperation::Flush { file }, out);
        }
    }

    fn phase_done(&mut self, now: Now, out: &mut Out) {
        let Some(phase) = self.phases.pop_front() else { return };
        let measurement = Measurement {
            access: phase.access,
            bytes: phase.bytes,
            depth: phase.depth,
            operations: self.operations,
            elapsed: now.monotonic.since(self.began),
            latency: latency(&mut self.samples),
        };
        let _ = self.say.send(Word::Measured(measurement));
        self.begin_phase(now, out);
    }

    /// Answers a stop once nothing is under way.
    fn stop(&mut self, out: &mut Out) {
        if self.is_stopping && self.under_way == 0 {
            out.push(Operation::Stopped);
        }
    }
}

impl Shard for MeasuringShard {
    type Message = ();

    fn start(&mut self, _: Now, out: &mut Out) {
        for index in 0..self.paths.len() {
            let path = self.paths[index].clone();
            self.ask(index, FileOperation::Open { path, how: OpenHow::Direct }, out);
        }
    }

    fn complete(&mut self, now: Now, completion: Completion<()>, out: &mut Out) {
        match completion {
            Completion::File { token, result } => self.answered(now, token, result, out),
            Completion::Stop => self.is_stopping = true,
            _ => return,
        }
        self.stop(out);
    }

    fn end_of_turn(&mut self, _: Now, _: &mut Out) {}

    fn busy_with(&self) -> String {
        "a measurement of the disk".to_owned()
    }
}

/// The next of a row of numbers that repeat after a very long while (xorshift64).
fn draw(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Of samples in nanoseconds.
fn latency(samples: &mut [u64]) -> Latency {
    samples.sort_unstable();
    let at = |of_thousand: usize| {
        let rank = (samples.len() * of_thousand).div_ceil(1000).max(1);
        samples.get(rank - 1).map_or(Duration::ZERO, |nanos| Duration::from_nanos(*nanos))
    };
    Latency { p50: at(500), p99: at(990), p999: at(999), max: at(1000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_ranks() {
        let mut samples: Vec<u64> = (1..=1000).rev().collect();
        let found = latency(&mut samples);
        let expected = [500, 990, 999, 1000].map(Duration::from_nanos);
        assert_eq!([found.p50, found.p99, found.p999, found.max], expected);
        assert_eq!(latency(&mut [7]).p50, Duration::from_nanos(7));
        assert_eq!(latency(&mut []), Latency::default());
    }

    /// Runs the shard on files that answer at once, and fail from a given operation on.
    fn run(fails_at: Option<usize>) -> (Vec<Measurement>, Result<u64, &'static str>, usize) {
        #[derive(Debug)]
        struct Nothing;
        impl corelane_seam::FileObject for Nothing {
            fn as_any(&self) -> &dyn std::any::Any {
                self
            }
        }
        let (say, said) = mpsc::channel();
        let phases = super::super::plan::phases(Duration::from_millis(50), 2);
        let paths = vec![PathBuf::from("a"), PathBuf::from("b")];
        let limits = (2 * FILE_BYTES_MIN, Duration::from_secs(1));
        let mut shard = MeasuringShard::new(paths, limits, phases, say);
        let (mut now, mut out, mut count) = (Now::default(), Vec::new(), 0);
        shard.start(now, &mut out);
        let mut asked = VecDeque::from(std::mem::take(&mut out));
        while let Some(operation) = asked.pop_front() {
            let Operation::File { token, operation } = operation else { panic!("{operation:?}") };
            now.monotonic = now.monotonic + Duration::from_micros(100);
            count += 1;
            let fails = fails_at.is_some_and(|at| count >= at);
            let error = || io::Error::from(io::ErrorKind::StorageFull);
            let results = match operation {
                FileOperation::Open { .. } => {
                    vec![FileResult::Opened(Ok((FileHandle::new(Nothing), 0)))]
                }
                FileOperation::Write { .. } if fails => vec![FileResult::Written(Err(error()))],
                FileOperation::Write { offset, data, flush, .. } => {
                    assert!(data.is_aligned() && offset + data.len() as u64 <= 2 * FILE_BYTES_MIN);
                    let flushed = flush.is_wanted().then_some(FileResult::Flushed(Ok(())));
                    [FileResult::Written(Ok(()))].into_iter().chain(flushed).collect()
                }
                FileOperation::Flush { .. } => vec![FileResult::Flushed(Ok(()))],
                FileOperation::Read { offset, len, .. } => {
                    assert!(offset + len as u64 <= 2 * FILE_BYTES_MIN);
                    vec![FileResult::Read(Ok(Slice::copy_from(b"x")))]
                }
                FileOperation::Allocate { .. } => vec![FileResult::Done(Ok(()))],
                other => panic!("{other:?}"),
            };
            for result in results {
                shard.complete(now, Completion::File { token, result }, &mut out);
            }
            asked.extend(out.drain(..));
        }
        shard.complete(now, Completion::Stop, &mut out);
        assert!(matches!(out[..], [Operation::Stopped]), "{out:?}");
        let mut measurements = Vec::new();
        for word in said.try_iter() {
            match word {
                Word::Measured(measurement) => measurements.push(measurement),
                Word::Ended(result) => return (measurements, result.map_err(|(what, _)| what), count),
            }
        }
        panic!("no last word")
    }

    #[test]
    fn each_phase_lasts_its_time_and_one_operation_per_lane_more_at_most() {
        let (measurements, ended, _) = run(None);
        assert_eq!(ended, Ok(2 * FILE_BYTES_MIN));
        let phases = super::super::plan::phases(Duration::from_millis(50), 2);
        assert_eq!(measurements.len(), phases.len());
        for (measured, phase) in measurements.iter().zip(phases) {
            let flushes = if phase.access == Access::Write { 2 } else { 0 };
            let most = phase.time + Duration::from_micros(100) * (u32::from(phase.depth) + flushes);
            assert!(phase.time <= measured.elapsed && measured.elapsed <= most, "{measured:?}");
            // Operations are answered one after the other here, 100 µs apart.
            assert_eq!(measured.operations + u64::from(flushes), measured.elapsed.as_micros() as u64 / 100);
            assert_eq!(measured.latency.max, Duration::from_micros(100) * u32::from(phase.depth));
        }
    }

    #[test]
    fn a_disk_that_fails_ends_it_with_what_failed() {
        let (measurements, ended, count) = run(Some(10));
        assert_eq!(ended, Err("writing"));
        assert!(measurements.is_empty() && count < 20, "{count}");
    }
}
