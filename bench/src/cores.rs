//! Which core this thread runs on, and the processes that it starts.

use anyhow::{Context, Result, ensure};

/// Keeps this thread, and the processes that it starts, on one core for as long as this lives.
pub struct Cores {
    before: libc::cpu_set_t,
}

impl Cores {
    /// The last core that there is.
    pub fn last() -> Result<Cores> {
        Cores::only(|cores| cores.last().copied())
    }

    /// The first one; the same where there is only one.
    pub fn first() -> Result<Cores> {
        Cores::only(|cores| cores.first().copied())
    }

    fn only(choose: fn(&[usize]) -> Option<usize>) -> Result<Cores> {
        // SAFETY: the sets are plain memory of the size that is named, for which zeroes are valid; 0 is this thread.
        unsafe {
            let size = size_of::<libc::cpu_set_t>();
            let (mut before, mut one) = (std::mem::zeroed(), std::mem::zeroed());
            ensure!(libc::sched_getaffinity(0, size, &mut before) == 0, "cannot see the cores");
            let all = 0..libc::CPU_SETSIZE as usize;
            let cores: Vec<usize> = all.filter(|core| libc::CPU_ISSET(*core, &before)).collect();
            libc::CPU_SET(choose(&cores).context("no core")?, &mut one);
            ensure!(libc::sched_setaffinity(0, size, &one) == 0, "cannot choose a core");
            Ok(Cores { before })
        }
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        // SAFETY: as above; on failure the later parts run on one core too.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &self.before) };
    }
}
