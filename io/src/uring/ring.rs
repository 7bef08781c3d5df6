//! A shard's io_uring. The ring driver waits in it; the glommio driver has it beside glommio's three, and glommio only
//! waits for the eventfd that it signals.

use crate::clock;
use corelane_seam::Monotonic;
use io_uring::{IoUring, Submitter, cqueue, opcode, squeue, types};
use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd as _, BorrowedFd, OwnedFd, RawFd},
    time::{Duration, Instant},
};

const SUBMISSIONS: u32 = 256;
/// Ten thousand connections have as many receives under way; the kernel keeps what does not fit, at a cost.
const COMPLETIONS: u32 = 4096;

/// What an entry of the ring was for. Travels through the kernel as 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// A listener accepts.
    Accept(u64),
    /// Bytes for a connection.
    Receive(u64),
    /// A connection without a buffer becomes readable.
    Readable(u64),
    /// A connection becomes writable.
    Writable(u64),
    /// A file operation.
    File(u64),
    /// The timer.
    Timer(u64),
    /// A cancellation has been looked at.
    Cancel,
    /// The doorbell's eventfd was signalled.
    Bell,
    /// Another shard's ring has woken this one.
    Woken,
    /// Another shard, by its number, could not be woken by its ring.
    Wake(u64),
}

const KIND_SHIFT: u32 = 56;
const VALUE: u64 = (1 << KIND_SHIFT) - 1;

impl Tag {
    fn encode(self) -> u64 {
        let (kind, value) = match self {
            Tag::Accept(value) => (1, value),
            Tag::Receive(value) => (2, value),
            Tag::Readable(value) => (3, value),
            Tag::Writable(value) => (4, value),
            Tag::File(value) => (5, value),
            Tag::Timer(value) => (6, value),
            Tag::Cancel => (7, 0),
            Tag::Bell => (8, 0),
            Tag::Woken => (9, 0),
            Tag::Wake(value) => (10, value),
        };
        debug_assert!(value <= VALUE);
        kind << KIND_SHIFT | value
    }

    fn decode(bits: u64) -> Option<Tag> {
        let value = bits & VALUE;
        Some(match bits >> KIND_SHIFT {
            1 => Tag::Accept(value),
            2 => Tag::Receive(value),
            3 => Tag::Readable(value),
            4 => Tag::Writable(value),
            5 => Tag::File(value),
            6 => Tag::Timer(value),
            7 => Tag::Cancel,
            8 => Tag::Bell,
            9 => Tag::Woken,
            10 => Tag::Wake(value),
            _ => return None,
        })
    }

    /// Whether it answers an entry of this ring that is counted as held by the kernel. Others come of other rings, or
    /// only of a failure.
    fn is_counted(self) -> bool {
        !matches!(self, Tag::Woken | Tag::Wake(_))
    }
}

/// An entry that came back: what for, and the result as the kernel gives it (negative errno).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) tag: Tag,
    pub(crate) result: i32,
    /// The entry stays armed (a multishot accept or receive).
    pub(crate) more: bool,
    /// The provided buffer that the kernel took for it.
    pub(crate) buffer: Option<u16>,
}

impl Finished {
    pub(crate) fn result(self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

pub(crate) struct Ring {
    ring: IoUring,
    /// Entries that the kernel holds and will give back.
    in_flight: usize,
    /// Entries that found the submission queue full while the kernel took none.
    waiting: VecDeque<(squeue::Entry, Option<squeue::Entry>)>,
}

impl Ring {
    /// A ring that signals `eventfd` with each completion while [`sleeping`](Self::sleep). Must be made on the thread
    /// that uses it.
    pub(crate) fn new(eventfd: RawFd) -> io::Result<Ring> {
        let ring = Ring::build()?;
        ring.submitter().register_eventfd(eventfd)?;
        let mut ring = Ring { ring, in_flight: 0, waiting: VecDeque::new() };
        ring.awake();
        Ok(ring)
    }

    /// A ring that is waited in, see [`wait`](Self::wait): Linux 6.1 is the first that has it. Must be made on the thread
    /// that uses it.
    pub(crate) fn to_wait_in() -> io::Result<Ring> {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(COMPLETIONS).setup_submit_all().setup_coop_taskrun().setup_taskrun_flag();
        let ring = builder.setup_single_issuer().setup_defer_taskrun().build(SUBMISSIONS)?;
        Ok(Ring { ring, in_flight: 0, waiting: VecDeque::new() })
    }

    /// For what is registered with the kernel once.
    pub(crate) fn submitter(&self) -> Submitter<'_> {
        self.ring.submitter()
    }

    /// A second descriptor of the ring, for whoever wants to know whether there is something in it.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        // SAFETY: the ring's descriptor is open while it is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }.try_clone_to_owned()
    }

    /// Completions are worked off when we ask, not when the kernel interrupts us; older kernels know less of that.
    fn build() -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(COMPLETIONS).setup_submit_all();
        let newest = builder
            .clone()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .build(SUBMISSIONS);
        match newest {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            other => return other,
        }
        builder.setup_coop_taskrun().setup_taskrun_flag().build(SUBMISSIONS)
    }

    /// Lets the kernel's own workers run on any of these CPUs, and not only where this thread is pinned.
    pub(crate) fn spread_workers(&self, cpus: &libc::cpu_set_t) -> io::Result<()> {
        self.ring.submitter().register_iowq_aff(cpus)
    }

    /// Queues an entry; the kernel sees it with the next [`enter`](Self::enter).
    ///
    /// # Safety
    /// What the entry points to stays where it is, and is not touched, until its completion was reaped.
    pub(crate) unsafe fn push(&mut self, entry: squeue::Entry, tag: Tag) {
        self.in_flight += 1;
        self.waiting.push_back((entry.user_data(tag.encode()), None));
        self.feed();
    }

    /// Queues two entries, the second of which runs only after the first succeeded.
    ///
    /// # Safety
    /// As [`push`](Self::push), for both.
    pub(crate) unsafe fn push_linked(&mut self, first: (squeue::Entry, Tag), second: (squeue::Entry, Tag)) {
        self.in_flight += 2;
        let first = first.0.user_data(first.1.encode()).flags(squeue::Flags::IO_LINK);
        self.waiting.push_back((first, Some(second.0.user_data(second.1.encode()))));
        self.feed();
    }

    /// Queues an entry that has another ring wake its thread, if it still has one. Only a failure is told, to
    /// [`Tag::Wake`] of `shard`.
    pub(crate) fn wake(&mut self, ring: BorrowedFd<'_>, shard: u64) {
        let fd = types::Fd(ring.as_raw_fd());
        let entry = opcode::MsgRingData::new(fd, 0, Tag::Woken.encode(), None).build();
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS).user_data(Tag::Wake(shard).encode());
        self.waiting.push_back((entry, None));
        self.feed();
    }

    /// Moves what waits into the submission queue, links never apart: a chain ends with its submission.
    fn feed(&mut self) {
        let mut queue = self.ring.submission();
        while let Some((first, second)) = self.waiting.front() {
            let chain = [Some(first.clone()), second.clone()];
            if queue.capacity() - queue.len() < chain.iter().flatten().count() {
                return;
            }
            for entry in chain.iter().flatten() {
                // SAFETY: whoever pushed the entry vouched for what it points to.
                unsafe { queue.push(entry) }.expect("there was room for it");
            }
            self.waiting.pop_front();
        }
    }

    /// Asks for an entry to come back early.
    pub(crate) fn cancel(&mut self, tag: Tag) {
        let entry = opcode::AsyncCancel::new(tag.encode()).build();
        // SAFETY: the entry points to nothing.
        unsafe { self.push(entry, Tag::Cancel) }
    }

    fn has_unsubmitted(&mut self) -> bool {
        !self.waiting.is_empty() || !self.ring.submission().is_empty()
    }

    /// Whether the kernel has something to be told, or something to do for us in our time.
    pub(crate) fn wants_enter(&mut self) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        let queue = self.ring.submission();
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
    }

    /// Submits what is queued and lets the kernel finish what it can without waiting.
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        loop {
            self.feed();
            match self.enter_once(0) {
                // The completion queue overflows, or memory is short: reap first, and come again.
                Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EAGAIN)) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
                Ok(()) if self.waiting.is_empty() => return Ok(()),
                Ok(()) => {}
            }
        }
    }

    /// Submits what is queued and sleeps until something has completed, or until this time.
    pub(crate) fn wait(&mut self, until: Option<Monotonic>) -> io::Result<()> {
        self.feed();
        // What found no room in the queue must be submitted before the thread may sleep.
        let wait_for = usize::from(self.waiting.is_empty());
        let entered = match until {
            None => self.ring.submitter().submit_and_wait(wait_for),
            Some(until) => {
                let pause = types::Timespec::from(until.since(clock::monotonic()));
                self.ring.submitter().submit_with_args(wait_for, &types::SubmitArgs::new().timespec(&pause))
            }
        };
        match entered {
            Ok(_) => Ok(()),
            // Time is up; a signal; the completion queue overflows, or memory is short: reap first, and come again.
            Err(error) => match error.raw_os_error() {
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Whether completions are there to be taken.
    pub(crate) fn has_finished(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    fn enter_once(&mut self, wait_for: u32) -> io::Result<()> {
        const GETEVENTS: u32 = 1;
        let submit = self.ring.submission().len() as u32;
        loop {
            // SAFETY: the entries were pushed under the contract of `push`; no signal mask is passed.
            let result =
                unsafe { self.ring.submitter().enter::<libc::sigset_t>(submit, wait_for, GETEVENTS, None) };
            match result {
                Ok(_) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) && wait_for == 0 => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes all completions that are there.
    pub(crate) fn reap(&mut self, into: &mut VecDeque<Finished>) {
        for entry in self.ring.completion() {
            let (more, buffer) = (cqueue::more(entry.flags()), cqueue::buffer_select(entry.flags()));
            let tag = Tag::decode(entry.user_data());
            if !more && tag.is_none_or(Tag::is_counted) {
                self.in_flight -= 1;
            }
            if let Some(tag) = tag {
                into.push_back(Finished { tag, result: entry.result(), more, buffer });
            }
        }
    }

    /// From now on completions signal the eventfd. False when there is something to do already.
    pub(crate) fn sleep(&mut self) -> bool {
        self.ring.completion().enable_eventfd();
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        self.ring.completion().is_empty() && !self.wants_enter()
    }

    /// Completions signal nothing: we look for them ourselves.
    pub(crate) fn awake(&mut self) {
        self.ring.completion().disable_eventfd();
    }

    /// Takes back everything from the kernel, blocking, for as long as `patience`; each completion goes to `finish`.
    /// False when the kernel still holds something: its memory must then never be freed.
    pub(crate) fn drain(&mut self, patience: Duration, mut finish: impl FnMut(Finished)) -> bool {
        let deadline = Instant::now() + patience;
        if self.in_flight > 0 {
            let all = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
            // SAFETY: the entry points to nothing.
            unsafe { self.push(all, Tag::Cancel) };
        }
        let mut finished = VecDeque::new();
        while (self.in_flight > 0 || self.has_unsubmitted()) && Instant::now() < deadline {
            if self.enter().is_err() {
                return false;
            }
            self.reap(&mut finished);
            if finished.is_empty() {
                // The thread is at its end: there is nothing else that a pause could delay.
                std::thread::sleep(Duration::from_micros(200));
            }
            finished.drain(..).for_each(&mut finish);
        }
        self.in_flight == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_survive_the_journey_through_the_kernel() {
        let all = [
            Tag::Accept(3),
            Tag::Receive(VALUE),
            Tag::Readable(0),
            Tag::Writable(1 << 52),
            Tag::File(9),
            Tag::Timer(u64::from(u32::MAX)),
            Tag::Cancel,
            Tag::Bell,
            Tag::Woken,
            Tag::Wake(4_095),
        ];
        for tag in all {
            assert_eq!(Tag::decode(tag.encode()), Some(tag));
        }
        assert_eq!(Tag::decode(0), None);
    }
}
