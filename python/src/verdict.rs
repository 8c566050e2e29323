//! The verdict on the whole service, for health checks at a port of this process: oslo.middleware's `/healthcheck`, or a
//! WSGI application.
//!
//! The calling thread reads the boards itself. It keeps no file open: the descriptors of this process are the host's,
//! which may fork or close them at any moment.

use crate::{first_use, guard, testing};
use healthboard::format::Finding;
use healthboard::{Report, now_ns};
use healthboard_endpoint::HttpOptions;
use pyo3::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// An answer is reused for this many times the CPU time that it took to make, so that answers take at most a hundredth of a
/// core. Opening the boards each time costs more than what the endpoint does, and every worker may be asked.
const REUSED_PER_COST: u32 = 100;

/// No answer is reused for longer than this, whatever it cost.
const MAX_REUSE: Duration = Duration::from_secs(1);

/// Whether a `DEGRADED` service is available.
static DEGRADED_IS_AVAILABLE: AtomicBool = AtomicBool::new(true);

/// The newest answer. A thread that locks it holds the interpreter's lock, so no other thread waits for it.
static NEWEST: Mutex<Option<Kept>> = Mutex::new(None);

struct Kept {
    answer: Answer,
    made_ns: u64,
    reused_until_ns: u64,
}

/// Whether requests can be sent to the service, the reason, and the state of each indicator.
type Answer = (bool, String, String);

/// Applies the options of the service that concern an answer.
pub(crate) fn set_options(options: &HttpOptions) {
    DEGRADED_IS_AVAILABLE.store(options.degraded_status_code < 400, Relaxed);
}

/// Return whether the service is available, why, and the states of its indicators; None without health.
///
/// Start health where the first recording would.
#[pyfunction]
pub(crate) fn verdict(py: Python<'_>) -> Option<Answer> {
    first_use::call_once(py);
    guard::guarded(None, || {
        if testing::is_active() {
            // Its clock stands still.
            return Some(answer(&healthboard::report()?));
        }
        // Never waits for the lock: a child that was forked while it was held makes a new answer each time.
        let mut newest = NEWEST.try_lock().ok();
        let now_ns = now_ns();
        if let Some(Some(kept)) = newest.as_deref()
            && (kept.made_ns == now_ns || now_ns < kept.reused_until_ns)
        {
            return Some(kept.answer.clone());
        }
        let began = cpu_time();
        let answer = answer(&healthboard::report()?);
        let reuse = (cpu_time().saturating_sub(began) * REUSED_PER_COST).min(MAX_REUSE);
        if let Some(newest) = newest.as_deref_mut() {
            let reused_until_ns = now_ns + u64::try_from(reuse.as_nanos()).unwrap_or(0);
            *newest = Some(Kept { answer: answer.clone(), made_ns: now_ns, reused_until_ns });
        }
        Some(answer)
    })
}

fn answer(report: &Report) -> Answer {
    let Finding { available, reason, details } = Finding::of(report, DEGRADED_IS_AVAILABLE.load(Relaxed));
    (available, reason, details)
}

/// The CPU time that this thread has used so far.
fn cpu_time() -> Duration {
    // SAFETY: the structure is valid, and zero is a value of it.
    let used = unsafe {
        let mut used: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut used);
        used
    };
    Duration::new(u64::try_from(used.tv_sec).unwrap_or(0), u32::try_from(used.tv_nsec).unwrap_or(0))
}
