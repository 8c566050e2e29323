//! Where the threads of Python stand. The keeper asks for this when the process hangs.
//!
//! Frames can be read safely only by the thread that holds the GIL, or while no thread runs Python. (Reading them regardless
//! crashes a process with running threads once in some hundred to some thousand times. That includes
//! `faulthandler.dump_traceback_later`.) So a thread is started that requests the GIL. When it gets the GIL, `stacks.py`
//! writes the stacks. If it does not get it for three seconds, and `progress` was not stamped in that time, the owner of
//! the GIL does not release it. Then no frame changes, and the keeper reads the frames without the GIL, which takes about
//! a millisecond.
//!
//! The function that reads them without the GIL is `faulthandler`'s signal handler, which is designed to run in any thread
//! at any time. [`trace`] registers it, takes its address, and restores the disposition of the signal, which is never
//! sent. The handler writes to descriptor 2. In the keeper's own table that leads to `/dev/null`, except while the handler
//! writes. So the host gets no descriptor and no file for this, nor anything that a fork could copy:
//! `dump_traceback_later` leaves a forked child with a lock that is never released, and for which the child waits when it
//! ends.

use crate::guard;
use crate::traceback;
use healthboard::{Stacks, now_ns};
use libc::c_int;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::PathBuf;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering::*};
use std::time::{Duration, Instant};

/// A thread that requests the GIL gets it after some switch intervals of 5 ms, unless its owner does not release it.
const GIL_IS_STUCK_AFTER_NS: u64 = 2_900_000_000;

/// The most bytes of a text that are read.
const MAX_TEXT: u64 = 4 << 20;

/// The descriptor to which the handler writes: standard error, which is its default.
const HANDLER_OUTPUT: c_int = 2;

/// How long the end of the interpreter waits for a thread that reads its frames.
const MAX_WAIT_AT_EXIT: Duration = Duration::from_secs(1);

struct Interpreter {
    /// `stacks.write(descriptor)`.
    write: Py<PyAny>,
    package: PathBuf,
    signal: c_int,
    handler: extern "C" fn(c_int),
}

static INTERPRETER: OnceLock<Interpreter> = OnceLock::new();

/// Whether the interpreter is about to end. Its frames are no longer read then.
static ENDED: AtomicBool = AtomicBool::new(false);

/// The process whose thread requests the GIL, and since when. A forked child has no such thread.
static ASKING: Busy = Busy(AtomicU32::new(0));
static ASKING_SINCE_NS: AtomicU64 = AtomicU64::new(0);

/// The process whose keeper is reading frames without the GIL.
static LOOKING: Busy = Busy(AtomicU32::new(0));

/// The stacks that the thread has got.
static FOUND: AtomicPtr<Stacks> = AtomicPtr::new(ptr::null_mut());

/// Record where the threads stand when this process hangs.
///
/// `write` writes the stacks to a descriptor, `package` is this package's directory. Only the first
/// call has an effect, in this process and in all that it forks.
#[pyfunction]
pub(crate) fn trace(py: Python<'_>, write: Py<PyAny>, package: PathBuf) -> PyResult<()> {
    if INTERPRETER.get().is_none()
        && let Some((signal, handler)) = handler(py)?
        && INTERPRETER.set(Interpreter { write, package, signal, handler }).is_ok()
    {
        healthboard::trace_with(|is_silent| guard::guarded(None, || poll(is_silent)));
    }
    Ok(())
}

/// Read no more frames, because the interpreter is about to end.
///
/// Wait at most a second for threads that read them.
#[pyfunction]
pub(crate) fn end_trace(py: Python<'_>) {
    ENDED.store(true, SeqCst);
    let began = Instant::now();
    // The GIL is released, so that a thread that requests it gets it.
    py.detach(|| {
        while (ASKING.is_held() || LOOKING.is_held()) && began.elapsed() < MAX_WAIT_AT_EXIT {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// The tracer, which the keeper calls. Does not wait.
fn poll(is_silent: bool) -> Option<Stacks> {
    let interpreter = INTERPRETER.get()?;
    let found = FOUND.swap(ptr::null_mut(), AcqRel);
    if !found.is_null() {
        // SAFETY: from `Box::into_raw` in `ask`, and the swap has made this thread the only owner.
        return Some(*unsafe { Box::from_raw(found) });
    }
    if !ASKING.is_held() {
        ASKING_SINCE_NS.store(now_ns(), Relaxed);
        let thread = std::thread::Builder::new().name("healthboard".to_owned());
        // If no thread can be started, the next call tries again.
        if ASKING.hold() && thread.spawn(|| guard::guarded((), || ask(interpreter))).is_err() {
            ASKING.release();
        }
        return None;
    }
    let asked_for_ns = now_ns().saturating_sub(ASKING_SINCE_NS.load(Relaxed));
    if !is_silent || asked_for_ns < GIL_IS_STUCK_AFTER_NS || !LOOKING.hold() {
        return None;
    }
    let stacks = if ENDED.load(SeqCst) { None } else { look(interpreter).ok() };
    LOOKING.release();
    stacks
}

/// Gets the GIL and has the stacks written. Runs in a thread that shares the keeper's descriptor table.
fn ask(interpreter: &Interpreter) {
    /// Releases `ASKING` even after a panic.
    struct Released;
    impl Drop for Released {
        fn drop(&mut self) {
            ASKING.release();
        }
    }
    let _released = Released;
    if ENDED.load(SeqCst) {
        return;
    }
    let Ok(mut file) = memory_file() else { return };
    let written = Python::try_attach(|py| {
        let taken_ns = now_ns();
        // By then the keeper has read the frames itself.
        let is_late = taken_ns.saturating_sub(ASKING_SINCE_NS.load(Relaxed)) >= GIL_IS_STUCK_AFTER_NS;
        if is_late || ENDED.load(SeqCst) {
            return None;
        }
        match interpreter.write.call1(py, (file.as_raw_fd(),)) {
            Ok(_) => Some(taken_ns),
            Err(error) => {
                guard::report_error(&format!("cannot write stacks: {error}"));
                None
            }
        }
    });
    if let Some(Some(taken_ns)) = written
        && let Ok(stacks) = read(interpreter, &mut file, taken_ns)
    {
        let old = FOUND.swap(Box::into_raw(Box::new(stacks)), AcqRel);
        if !old.is_null() {
            // SAFETY: as in `poll`.
            drop(unsafe { Box::from_raw(old) });
        }
    }
}

/// Has the stacks written without the GIL.
fn look(interpreter: &Interpreter) -> io::Result<Stacks> {
    let mut file = memory_file()?;
    let taken_ns = now_ns();
    // SAFETY: in the keeper's own table only this function uses the descriptor. The handler can be called in any thread at
    // any moment, the frames do not change, and the interpreter does not end before `LOOKING` is released.
    unsafe {
        let before = libc::fcntl(HANDLER_OUTPUT, libc::F_DUPFD_CLOEXEC, 0);
        if before < 0 {
            return Err(io::Error::last_os_error());
        }
        if libc::dup2(file.as_raw_fd(), HANDLER_OUTPUT) >= 0 {
            (interpreter.handler)(interpreter.signal);
            libc::dup2(before, HANDLER_OUTPUT);
        }
        libc::close(before);
    }
    read(interpreter, &mut file, taken_ns)
}

fn read(interpreter: &Interpreter, file: &mut File, taken_ns: u64) -> io::Result<Stacks> {
    let mut text = Vec::new();
    file.rewind()?;
    file.take(MAX_TEXT).read_to_end(&mut text)?;
    Ok(traceback::stacks(&String::from_utf8_lossy(&text), &interpreter.package, taken_ns))
}

fn memory_file() -> io::Result<File> {
    let name: &CStr = c"healthboard-stacks";
    // SAFETY: the name ends with a NUL, and the new descriptor belongs to the file alone.
    unsafe {
        match libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(File::from_raw_fd(descriptor)),
        }
    }
}

/// `faulthandler`'s handler, and the signal for which it is registered. `None` if every real-time signal is in use.
fn handler(py: Python<'_>) -> PyResult<Option<(c_int, extern "C" fn(c_int))>> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    let is_free = |signal: &c_int| {
        // SAFETY: writes the current disposition, for which zeroes are valid as well.
        unsafe {
            libc::sigaction(*signal, ptr::null(), before.as_mut_ptr()) == 0
                && (*before.as_ptr()).sa_sigaction == libc::SIG_DFL
        }
    };
    let Some(signal) = (libc::SIGRTMIN()..libc::SIGRTMAX()).rev().find(is_free) else { return Ok(None) };
    let options = PyDict::new(py);
    options.set_item("file", HANDLER_OUTPUT)?;
    options.set_item("all_threads", true)?;
    let mut stack = MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: writes this thread's alternate stack, for which zeroes are valid as well.
    let had_stack = unsafe {
        libc::sigaltstack(ptr::null(), stack.as_mut_ptr());
        (*stack.as_ptr()).ss_flags & libc::SS_DISABLE == 0
    };
    py.import("faulthandler")?.call_method("register", (signal,), Some(&options))?;
    let mut ours = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the previous disposition and the previous alternate stack are restored.
    let handler = unsafe {
        libc::sigaction(signal, before.as_ptr(), ours.as_mut_ptr());
        if had_stack {
            libc::sigaltstack(stack.as_ptr(), ptr::null_mut());
        }
        (*ours.as_ptr()).sa_sigaction
    };
    if handler == libc::SIG_DFL || handler == libc::SIG_IGN {
        return Ok(None);
    }
    // SAFETY: the address of a handler that was installed without SA_SIGINFO, so the signal is its only argument.
    Ok(Some((signal, unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) })))
}

/// A flag that a process holds. The processes that it forks do not hold it.
struct Busy(AtomicU32);

impl Busy {
    /// Takes it. Returns false if this process holds it already, or if another thread has taken it.
    fn hold(&self) -> bool {
        let own = std::process::id();
        let holder = self.0.load(SeqCst);
        holder != own && self.0.compare_exchange(holder, own, SeqCst, SeqCst).is_ok()
    }

    fn is_held(&self) -> bool {
        self.0.load(SeqCst) == std::process::id()
    }

    fn release(&self) {
        self.0.store(0, SeqCst);
    }
}
