//! The parents and ancestors of processes.

/// The most generations that are searched for an ancestor.
const MAX_ANCESTORS: u32 = 64;

/// Whether `pid` is an ancestor of this process.
pub(crate) fn is_ancestor(pid: u32) -> bool {
    let mut process = std::process::id();
    for _ in 0..MAX_ANCESTORS {
        match parent(process) {
            None | Some(0) => return false,
            Some(parent) if parent == pid => return true,
            Some(parent) => process = parent,
        }
    }
    false
}

/// The parent of `pid`; `None` if there is no such process. Reads a file in `/proc`.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything; after it come the state and the parent.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::id;

    #[test]
    fn ancestors_are_found_and_others_are_not() {
        let parent = std::os::unix::process::parent_id();
        assert!(is_ancestor(parent));
        assert!(!is_ancestor(id()), "no process is its own ancestor");
        assert!(!is_ancestor(0));
        assert!(!is_ancestor(u32::MAX));
        // The parent's parent, as long as this process sees one.
        let above = super::parent(parent).unwrap();
        assert_eq!(is_ancestor(above), above > 0);
    }
}
