//! The verdict on the whole service, for who asks this process on a port of its own: oslo.middleware's `/healthcheck`, a
//! WSGI application.
//!
//! The thread that asks reads the boards itself, and keeps no file open: the descriptors of this process are the host's, which
//! may fork or close them at any moment.

use crate::{first_use, guard, testing};
use healthboard::format::Finding;
use healthboard::{Report, now_ns};
use healthboard_endpoint::HttpOptions;
use pyo3::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// An answer is reused for this many times the CPU time that it took to make, so that answers take at most a hundredth of one
/// core: opening the boards anew costs more than the endpoint's readings, and every worker may be asked.
const REUSED_PER_COST: u32 = 100;

/// No answer is reused for longer, whatever it cost.
const MAX_REUSE: Duration = Duration::from_secs(1);

/// Whether `DEGRADED` is no reason to send requests elsewhere.
static DEGRADED_IS_AVAILABLE: AtomicBool = AtomicBool::new(true);

/// The newest answer. Locked by a thread that holds the interpreter's lock, so no other one waits for it.
static NEWEST: Mutex<Option<Kept>> = Mutex::new(None);

struct Kept {
    answer: Answer,
    made_ns: u64,
    reused_until_ns: u64,
}

/// Whether requests can be sent to the service, the reason, and the state of each indicator.
type Answer = (bool, String, String);

/// Takes over what the service's options say about an answer.
pub(crate) fn set_options(options: &HttpOptions) {
    DEGRADED_IS_AVAILABLE.store(options.degraded_status_code < 400, Relaxed);
}

/// Whether requests can be sent to the service, the reason, and the state of each indicator. `None`: there is no health in this
/// process. Starts it where the first recording would.
#[pyfunction]
pub(crate) fn verdict(py: Python<'_>) -> Option<Answer> {
    first_use::call_once(py);
    guard::guarded(None, || {
        if testing::is_active() {
            // Its clock stands still.
            return Some(answer(&healthboard::report()?));
        }
        // Never waits: a child that was forked while this was locked makes each answer anew.
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
