//! A name server that can fall silent.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

/// The only port that a `resolv.conf` can mean.
const PORT: u16 = 53;
/// The names in front of the command's own arguments: a `resolv.conf` of its own, in a mount namespace of its own.
const SCRIPT: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;
/// The length of the head of a message.
const HEAD: usize = 12;
/// The type and the class of a question for an IPv4 address.
const ADDRESS: [u8; 4] = [0, 1, 0, 1];

/// A name server for some names. It takes questions and says nothing while it is silent.
pub(crate) struct Resolver {
    silent: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    configuration: PathBuf,
}

impl Resolver {
    /// Starts it on a loopback address of its own.
    ///
    /// # Errors
    ///
    /// If it may not listen.
    pub(crate) fn start(folder: &Path, names: BTreeMap<&'static str, Ipv4Addr>) -> Result<Self> {
        let (socket, address) = (1..=u8::MAX)
            .map(|number| Ipv4Addr::new(127, 0, 77, number))
            .find_map(|address| Some((UdpSocket::bind((address, PORT)).ok()?, address)))
            .context("cannot listen as a name server\nnext: run it as root")?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let configuration = folder.join("resolv.conf");
        fs::write(&configuration, format!("nameserver {address}\n"))?;
        let (silent, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (is_silent, is_over) = (Arc::clone(&silent), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut question = [0; 512];
            // Relaxed: the flags carry no other data with them.
            while !is_over.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut question) else { continue };
                if !is_silent.load(Ordering::Relaxed) {
                    let answer = answer(&question[..length], &names);
                    let _ = answer.map(|answer| socket.send_to(&answer, client));
                }
            }
        });
        Ok(Self { silent, stop, thread: Some(thread), configuration })
    }

    /// Lets it fall silent, or answer again.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    /// Turns `unshare` into a command that asks this name server and no other. Its program and its arguments follow.
    pub(crate) fn prefix(&self, unshare: &mut Command) {
        unshare.args(["--mount", "sh", "-c", SCRIPT]).arg(&self.configuration);
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The answer to a message with one question: the address of a known name, or that there is none of this type.
fn answer(question: &[u8], names: &BTreeMap<&'static str, Ipv4Addr>) -> Option<Vec<u8>> {
    let (mut at, mut labels) = (HEAD, Vec::new());
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(question.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
    let kind = question.get(at..at + ADDRESS.len())?;
    let known = names.get(labels.join(".").as_str());
    let found = known.filter(|_| kind == ADDRESS);
    // The flags: an answer, with authority, and a recursion that was wanted and is there. Code 3: there is no such name.
    let mut answer = question[..2].to_vec();
    answer.extend([
        0x85,
        if known.is_some() { 0x80 } else { 0x83 },
        0,
        1,
        0,
        u8::from(found.is_some()),
        0,
        0,
        0,
        0,
    ]);
    answer.extend(&question[HEAD..at + ADDRESS.len()]);
    if let Some(address) = found {
        // The name as above, the type and class, no time to live, four bytes of address.
        answer.extend([0xc0, HEAD as u8]);
        answer.extend(ADDRESS);
        answer.extend([0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer to a question for an address of this type, by name.
    fn ask(name: &str, kind: u8) -> Option<Vec<u8>> {
        let mut question = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            question.push(u8::try_from(label.len()).unwrap());
            question.extend(label.bytes());
        }
        question.extend([0, 0, kind, 0, 1]);
        answer(&question, &BTreeMap::from([("broker.stage", Ipv4Addr::new(198, 18, 77, 2))]))
    }

    #[test]
    fn a_known_name_has_its_address() {
        let answer = ask("Broker.stage", 1).unwrap();
        assert_eq!((&answer[..4], answer[7]), (&[7, 9, 0x85, 0x80][..], 1));
        assert!(answer.ends_with(&[0, 4, 198, 18, 77, 2]));
    }

    #[test]
    fn a_known_name_has_no_address_of_another_type() {
        let answer = ask("broker.stage", 28).unwrap();
        assert_eq!((answer[3], answer[7]), (0x80, 0));
    }

    #[test]
    fn an_unknown_name_does_not_exist() {
        let answer = ask("database.stage", 1).unwrap();
        assert_eq!((answer[3], answer[7]), (0x83, 0));
    }

    #[test]
    fn a_message_that_is_cut_short_has_no_answer() {
        assert_eq!(answer(&[7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 6, b'b'], &BTreeMap::new()), None);
    }
}
