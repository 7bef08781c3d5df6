//! glommio 0.9.0 loses wake-ups: a preemption check that fires before any task has run makes the executor park although
//! tasks are runnable. These tests show that the driver's guard is needed and that it suffices. When the one without the
//! guard fails, glommio has been mended, and the guard can go.

use corelane_io::{DriverSettings, ShardSettings, probe, run};
use corelane_seam::{Completion, Now, Operation, Shard};
use std::{
    env,
    io::Read as _,
    process::{Child, Command, Stdio, exit},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Works again and again: at once, so that its loop yields all the time, or after a pause that it sleeps through.
struct Busy {
    done: Arc<AtomicU64>,
    pause: Duration,
}

impl Shard for Busy {
    type Message = ();
    fn start(&mut self, now: Now, out: &mut Vec<Operation<()>>) {
        out.push(Operation::Timer { at: now.monotonic });
    }
    fn complete(&mut self, now: Now, completion: Completion<()>, out: &mut Vec<Operation<()>>) {
        match completion {
            Completion::Stop => out.push(Operation::Stopped),
            _ => {
                let done = self.done.fetch_add(1, Ordering::Relaxed);
                let begun = Instant::now();
                let work = Duration::from_micros(50 + done * 37 % 400);
                while begun.elapsed() < work {
                    std::hint::spin_loop();
                }
                let at = if self.pause.is_zero() { now.monotonic } else { now.monotonic + work + self.pause };
                out.push(Operation::Timer { at });
            }
        }
    }
    fn end_of_turn(&mut self, _now: Now, _out: &mut Vec<Operation<()>>) {}
    fn busy_with(&self) -> String {
        "spinning".to_owned()
    }
}

/// So short that it fires between being armed and the first task, every time: the executor parks at once.
const ALWAYS_TOO_SHORT: Duration = Duration::from_micros(10);
/// So short that this happens again and again, with runs of work in between: without the guard it hangs within seconds.
const OFTEN_TOO_SHORT: Duration = Duration::from_micros(50);
/// So short that the wake-up of a shard that sleeps, too, is lost again and again.
const TOO_SHORT_FOR_SLEEPERS: Duration = Duration::from_micros(30);

/// So short that the very first wake-up of an executor is often lost, but not each time: the guard's own may be lost, too.
const OFTEN_TOO_SHORT_TO_START: Duration = Duration::from_micros(30);

const ROLE: &str = "CORELANE_TEST_GUARD_CHILD";
const RUN_FOR: Duration = Duration::from_secs(8);
/// Longer than any pause that a loaded machine causes.
const SILENCE: Duration = Duration::from_secs(2);

/// The child's part; as a test of its own it does nothing.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    match role.as_str() {
        "start" | "start without" => start_again_and_again(role == "start"),
        _ => work_on(&role),
    }
}

/// Starts one driver after the other; each must come to its first poll.
fn start_again_and_again(with_guard: bool) {
    let begun = Instant::now();
    let mut starts = 0;
    while begun.elapsed() < RUN_FOR {
        let progress = Arc::new(AtomicU64::new(0));
        let cpu = probe::usable_cpus().first().copied();
        let mut settings =
            DriverSettings::new(vec![ShardSettings { cpu, ..ShardSettings::default() }], vec![]);
        settings.preempt_timer = OFTEN_TOO_SHORT_TO_START;
        if !with_guard {
            settings.guard_tick = Duration::ZERO;
        }
        let shard = Busy { done: Arc::clone(&progress), pause: Duration::from_millis(1) };
        let running = run(settings, vec![move || shard]).expect("the driver runs");
        let started = Instant::now();
        while progress.load(Ordering::Relaxed) == 0 {
            if started.elapsed() > SILENCE {
                println!("hung in start {starts}");
                exit(3);
            }
            thread::sleep(Duration::from_millis(1));
        }
        starts += 1;
        running.stop();
        running.join().expect("a clean end");
    }
    println!("{starts} starts");
    exit(0);
}

fn work_on(role: &str) {
    let progress = Arc::new(AtomicU64::new(0));
    let cpu = probe::usable_cpus().first().copied();
    let mut settings = DriverSettings::new(vec![ShardSettings { cpu, ..ShardSettings::default() }], vec![]);
    settings.poll_budget = Duration::from_micros(50);
    settings.preempt_timer = match role {
        "without" => ALWAYS_TOO_SHORT,
        "asleep" => TOO_SHORT_FOR_SLEEPERS,
        _ => OFTEN_TOO_SHORT,
    };
    if role == "without" {
        settings.guard_tick = Duration::ZERO;
    }
    let pause = if role == "asleep" { Duration::from_micros(500) } else { Duration::ZERO };
    let shard = Busy { done: Arc::clone(&progress), pause };
    let running = run(settings, vec![move || shard]).expect("the driver runs");
    let (begun, mut last, mut moved) = (Instant::now(), 0, Instant::now());
    while begun.elapsed() < RUN_FOR {
        thread::sleep(Duration::from_millis(50));
        let now = progress.load(Ordering::Relaxed);
        if now != last {
            (last, moved) = (now, Instant::now());
        } else if moved.elapsed() > SILENCE {
            println!("hung after {last} polls");
            exit(3);
        }
    }
    running.stop();
    running.join().expect("a clean end");
    println!("did {last} polls");
    exit(0);
}

fn spawn(role: &str) -> Child {
    Command::new(env::current_exe().expect("our own path"))
        .args(["child", "--exact", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// The exit code and what it said; a child that does not end is ended.
fn outcome(mut child: Child) -> (Option<i32>, String) {
    let deadline = Instant::now() + RUN_FOR + Duration::from_secs(7);
    let code = loop {
        match child.try_wait().expect("our child") {
            Some(status) => break status.code(),
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            None => {
                child.kill().expect("our child");
                child.wait().expect("our child");
                break None;
            }
        }
    };
    let mut said = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
    (code, said)
}

#[test]
fn without_the_guard_a_shard_that_has_work_is_parked_for_good() {
    let (code, said) = outcome(spawn("without"));
    assert_eq!(code, Some(3), "glommio no longer loses wake-ups? {said}");
}

#[test]
fn with_the_guard_a_shard_outlives_lost_wake_ups() {
    let (code, said) = outcome(spawn("with"));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn with_the_guard_a_shard_outlives_wake_ups_that_were_lost_while_it_slept() {
    let (code, said) = outcome(spawn("asleep"));
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn without_the_guard_an_executor_that_lost_its_very_first_wake_up_never_begins() {
    let (code, said) = outcome(spawn("start without"));
    // Or one that has begun never hears of the stop, and the child is ended.
    assert!(matches!(code, Some(3) | None), "glommio no longer loses wake-ups? {code:?} {said}");
}

#[test]
fn with_the_guard_an_executor_outlives_the_loss_of_its_very_first_wake_up() {
    let (code, said) = outcome(spawn("start"));
    assert_eq!(code, Some(0), "{said}");
}
