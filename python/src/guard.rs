//! Our own failures: swallowed, counted, told once.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static SWALLOWED: AtomicUsize = AtomicUsize::new(0);

/// The first of them, until somebody logs it.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Does `work`; where that panics, the answer is `otherwise`. Costs nothing unless it panics.
#[inline]
pub(crate) fn guarded<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

/// Counts a failure of ours.
#[cold]
pub(crate) fn trouble(text: &str) {
    if SWALLOWED.fetch_add(1, Relaxed) == 0
        // Not `lock`: a child forked while another thread held it would wait for ever.
        && let Ok(mut first) = FIRST.try_lock()
    {
        let text = healthboard::scrub(text, 400);
        *first = Some(format!("{text}; the service is not affected, and further ones are not logged"));
    }
}

/// What is to be logged, once.
pub(crate) fn first_trouble() -> Option<String> {
    FIRST.try_lock().ok()?.take()
}

/// Panics of this library, and of no other, are told as every trouble is, not on standard error.
pub(crate) fn listen_for_panics() {
    panic::set_hook(Box::new(|panic| {
        trouble(&format!("internal error of healthboard: {panic}").replace('\n', " "))
    }));
}
