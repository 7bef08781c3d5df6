//! Points in time, sleeping, and giving up.

use super::{Core, EPOCH_NS, current};
use corelane_seam::Monotonic;
use std::{
    fmt,
    ops::{Add, AddAssign, Sub, SubAssign},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

/// A point on the time that is passed in to the executor. Arithmetic saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VirtualInstant(u64);

impl VirtualInstant {
    /// The point on the clock that is passed in.
    pub fn monotonic(self) -> Monotonic {
        Monotonic(self.0.saturating_sub(EPOCH_NS))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for VirtualInstant {
    type Output = VirtualInstant;
    fn add(self, rhs: Duration) -> VirtualInstant {
        VirtualInstant(self.0.saturating_add(nanoseconds(rhs)))
    }
}

impl AddAssign<Duration> for VirtualInstant {
    fn add_assign(&mut self, rhs: Duration) {
        *self = *self + rhs;
    }
}

impl Sub<Duration> for VirtualInstant {
    type Output = VirtualInstant;
    fn sub(self, rhs: Duration) -> VirtualInstant {
        VirtualInstant(self.0.saturating_sub(nanoseconds(rhs)))
    }
}

impl SubAssign<Duration> for VirtualInstant {
    fn sub_assign(&mut self, rhs: Duration) {
        *self = *self - rhs;
    }
}

impl Sub<VirtualInstant> for VirtualInstant {
    type Output = Duration;
    fn sub(self, rhs: VirtualInstant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(rhs.0))
    }
}

impl openraft_rt::Instant for VirtualInstant {
    fn now() -> VirtualInstant {
        VirtualInstant(current().now_ns.get())
    }
}

/// Ends at a point in time.
pub struct Sleep {
    core: Rc<Core>,
    at_ns: u64,
    timer: Option<(u64, u64)>,
}

impl Sleep {
    pub(super) fn until(at: VirtualInstant) -> Sleep {
        Sleep { core: current(), at_ns: at.0, timer: None }
    }

    fn cancel(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.core.timers.borrow_mut().remove(&timer);
        }
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.cancel();
        if self.core.now_ns.get() >= self.at_ns {
            return Poll::Ready(());
        }
        let timer = (self.at_ns, self.core.timer_last.get() + 1);
        self.core.timer_last.set(timer.1);
        self.core.timers.borrow_mut().insert(timer, context.waker().clone());
        self.timer = Some(timer);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

/// A future with a deadline. At the deadline itself the future is asked first.
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F> Timeout<F> {
    pub(super) fn new(future: F, at: VirtualInstant) -> Timeout<F> {
        Timeout { future: Box::pin(future), sleep: Sleep::until(at) }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(value) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(value));
        }
        Pin::new(&mut self.sleep).poll(context).map(|()| Err(Elapsed))
    }
}
