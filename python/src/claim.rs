//! What one of a process and those forked from it does, so that the others need not.

use pyo3::prelude::*;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};

const LENGTH: usize = size_of::<AtomicBool>();

/// Something that one process does: this one, or one that is forked from now on.
#[pyclass(frozen, module = "healthboard._native")]
pub(crate) struct Claim {
    /// Whether a process has taken it, in a page that these processes share. Null if no memory was left.
    is_taken: AtomicPtr<AtomicBool>,
}

#[pymethods]
impl Claim {
    #[new]
    fn new() -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping.
        let page = unsafe { libc::mmap(ptr::null_mut(), LENGTH, protection, flags, -1, 0) };
        let page = if page == libc::MAP_FAILED { ptr::null_mut() } else { page };
        Self { is_taken: AtomicPtr::new(page.cast()) }
    }

    /// Take it. Return False if it was taken before.
    fn take(&self) -> bool {
        // Relaxed: nothing else is shared by means of it.
        // SAFETY: null, or the page, which exists until `drop` and whose zeroes are a valid atomic.
        unsafe { self.is_taken.load(Relaxed).as_ref() }.is_none_or(|is_taken| !is_taken.swap(true, Relaxed))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let page = *self.is_taken.get_mut();
        if !page.is_null() {
            // SAFETY: it is the mapping that `new` has made. Those of other processes stay.
            unsafe { libc::munmap(page.cast(), LENGTH) };
        }
    }
}
