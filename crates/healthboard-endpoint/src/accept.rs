//! Accepting connections, and no more of them than can be kept.
//!
//! A probe must not wait for others that only hold their connections open. So there is no queue for a free place: when all
//! are taken, the connection that has been in its present [phase](crate::http::Phase) for longest makes room. Each listening
//! socket has places of its own, so that a crowd at one does not reach the other.

use crate::http::{Answers, Limits, Watch, connection};
use crate::listen::Listener;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{AbortHandle, spawn_local, yield_now};
use tokio::time::sleep;

/// Connections of one listening socket at a time.
const PLACES: usize = 100;

/// How long accepting rests when it fails: descriptors or memory are short, and trying again at once would only spin.
const REST: Duration = Duration::from_millis(100);

/// Answers whoever connects, until dropped. To be polled in a [`LocalSet`](tokio::task::LocalSet).
pub(crate) fn accept(
    listener: &Listener,
    answers: Rc<Answers>,
) -> io::Result<impl Future<Output = ()> + use<>> {
    accept_within(listener, answers, Limits::DEFAULT)
}

/// [`accept`] with other limits.
pub(crate) fn accept_within(
    listener: &Listener,
    answers: Rc<Answers>,
    limits: Limits,
) -> io::Result<impl Future<Output = ()> + use<>> {
    let source = match listener {
        Listener::Tcp(tcp) => Source::Tcp(TcpListener::from_std(tcp.try_clone()?)?),
        Listener::Unix { listener, .. } => Source::Unix(UnixListener::from_std(listener.try_clone()?)?),
    };
    let mut places = Places { taken: Vec::with_capacity(PLACES), answers, limits };
    Ok(async move {
        loop {
            let accepted = match &source {
                Source::Tcp(tcp) => tcp.accept().await.map(|(stream, _)| places.serve(stream)),
                Source::Unix(unix) => unix.accept().await.map(|(stream, _)| places.serve(stream)),
            };
            match accepted {
                // What has arrived already on the new connection is answered before the next one can push it out.
                Ok(()) => yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => (),
                Err(_) => {
                    places.make_room();
                    sleep(REST).await;
                }
            }
        }
    })
}

enum Source {
    Tcp(TcpListener),
    Unix(UnixListener),
}

struct Places {
    taken: Vec<Place>,
    answers: Rc<Answers>,
    limits: Limits,
}

struct Place {
    watch: Rc<Watch>,
    task: AbortHandle,
}

impl Places {
    fn serve(&mut self, stream: impl AsyncRead + AsyncWrite + Unpin + 'static) {
        if self.taken.len() == PLACES {
            self.taken.retain(|place| !place.task.is_finished());
        }
        if self.taken.len() == PLACES {
            self.make_room();
        }
        let watch = Rc::new(Watch::new(self.limits));
        let (answers, watched) = (self.answers.clone(), watch.clone());
        let task = spawn_local(async move { connection(stream, &answers, &watched).await }).abort_handle();
        self.taken.push(Place { watch, task });
    }

    /// Closes the connection that has been in its phase for longest.
    fn make_room(&mut self) {
        self.taken.retain(|place| !place.task.is_finished());
        let oldest = (0..self.taken.len()).min_by_key(|i| self.taken[*i].watch.since());
        if let Some(oldest) = oldest {
            self.taken.swap_remove(oldest).task.abort();
        }
    }
}

#[cfg(test)]
mod tests;
