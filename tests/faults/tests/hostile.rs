//! Hostile peers, while a well-behaved client measures whether it is still served.

use corelane_fault_tests::{
    Broker, BrokerOptions, Client,
    hostile::{self, Service},
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// The longest that a well-behaved client may wait: generous, for a machine with two slow cores and other work, and far
/// below what a broker would show that serves one peer after another.
const LATENCY_MAX: Duration = Duration::from_secs(5);

/// Memory that all of an attack's connections together may cost.
const MEMORY_MAX: u64 = 192 << 20;

/// One attack at a time: they measure.
static ALONE: Mutex<()> = Mutex::new(());

struct Site {
    broker: Broker,
    memory: u64,
    _directory: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// A broker with a topic of two partitions: one for the well-behaved client, one with `filled` bytes.
fn site(filled: usize) -> Site {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().expect("a directory");
    let broker = Broker::start(&BrokerOptions::new(directory.path(), 2)).expect("it starts");
    let mut client = Client::connect(broker.address()).expect("it listens");
    client.create_topics(&["t"], 2, &[]).expect("a topic");
    client.await_topic("t", 2, Duration::from_secs(10)).expect("its leaders");
    hostile::fill(broker.address(), "t", 1, filled).expect("filled");
    let memory = broker.memory_bytes().expect("it runs");
    Site { broker, memory, _directory: directory, _alone: alone }
}

impl Site {
    fn attack(&mut self, attack: impl FnOnce(std::net::SocketAddr) -> anyhow::Result<()>) {
        let service = hostile::during(&mut self.broker, "t", attack);
        let service: Service = service.unwrap_or_else(|error| panic!("{error:#}"));
        let grown = self.broker.memory_bytes().expect("it runs").saturating_sub(self.memory);
        println!("{service}; memory grew by {} MiB", grown >> 20);
        assert!(service.quantile(1.0) <= LATENCY_MAX, "a well-behaved client waited: {service}");
        assert!(grown <= MEMORY_MAX, "memory grew by {grown} bytes");
    }
}

#[test]
fn a_client_alone_is_the_measure() {
    site(0).attack(|_| {
        thread::sleep(Duration::from_secs(1));
        Ok(())
    });
}

#[test]
fn slow_loris_is_waited_for_and_disturbs_no_one() {
    site(0).attack(|address| hostile::slow_loris(address, 200, 4));
}

#[test]
fn a_half_closed_connection_gets_its_answers_and_then_its_end() {
    site(0).attack(|address| hostile::half_closed(address, 50));
}

#[test]
fn a_client_that_never_reads_its_fetches_costs_bounded_memory() {
    let mut site = site(48 << 20);
    site.attack(|address| {
        let clients = hostile::never_read(address, "t", 20)?;
        thread::sleep(Duration::from_secs(3));
        drop(clients);
        Ok(())
    });
}

#[test]
fn a_client_that_never_reads_its_produce_answers_costs_bounded_memory() {
    site(0).attack(|address| hostile::produce_unread(address, "t", 40_000));
}

#[test]
fn impossible_lengths_close_their_connections_at_once() {
    site(0).attack(hostile::impossible_lengths);
}

#[test]
fn a_promise_of_a_hundred_mebibytes_costs_nothing_until_they_come() {
    let mut site = site(0);
    site.attack(|address| {
        let streams = hostile::promised_lengths(address, 100)?;
        thread::sleep(Duration::from_secs(1));
        drop(streams);
        Ok(())
    });
}

#[test]
fn garbage_is_refused_frame_by_frame() {
    site(0).attack(|address| hostile::garbage(address, 1000, 1));
}

#[test]
fn storms_of_connections_leave_no_descriptor_behind() {
    let mut site = site(0);
    let before = site.broker.descriptors().expect("it runs");
    site.attack(|address| hostile::storm(address, 3000));
    let mut left = usize::MAX;
    for _ in 0..200 {
        left = site.broker.descriptors().expect("it runs");
        if left <= before + 5 {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{left} descriptors are open, {before} were before");
}

#[test]
fn a_producer_of_large_batches_does_not_stand_before_a_small_one() {
    site(0).attack(|address| hostile::fill(address, "t", 1, 64 << 20));
}
