//! Where the threads of Python stand, asked by the keeper when the process hangs.
//!
//! Frames may be looked at by who holds the GIL, or while nobody runs Python. (Looking at them all the same crashes a process whose
//! threads are running once in some hundred to some thousand times, which includes `faulthandler.dump_traceback_later`.) So a thread
//! is started that asks for the GIL. When it gets it, `stacks.py` writes the stacks. When it does not for three seconds, and nobody
//! has stamped `progress` meanwhile, whoever has the GIL does not give it away: no frame moves, and the keeper looks without it,
//! which takes about a millisecond.
//!
//! The function that looks without the GIL is `faulthandler`'s handler of a signal, which is made to run in any thread at any
//! time. [`trace`] registers it, takes its address, and gives the signal back: nothing is ever sent. It writes to descriptor 2,
//! which in the keeper's own table leads nowhere but while it writes. So no descriptor, no file and no thread of ours is in the
//! host for this, and nothing that a fork could copy: `dump_traceback_later` leaves a forked child a lock that nobody releases,
//! which it waits for at its end.

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

/// Who asks for the GIL gets it after some switches of 5 ms each, unless its holder does not give it away.
const GIL_IS_STUCK_AFTER_NS: u64 = 2_900_000_000;

/// No more of a text is read.
const MAX_TEXT: u64 = 4 << 20;

/// The descriptor that the handler writes to: the standard error, unless told otherwise.
const HANDLER_OUTPUT: c_int = 2;

/// How long the end of the interpreter waits for one who looks at its frames.
const MAX_WAIT_AT_EXIT: Duration = Duration::from_secs(1);

struct Interpreter {
    /// `stacks.write(descriptor)`.
    write: Py<PyAny>,
    package: PathBuf,
    signal: c_int,
    handler: extern "C" fn(c_int),
}

static INTERPRETER: OnceLock<Interpreter> = OnceLock::new();

/// The interpreter ends: its frames are not looked at any more.
static ENDED: AtomicBool = AtomicBool::new(false);

/// The process whose thread asks for the GIL, and since when. A forked child has no such thread.
static ASKING: Busy = Busy(AtomicU32::new(0));
static ASKING_SINCE_NS: AtomicU64 = AtomicU64::new(0);

/// The process whose keeper is looking.
static LOOKING: Busy = Busy(AtomicU32::new(0));

/// What the thread has found.
static FOUND: AtomicPtr<Stacks> = AtomicPtr::new(ptr::null_mut());

/// Has the keeper ask where the threads stand when this process hangs. `write` writes it to a descriptor, `package` is this
/// package's directory. The first call counts, in this process and all that it forks.
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

/// To be called before the interpreter ends.
#[pyfunction]
pub(crate) fn end_trace(py: Python<'_>) {
    ENDED.store(true, SeqCst);
    let began = Instant::now();
    // Without the GIL: who asks for it gets it.
    py.detach(|| {
        while (ASKING.is_held() || LOOKING.is_held()) && began.elapsed() < MAX_WAIT_AT_EXIT {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// The keeper's question. Does not wait.
fn poll(is_silent: bool) -> Option<Stacks> {
    let interpreter = INTERPRETER.get()?;
    let found = FOUND.swap(ptr::null_mut(), AcqRel);
    if !found.is_null() {
        // SAFETY: from `Box::into_raw` in `ask`, and taken by nobody else.
        return Some(*unsafe { Box::from_raw(found) });
    }
    if !ASKING.is_held() {
        ASKING_SINCE_NS.store(now_ns(), Relaxed);
        let thread = std::thread::Builder::new().name("healthboard".to_owned());
        // If there is no thread to be had, the next look tries again.
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

/// Gets the GIL and has the stacks written with it. Runs in a thread of the keeper's descriptors.
fn ask(interpreter: &Interpreter) {
    /// Also where something panics.
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
        // The keeper has looked meanwhile.
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
    // SAFETY: in the keeper's own table, where nothing but this function uses the descriptor. The handler is safe to be called in
    // any thread at any moment, the frames do not move, and the interpreter waits with its end until `LOOKING` is released.
    unsafe {
        let before = libc::fcntl(HANDLER_OUTPUT, libc::F_DUPFD_CLOEXEC, 0);
        if before < 0 || libc::dup2(file.as_raw_fd(), HANDLER_OUTPUT) < 0 {
            return Err(io::Error::last_os_error());
        }
        (interpreter.handler)(interpreter.signal);
        libc::dup2(before, HANDLER_OUTPUT);
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

/// `faulthandler`'s handler, and the signal that it knows it by; `None` if every signal is in use.
fn handler(py: Python<'_>) -> PyResult<Option<(c_int, extern "C" fn(c_int))>> {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    let is_free = |signal: &c_int| {
        // SAFETY: writes the present disposition, for which zeroes are valid, too.
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
    // SAFETY: writes this thread's alternate stack, for which zeroes are valid, too.
    let had_stack = unsafe {
        libc::sigaltstack(ptr::null(), stack.as_mut_ptr());
        (*stack.as_ptr()).ss_flags & libc::SS_DISABLE == 0
    };
    py.import("faulthandler")?.call_method("register", (signal,), Some(&options))?;
    let mut ours = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the disposition and the alternate stack that were there before are put back.
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
    // SAFETY: the address of a handler that was installed without SA_SIGINFO, which takes the signal alone.
    Ok(Some((signal, unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) })))
}

/// Held by a process, not by those that it forks.
struct Busy(AtomicU32);

impl Busy {
    /// Returns false if it is held.
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
