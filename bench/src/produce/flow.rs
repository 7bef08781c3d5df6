//! What one producer sends and when, and what an acknowledgement means for the latency of each record. No socket,
//! no clock.
//!
//! Records are not made when they arrive but when they are sent: what waits is a number, so that a stalled broker
//! costs no memory, and no arrival is missed.

use crate::{clock::Timeline, latency::Latencies, schedule::Schedule};

/// How a producer spreads records without key over partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Spread {
    /// A partition gets a whole batch, then it is the next one's turn (KIP-480, as Kafka's clients do).
    Sticky,
    /// Each record goes to the next partition: small batches, many of them.
    RoundRobin,
}

/// The bounds of one producer.
#[derive(Clone, Copy, Debug)]
pub struct FlowLimits {
    /// Partitions it produces to.
    pub partitions: usize,
    /// Records that fill a batch.
    pub batch_records: u64,
    /// Records in one request at most.
    pub request_records: u64,
    /// How long a record may wait for its batch to fill.
    pub linger_ns: u64,
    /// Requests without an answer at most.
    pub requests_in_flight: usize,
    /// How records are spread.
    pub spread: Spread,
}

/// A batch to be: `count` records, of which the first has number `first` and each further one `step` more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Which of the producer's partitions.
    pub partition: usize,
    /// Number of the first record.
    pub first: u64,
    /// Distance of the numbers.
    pub step: u64,
    /// Records.
    pub count: u64,
    /// When it was handed over: where its latency begins in a closed loop.
    pub sent_ns: u64,
}

/// One producer's arrivals on their way into requests.
#[derive(Debug)]
pub struct Flow {
    schedule: Schedule,
    limits: FlowLimits,
    next: u64,
    sticky: usize,
    in_flight: usize,
}

impl Flow {
    /// A producer that begins with its partition number `first_partition`.
    pub fn new(schedule: Schedule, limits: FlowLimits, first_partition: usize) -> Flow {
        Flow { schedule, limits, next: 0, sticky: first_partition % limits.partitions, in_flight: 0 }
    }

    /// The batches of the next request, at most one of each partition; empty if none is to be sent at `now_ns`.
    pub fn next_request(&mut self, now_ns: u64, runs: &mut Vec<Run>) {
        runs.clear();
        if self.in_flight == self.limits.requests_in_flight {
            return;
        }
        let available = self.available(now_ns);
        if available == 0 || now_ns < self.ready_at(now_ns) {
            return;
        }
        match self.limits.spread {
            Spread::Sticky => self.take_sticky(now_ns, available, runs),
            Spread::RoundRobin => self.take_round_robin(now_ns, available, runs),
        }
        self.in_flight += 1;
    }

    fn take_sticky(&mut self, now_ns: u64, available: u64, runs: &mut Vec<Run>) {
        let mut left = available.min(self.limits.request_records);
        while left > 0 && runs.len() < self.limits.partitions {
            let count = left.min(self.limits.batch_records);
            let partial = count < self.limits.batch_records;
            if !runs.is_empty() && partial && now_ns < self.ready_at(now_ns) {
                break;
            }
            runs.push(Run { partition: self.sticky, first: self.next, step: 1, count, sent_ns: now_ns });
            self.sticky = (self.sticky + 1) % self.limits.partitions;
            self.next += count;
            left -= count;
        }
    }

    fn take_round_robin(&mut self, now_ns: u64, available: u64, runs: &mut Vec<Run>) {
        let partitions = self.limits.partitions as u64;
        let full = self.limits.batch_records.saturating_mul(partitions);
        let taken = available.min(full).min(self.limits.request_records);
        for lane in 0..partitions.min(taken) {
            runs.push(Run {
                partition: self.sticky,
                first: self.next + lane,
                step: partitions,
                count: (taken - lane).div_ceil(partitions),
                sent_ns: now_ns,
            });
            self.sticky = (self.sticky + 1) % self.limits.partitions;
        }
        // The partition after the last record's is next, also when the last lanes are shorter by one.
        let shift = usize::try_from(taken % partitions).expect("less than the partitions");
        if taken > partitions {
            self.sticky = (self.sticky + shift) % self.limits.partitions;
        }
        self.next += taken;
    }

    /// A request was answered (or, with acks=0, written): there is room for another.
    ///
    /// # Panics
    /// When nothing was in flight.
    pub fn answered(&mut self) {
        self.in_flight = self.in_flight.checked_sub(1).expect("an answer to a request in flight");
    }

    /// The run's parts.
    pub fn timeline(&self) -> Timeline {
        self.schedule.timeline()
    }

    /// When [`next_request`](Self::next_request) has something to send, if no answer comes before: possibly at once.
    /// None if only an answer can change that, or nothing will arrive any more.
    pub fn wake_at(&self, now_ns: u64) -> Option<u64> {
        let timeline = self.schedule.timeline();
        let over = self.next >= self.schedule.total()
            || (!self.schedule.is_open_loop() && now_ns >= timeline.end_ns);
        if over || self.in_flight == self.limits.requests_in_flight {
            None
        } else {
            Some(self.ready_at(now_ns))
        }
    }

    /// Whether everything that was to arrive is sent and answered.
    pub fn is_done(&self, now_ns: u64) -> bool {
        let all_sent = match self.schedule.is_open_loop() {
            true => self.next >= self.schedule.total(),
            false => now_ns >= self.schedule.timeline().end_ns,
        };
        all_sent && self.in_flight == 0
    }

    /// Records that have arrived by `now_ns` and are not sent.
    pub fn available(&self, now_ns: u64) -> u64 {
        match self.schedule.is_open_loop() {
            true => self.schedule.arrived(now_ns) - self.next.min(self.schedule.arrived(now_ns)),
            false
                if self.schedule.timeline().end_ns <= now_ns
                    || now_ns < self.schedule.timeline().start_ns =>
            {
                0
            }
            false => u64::MAX,
        }
    }

    /// When the oldest unsent record may go: its batch is full, or it has lingered, or nothing more will come.
    fn ready_at(&self, now_ns: u64) -> u64 {
        if !self.schedule.is_open_loop() {
            return now_ns.max(self.schedule.timeline().start_ns);
        }
        let width = match self.limits.spread {
            Spread::Sticky => 1,
            Spread::RoundRobin => self.limits.partitions as u64,
        };
        let fills = self.limits.batch_records.saturating_mul(width).min(self.limits.request_records);
        let lingered = self.schedule.at(self.next).saturating_add(self.limits.linger_ns);
        let last_to_come = self.schedule.total().saturating_sub(1);
        let filled = self.schedule.at((self.next + fills - 1).min(last_to_come));
        lingered.min(filled)
    }

    /// What the acknowledgement of `run` at `now_ns` says: each of its records waited since its own scheduled
    /// arrival, however long it was kept back. Returns how many of them count as measured.
    pub fn charge(&self, run: &Run, now_ns: u64, latencies: &mut Latencies) -> u64 {
        let timeline = self.schedule.timeline();
        if !self.schedule.is_open_loop() {
            let measured = if timeline.measures(run.sent_ns) { run.count } else { 0 };
            latencies.record_many(run.sent_ns, now_ns, measured);
            return measured;
        }
        // Arrivals are evenly spaced: between the two ends, a straight line is exact to a nanosecond.
        let begin = self.schedule.at(run.first);
        let span = self.schedule.at(run.first + (run.count - 1) * run.step) - begin;
        let gaps = u128::from((run.count - 1).max(1));
        let mut measured = 0;
        for place in 0..run.count {
            let offset = u64::try_from(u128::from(span) * u128::from(place) / gaps).expect("below the span");
            if begin + offset >= timeline.measure_ns {
                latencies.record(begin + offset, now_ns);
                measured += 1;
            }
        }
        measured
    }

    /// Charges what arrived and was never sent as if it were acknowledged at `now_ns`, when the run gives up: the
    /// least that can be said of its latency. Returns how many records these are.
    pub fn charge_unsent(&mut self, now_ns: u64, latencies: &mut Latencies) -> u64 {
        if !self.schedule.is_open_loop() {
            return 0;
        }
        let count = self.available(now_ns);
        if count > 0 {
            let run = Run { partition: 0, first: self.next, step: 1, count, sent_ns: now_ns };
            self.charge(&run, now_ns, latencies);
            self.next += count;
        }
        count
    }

    /// The scheduled arrival of a record of a run: what an end-to-end measurement carries in the record.
    pub fn scheduled_ns(&self, run: &Run, place: u64) -> u64 {
        if self.schedule.is_open_loop() {
            self.schedule.at(run.first + place * run.step)
        } else {
            run.sent_ns
        }
    }
}

#[cfg(test)]
mod tests;
