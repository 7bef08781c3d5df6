//! A small single-threaded executor: openraft's `AsyncRuntime` without a thread, a clock or randomness of its own.
//!
//! Time is passed in with [`Executor::poll`]; what sleeps is listed in [`Executor::next_deadline`]; randomness comes
//! from a seed. Ready tasks form an *ordered set*, not a queue, so that the order in which tasks were woken cannot
//! leak into the order in which they run. Which of them runs next is a pluggable choice: production goes round in
//! order, a simulator passes a seeded choice and so explores schedules that replay exactly.
//!
//! Any number of executors may live in one process and on one thread: the one that is being polled is the thread's
//! current one, set on entry and restored on exit.

mod channel;
mod runtime;
mod time;

pub use channel::{Channels, LocalMutex, WatchedReceiver};
pub use runtime::{JoinError, JoinHandle, Runtime, SeededRng};
pub use time::{Elapsed, Sleep, Timeout, VirtualInstant};

use corelane_seam::Monotonic;
use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

/// Polls of tasks in one call of [`Executor::poll`], after which the shard gets its thread back: a task that wakes
/// itself for ever must not hold it.
const POLLS_PER_CALL_MAX: usize = 16 * 1024;

/// Instants start a day after zero, so that "now minus a lease" is a point in time also just after the boot.
const EPOCH_NS: u64 = 86_400_000_000_000;

/// Picks one of `count` ready tasks, by its place in the order of their spawning. Results beyond `count` wrap.
pub type Choice = Box<dyn FnMut(usize) -> usize>;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Tasks that were woken. Shared with wakers, which must be `Send` by their type though they never leave the thread.
#[derive(Default)]
struct Ready(Mutex<BTreeSet<u64>>);

impl Ready {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        // A panic cannot leave a set of numbers half-changed in a way that matters: a spurious wake is harmless.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct TaskWaker {
    task: u64,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.lock().insert(self.task);
    }
}

/// What tasks reach through the thread's current executor.
struct Core {
    now_ns: Cell<u64>,
    tasks: RefCell<BTreeMap<u64, Option<Task>>>,
    task_last: Cell<u64>,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    timer_last: Cell<u64>,
    ready: Arc<Ready>,
    random: RefCell<SeededRng>,
    panic: RefCell<Option<String>>,
}

impl Core {
    fn spawn(&self, task: Task) -> u64 {
        let id = self.task_last.get() + 1;
        self.task_last.set(id);
        self.tasks.borrow_mut().insert(id, Some(task));
        self.ready.lock().insert(id);
        id
    }

    fn waker(&self, task: u64) -> Waker {
        Waker::from(Arc::new(TaskWaker { task, ready: Arc::clone(&self.ready) }))
    }

    fn note_panic(&self, payload: &(dyn Any + Send)) {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a text".to_owned());
        self.panic.borrow_mut().get_or_insert(text);
    }

    /// Wakes what sleeps until `now_ns` or earlier.
    fn fire_timers(&self) {
        let now_ns = self.now_ns.get();
        loop {
            let due = {
                let mut timers = self.timers.borrow_mut();
                match timers.first_entry() {
                    Some(first) if first.key().0 <= now_ns => first.remove(),
                    Some(_) | None => return,
                }
            };
            due.wake();
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Core>>> = const { RefCell::new(None) };
}

/// Restores the thread's former executor, also when a task's panic unwinds through.
struct Entered(Option<Rc<Core>>);

impl Entered {
    fn enter(core: &Rc<Core>) -> Entered {
        Entered(CURRENT.with(|current| current.replace(Some(Rc::clone(core)))))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let former = self.0.take();
        // The one replaced is dropped outside of the borrow.
        drop(CURRENT.with(|current| current.replace(former)));
    }
}

/// The executor whose task is running on this thread.
///
/// # Panics
/// Outside of a task: openraft's types are used from within [`Executor::poll`] only.
fn current() -> Rc<Core> {
    CURRENT.with(|current| current.borrow().clone()).expect("called from within a task of an executor")
}

/// Runs tasks when it is polled. See the module's text.
pub struct Executor {
    core: Rc<Core>,
    choice: Option<Choice>,
    last: u64,
    trace: u64,
    polls: u64,
}

impl Executor {
    /// Without tasks, at time zero. `seed` feeds everything random that tasks ask for.
    pub fn new(seed: u64) -> Executor {
        let core = Core {
            now_ns: Cell::new(EPOCH_NS),
            tasks: RefCell::default(),
            task_last: Cell::new(0),
            timers: RefCell::default(),
            timer_last: Cell::new(0),
            ready: Arc::default(),
            random: RefCell::new(SeededRng::new(seed)),
            panic: RefCell::default(),
        };
        Executor { core: Rc::new(core), choice: None, last: 0, trace: 0, polls: 0 }
    }

    /// Lets `choice` pick among ready tasks from now on.
    pub fn set_choice(&mut self, choice: Choice) {
        self.choice = Some(choice);
    }

    /// Adds a task; it runs with the next poll. Its panic is caught and shows in [`panicked`](Self::panicked).
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let guarded = runtime::Caught::new(Rc::downgrade(&self.core), future);
        self.core.spawn(Box::pin(async move {
            // The panic is noted by the guard.
            let _ = guarded.await;
        }));
    }

    /// Sets the time, which never goes back.
    pub fn advance(&mut self, now: Monotonic) {
        self.core.now_ns.set(self.core.now_ns.get().max(EPOCH_NS.saturating_add(now.0)));
    }

    /// Sets the time and runs ready tasks until none is left. True when the bound on polls was
    /// reached first: poll again soon.
    pub fn poll(&mut self, now: Monotonic) -> bool {
        self.advance(now);
        let _entered = Entered::enter(&self.core);
        self.core.fire_timers();
        for _ in 0..POLLS_PER_CALL_MAX {
            let Some(task) = self.next_task() else { return false };
            self.run(task);
        }
        true
    }

    /// When to poll again though nothing came in: at once when tasks are ready, else when the first sleep ends.
    pub fn next_deadline(&self) -> Option<Monotonic> {
        if !self.core.ready.lock().is_empty() {
            return Some(Monotonic(self.core.now_ns.get() - EPOCH_NS));
        }
        let timers = self.core.timers.borrow();
        timers.first_key_value().map(|((at_ns, _), _)| Monotonic(at_ns.saturating_sub(EPOCH_NS)))
    }

    /// The text of the first panic of a task, if one panicked.
    pub fn panicked(&self) -> Option<String> {
        self.core.panic.borrow().clone()
    }

    /// A hash over every scheduling decision so far: two runs with the same inputs and seed must agree.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Polls of tasks so far.
    pub fn polls(&self) -> u64 {
        self.polls
    }

    fn next_task(&mut self) -> Option<u64> {
        let mut ready = self.core.ready.lock();
        let task = match &mut self.choice {
            _ if ready.is_empty() => return None,
            // Round and round in order: the first one always would starve the others behind a task that wakes itself.
            None => ready.range(self.last + 1..).next().or(ready.first()).copied(),
            Some(choice) => {
                let place = choice(ready.len()) % ready.len();
                ready.iter().nth(place).copied()
            }
        }?;
        ready.remove(&task);
        self.last = task;
        Some(task)
    }

    fn run(&mut self, task: u64) {
        self.polls += 1;
        self.trace =
            (self.trace ^ task ^ self.core.now_ns.get()).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
        let Some(mut future) = self.core.tasks.borrow_mut().get_mut(&task).and_then(Option::take) else {
            return;
        };
        let waker = self.core.waker(task);
        let mut context = Context::from_waker(&waker);
        // Tasks catch their own panics; this catches one in a destructor.
        let outcome = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context)));
        match outcome {
            Ok(Poll::Pending) => {
                if let Some(place) = self.core.tasks.borrow_mut().get_mut(&task) {
                    *place = Some(future);
                }
            }
            Ok(Poll::Ready(())) => {
                self.core.tasks.borrow_mut().remove(&task);
                drop(future);
            }
            Err(payload) => {
                self.core.tasks.borrow_mut().remove(&task);
                self.core.note_panic(&*payload);
            }
        }
    }

    /// Runs `future` beside the tasks until it ends, letting time jump to the next timer whenever nothing is ready.
    /// For test suites; production polls.
    ///
    /// # Panics
    /// When nothing is left that could wake it.
    fn block_on<T>(&mut self, future: impl Future<Output = T>) -> T {
        const MAIN: u64 = 0;
        let _entered = Entered::enter(&self.core);
        let mut future = std::pin::pin!(future);
        let waker = self.core.waker(MAIN);
        self.core.ready.lock().insert(MAIN);
        loop {
            match self.next_task() {
                Some(MAIN) => {
                    if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                        return value;
                    }
                }
                Some(task) => self.run(task),
                None => {
                    let next = self.core.timers.borrow().first_key_value().map(|((at_ns, _), _)| *at_ns);
                    let at_ns = next.expect("something is ready, or sleeps");
                    self.core.now_ns.set(self.core.now_ns.get().max(at_ns));
                    self.core.fire_timers();
                }
            }
        }
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        // Tasks hold the core, and the core the tasks: break the ring, with the executor entered, because
        // destructors of openraft's types may spawn or ask for the time.
        let _entered = Entered::enter(&self.core);
        loop {
            let tasks = std::mem::take(&mut *self.core.tasks.borrow_mut());
            if tasks.is_empty() {
                break;
            }
            for task in tasks.into_values() {
                // A destructor's panic has no one to tell any more.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(task)));
            }
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Executor({} polls)", self.polls)
    }
}

#[cfg(test)]
mod tests;
