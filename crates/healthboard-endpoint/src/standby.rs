//! Until it is this process's turn to serve.

use crate::handover::{self, Heard, Inherited};
use crate::lock::{self, FROZEN, Lock};
use crate::pauses::Pauses;
use healthboard::{Keeper, now_ns};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

/// How often a process that stands by looks whether the holder is frozen. Death wakes it at once.
const LOOK: Duration = Duration::from_secs(1);

/// How long a new holder may take from the lock to its socket.
const SOON: Duration = Duration::from_millis(20);

/// So often a process without sockets looks whether one that has them takes the lock.
const COURTESY: u32 = 10;

/// Waits for the lock; returns with it and the sockets of the last holder, `inherited` if none is met. `None` when another keeper has taken over in
/// this process.
///
/// The holder is asked before the lock is: somebody who has removed the lock file does not make a second holder.
pub(crate) fn wait(
    keeper: &Keeper,
    directory: &Path,
    mut inherited: Vec<Inherited>,
    pauses: &mut Pauses,
) -> Option<(Lock, Vec<Inherited>)> {
    let mut complaint = None;
    let mut compared = false;
    let mut courtesy = COURTESY;
    while keeper.is_current() {
        let turn = match handover::take(directory, FROZEN) {
            Ok((holder, sockets)) => {
                inherited = sockets;
                stand_by(keeper, directory, &holder, pauses, || compare(keeper, &inherited, &mut compared))
            }
            // There was a holder: those who stand by have its sockets, and nobody else can open them.
            Err(e) if has_left(&e) && inherited.is_empty() && courtesy > 0 => {
                courtesy -= 1;
                Ok(None)
            }
            Err(_) => match Lock::try_take(directory) {
                Ok(None) if is_frozen(directory, pauses) => Lock::take_from_frozen(directory).map(Some),
                turn => turn,
            },
        };
        match turn {
            Ok(Some(lock)) => return Some((lock, inherited)),
            Ok(None) => std::thread::sleep(SOON),
            Err(error) => {
                complain(keeper, directory, &error, &mut complaint);
                std::thread::sleep(LOOK);
            }
        }
    }
    None
}

/// As long as the holder works. The lock, if it is to be had afterwards. `settled` is called when the holder has been there for
/// a while: one that is about to end may have closed its sockets already.
fn stand_by(
    keeper: &Keeper,
    directory: &Path,
    holder: &std::os::unix::net::UnixStream,
    pauses: &mut Pauses,
    mut settled: impl FnMut(),
) -> io::Result<Option<Lock>> {
    while keeper.is_current() {
        match handover::listen_for_end(holder, LOOK) {
            Heard::End => return Lock::try_take(directory),
            Heard::Silence if is_frozen(directory, pauses) => {
                return Lock::take_from_frozen(directory).map(Some);
            }
            Heard::Silence => settled(),
        }
    }
    Ok(None)
}

/// Whether a holder has been there.
fn has_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
    )
}

fn is_frozen(directory: &Path, pauses: &mut Pauses) -> bool {
    let silence = lock::silence(directory).unwrap_or_default();
    pauses.is_frozen(now_ns(), silence, FROZEN)
}

/// Says, once, which of our endpoints the holder does not serve: two programs of one name share one place.
fn compare(keeper: &Keeper, inherited: &[Inherited], compared: &mut bool) {
    let settings = keeper.settings();
    for uri in settings.uris.iter().map(ToString::to_string).filter(|_| !*compared) {
        if !inherited.iter().any(|socket| socket.uri == uri) {
            let service = &settings.service;
            keeper.say(
                true,
                format!(
                    "{uri} is not listened on: the process that serves `{service}` does not have it; give the two the same \
                     `uri`, or each a service name or `runtime_dir` of its own"
                ),
            );
        }
    }
    *compared = true;
}

/// Once for each kind of trouble.
fn complain(keeper: &Keeper, directory: &Path, error: &io::Error, last: &mut Option<ErrorKind>) {
    if *last != Some(error.kind()) {
        *last = Some(error.kind());
        keeper.say(true, format!("cannot stand by for the endpoint in `{}`: {error}", directory.display()));
    }
}
