//! The memory that belongs to one process: a page that the kernel wipes in a forked child (`MADV_WIPEONFORK`), however
//! the child was made. No fork handler has to run. A wiped page means: no board, no thread is making one, all locks free.
//!
//! # Orderings
//!
//! `board` is the only word of state. Its values are 0 (no board), 1 (being made), 2 (no board, and no thread waits for
//! one) and otherwise the address of the board in use. An exchange changes it from 0 to 1, and the thread that wins the
//! exchange makes the board. The keeper stores the address.
//!
//! - The address is stored with `Release` and loaded with `Acquire`: a thread that sees the board also sees its header and
//!   the keeper's data in `process`. Otherwise a thread could record on a board and find no `process`.
//! - The other changes of `board`, and those of `goodbye`, publish no other memory, so they are `Relaxed`.

use super::layout::{Board, SLOTS};
use super::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, mutant, unless};
use Ordering::{Acquire, Relaxed, Release};

/// There is no board yet.
const NONE: usize = 0;
/// A thread is making it.
const MAKING: usize = 1;
/// This process has no board and will get none, or no longer waits for it.
const WITHOUT: usize = 2;

/// The page. All zeroes is its initial state, and valid for every field. `P` is the keeper's data.
#[repr(C)]
pub(crate) struct Page<P> {
    board: AtomicPtr<Board>,
    process: AtomicPtr<P>,
    /// The id of the board; 0 in a forked child until it has one of its own.
    id: AtomicU64,
    /// Not zero once this process has said goodbye. The board says so as well, but may have been overwritten.
    goodbye: AtomicU32,
    /// One for each slot: see [`super::slot`].
    pub(crate) locks: [AtomicU32; SLOTS],
}

/// The answer to a thread that needs the board.
pub(crate) enum Claim {
    /// The caller must make it.
    Yours,
    /// Another thread is making it.
    Others,
    /// There will be no board, or not soon.
    Without,
}

impl<P> Page<P> {
    #[cfg(loom)]
    pub(crate) fn new() -> Page<P> {
        Page {
            board: AtomicPtr::new(std::ptr::null_mut()),
            process: AtomicPtr::new(std::ptr::null_mut()),
            id: AtomicU64::new(0),
            goodbye: AtomicU32::new(0),
            locks: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// The board in use.
    #[inline]
    pub(crate) fn board(&self) -> Option<&'static Board> {
        // Acquire pairs with the Release in `publish`.
        let board = self.board.load(unless("board-without-acquire", Acquire));
        if board as usize <= WITHOUT {
            return None;
        }
        // SAFETY: an address from `publish`, which takes `&'static Board`.
        Some(unsafe { &*board })
    }

    /// The keeper's data, once there is a board.
    pub(crate) fn process(&self) -> Option<&'static P> {
        self.board()?;
        // SAFETY: null or from `publish`, which takes `&'static P`. Relaxed: `board` above has seen the Release after it.
        unsafe { self.process.load(Relaxed).as_ref() }
    }

    /// The id of the board in use. An operation that began under another id began in another process.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.id.load(Relaxed)
    }

    /// Decides whether the caller makes the missing board.
    pub(crate) fn claim(&self) -> Claim {
        let (none, making) = (NONE as *mut Board, MAKING as *mut Board);
        if mutant("claim-in-two-steps") && self.board.load(Relaxed) == none {
            self.board.store(making, Relaxed);
            return Claim::Yours;
        }
        match self.board.compare_exchange(none, making, Relaxed, Relaxed) {
            Ok(_) => Claim::Yours,
            Err(state) if state as usize == WITHOUT => Claim::Without,
            Err(_) => Claim::Others,
        }
    }

    /// Makes all threads stop waiting for the board. A board that is published later is still used.
    pub(crate) fn go_without(&self) {
        let (making, without) = (MAKING as *mut Board, WITHOUT as *mut Board);
        if mutant("go-without-in-two-steps") && self.board.load(Relaxed) == making {
            return self.board.store(without, Relaxed);
        }
        let _ = self.board.compare_exchange(making, without, Relaxed, Relaxed);
    }

    /// Whether this process records nothing, as if health were off.
    pub(crate) fn is_without(&self) -> bool {
        self.board.load(Relaxed) as usize == WITHOUT
    }

    /// Notes that this process says goodbye.
    pub(crate) fn say_goodbye(&self) {
        self.goodbye.store(1, Relaxed);
    }

    /// Whether this process has said goodbye.
    pub(crate) fn has_said_goodbye(&self) -> bool {
        self.goodbye.load(Relaxed) != 0
    }

    /// Puts the board into use.
    pub(crate) fn publish(&self, board: &'static Board, id: u64, process: &'static P) {
        self.id.store(id, Relaxed);
        self.process.store(std::ptr::from_ref(process).cast_mut(), Relaxed);
        // Release pairs with the Acquire in `board`.
        let release = unless("board-without-release", Release);
        let board = std::ptr::from_ref(board).cast_mut();
        #[cfg(not(loom))]
        self.board.store(board, release);
        // Loom forgets the order of a plain store and the exchange in `go_without`: see `Slot::ok_at`.
        #[cfg(loom)]
        self.board.swap(board, release);
    }
}

#[cfg(not(loom))]
impl<P> Page<P> {
    /// Maps a page for this process.
    ///
    /// # Errors
    ///
    /// No memory is left, or the kernel has no `MADV_WIPEONFORK` (before 4.14).
    pub(crate) fn map() -> std::io::Result<&'static Page<P>> {
        let length = size_of::<Page<P>>().next_multiple_of(4096);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new private mapping of zeroes, never unmapped; for the atomics of `Page` zero is a valid value.
        unsafe {
            let page = libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0);
            if page == libc::MAP_FAILED {
                return Err(std::io::Error::last_os_error());
            }
            if libc::madvise(page, length, libc::MADV_WIPEONFORK) != 0 {
                let error = std::io::Error::last_os_error();
                libc::munmap(page, length);
                return Err(error);
            }
            Ok(&*page.cast::<Page<P>>())
        }
    }
}
