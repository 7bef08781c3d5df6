//! SIGTERM and SIGINT: a clean stop; a second one, an exit at once.

use std::{io, mem::MaybeUninit, ptr};

/// The two signals, blocked in this thread and in every thread it starts.
pub struct StopSignals(libc::sigset_t);

impl StopSignals {
    /// Blocks them. To be called before any other thread starts, so that none can be struck by them.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn block() -> io::Result<StopSignals> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: `sigemptyset` initialises the set it is given; the others are handed a valid set and constants.
        let (set, failed) = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
            let set = set.assume_init();
            (set, libc::pthread_sigmask(libc::SIG_BLOCK, &set, ptr::null_mut()))
        };
        if failed == 0 { Ok(StopSignals(set)) } else { Err(io::Error::from_raw_os_error(failed)) }
    }

    /// Sleeps until one of them arrives; its name.
    pub fn wait(&self) -> &'static str {
        let mut signal = 0;
        // SAFETY: both pointers are to live values of the right types. It fails only for a set that is not valid.
        let failed = unsafe { libc::sigwait(&self.0, &mut signal) };
        debug_assert_eq!(failed, 0);
        if signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" }
    }
}
