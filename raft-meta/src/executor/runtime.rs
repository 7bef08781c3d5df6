//! The executor as openraft sees it.

use super::{Channels, Core, Elapsed, Executor, LocalMutex, Sleep, Timeout, VirtualInstant, current};
use openraft_rt::{AsyncRuntime, Instant as _, OptionalSend};
use std::{
    convert::Infallible,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Weak,
    task::{Context, Poll},
    time::Duration,
};

/// openraft's runtime: whatever it asks goes to the executor that is being polled.
#[derive(Debug)]
pub struct Runtime(Executor);

/// Why a task gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinError {
    /// It panicked.
    Panicked,
    /// Its executor is gone.
    Gone,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JoinError::Panicked => "the task panicked",
            JoinError::Gone => "the task's executor is gone",
        })
    }
}

/// The value a task will give. Dropping it does not end the task.
#[derive(Debug)]
pub struct JoinHandle<T>(tokio::sync::oneshot::Receiver<Result<T, JoinError>>);

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(JoinError::Gone)))
    }
}

/// Catches the panic of what it polls and notes it with the executor.
pub(super) struct Caught<F> {
    core: Weak<Core>,
    future: Pin<Box<F>>,
}

impl<F> Caught<F> {
    pub(super) fn new(core: Weak<Core>, future: F) -> Caught<F> {
        Caught { core, future: Box::pin(future) }
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, JoinError>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(payload) => {
                if let Some(core) = self.core.upgrade() {
                    core.note_panic(&*payload);
                }
                Poll::Ready(Err(JoinError::Panicked))
            }
        }
    }
}

/// Random numbers of the executor's seed (SplitMix64, Steele et al. 2014): election timeouts and the like, nothing
/// secret.
#[derive(Clone, Debug)]
pub struct SeededRng(u64);

impl SeededRng {
    pub(super) fn new(seed: u64) -> SeededRng {
        SeededRng(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl rand_for_openraft::TryRng for SeededRng {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::try_from(self.next() >> 32).expect("32 bits are left"))
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.next())
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = VirtualInstant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = SeededRng;
    type Mpsc = Channels;
    type Watch = Channels;
    type Oneshot = Channels;
    type Mutex<T: OptionalSend + 'static> = LocalMutex<T>;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        let core = current();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let guarded = Caught::new(std::rc::Rc::downgrade(&core), future);
        core.spawn(Box::pin(async move {
            // No one may be waiting for the value.
            let _ = sender.send(guarded.await);
        }));
        JoinHandle(receiver)
    }

    fn sleep(duration: Duration) -> Sleep {
        Sleep::until(VirtualInstant::now() + duration)
    }

    fn sleep_until(deadline: VirtualInstant) -> Sleep {
        Sleep::until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Timeout<F> {
        Timeout::new(future, VirtualInstant::now() + duration)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: VirtualInstant,
        future: F,
    ) -> Timeout<F> {
        Timeout::new(future, deadline)
    }

    fn is_panic(join_error: &JoinError) -> bool {
        *join_error == JoinError::Panicked
    }

    fn thread_rng() -> SeededRng {
        SeededRng(current().random.borrow_mut().next())
    }

    fn new(_threads: usize) -> Runtime {
        Runtime(Executor::new(0))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }

    /// Runs `f` at once, on this thread: openraft itself never calls this, and a thread would not be deterministic.
    fn spawn_blocking<F, T>(f: F) -> impl Future<Output = Result<T, io::Error>> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let value = catch_unwind(AssertUnwindSafe(f)).map_err(|_| io::Error::other("the function panicked"));
        std::future::ready(value)
    }
}
