//! Ctrl-C and SIGTERM, for tools that have something to finish first.

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

static SIGNALS: OnceLock<[(i32, Arc<AtomicBool>); 2]> = OnceLock::new();

/// From now on a first signal is only noted; a second one of the same kind ends the process at once.
pub fn listen() {
    let signals = SIGNALS.get_or_init(|| [SIGINT, SIGTERM].map(|number| (number, Arc::default())));
    for (number, came) in signals {
        // Without a handler a signal ends the process as ever, which loses nothing but the last words.
        if flag::register_conditional_shutdown(*number, 128 + number, Arc::clone(came)).is_ok() {
            let _ = flag::register(*number, Arc::clone(came));
        }
    }
}

/// The exit code that a signal that came asks for, 128 and its number.
pub fn code() -> Option<u8> {
    let came = SIGNALS.get()?.iter().find(|(_, came)| came.load(Ordering::Relaxed));
    came.and_then(|(number, _)| u8::try_from(128 + number).ok())
}

/// Whether a signal came.
pub fn is_set() -> bool {
    code().is_some()
}
