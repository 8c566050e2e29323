//! One connection, from its first byte to its last.
//!
//! hyper reads requests and writes answers. Around it stands what a small server must see to by itself: how long a peer may
//! take for what, with a 408 where one is due, and a close that does not take the answer away from a peer that is still
//! sending.

mod answers;
mod framing;
mod host;
mod media;
mod watch;

pub(crate) use answers::Answers;
pub(crate) use watch::{Phase, Watch};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{poll_fn, ready};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep_until, timeout};
use watch::Watched;

/// The longest head of a request, in bytes; a longer one is answered 431. hyper takes no smaller number.
pub(crate) const HEAD_BYTES: usize = 8192;

const LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const UNFINISHED: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For the head of a request, from the opening of the connection or its first byte on, and for reading an answer.
    pub(crate) exchange: Duration,
    /// Between an answer and the first byte of the next request.
    pub(crate) idle: Duration,
    /// From opening to closing.
    pub(crate) total: Duration,
}

impl Limits {
    pub(crate) const DEFAULT: Limits = Limits {
        exchange: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        total: Duration::from_secs(600),
    };
}

/// Answers the requests of one connection until it is closed by either side or a limit is reached.
pub(crate) async fn connection<S>(stream: S, answers: &Answers, watch: &Watch)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        watch.enter(Phase::Answer);
        ready(Ok::<_, Infallible>(answers.answer(&request, watch.is_ambiguous())))
    });
    let stream = TokioIo::new(Watched { stream, watch });
    let mut http = http1::Builder::new()
        .half_close(true)
        .max_buf_size(HEAD_BYTES)
        // Head and body in one plain write, which unlike writev never raises SIGPIPE on TCP.
        .writev(false)
        .serve_connection(stream, service);

    let mut alarm = pin!(sleep_until(watch.deadline()));
    let end = poll_fn(|cx| {
        if let Poll::Ready(result) = http.poll_without_shutdown(cx) {
            return Poll::Ready(Some(result));
        }
        if alarm.deadline() != watch.deadline() {
            alarm.as_mut().reset(watch.deadline());
        }
        alarm.as_mut().poll(cx).map(|()| None)
    })
    .await;

    let parts = http.into_parts();
    let mut stream = parts.io.into_inner().stream;
    let unread = !parts.read_buf.is_empty();
    let in_mid_head = unread && watch.phase() != Phase::Answer;
    // What hyper does not answer by itself.
    let last_word = match &end {
        None if in_mid_head => LATE,
        Some(Err(error)) if error.is_incomplete_message() && in_mid_head => UNFINISHED,
        None => return,
        Some(Ok(())) if !unread && !watch.has_body() => return,
        Some(_) => b"",
    };
    if stream.write_all(last_word).await.is_ok() {
        linger(stream).await;
    }
}

/// Closes one direction and reads the other for a while: a socket that is closed with bytes unread resets the connection,
/// and the peer may lose the answer.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    const MOST: usize = 4 << 20;
    let drain = async {
        stream.shutdown().await?;
        let mut unread = vec![0; 16 << 10];
        let mut count = 0;
        while count < MOST {
            match stream.read(&mut unread).await? {
                0 => break,
                n => count += n,
            }
        }
        std::io::Result::Ok(())
    };
    // Whatever went wrong, the connection is closed next.
    let _ = timeout(Duration::from_secs(2), drain).await;
}

#[cfg(test)]
mod tests;
