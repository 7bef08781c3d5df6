//! The shard's own io_uring beside glommio's three: sockets, files and the timer. glommio only waits for the eventfd
//! that it signals.

use io_uring::{IoUring, cqueue, opcode, squeue, types};
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
pub(super) enum Tag {
    /// A listener accepts.
    Accept(u64),
    /// Bytes for a connection's buffer.
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
            _ => return None,
        })
    }
}

/// An entry that came back: what for, and the result as the kernel gives it (negative errno).
#[derive(Clone, Copy, Debug)]
pub(super) struct Finished {
    pub(super) tag: Tag,
    pub(super) result: i32,
    /// The entry stays armed (a multishot accept).
    pub(super) more: bool,
}

impl Finished {
    pub(super) fn result(self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(-self.result))
    }
}

pub(super) struct Ring {
    ring: IoUring,
    /// Entries that the kernel holds and will give back.
    in_flight: usize,
    /// Entries that found the submission queue full while the kernel took none.
    waiting: VecDeque<(squeue::Entry, Option<squeue::Entry>)>,
}

impl Ring {
    /// A ring that signals `eventfd` with each completion while [`sleeping`](Self::sleep). Must be made on the thread
    /// that uses it.
    pub(super) fn new(eventfd: RawFd) -> io::Result<Ring> {
        let ring = Ring::build()?;
        ring.submitter().register_eventfd(eventfd)?;
        let mut ring = Ring { ring, in_flight: 0, waiting: VecDeque::new() };
        ring.awake();
        Ok(ring)
    }

    /// A second descriptor of the ring, for whoever wants to know whether there is something in it.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
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
    pub(super) fn spread_workers(&self, cpus: &libc::cpu_set_t) -> io::Result<()> {
        self.ring.submitter().register_iowq_aff(cpus)
    }

    /// Queues an entry; the kernel sees it with the next [`enter`](Self::enter).
    ///
    /// # Safety
    /// What the entry points to stays where it is, and is not touched, until its completion was reaped.
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry, tag: Tag) {
        self.in_flight += 1;
        self.waiting.push_back((entry.user_data(tag.encode()), None));
        self.feed();
    }

    /// Queues two entries, the second of which runs only after the first succeeded.
    ///
    /// # Safety
    /// As [`push`](Self::push), for both.
    pub(super) unsafe fn push_linked(&mut self, first: (squeue::Entry, Tag), second: (squeue::Entry, Tag)) {
        self.in_flight += 2;
        let first = first.0.user_data(first.1.encode()).flags(squeue::Flags::IO_LINK);
        self.waiting.push_back((first, Some(second.0.user_data(second.1.encode()))));
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
    pub(super) fn cancel(&mut self, tag: Tag) {
        let entry = opcode::AsyncCancel::new(tag.encode()).build();
        // SAFETY: the entry points to nothing.
        unsafe { self.push(entry, Tag::Cancel) }
    }

    /// Whether the kernel has something to be told, or something to do for us in our time.
    pub(super) fn wants_enter(&mut self) -> bool {
        if !self.waiting.is_empty() {
            return true;
        }
        let queue = self.ring.submission();
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
    }

    /// Submits what is queued and lets the kernel finish what it can without waiting.
    pub(super) fn enter(&mut self) -> io::Result<()> {
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
    pub(super) fn reap(&mut self, into: &mut VecDeque<Finished>) {
        for entry in self.ring.completion() {
            let more = cqueue::more(entry.flags());
            if !more {
                self.in_flight -= 1;
            }
            if let Some(tag) = Tag::decode(entry.user_data()) {
                into.push_back(Finished { tag, result: entry.result(), more });
            }
        }
    }

    /// From now on completions signal the eventfd. False when there is something to do already.
    pub(super) fn sleep(&mut self) -> bool {
        self.ring.completion().enable_eventfd();
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        self.ring.completion().is_empty() && !self.wants_enter()
    }

    /// Completions signal nothing: we look for them ourselves.
    pub(super) fn awake(&mut self) {
        self.ring.completion().disable_eventfd();
    }

    /// Takes back everything from the kernel, blocking, for as long as `patience`; each completion goes to `finish`.
    /// False when the kernel still holds something: its memory must then never be freed.
    pub(super) fn drain(&mut self, patience: Duration, mut finish: impl FnMut(Finished)) -> bool {
        let deadline = Instant::now() + patience;
        if self.in_flight > 0 {
            let all = opcode::AsyncCancel2::new(types::CancelBuilder::any()).build();
            // SAFETY: the entry points to nothing.
            unsafe { self.push(all, Tag::Cancel) };
        }
        let mut finished = VecDeque::new();
        while self.in_flight > 0 && Instant::now() < deadline {
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
        ];
        for tag in all {
            assert_eq!(Tag::decode(tag.encode()), Some(tag));
        }
        assert_eq!(Tag::decode(0), None);
    }
}
