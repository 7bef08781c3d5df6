//! Accepts that fail.

use super::context::Bounded;
use crate::clock;
use corelane_seam::Monotonic;
use std::io;

/// Pause after an accept that failed for want of something (descriptors, memory): asking again at once would spin.
const PAUSE_MS: u64 = 100;

/// Judges failures, and logs those that an operator can mend.
#[derive(Default)]
pub(crate) struct Refusals(Bounded);

impl Refusals {
    /// Until when the listener pauses; None where the failure was of one connection only.
    pub(crate) fn pause(&mut self, error: &io::Error) -> Option<Monotonic> {
        if let Some(
            // Cancelled, or gone before it was accepted.
            libc::ECANCELED | libc::ECONNABORTED | libc::EINTR | libc::EAGAIN | libc::EPROTO,
        ) = error.raw_os_error()
        {
            return None;
        }
        let now = clock::monotonic();
        if let Some(suppressed) = self.0.admit(now) {
            let limits = error.raw_os_error() == Some(libc::EMFILE);
            let hint = if limits { "; raise the limit of open files (ulimit -n)" } else { "" };
            tracing::error!(%error, suppressed, "cannot accept connections{hint}");
        }
        Some(now.after_ms(PAUSE_MS))
    }
}
