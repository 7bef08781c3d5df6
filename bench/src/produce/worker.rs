//! A thread that serves several producers: sleeps until an answer comes or a request is due.

use super::{ProduceSettings, producer::Producer, producer::Tally};
use crate::{
    clock::{SECOND_NS, Timeline, now_ns, sleep_until},
    payload::Template,
};
use anyhow::{Context, Result};
use std::{io, time::Duration};

/// Runs until everything is answered, or the timeline gives up.
pub(super) fn run(
    mut producers: Vec<Producer>,
    settings: &ProduceSettings,
    timeline: Timeline,
) -> Result<Tally> {
    let seed = timeline.start_ns;
    let records = settings.batch_records();
    let bytes = (settings.key_bytes, settings.record_bytes);
    let mut template = Template::new(settings.payload, settings.codec, records, bytes, seed);
    sharpen_timers();
    let mut waiting = Waiting::of(&producers);
    sleep_until(timeline.start_ns);
    loop {
        for (producer, readable) in producers.iter_mut().zip(waiting.readable()) {
            producer.pump(readable, &mut template)?;
        }
        let now = now_ns();
        if now >= timeline.drain_ns || producers.iter().all(|producer| producer.is_done(now)) {
            break;
        }
        let wake = producers.iter().filter_map(|producer| producer.wake_at(now)).min();
        let wake = wake.unwrap_or(u64::MAX).min(timeline.drain_ns);
        waiting.wait(&producers, wake.saturating_sub(now), settings.spin_ns)?;
    }
    let mut tally = Tally::default();
    let now = now_ns();
    producers.into_iter().for_each(|producer| tally.add(&producer.finish(now)));
    Ok(tally)
}

/// Lets this thread's timers expire on time instead of within the kernel's default 50 µs.
fn sharpen_timers() {
    // SAFETY: sets a number of this thread; the call takes no pointers. Failing, it changes nothing.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64) };
}

/// The descriptors of all producers, and which of them had something to read.
struct Waiting {
    polled: Vec<libc::pollfd>,
}

impl Waiting {
    fn of(producers: &[Producer]) -> Waiting {
        let entry = |producer: &Producer| libc::pollfd {
            fd: producer.link().descriptor(),
            events: libc::POLLIN,
            revents: 0,
        };
        Waiting { polled: producers.iter().map(entry).collect() }
    }

    fn readable(&self) -> impl Iterator<Item = bool> {
        self.polled.iter().map(|entry| entry.revents & !libc::POLLOUT != 0)
    }

    /// Waits for a descriptor or for `for_ns`, of which the last `spin_ns` are not slept.
    fn wait(&mut self, producers: &[Producer], for_ns: u64, spin_ns: u64) -> Result<()> {
        for (entry, producer) in self.polled.iter_mut().zip(producers) {
            entry.events = libc::POLLIN | if producer.link().has_unsent() { libc::POLLOUT } else { 0 };
            entry.revents = 0;
        }
        // Bounded, so that the end of a closed loop, which no one announces, is noticed.
        let sleep = Duration::from_nanos(for_ns.saturating_sub(spin_ns).min(SECOND_NS / 10));
        let timeout = libc::timespec {
            tv_sec: sleep.as_secs().cast_signed(),
            tv_nsec: i64::from(sleep.subsec_nanos()),
        };
        let count = self.polled.len() as libc::nfds_t;
        // SAFETY: the array is ours, of that length, and outlives the call, as does the timeout; no signal mask.
        let ready =
            unsafe { libc::ppoll(self.polled.as_mut_ptr(), count, &raw const timeout, std::ptr::null()) };
        let error = io::Error::last_os_error();
        if ready < 0 && error.kind() != io::ErrorKind::Interrupted {
            return Err(error).context("ppoll");
        }
        Ok(())
    }
}
