//! Until it is this process's turn to serve.

use crate::boards::Boards;
use crate::frozen::HolderWatch;
use crate::handover::{self, Heard, Inherited};
use crate::listen::tcp_uri;
use crate::lock::{Beat, Lock};
use healthboard::{Place, Uri, now_ns};
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How often a standby looks whether the holder is frozen. Death wakes it at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The pause between two attempts while somebody else has the lock and no socket yet.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// So often a process without sockets leaves the lock to a standby that has them.
const MAX_WAITS_FOR_STANDBYS: u32 = 10;

/// Waits for the lock; returns with it and the sockets of the last holder, `inherited` if none is met. `None` when the boards
/// have moved.
///
/// The holder is asked before the lock is: somebody who has removed the lock file does not make a second holder.
pub(crate) fn wait(
    boards: &mut Boards<'_>,
    place: &Place,
    mut inherited: Vec<Inherited>,
) -> Option<(Lock, Vec<Inherited>)> {
    let mut complaint = None;
    let mut compared = false;
    let mut waits_for_standbys = MAX_WAITS_FOR_STANDBYS;
    let mut watch = HolderWatch::default();
    while boards.look_after() {
        let turn = match handover::take(place.fd(), LOOK_EVERY) {
            Ok((holder, sockets)) => {
                inherited = sockets;
                boards.listening(Ok(inherited.iter().filter_map(local_uri).collect()));
                stand_by(boards, place, &holder, &mut watch, |boards| {
                    compare(boards, &inherited, &mut compared);
                })
            }
            // There was a holder: the standbys have its sockets, and nobody else can open them.
            Err(e) if has_left(&e) && inherited.is_empty() && waits_for_standbys > 0 => {
                waits_for_standbys -= 1;
                Ok(None)
            }
            Err(error) => match (Lock::try_take(place.fd()), frozen(boards, place, &mut watch)) {
                (Ok(None), Some(beat)) => Lock::take_from_frozen(place.fd(), beat),
                // Somebody serves, with whom there is no standing by.
                (Ok(None), None)
                    if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::PermissionDenied) =>
                {
                    Err(error)
                }
                (turn, _) => turn,
            },
        };
        match turn {
            Ok(Some(lock)) => return Some((lock, inherited)),
            Ok(None) => std::thread::sleep(RETRY_AFTER),
            Err(error) => {
                complain(boards, place, &error, &mut complaint);
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }
    None
}

/// As long as the holder works. The lock, if it is to be had afterwards. `settled` is called when the holder has been there for
/// a while: one that is about to end may have closed its sockets already.
fn stand_by(
    boards: &mut Boards<'_>,
    place: &Place,
    holder: &UnixStream,
    watch: &mut HolderWatch,
    mut settled: impl FnMut(&Boards<'_>),
) -> io::Result<Option<Lock>> {
    while boards.look_after() {
        match handover::listen_for_end(holder, LOOK_EVERY) {
            Heard::End => return Lock::try_take(place.fd()),
            Heard::Silence => match frozen(boards, place, watch) {
                Some(beat) => return Lock::take_from_frozen(place.fd(), beat),
                None => settled(boards),
            },
        }
    }
    Ok(None)
}

/// Where a client finds the socket.
fn local_uri(inherited: &Inherited) -> Option<Uri> {
    match inherited.uri.parse().ok()? {
        Uri::Tcp { .. } => tcp_uri(&inherited.socket).ok(),
        unix => Some(unix),
    }
}

/// The beat for which the holder counts as frozen.
fn frozen(boards: &mut Boards<'_>, place: &Place, watch: &mut HolderWatch) -> Option<Beat> {
    boards.pauses().at(now_ns());
    watch.look(now_ns(), Beat::read(place.fd()).ok())
}

/// Whether a holder has been there.
fn has_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
    )
}

/// Says, once, which of our endpoints the holder does not serve: two programs of one name share one place.
fn compare(boards: &Boards<'_>, inherited: &[Inherited], compared: &mut bool) {
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
fn complain(boards: &Boards<'_>, place: &Place, error: &io::Error, last: &mut Option<ErrorKind>) {
    if *last != Some(error.kind()) {
        *last = Some(error.kind());
        let directory = place.path().display();
        let text = format!("cannot stand by for the endpoint in `{directory}`: {error}");
        boards.say(true, &*text);
        boards.listening(Err(text));
    }
}
