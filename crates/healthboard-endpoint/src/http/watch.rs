//! What a connection is doing, seen from outside of hyper.

use super::Limits;
use super::framing::Framing;
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The rest of a request's head.
    Head,
    /// That the peer takes the answer.
    Answer,
    /// The next request.
    Idle,
}

/// The phase of one connection, since when, and how its requests are framed.
pub(crate) struct Watch {
    limits: Limits,
    opened: Instant,
    phase: Cell<(Phase, Instant)>,
    framing: RefCell<Framing>,
}

impl Watch {
    pub(crate) fn new(limits: Limits) -> Watch {
        let now = Instant::now();
        Watch { limits, opened: now, phase: Cell::new((Phase::Head, now)), framing: RefCell::default() }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get().0
    }

    /// When the present phase began.
    pub(crate) fn since(&self) -> Instant {
        self.phase.get().1
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.set((phase, Instant::now()));
    }

    /// When the peer's time is up.
    pub(crate) fn deadline(&self) -> Instant {
        let limit = if self.phase() == Phase::Idle { self.limits.idle } else { self.limits.exchange };
        (self.since() + limit).min(self.opened + self.limits.total)
    }

    /// See [`Framing::is_ambiguous`].
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.framing.borrow().is_ambiguous()
    }

    /// See [`Framing::has_body`].
    pub(crate) fn has_body(&self) -> bool {
        self.framing.borrow().has_body()
    }
}

/// A stream whose traffic tells the phase.
pub(crate) struct Watched<'a, S> {
    pub(crate) stream: S,
    pub(crate) watch: &'a Watch,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        if !read.is_empty() && this.watch.phase() == Phase::Idle {
            this.watch.enter(Phase::Head);
        }
        this.watch.framing.borrow_mut().read(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    /// hyper flushes when it has written everything.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
        if this.watch.phase() == Phase::Answer {
            this.watch.enter(Phase::Idle);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
