//! The file of stacks beside a board. It is text, written under a temporary name and renamed. Readers trust nothing in it.
//!
//! ```text
//! healthboard-stacks 1 123456789000
//! main 1
//!  1234 nova/virt/libvirt/host.py list_all_domains
//!  10843 nova/compute/manager.py _sync_power_states
//! ```

use super::{Frame, MAX_FRAMES, MAX_STACKS, Role, Stack, Stacks};
use std::fmt::Write as _;

/// The first words of the file; the second is the version of this format.
const HEAD: &str = "healthboard-stacks 1 ";

impl Stacks {
    /// The largest size of a file. No more than this is read.
    pub const MAX_BYTES: usize = 64 << 10;

    /// The content of the file. Stacks that do not fit are left out, from the end.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!("{HEAD}{}\n", self.taken_ns);
        for Stack { role, threads, frames } in &self.stacks {
            let mut part = format!("{} {threads}\n", role.name());
            for Frame { file, line, function } in frames {
                // Writing to a String does not fail.
                let _ = writeln!(part, " {line} {file} {function}");
            }
            if text.len() + part.len() > Stacks::MAX_BYTES {
                break;
            }
            text += &part;
        }
        text.into_bytes()
    }

    /// Parses the output of [`encode`](Stacks::encode). Invalid lines are skipped. `None` if the file does not begin with
    /// the expected line.
    pub fn parse(bytes: &[u8]) -> Option<Stacks> {
        let bytes = &bytes[..bytes.len().min(Stacks::MAX_BYTES)];
        // A last line without a line end may have been cut.
        let text = String::from_utf8_lossy(&bytes[..=bytes.iter().rposition(|byte| *byte == b'\n')?]);
        let mut lines = text.lines();
        let mut stacks = Stacks::at(lines.next()?.strip_prefix(HEAD)?.parse().ok()?);
        let mut stack: Option<Stack> = None;
        for line in lines {
            match line.strip_prefix(' ') {
                Some(line) => {
                    if let (Some(stack), Some(frame)) = (&mut stack, frame(line))
                        && stack.frames.len() < MAX_FRAMES
                    {
                        stack.frames.push(frame);
                    }
                }
                None => {
                    if let Some(whole) = std::mem::replace(&mut stack, begin(line)) {
                        stacks.add_counted(whole);
                    }
                    // Each stack is compared with all others, so their number must be bounded.
                    if stacks.stacks.len() == MAX_STACKS {
                        return Some(stacks);
                    }
                }
            }
        }
        stack.into_iter().for_each(|whole| stacks.add_counted(whole));
        Some(stacks)
    }
}

fn begin(line: &str) -> Option<Stack> {
    let (role, threads) = line.split_once(' ')?;
    let role = Role::ALL.into_iter().find(|known| known.name() == role)?;
    Some(Stack { role, threads: threads.parse().ok()?, frames: Vec::new() })
}

fn frame(line: &str) -> Option<Frame> {
    let mut words = line.splitn(3, ' ');
    let (line, file, function) = (words.next()?, words.next()?, words.next()?);
    Some(Frame::new(file, line.parse().ok()?, function))
}
