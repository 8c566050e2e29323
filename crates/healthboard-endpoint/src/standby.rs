//! Waits until this process has to serve.

use crate::boards::Boards;
use crate::frozen::HolderWatch;
use crate::handover::{self, Inherited, Wait};
use crate::listen::tcp_uri;
use crate::lock::{Beat, Lock};
use healthboard::{Place, Uri};
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How often a standby checks whether the holder is frozen. The death of the holder wakes the standby at once.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The pause between two attempts, while another process holds the lock and has no socket yet.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// How often a process without sockets leaves the lock to a standby that has them.
const MAX_WAITS_FOR_STANDBYS: u32 = 10;

/// Waits for the lock. Returns it with the sockets of the last holder, or with `inherited` if there was none. `None` if the
/// boards have moved.
///
/// It tries the holder's socket before the lock, so that a removed lock file does not lead to a second holder.
pub(crate) fn wait(
    boards: &mut Boards<'_>,
    place: &Place,
    mut inherited: Vec<Inherited>,
) -> Option<(Lock, Vec<Inherited>)> {
    let mut last_error = None;
    let mut compared = false;
    let mut waits_for_standbys = MAX_WAITS_FOR_STANDBYS;
    let mut watch = HolderWatch::default();
    while boards.look_after() {
        let turn = match handover::take(place.fd(), CHECK_INTERVAL) {
            Ok((holder, sockets)) => {
                inherited = sockets;
                boards.listening(Ok(inherited.iter().filter_map(local_uri).collect()));
                stand_by(boards, place, &holder, &mut watch, |boards| {
                    compare(boards, &inherited, &mut compared);
                })
            }
            // There was a holder. The standbys have its sockets, and no other process can open these endpoints.
            Err(e) if has_left(&e) && inherited.is_empty() && waits_for_standbys > 0 => {
                waits_for_standbys -= 1;
                Ok(None)
            }
            Err(error) => match (Lock::try_take(place.fd()), frozen(boards, place, &mut watch)) {
                (Ok(None), Some(beat)) => Lock::take_from_frozen(place.fd(), beat),
                // The process that serves cannot hand over its sockets.
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
                report_error(boards, place, &error, &mut last_error);
                std::thread::sleep(CHECK_INTERVAL);
            }
        }
    }
    None
}

/// Waits while the holder works. Returns the lock if this process gets it then. `settled` is called after each second, and
/// not at once, since a holder that is about to end may already have closed its sockets.
fn stand_by(
    boards: &mut Boards<'_>,
    place: &Place,
    holder: &UnixStream,
    watch: &mut HolderWatch,
    mut settled: impl FnMut(&Boards<'_>),
) -> io::Result<Option<Lock>> {
    while boards.look_after() {
        match handover::wait_for_end(holder, CHECK_INTERVAL) {
            Wait::Ended => return Lock::try_take(place.fd()),
            Wait::TimedOut => match frozen(boards, place, watch) {
                Some(beat) => return Lock::take_from_frozen(place.fd(), beat),
                None => settled(boards),
            },
        }
    }
    Ok(None)
}

/// The URI of the socket for clients.
fn local_uri(inherited: &Inherited) -> Option<Uri> {
    match inherited.uri.parse().ok()? {
        Uri::Tcp { .. } => tcp_uri(&inherited.socket).ok(),
        unix => Some(unix),
    }
}

/// The beat of the holder if it counts as frozen.
fn frozen(boards: &mut Boards<'_>, place: &Place, watch: &mut HolderWatch) -> Option<Beat> {
    let moment = boards.moment();
    watch.observe(moment.now_ns, Beat::read(place.fd()).ok())
}

/// Whether the error shows that there was a holder.
fn has_left(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
    )
}

/// Reports, once, which endpoints of this process the holder does not serve. That happens if two programs share a service
/// name and directory.
fn compare(boards: &Boards<'_>, inherited: &[Inherited], compared: &mut bool) {
    for uri in boards.uris().iter().map(ToString::to_string).filter(|_| !*compared) {
        if !inherited.iter().any(|socket| socket.uri == uri) {
            let service = boards.service();
            boards.say(
                true,
                format!(
                    "{uri} is not listened on: the process that serves `{service}` could not open it, as a line above says, or \
                     it has another `uri`; then give the two the same `uri`, or each a service name or `runtime_dir` of its own"
                ),
            );
        }
    }
    *compared = true;
}

/// Reports an error, once for each kind in a row.
fn report_error(boards: &Boards<'_>, place: &Place, error: &io::Error, last: &mut Option<ErrorKind>) {
    if *last != Some(error.kind()) {
        *last = Some(error.kind());
        let directory = place.path().display();
        let text = format!("cannot become a standby in `{directory}`: {error}");
        boards.say(true, &*text);
        boards.listening(Err(text));
    }
}
