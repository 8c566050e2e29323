//! Until it is this process's turn to serve.

use crate::boards::Boards;
use crate::handover::{self, Heard, Inherited};
use crate::lock::{self, FROZEN, Lock};
use healthboard::now_ns;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

/// How often a process that stands by looks whether the holder is frozen. Death wakes it at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pause between two attempts while somebody else has the lock and no socket yet.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// So often a process without sockets waits for one that has them to take the lock.
const MAX_WAITS_FOR_HEIRS: u32 = 10;

/// Waits for the lock; returns with it and the sockets of the last holder, `inherited` if none is met. `None` when another keeper has taken over in
/// this process.
///
/// The holder is asked before the lock is: somebody who has removed the lock file does not make a second holder.
pub(crate) fn wait(
    boards: &mut Boards,
    directory: &Path,
    mut inherited: Vec<Inherited>,
) -> Option<(Lock, Vec<Inherited>)> {
    let mut complaint = None;
    let mut compared = false;
    let mut waits_for_heirs = MAX_WAITS_FOR_HEIRS;
    while boards.is_current() {
        let turn = match handover::take(directory, FROZEN) {
            Ok((holder, sockets)) => {
                inherited = sockets;
                stand_by(boards, directory, &holder, |boards| compare(boards, &inherited, &mut compared))
            }
            // There was a holder: those who stand by have its sockets, and nobody else can open them.
            Err(e) if has_left(&e) && inherited.is_empty() && waits_for_heirs > 0 => {
                waits_for_heirs -= 1;
                Ok(None)
            }
            Err(_) => match Lock::try_take(directory) {
                Ok(None) if is_frozen(directory, boards) => Lock::take_from_frozen(directory).map(Some),
                turn => turn,
            },
        };
        match turn {
            Ok(Some(lock)) => return Some((lock, inherited)),
            Ok(None) => std::thread::sleep(RETRY_AFTER),
            Err(error) => {
                complain(boards, directory, &error, &mut complaint);
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }
    None
}

/// As long as the holder works. The lock, if it is to be had afterwards. `settled` is called when the holder has been there for
/// a while: one that is about to end may have closed its sockets already.
fn stand_by(
    boards: &mut Boards,
    directory: &Path,
    holder: &std::os::unix::net::UnixStream,
    mut settled: impl FnMut(&Boards),
) -> io::Result<Option<Lock>> {
    while boards.is_current() {
        match handover::listen_for_end(holder, LOOK_EVERY) {
            Heard::End => return Lock::try_take(directory),
            Heard::Silence if is_frozen(directory, boards) => {
                return Lock::take_from_frozen(directory).map(Some);
            }
            Heard::Silence => settled(boards),
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

fn is_frozen(directory: &Path, boards: &mut Boards) -> bool {
    let silence = lock::silence(directory).unwrap_or_default();
    boards.pauses().is_frozen(now_ns(), silence, FROZEN)
}

/// Says, once, which of our endpoints the holder does not serve: two programs of one name share one place.
fn compare(boards: &Boards, inherited: &[Inherited], compared: &mut bool) {
    for uri in boards.uris().iter().map(ToString::to_string).filter(|_| !*compared) {
        if !inherited.iter().any(|socket| socket.uri == uri) {
            let service = boards.service();
            boards.say(
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
fn complain(boards: &Boards, directory: &Path, error: &io::Error, last: &mut Option<ErrorKind>) {
    if *last != Some(error.kind()) {
        *last = Some(error.kind());
        boards.say(true, format!("cannot stand by for the endpoint in `{}`: {error}", directory.display()));
    }
}
