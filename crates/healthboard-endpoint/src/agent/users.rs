//! Passwords of HTTP's basic authentication (RFC 7617).
//!
//! A check takes as long as its hash demands, 60 ms at cost 10. So a separate thread does it, and the request waits. Results
//! are remembered by a keyed digest. The check of an unknown user takes as long as that of the user with the most expensive
//! hash, so that the time does not reveal which users exist.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};

/// The most checks that wait. Further ones are refused until one is done.
const MAX_WAITING: usize = 16;

/// The most checks of one network that wait, so that who guesses leaves places for others. Unix sockets are not limited.
const MAX_WAITING_OF_ONE: usize = 2;

/// The number of results of each kind that are remembered.
const MAX_REMEMBERED: usize = 64;

/// The users, and the results of checks.
pub(super) struct Users {
    hashes: BTreeMap<String, String>,
    key: hmac::Key,
    jobs: SyncSender<Job>,
    results: Receiver<(Digest, bool)>,
    /// The checks that are not done, with the network that asked.
    waiting: Vec<(Digest, Option<IpAddr>)>,
    right: VecDeque<Digest>,
    wrong: VecDeque<Digest>,
    /// The number of checks that have failed, for the log.
    failures: u64,
}

type Digest = [u8; 32];

struct Job {
    digest: Digest,
    password: Vec<u8>,
    hash: String,
    is_known: bool,
}

/// What is known about the credentials of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    Right,
    /// Missing, malformed or wrong.
    Wrong,
    /// They are being checked.
    Later,
    /// Too many are being checked.
    Busy,
}

impl Users {
    /// Starts the thread. It writes a byte to `woken` after each check.
    pub(super) fn new(hashes: BTreeMap<String, String>, mut woken: UnixStream) -> std::io::Result<Users> {
        let mut seed = [0; 32];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        let (jobs, waiting) = sync_channel::<Job>(MAX_WAITING);
        let (done, results) = channel();
        std::thread::Builder::new().name("passwords".to_owned()).spawn(move || {
            for Job { digest, password, hash, is_known } in waiting {
                // bcrypt uses the first 72 bytes of a password, here as in other programs.
                let right = bcrypt::verify(&password, &hash).unwrap_or(false) && is_known;
                if done.send((digest, right)).is_err() {
                    return;
                }
                let _ = woken.write(&[0]);
            }
        })?;
        Ok(Users {
            hashes,
            key: hmac::Key::new(hmac::HMAC_SHA256, &seed),
            jobs,
            results,
            waiting: Vec::new(),
            right: VecDeque::new(),
            wrong: VecDeque::new(),
            failures: 0,
        })
    }

    /// Replaces the users. Results for those that stay are still remembered.
    pub(super) fn replace(&mut self, hashes: BTreeMap<String, String>) {
        self.hashes = hashes;
    }

    /// Checks the value of `Authorization`. Does not wait: the result of a new check comes with a later call.
    pub(super) fn ask(
        &mut self,
        authorization: Option<&[u8]>,
        peer: impl FnOnce() -> Option<IpAddr>,
    ) -> Known {
        while let Ok((digest, right)) = self.results.try_recv() {
            self.waiting.retain(|(waiting, _)| *waiting != digest);
            let known = if right { &mut self.right } else { &mut self.wrong };
            if known.len() >= MAX_REMEMBERED {
                known.pop_front();
            }
            known.push_back(digest);
            self.failures += u64::from(!right);
        }
        let Some((user, password)) = authorization.and_then(credentials) else { return Known::Wrong };
        let digest = self.digest(&user, &password);
        if self.right.contains(&digest) {
            return Known::Right;
        }
        if self.wrong.contains(&digest) {
            return Known::Wrong;
        }
        if self.waiting.iter().any(|(waiting, _)| *waiting == digest) {
            return Known::Later;
        }
        let network = peer().map(network);
        let of_one = self.waiting.iter().filter(|(_, other)| network.is_some() && *other == network);
        if of_one.count() >= MAX_WAITING_OF_ONE {
            return Known::Busy;
        }
        let hash = self.hashes.get(&user);
        // The check of an unknown user takes as long as the slowest one.
        let Some(any) = hash.or_else(|| self.hashes.values().max_by_key(|hash| cost(hash))) else {
            return Known::Wrong;
        };
        let job = Job { digest, password, hash: any.clone(), is_known: hash.is_some() };
        match self.jobs.try_send(job) {
            Ok(()) => {
                self.waiting.push((digest, network));
                Known::Later
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Known::Busy,
        }
    }

    /// How many checks have failed.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    fn digest(&self, user: &str, password: &[u8]) -> Digest {
        let mut context = hmac::Context::with_key(&self.key);
        // The digest includes the hash, so a changed password is checked again.
        for part in [user.as_bytes(), self.hashes.get(user).map_or("", String::as_str).as_bytes(), password] {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut digest = [0; 32];
        digest.copy_from_slice(tag.as_ref());
        digest
    }
}

/// The address, or the first half of an IPv6 address: its owner usually has all addresses with that half.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

fn cost(hash: &str) -> u32 {
    hash.parse::<bcrypt::HashParts>().map_or(0, |parts| parts.get_cost())
}

fn credentials(authorization: &[u8]) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((String::from_utf8(decoded[..colon].to_vec()).ok()?, decoded[colon + 1..].to_vec()))
}
