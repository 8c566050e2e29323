//! What process and port checks see: the processes and their connections.
//!
//! It reads the same files as `pgrep` and `ss -tnp`, without starting a program each second.

use std::collections::{HashMap, HashSet};
use std::fs;

/// The processes of this host by process group, and their connections. Each service is a process group.
#[derive(Debug)]
pub(crate) struct Snapshot {
    members: HashMap<u32, Vec<u32>>,
    established: HashMap<u16, HashSet<u64>>,
}

impl Snapshot {
    /// Reads all processes, and all connections to one of `ports`.
    pub(crate) fn take(ports: &[u16]) -> Self {
        let mut members: HashMap<u32, Vec<u32>> = HashMap::new();
        let entries = fs::read_dir("/proc").into_iter().flatten();
        for pid in entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()) {
            if let Some(group) = group_of(pid) {
                members.entry(group).or_default().push(pid);
            }
        }
        let mut established: HashMap<u16, HashSet<u64>> = HashMap::new();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            let table = fs::read_to_string(table).unwrap_or_default();
            for (port, inode) in table.lines().skip(1).filter_map(connection) {
                if ports.contains(&port) {
                    established.entry(port).or_default().insert(inode);
                }
            }
        }
        Self { members, established }
    }

    /// Whether `pgrep` finds a process of the group.
    pub(crate) fn has_process(&self, group: u32) -> bool {
        self.members.contains_key(&group)
    }

    /// Whether `ss` finds an established connection from a process of the group to `port`.
    pub(crate) fn is_connected(&self, group: u32, port: u16) -> bool {
        let Some(inodes) = self.established.get(&port) else { return false };
        self.members.get(&group).into_iter().flatten().any(|pid| {
            fs::read_dir(format!("/proc/{pid}/fd"))
                .into_iter()
                .flatten()
                .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
                .any(|target| target.to_str().and_then(socket).is_some_and(|inode| inodes.contains(&inode)))
        })
    }
}

/// The process group of `pid`, unless it has ended.
fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name before this may contain any character.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!["Z", "X"].contains(&state)).then_some(group)
}

/// The remote port and the inode of an established connection, from a line of `/proc/net/tcp`.
fn connection(line: &str) -> Option<(u16, u64)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, port) = fields.get(2)?.rsplit_once(':')?;
    (*fields.get(3)? == "01").then_some(())?;
    Some((u16::from_str_radix(port, 16).ok()?, fields.get(9)?.parse().ok()?))
}

fn socket(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::process;

    use super::*;

    #[test]
    fn a_connection_is_seen_while_it_exists() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let group = group_of(process::id()).unwrap();
        assert!(Snapshot::take(&[port]).has_process(group));
        assert!(!Snapshot::take(&[port]).is_connected(group, port));
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(Snapshot::take(&[port]).is_connected(group, port));
        drop(stream);
        assert!(!Snapshot::take(&[port]).is_connected(group, port));
    }

    #[test]
    fn a_missing_group_has_no_process() {
        assert!(!Snapshot::take(&[]).has_process(u32::MAX));
    }
}
