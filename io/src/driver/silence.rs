//! Why a shard's thread answers nothing: what the kernel says of it tells a starved machine from a broken shard.

use super::shared::ShardShared;
use std::{
    fs,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// Silence that is longer raises an alarm.
const ALARM: Duration = Duration::from_secs(1);
/// Silence after which whoever watches begins to look at what the shard's thread does.
const SUSPICION: Duration = Duration::from_millis(500);

/// Watches one shard that should move and does not.
#[derive(Default)]
pub(crate) struct Vigil {
    silent: Duration,
    /// When the silence became suspicious, and what the shard's thread was like then.
    suspected: Option<(Instant, Option<Reading>)>,
    alarmed: bool,
}

impl Vigil {
    /// The shard has not moved for so much longer. Only time that the watcher itself slept through counts: one that gets
    /// no CPU is no witness.
    pub(crate) fn goes_on(&mut self, shard: usize, of: &ShardShared, pause: Duration) {
        let thread = of.thread.load(Ordering::Relaxed);
        self.silent += pause;
        if thread == 0 || self.alarmed || self.silent <= SUSPICION {
            return;
        }
        let Some((since, early)) = self.suspected else {
            self.suspected = Some((Instant::now(), Reading::take(thread)));
            return;
        };
        if self.silent <= ALARM {
            return;
        }
        self.alarmed = true;
        let silence = judge(early, Reading::take(thread), since.elapsed());
        let silent_ms = self.silent.as_millis() as u64;
        if silence.is_a_fault() {
            tracing::error!(shard, silent_ms, "{}", silence.text());
        } else {
            tracing::warn!(shard, silent_ms, "{}", silence.text());
        }
    }
}

/// What the kernel says of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    /// `R`: runs or waits for a CPU; `S`: sleeps; `D`: waits in the kernel, as a rule for a disk.
    state: char,
    /// CPU time that it took in its life.
    cpu: Duration,
}

impl Reading {
    /// Of a thread of this process. None where there is no /proc, or the thread has gone.
    fn take(thread: i32) -> Option<Reading> {
        let text = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
        // SAFETY: a plain question to the C library.
        let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        Reading::parse(&text, u64::try_from(ticks_per_second).ok()?)
    }

    /// proc(5): the third field is the state, the 14th and 15th are the ticks in user and kernel mode. The second, in
    /// parentheses, is a name that may hold anything.
    fn parse(text: &str, ticks_per_second: u64) -> Option<Reading> {
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let mut counts = fields.skip(10).map(str::parse::<u64>);
        let ticks = counts.next()?.ok()?.checked_add(counts.next()?.ok()?)?;
        Some(Reading { state, cpu: Duration::from_millis(ticks * 1_000 / ticks_per_second.max(1)) })
    }
}

/// Why a shard was silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    /// It was woken and sleeps: the wake-up was lost, and is lost again and again.
    Asleep,
    /// It computes: one turn takes all this time.
    Busy,
    /// It wants to run and gets no CPU, or hardly any.
    Starved,
    /// It waits in the kernel: for a page of its own, or for a disk.
    Blocked,
    /// No one can say.
    Unknown,
}

/// Judges by a reading early in the silence and one at its end, `window` later.
fn judge(early: Option<Reading>, late: Option<Reading>, window: Duration) -> Silence {
    let (Some(early), Some(late)) = (early, late) else { return Silence::Unknown };
    if late.cpu.saturating_sub(early.cpu) >= window / 2 {
        return Silence::Busy;
    }
    match late.state {
        'R' => Silence::Starved,
        'S' => Silence::Asleep,
        'D' => Silence::Blocked,
        _ => Silence::Unknown,
    }
}

impl Silence {
    /// Whether the shard itself is at fault, and not the machine.
    fn is_a_fault(self) -> bool {
        match self {
            Silence::Asleep | Silence::Busy | Silence::Unknown => true,
            Silence::Starved | Silence::Blocked => false,
        }
    }

    /// For the log: what it is, and where to look.
    fn text(self) -> &'static str {
        match self {
            Silence::Asleep => "a shard sleeps and answers no wake-up: please report it with this log",
            Silence::Busy => {
                "a shard computes in one turn without end: `top -H` and `perf top -p` show where; please report it"
            }
            Silence::Starved => {
                "a shard wants to run and gets no CPU: the machine, or the cgroup's quota, is overcommitted; look at \
                 `uptime`, /proc/pressure/cpu and the cgroup's cpu.stat"
            }
            Silence::Blocked => {
                "a shard's thread waits in the kernel: memory or disk is short; look at /proc/pressure/memory, \
                 /proc/pressure/io and dmesg"
            }
            Silence::Unknown => "a shard answers no wake-up",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(state: char, cpu_ms: u64) -> Option<Reading> {
        Some(Reading { state, cpu: Duration::from_millis(cpu_ms) })
    }

    #[test]
    fn a_thread_that_gets_no_cpu_is_told_from_one_that_sleeps_through_its_wake_ups() {
        let window = Duration::from_millis(500);
        let judged = |state, cpu_ms: u64| judge(reading('R', 7_000), reading(state, 7_000 + cpu_ms), window);
        assert_eq!(judged('R', 20), Silence::Starved);
        assert_eq!(judged('S', 20), Silence::Asleep);
        assert_eq!(judged('R', 490), Silence::Busy);
        assert_eq!(judged('D', 0), Silence::Blocked);
        assert_eq!(judge(None, reading('R', 0), window), Silence::Unknown);
    }

    #[test]
    fn a_thread_of_any_name_is_read() {
        let text = "12 (a) b (c) S 1 1 1 0 -1 4194624 9 0 0 0 150 50 0 0 20 0 5 0 77 1 2";
        assert_eq!(Reading::parse(text, 100), reading('S', 2_000));
        assert_eq!(Reading::parse("12 (a) S 1", 100), None);
        // SAFETY: a plain question to the kernel.
        let own = unsafe { libc::gettid() };
        assert_eq!(Reading::take(own).map(|reading| reading.state), Some('R'));
    }
}
