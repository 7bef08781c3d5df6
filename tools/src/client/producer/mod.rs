//! A producer: records are collected into batches per partition, which a thread of its own sends, idempotently by default.

mod batch;
mod config;
mod partitioner;
mod sender;
mod state;

pub use batch::{Acknowledged, Done};
pub use config::ProducerConfig;

use super::{
    Properties,
    error::{ClientError, Result},
};
use batch::Batch;
use corelane_core::records::NewRecord;
use sender::Sender;
use state::{Shared, State};
use std::{
    io::Write,
    os::unix::net::UnixStream,
    sync::{Arc, MutexGuard},
    thread::{self, JoinHandle},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// What a record needs beside its key and value, and whose sum is at most this: bounds the estimate of its size.
const RECORD_OVERHEAD_BYTES: usize = 21;

/// A record to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProducerRecord<'a> {
    /// Decides over the partition where it is there.
    pub key: Option<&'a [u8]>,
    /// `None`: a tombstone.
    pub value: Option<&'a [u8]>,
    /// In their order.
    pub headers: &'a [(&'a [u8], Option<&'a [u8]>)],
}

/// A producer. Dropped without [`Producer::close`] it forgets what was not sent.
pub struct Producer {
    shared: Arc<Shared>,
    config: ProducerConfig,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Producer {
    /// Reads the settings and starts the thread; connects when there is something to send.
    ///
    /// # Errors
    /// [`ClientError::Config`].
    pub fn new(properties: &Properties) -> Result<Producer> {
        let config = ProducerConfig::read(properties)?;
        let failed =
            |error: std::io::Error| ClientError::Config(format!("the producer cannot start: {error}"));
        let (wake, woken) = UnixStream::pair().map_err(failed)?;
        for end in [&wake, &woken] {
            end.set_nonblocking(true).map_err(failed)?;
        }
        let shared = Arc::new(Shared::default());
        let sender = Sender::new(Arc::clone(&shared), config.clone(), woken);
        let thread =
            thread::Builder::new().name("producer".into()).spawn(move || sender.run()).map_err(failed)?;
        Ok(Producer { shared, config, wake, thread: Some(thread) })
    }

    /// Takes a record; blocks at most `max.block.ms`, for the topic's partitions to be known and for room. `done` is called
    /// once, from here or from the sender's thread.
    pub fn send(&self, topic: &str, record: ProducerRecord<'_>, done: Done) {
        let bytes = RECORD_OVERHEAD_BYTES + size(&record);
        if bytes > self.config.max_request_bytes {
            let most = self.config.max_request_bytes;
            return done(Err(ClientError::of(
                10,
                Some(&format!(
                    "The message is {bytes} bytes when serialized which is larger than {most}, which is the value of the \
                     max.request.size configuration."
                )),
            )
            .unwrap_or(ClientError::Interrupted)));
        }
        let deadline = Instant::now() + self.config.max_block;
        let room = self.wait_for(topic, bytes, deadline);
        let mut state = match room {
            Ok(state) => state,
            Err(error) => return done(Err(error)),
        };
        self.append(&mut state, topic, record, bytes, done);
        drop(state);
    }

    /// Waits until the topic's partitions are known and `bytes` more may be buffered.
    fn wait_for(&self, topic: &str, bytes: usize, deadline: Instant) -> Result<MutexGuard<'_, State>> {
        let mut state = self.shared.lock();
        let millis = self.config.max_block.as_millis();
        loop {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            let is_known = state.topic(topic).is_known();
            if is_known && (state.buffered == 0 || state.buffered + bytes <= self.config.buffer_bytes) {
                return Ok(state);
            }
            state.is_full = is_known;
            if let Some(error) = state.topic(topic).failed.take() {
                return Err(error);
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(ClientError::TimedOut(if is_known {
                    format!(
                        "Failed to allocate {bytes} bytes within the configured max blocking time {millis} ms."
                    )
                } else {
                    format!("Topic {topic} not present in metadata after {millis} ms.")
                }));
            }
            self.wake_sender();
            state = self.shared.wait(state, deadline - now);
        }
    }

    fn append(&self, state: &mut State, topic: &str, record: ProducerRecord<'_>, bytes: usize, done: Done) {
        let partition = state.topic(topic).choose(record.key, bytes, self.config.batch_bytes);
        let queue = &mut state.topic(topic).queues[partition];
        let was_idle = queue.waiting.is_empty();
        let fits = queue.waiting.back().is_some_and(|batch| batch.has_room(bytes, self.config.batch_bytes));
        if !fits {
            queue.waiting.push_back(Batch::new(self.config.codec));
        }
        let is_ready = queue.waiting.len() > 1;
        if let Some(batch) = queue.waiting.back_mut() {
            let record = NewRecord {
                timestamp_ms: now_ms(),
                key: record.key,
                value: record.value,
                headers: record.headers,
            };
            batch.push(record, bytes, done);
        }
        state.buffered += bytes;
        // The sender sleeps until a batch is full or its time is over: it needs to know of a first record and a full batch.
        if was_idle || is_ready && !fits {
            self.wake_sender();
        }
    }

    /// Waits until everything so far is acknowledged or has failed.
    pub fn flush(&self) {
        let mut state = self.shared.lock();
        state.flushing += 1;
        while !state.is_idle() && state.failed.is_none() {
            self.wake_sender();
            state = self.shared.wait(state, self.config.client.request_timeout);
        }
        state.flushing -= 1;
    }

    /// Sends what is left and ends.
    pub fn close(mut self) {
        self.flush();
        self.stop();
    }

    fn stop(&mut self) {
        self.shared.lock().closing = true;
        self.wake_sender();
        if let Some(thread) = self.thread.take() {
            // A panic of the sender has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }

    fn wake_sender(&self) {
        // A full pipe wakes as well.
        let _ = (&self.wake).write(&[0]);
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn size(record: &ProducerRecord<'_>) -> usize {
    let length = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
    let headers = record.headers.iter().map(|(key, value)| 10 + key.len() + length(*value));
    length(record.key) + length(record.value) + headers.sum::<usize>()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
