use super::{Executor, Runtime};
use corelane_seam::Monotonic;
use openraft_rt::AsyncRuntime;
use std::{cell::RefCell, rc::Rc, time::Duration};

const fn ms(ms: u64) -> Monotonic {
    Monotonic(ms * 1_000_000)
}

/// A task that notes its name whenever it runs, `times` times.
fn note(log: &Rc<RefCell<Vec<u32>>>, name: u32, times: u32) -> impl Future<Output = ()> + use<> {
    let log = Rc::clone(log);
    async move {
        for _ in 0..times {
            log.borrow_mut().push(name);
            yield_once().await;
        }
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

#[test]
fn passes_openrafts_runtime_suite() {
    openraft_rt::testing::Suite::<Runtime>::test_all();
}

#[test]
fn a_task_that_wakes_itself_does_not_starve_the_others() {
    let log = Rc::default();
    let mut executor = Executor::new(0);
    executor.spawn(note(&log, 1, 3));
    executor.spawn(note(&log, 2, 3));
    assert!(!executor.poll(ms(0)));
    assert_eq!(*log.borrow(), [1, 2, 1, 2, 1, 2]);
}

#[test]
fn a_choice_decides_which_ready_task_runs() {
    let log = Rc::default();
    let mut executor = Executor::new(0);
    executor.set_choice(Box::new(|count| count - 1));
    executor.spawn(note(&log, 1, 2));
    executor.spawn(note(&log, 2, 2));
    executor.poll(ms(0));
    assert_eq!(*log.borrow(), [2, 2, 1, 1]);
}

#[test]
fn time_is_what_is_passed_in_and_deadlines_are_told() {
    let log: Rc<RefCell<Vec<u32>>> = Rc::default();
    let mut executor = Executor::new(0);
    for (name, sleep_ms) in [(1, 20), (2, 10)] {
        let log = Rc::clone(&log);
        executor.spawn(async move {
            Runtime::sleep(Duration::from_millis(sleep_ms)).await;
            log.borrow_mut().push(name);
        });
    }
    assert_eq!(executor.next_deadline(), Some(ms(0)), "spawned tasks want to run");
    executor.poll(ms(5));
    assert_eq!(executor.next_deadline(), Some(ms(15)));
    executor.poll(ms(14));
    assert!(log.borrow().is_empty());
    executor.poll(ms(15));
    assert_eq!(*log.borrow(), [2]);
    executor.poll(ms(3));
    assert_eq!(executor.next_deadline(), Some(ms(25)), "time does not go back");
    executor.poll(ms(1000));
    assert_eq!((log.borrow().len(), executor.next_deadline()), (2, None));
}

#[test]
fn a_tasks_panic_is_caught_and_told() {
    let mut executor = Executor::new(0);
    let joined = Rc::new(RefCell::new(None));
    let seen = Rc::clone(&joined);
    executor.spawn(async move {
        let handle = Runtime::spawn(async { panic!("on purpose") });
        let outcome: Result<(), _> = handle.await;
        *seen.borrow_mut() = Some(outcome.map_err(|error| Runtime::is_panic(&error)));
    });
    executor.poll(ms(0));
    assert_eq!(*joined.borrow(), Some(Err(true)));
    assert_eq!(executor.panicked().as_deref(), Some("on purpose"));
}

#[test]
fn executors_nest_on_a_thread_and_keep_their_own_time() {
    let inner = Rc::new(RefCell::new(Executor::new(0)));
    let times: Rc<RefCell<Vec<Duration>>> = Rc::default();
    let mut outer = Executor::new(0);
    let (nested, log) = (Rc::clone(&inner), Rc::clone(&times));
    outer.spawn(async move {
        use openraft_rt::Instant as _;
        let before = super::VirtualInstant::now();
        let noted = Rc::clone(&log);
        nested.borrow().spawn(async move {
            noted.borrow_mut().push(super::VirtualInstant::now() - before);
        });
        nested.borrow_mut().poll(ms(70));
        log.borrow_mut().push(super::VirtualInstant::now() - before);
    });
    outer.poll(ms(50));
    assert_eq!(*times.borrow(), [Duration::from_millis(20), Duration::ZERO]);
}

#[test]
fn an_endless_task_gives_the_thread_back() {
    let mut executor = Executor::new(0);
    executor.spawn(note(&Rc::default(), 1, u32::MAX));
    assert!(executor.poll(ms(1)));
    assert_eq!(executor.next_deadline(), Some(ms(1)));
}

#[test]
fn dropping_an_executor_drops_its_tasks() {
    let witness = Rc::new(());
    let executor = Executor::new(0);
    let held = Rc::clone(&witness);
    executor.spawn(async move {
        Runtime::sleep(Duration::from_secs(1)).await;
        drop(held);
    });
    let mut executor = executor;
    executor.poll(ms(0));
    drop(executor);
    assert_eq!(Rc::strong_count(&witness), 1);
}
