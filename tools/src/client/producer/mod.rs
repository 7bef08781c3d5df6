//! A producer: records are collected into batches per partition, which a thread of its own sends, idempotently by default,
//! or in transactions.

mod batch;
mod config;
mod partitioner;
mod sender;
mod state;
mod transaction;

pub use batch::{Acknowledged, Done};
pub use config::ProducerConfig;

use super::{
    ClientConfig, Properties, TopicPartition,
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
use transaction::Transactions;

/// What a record needs beside its key and value, and whose sum is at most this: bounds the estimate of its size.
const RECORD_OVERHEAD_BYTES: usize = 21;

/// What a batch has besides its records.
const BATCH_OVERHEAD_BYTES: usize = 61;

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

/// A producer. Dropped without [`Producer::close`] it forgets what was not sent. An open transaction is aborted either way.
pub struct Producer {
    shared: Arc<Shared>,
    config: ProducerConfig,
    /// With `transactional.id`.
    transactions: Option<Transactions>,
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
        let transactions = Transactions::new(&config);
        Ok(Producer { shared, config, transactions, wake, thread: Some(thread) })
    }

    /// The settings that every client has.
    pub fn client(&self) -> &ClientConfig {
        &self.config.client
    }

    /// Makes the producer of a transactional id the only one of that id. Comes before everything else.
    ///
    /// # Errors
    /// Those of the coordinator; [`ClientError::TimedOut`] after `max.block.ms`; [`ClientError::Fatal`] without an id.
    pub fn init_transactions(&mut self) -> Result<()> {
        let transactions = transactions(&mut self.transactions)?;
        let identity = transactions.init()?;
        let mut state = self.shared.lock();
        state.identify(identity);
        state.adds_partitions = transactions.is_second();
        Ok(())
    }

    /// From here on what is sent is in one transaction, until [`Producer::commit_transaction`].
    ///
    /// # Errors
    /// What has failed before.
    pub fn begin_transaction(&mut self) -> Result<()> {
        self.check_transactions()?;
        transactions(&mut self.transactions)?.begin();
        Ok(())
    }

    /// Waits until everything is acknowledged, and makes it visible all at once.
    ///
    /// # Errors
    /// What has failed before, or does now: then nothing was committed, unless it is [`ClientError::TimedOut`].
    pub fn commit_transaction(&mut self) -> Result<()> {
        self.check_transactions()?;
        self.flush();
        if let Some(error) = self.shared.lock().failed.clone() {
            return Err(error);
        }
        let transactions = transactions(&mut self.transactions)?;
        let before = transactions.identity();
        let ended = transactions.commit();
        let mut state = self.shared.lock();
        match ended {
            Ok(identity) => {
                if let Some(identity) = identity.filter(|identity| Some(*identity) != before) {
                    state.identify(identity);
                }
                state.adds_partitions = transactions.is_second();
                Ok(())
            }
            Err(error) => {
                state.failed.get_or_insert_with(|| error.clone());
                Err(error)
            }
        }
    }

    /// Whether the transactions can go on: not behind anything that was lost.
    ///
    /// # Errors
    /// In Kafka's words for it, which do not say what was lost: whoever sent that was told.
    pub fn check_transactions(&self) -> Result<()> {
        let state = self.shared.lock();
        let Some(error) = &state.failed else { return Ok(()) };
        let id = self.config.transactional_id.as_deref().unwrap_or_default();
        let identity = state.identity.map(|identity| identity.to_string()).unwrap_or_default();
        Err(ClientError::Fatal(match error {
            ClientError::Broker { code: 90, .. } => format!(
                "Producer with transactionalId '{id}' and {identity} has been fenced by another producer with the same \
                 transactionalId"
            ),
            ClientError::Broker { code: 47, .. } => {
                format!(
                    "Producer with transactionalId '{id}' and {identity} attempted to produce with an old epoch"
                )
            }
            _ => "Cannot execute transactional method because we are in an error state".into(),
        }))
    }

    /// Takes a record; blocks at most `max.block.ms`, for the topic's partitions to be known and for room. `done` is called
    /// once, from here or from the sender's thread, unless this returns an error.
    ///
    /// # Errors
    /// Of a transactional producer, where it is in no transaction, or in one that cannot be committed any more.
    pub fn send(&mut self, topic: &str, record: ProducerRecord<'_>, done: Done) -> Result<()> {
        if self.transactions.is_some() {
            self.check_transactions()?;
        }
        let bytes = RECORD_OVERHEAD_BYTES + size(&record);
        let alone = BATCH_OVERHEAD_BYTES + bytes;
        if alone > self.config.max_request_bytes {
            let most = self.config.max_request_bytes;
            let told = format!(
                "The message is {alone} bytes when serialized which is larger than {most}, which is the value of the \
                 max.request.size configuration."
            );
            self.refuse(done, ClientError::Broker { code: 10, message: Some(told) });
            return Ok(());
        }
        let deadline = Instant::now() + self.config.max_block;
        let mut state = match self.wait_for(topic, bytes, deadline) {
            Ok(state) => state,
            Err(error) => {
                self.refuse(done, error);
                return Ok(());
            }
        };
        let partition = state.topic(topic).choose(record.key, bytes, self.config.batch_bytes);
        if self.transactions.is_some() {
            drop(state);
            let place = TopicPartition::new(topic, i32::try_from(partition).unwrap_or(i32::MAX));
            let transactions = transactions(&mut self.transactions)?;
            transactions.check_open(&place)?;
            let added = transactions.add(place);
            state = self.shared.lock();
            if let Some(error) = added.err().or_else(|| state.failed.clone()) {
                drop(state);
                self.refuse(done, error);
                return Ok(());
            }
        }
        self.append(&mut state, topic, partition, record, bytes, done);
        Ok(())
    }

    /// A transaction that misses a record must not be committed.
    fn refuse(&self, done: Done, error: ClientError) {
        if self.transactions.is_some() {
            self.shared.lock().failed.get_or_insert_with(|| error.clone());
            self.wake_sender();
        }
        done(Err(error));
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

    fn append(
        &self,
        state: &mut State,
        topic: &str,
        partition: usize,
        record: ProducerRecord<'_>,
        bytes: usize,
        done: Done,
    ) {
        let queue = &mut state.topic(topic).queues[partition];
        let was_idle = queue.waiting.is_empty();
        let fits = queue.waiting.back().is_some_and(|batch| batch.has_room(bytes, self.config.batch_bytes));
        if !fits {
            queue.waiting.push_back(Batch::new(self.config.codec, self.transactions.is_some()));
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
        if let Some(transactions) = &mut self.transactions {
            transactions.abort();
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

fn transactions(transactions: &mut Option<Transactions>) -> Result<&mut Transactions> {
    transactions.as_mut().ok_or_else(|| {
        ClientError::Fatal(
            "Cannot use transactional methods without enabling transactions by setting the transactional.id \
             configuration property"
                .into(),
        )
    })
}

fn size(record: &ProducerRecord<'_>) -> usize {
    let field = |field: Option<&[u8]>| field.map_or(1, |field| varint_bytes(field.len()) + field.len());
    let headers = record.headers.iter().map(|(key, value)| field(Some(key)) + field(*value));
    field(record.key) + field(record.value) + varint_bytes(record.headers.len()) + headers.sum::<usize>()
}

/// Of a number with a sign, seven bits to a byte.
fn varint_bytes(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros() + 1;
    bits.div_ceil(7) as usize
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_large_as_its_fields_and_their_lengths() {
        assert_eq!([0, 63, 64, 8191, 8192, 1_048_576].map(varint_bytes), [1, 1, 2, 2, 3, 4]);
        assert_eq!(size(&ProducerRecord::default()), 3);
        let record = ProducerRecord { key: Some(b"k"), value: Some(&[0; 64]), headers: &[(b"h", None)] };
        assert_eq!(size(&record), 2 + 66 + 1 + 3);
    }
}
