//! Internal errors of healthboard. They never reach the host, and only the first one is logged.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static ERROR_COUNT: AtomicUsize = AtomicUsize::new(0);

/// The first error, until it is logged.
static FIRST_ERROR: Mutex<Option<String>> = Mutex::new(None);

/// Returns the result of `work`, or `otherwise` if it panics. Costs nothing unless it panics.
#[inline]
pub(crate) fn guarded<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

/// Keeps the first internal error for the log, and counts all.
#[cold]
pub(crate) fn report_error(text: &str) {
    if ERROR_COUNT.fetch_add(1, Relaxed) == 0
        // Not `lock`: in a child that was forked while another thread held it, that would block indefinitely.
        && let Ok(mut first) = FIRST_ERROR.try_lock()
    {
        let text = healthboard::scrub(text, 400);
        *first = Some(format!("{text}; the service is not affected; later internal errors are not logged"));
    }
}

/// The first error, if it has not been logged yet.
pub(crate) fn take_first_error() -> Option<String> {
    FIRST_ERROR.try_lock().ok()?.take()
}

/// Reports panics as internal errors instead of printing them. Only this library's panics come here.
pub(crate) fn report_panics() {
    panic::set_hook(Box::new(|panic| {
        report_error(&format!("internal error of healthboard: {panic}").replace('\n', " "))
    }));
}
