//! Clients under load, as processes of their own. What they say, line by line, becomes the history.
//!
//! The scripts are `tests/clients/{go/load.go,java/Load.java,python/load.py}`; all keep this contract:
//!
//! - `produce ADDRESSES TOPIC PARTITIONS PRODUCER RATE [KEY=VALUE…]`: sends RATE records a second to the partitions in
//!   turn, idempotently and with acks=all, each with the value `PRODUCER:PARTITION:NUMBER:` and filler, until its standard
//!   input ends; then waits for what is under way. Prints `a PARTITION NUMBER OFFSET` for each that is acknowledged (an
//!   offset of -1: the client does not know it), `u
//!   PARTITION NUMBER WHY` for each that the client gives up, and at the end `s PARTITION COUNT` for each partition.
//! - `read ADDRESSES TOPIC PARTITIONS [KEY=VALUE…]`: reads all partitions from offset 0 until its standard input ends, and
//!   prints `r PARTITION OFFSET LENGTH VALUE` for each record, the value without its filler. An offset that is not there
//!   ends it with an error.
//! - `group ADDRESSES TOPIC GROUP [KEY=VALUE…]`: reads as the only member of a group, and commits after each poll that
//!   brought anything; prints `r …` likewise, and `c PARTITION NEXT` for each partition that is committed.
//!
//! An error that the client does not retry by itself ends it with that error on its standard error. franz-go takes no
//! settings.

use super::history::{Event, History, Value};
use crate::stack::Stack;
use anyhow::{Context, bail, ensure};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    process::{Child, ChildStdin, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Longest that a client may take to end after it was asked: its own patience with requests is two minutes.
const END_PATIENCE: Duration = Duration::from_secs(150);

/// What producers and readers share.
#[derive(Debug, Default)]
struct Seen {
    history: History,
    /// By producer and partition: records acknowledged, and the end of what is.
    acknowledged: BTreeMap<(u32, i32), (u64, i64)>,
    /// By reader and partition: the next offset.
    read: BTreeMap<(u32, i32), i64>,
    /// Readers that are in a group.
    members: BTreeSet<u32>,
    /// By member and partition: what it has committed.
    committed: BTreeMap<(u32, i32), i64>,
    /// What clients said that is no part of the contract, errors that they do not retry.
    complaints: Vec<String>,
}

/// All clients of a run, and what they saw.
#[derive(Debug)]
pub struct Load {
    addresses: String,
    topic: String,
    partitions: i32,
    begun: Instant,
    seen: Arc<Mutex<Seen>>,
    producers: Vec<Process>,
    readers: Vec<Process>,
}

#[derive(Debug)]
struct Process {
    number: u32,
    name: String,
    /// The stack and the group of one that is in a group.
    member: Option<(Stack, String)>,
    child: Child,
    stdin: Option<ChildStdin>,
    listeners: Vec<JoinHandle<()>>,
}

impl Load {
    /// On a topic that exists; nobody yet.
    pub fn new(addresses: String, topic: &str, partitions: i32) -> Load {
        Load {
            addresses,
            topic: topic.to_owned(),
            partitions,
            begun: Instant::now(),
            seen: Arc::default(),
            producers: Vec::new(),
            readers: Vec::new(),
        }
    }

    /// Starts a producer of so many records a second.
    ///
    /// # Errors
    /// When the client cannot be started.
    pub fn add_producer(
        &mut self,
        stack: Stack,
        rate: u32,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<u32> {
        let number = u32::try_from(self.producers.len())?;
        let arguments = [self.partitions.to_string(), number.to_string(), rate.to_string()];
        let process = self.start(stack, "produce", number, &arguments, settings)?;
        self.producers.push(process);
        Ok(number)
    }

    /// Starts a reader; its number.
    ///
    /// # Errors
    /// When the client cannot be started.
    pub fn add_reader(&mut self, stack: Stack, settings: &[(&str, &str)]) -> anyhow::Result<u32> {
        let number = u32::try_from(self.readers.len())?;
        let process = self.start(stack, "read", number, &[self.partitions.to_string()], settings)?;
        self.readers.push(process);
        Ok(number)
    }

    /// Starts the only member of a group; its number is that of a reader.
    ///
    /// # Errors
    /// When the client cannot be started.
    pub fn add_member(&mut self, stack: Stack, group: &str) -> anyhow::Result<u32> {
        let number = u32::try_from(self.readers.len())?;
        self.seen().members.insert(number);
        let mut process = self.start(stack, "group", number, &[group.to_owned()], &[])?;
        process.member = Some((stack, group.to_owned()));
        self.readers.push(process);
        Ok(number)
    }

    /// Members leave, and others of the same groups take their places and numbers.
    ///
    /// # Errors
    /// When one does not end well, or cannot be started.
    pub fn replace_members(&mut self) -> anyhow::Result<()> {
        let (mut members, others): (Vec<Process>, Vec<Process>) =
            self.readers.drain(..).partition(|reader| reader.member.is_some());
        self.readers = others;
        let of = |process: &Process| process.member.clone().map(|member| (process.number, member));
        let wanted: Vec<_> = members.iter().filter_map(of).collect();
        end(&mut members, &self.seen)?;
        for (number, (stack, group)) in wanted {
            let mut process = self.start(stack, "group", number, std::slice::from_ref(&group), &[])?;
            process.member = Some((stack, group));
            self.readers.push(process);
        }
        Ok(())
    }

    fn start(
        &self,
        stack: Stack,
        what: &str,
        number: u32,
        arguments: &[String],
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        let mut command = stack.load_script()?;
        command.args([what, &self.addresses, &self.topic]).args(arguments);
        command.args(settings.iter().map(|(key, value)| format!("{key}={value}")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let name = format!("{stack:?} {what} {number}");
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let listen = |pipe: Box<dyn std::io::Read + Send>, is_contract: bool| {
            let (seen, begun, name) = (Arc::clone(&self.seen), self.begun, name.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let mut seen = lock(&seen);
                    if !is_contract {
                        seen.complaints.push(format!("{name}: {line}"));
                    } else if let Err(error) = seen.take(number, &line, begun.elapsed()) {
                        seen.complaints.push(format!("{name}: {line}: {error:#}"));
                    }
                }
            })
        };
        let listeners = vec![
            listen(Box::new(child.stdout.take().context("piped")?), true),
            listen(Box::new(child.stderr.take().context("piped")?), false),
        ];
        Ok(Process { number, name, member: None, stdin: child.stdin.take(), child, listeners })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        lock(&self.seen)
    }

    /// By producer and partition, records acknowledged so far; a partition that no one has written to is not in it.
    pub fn acknowledged(&self) -> BTreeMap<(u32, i32), u64> {
        self.seen().acknowledged.iter().map(|(key, (count, _))| (*key, *count)).collect()
    }

    /// Each producer and partition for which nothing was acknowledged since `before`.
    pub fn silent_since(&self, before: &BTreeMap<(u32, i32), u64>) -> Vec<(u32, i32)> {
        let now = self.acknowledged();
        let flows =
            self.producers.iter().flat_map(|it| (0..self.partitions).map(|partition| (it.number, partition)));
        flows.filter(|flow| now.get(flow) <= before.get(flow)).collect()
    }

    /// Whether these readers have read everything that is acknowledged now.
    pub fn have_caught_up(&self, readers: &[u32]) -> bool {
        let seen = self.seen();
        seen.acknowledged.iter().all(|((_, partition), (_, end))| {
            readers.iter().all(|reader| seen.read.get(&(*reader, *partition)).is_some_and(|next| next >= end))
        })
    }

    /// Records that a reader has read so far.
    pub fn read_by(&self, reader: u32) -> usize {
        let is_its = |event: &&Event| matches!(event, Event::Read { reader: by, .. } if *by == reader);
        self.seen().history.events().iter().filter(is_its).count()
    }

    /// All readers that were started.
    pub fn readers(&self) -> Vec<u32> {
        self.readers.iter().map(|reader| reader.number).collect()
    }

    /// Since it began; the time of events.
    pub fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What is known so far.
    pub fn history(&self) -> History {
        self.seen().history.clone()
    }

    /// Every client runs, and none had an error that it does not retry by itself.
    ///
    /// # Errors
    /// With what they said.
    pub fn ensure_well(&mut self) -> anyhow::Result<()> {
        for process in self.producers.iter_mut().chain(&mut self.readers) {
            if let Some(status) = process.child.try_wait()? {
                bail!("{} ended with {status}: {}", process.name, lock(&self.seen).complaints.join("\n"));
            }
        }
        let seen = self.seen();
        ensure!(seen.complaints.is_empty(), "clients complain:\n{}", seen.complaints.join("\n"));
        Ok(())
    }

    /// Producers end: what they have sent is acknowledged, or they gave it up.
    ///
    /// # Errors
    /// When one does not end well.
    pub fn end_producers(&mut self) -> anyhow::Result<()> {
        end(&mut self.producers, &self.seen)
    }

    /// Readers end.
    ///
    /// # Errors
    /// When one does not end well.
    pub fn end_readers(&mut self) -> anyhow::Result<()> {
        end(&mut self.readers, &self.seen)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(processes: &mut Vec<Process>, seen: &Mutex<Seen>) -> anyhow::Result<()> {
    processes.iter_mut().for_each(|process| drop(process.stdin.take()));
    for mut process in processes.drain(..) {
        let deadline = Instant::now() + END_PATIENCE;
        let status = loop {
            if let Some(status) = process.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "{} does not end within {END_PATIENCE:?}", process.name);
            std::thread::sleep(Duration::from_millis(20));
        };
        process.listeners.drain(..).for_each(|listener| drop(listener.join()));
        let seen = lock(seen);
        ensure!(status.success(), "{} ended with {status}:\n{}", process.name, seen.complaints.join("\n"));
        ensure!(seen.complaints.is_empty(), "clients complain:\n{}", seen.complaints.join("\n"));
    }
    Ok(())
}

impl Drop for Process {
    fn drop(&mut self) {
        // Without effect when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Seen {
    /// One line of a client: `number` is the producer's or the reader's.
    fn take(&mut self, number: u32, line: &str, at: Duration) -> anyhow::Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["a", partition, record, offset] => {
                let value =
                    Value { producer: number, partition: partition.parse()?, number: record.parse()? };
                let offset = Some(offset.parse::<i64>()?).filter(|offset| *offset >= 0);
                let (count, end) = self.acknowledged.entry((number, value.partition)).or_insert((0, 0));
                *count += 1;
                *end = offset.map_or(*end, |offset| (*end).max(offset + 1));
                self.history.add(Event::Acknowledged { value, offset, at });
            }
            ["u", partition, record, ..] => {
                let value =
                    Value { producer: number, partition: partition.parse()?, number: record.parse()? };
                self.history.add(Event::Unknown { value });
                self.complaints.push(line.to_owned());
            }
            ["s", partition, count] => self.history.ended(number, partition.parse()?, count.parse()?),
            ["r", partition, offset, length, text] => {
                let (partition, offset): (i32, i64) = (partition.parse()?, offset.parse()?);
                self.read(number, partition, offset, value(text, length.parse()?)?)?;
            }
            ["c", partition, next] => {
                self.committed.insert((number, partition.parse()?), next.parse()?);
            }
            _ => bail!("not in the contract"),
        }
        Ok(())
    }
}

impl Seen {
    /// A member of a group may read again what it had not committed, and nothing else: that is no new event.
    fn read(&mut self, reader: u32, partition: i32, offset: i64, value: Value) -> anyhow::Result<()> {
        let next = self.read.entry((reader, partition)).or_default();
        if offset < *next && self.members.contains(&reader) {
            let committed = self.committed.get(&(reader, partition)).copied().unwrap_or(0);
            ensure!(offset >= committed, "{committed} is committed, and offset {offset} is read again");
            return Ok(());
        }
        *next = offset + 1;
        self.history.add(Event::Read { reader, partition, offset, value });
        Ok(())
    }
}

/// The identity in a value whose length, with filler, is as its number demands.
pub(super) fn value(text: &str, length: u64) -> anyhow::Result<Value> {
    let mut parts = text.split(':');
    let mut part = || parts.next().context("a part of the value is missing");
    let value = Value { producer: part()?.parse()?, partition: part()?.parse()?, number: part()?.parse()? };
    let filler = filler(value.number);
    ensure!(length == (text.len() + filler) as u64, "{length} bytes, of which {filler} should be filler");
    Ok(value)
}

/// Bytes of filler in the value of such a record.
pub(super) fn filler(number: u64) -> usize {
    usize::try_from(number * 7919 % 1000).expect("less than 1000")
}

#[cfg(test)]
mod tests {
    use super::{super::history::Anomaly, *};

    #[test]
    fn a_member_may_read_again_what_it_had_not_committed_and_a_reader_nothing() {
        let mut seen = Seen { members: BTreeSet::from([1]), ..Seen::default() };
        let lines = ["r 0 0 6 9:0:0:", "r 0 0 6 9:0:0:", "c 0 1", "r 0 1 925 9:0:1:", "r 0 1 925 9:0:1:"];
        for line in lines {
            seen.take(1, line, Duration::ZERO).unwrap_or_else(|error| panic!("{line}: {error:#}"));
        }
        assert_eq!(seen.history.events().len(), 2, "each once");
        assert!(seen.take(1, "r 0 0 6 9:0:0:", Duration::ZERO).is_err(), "it is committed");
        for line in ["r 0 0 6 9:0:0:", "r 0 0 6 9:0:0:"] {
            seen.take(2, line, Duration::ZERO).expect("it is in the contract");
        }
        assert!(seen.history.anomalies(&[]).contains(&Anomaly::Jumped(2, 0, 1, 0)));
    }

    #[test]
    fn lines_of_the_contract_become_history_and_others_complaints() {
        let mut seen = Seen::default();
        for line in ["a 2 0 5", "a 2 1 -1", "s 2 2", "r 2 0 6 9:2:0:"] {
            seen.take(9, line, Duration::ZERO).unwrap_or_else(|error| panic!("{line}: {error:#}"));
        }
        let value = Value { producer: 9, partition: 2, number: 0 };
        assert_eq!(seen.acknowledged[&(9, 2)], (2, 6));
        assert_eq!(seen.read[&(9, 2)], 1);
        assert!(seen.history.events().contains(&Event::Read { reader: 9, partition: 2, offset: 0, value }));
        for line in ["r 2 1 7 9:2:0:", "r 2 1 6 9:2", "a 2", "anything"] {
            assert!(seen.take(9, line, Duration::ZERO).is_err(), "{line}");
        }
        assert!(seen.complaints.is_empty());
        seen.take(9, "u 2 3 timed out", Duration::ZERO).expect("it is in the contract");
        assert_eq!((seen.history.unknown(), seen.complaints.len()), (1, 1));
    }
}
