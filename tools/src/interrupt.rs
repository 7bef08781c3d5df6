//! Ctrl-C and SIGTERM, for tools that have something to finish first.

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How long further signals count as the first one: `timeout` sends its signal to the process and to its group.
const BURST: Duration = Duration::from_secs(1);

struct Signals {
    came: [(i32, Arc<AtomicBool>); 2],
    /// From now on a signal ends the process at once.
    is_armed: Arc<AtomicBool>,
    is_seen: AtomicBool,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();

/// From now on a first signal is only noted; one that comes a while after it was seen ends the process at once.
pub fn listen() {
    let signals = SIGNALS.get_or_init(|| Signals {
        came: [SIGINT, SIGTERM].map(|number| (number, Arc::default())),
        is_armed: Arc::default(),
        is_seen: AtomicBool::new(false),
    });
    for (number, came) in &signals.came {
        // Without a handler a signal ends the process as ever, which loses nothing but the last words.
        let armed = Arc::clone(&signals.is_armed);
        if flag::register_conditional_shutdown(*number, 128 + number, armed).is_ok() {
            let _ = flag::register(*number, Arc::clone(came));
        }
    }
}

/// The exit code that a signal that came asks for, 128 and its number.
pub fn code() -> Option<u8> {
    let signals = SIGNALS.get()?;
    let (number, _) = signals.came.iter().find(|(_, came)| came.load(Ordering::Relaxed))?;
    if !signals.is_seen.swap(true, Ordering::Relaxed) {
        let armed = Arc::clone(&signals.is_armed);
        thread::spawn(move || {
            thread::sleep(BURST);
            armed.store(true, Ordering::Relaxed);
        });
    }
    u8::try_from(128 + number).ok()
}

/// Whether a signal came.
pub fn is_set() -> bool {
    code().is_some()
}
