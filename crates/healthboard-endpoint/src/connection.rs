//! One connection, from its first byte to its last.
//!
//! A connection does one step at a time and ends its turn after each answer. It knows nothing of other connections or of
//! the reactor: it returns what it waits for.

use crate::http::{After, Answer, Answers, Ends, MAX_HEAD_BYTES, Outcome, Refusal, Site};
use crate::reactor::Interest;
use crate::transport::Transport;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The most bytes that are read and discarded before a connection is closed, such as an unread body.
const MAX_DRAINED_BYTES: usize = 4 << 20;

/// The number of reads in one step of a connection that is being drained.
const DRAINS_PER_STEP: usize = 8;

/// Time limits for a peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For sending the head of a request, from the opening of the connection or from its first byte on.
    pub(crate) head: Duration,
    /// For reading an answer.
    pub(crate) answer: Duration,
    /// From an answer to the first byte of the next request.
    pub(crate) idle: Duration,
    /// For closing its half after the last answer.
    pub(crate) linger: Duration,
    /// For an answer that has to wait until the server is woken.
    pub(crate) later: Duration,
    /// From the opening of the connection on; the next answer after that is the last.
    pub(crate) total: Duration,
}

impl Limits {
    pub(crate) const DEFAULT: Limits = Limits {
        head: Duration::from_secs(10),
        answer: Duration::from_secs(10),
        idle: Duration::from_secs(75),
        linger: Duration::from_secs(2),
        later: Duration::from_secs(20),
        total: Duration::from_secs(600),
    };

    /// How long a peer may stay in a phase.
    pub(crate) fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Head => self.head,
            Phase::Answer => self.answer,
            Phase::Idle => self.idle,
            Phase::Linger => self.linger,
            Phase::Later => self.later,
        }
    }
}

/// What the connection waits for from its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// That it sends the head of a request, or the rest of it.
    Head,
    /// That it reads the answer.
    Answer,
    /// That it sends a further request, if it wants to.
    Idle,
    /// That it closes its half after the last answer.
    Linger,
    /// Nothing: the request cannot be answered before the server is woken.
    Later,
}

impl Phase {
    pub(crate) const ALL: [Phase; 5] = [Phase::Head, Phase::Answer, Phase::Idle, Phase::Linger, Phase::Later];
}

/// What follows a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Another step, when it is this connection's turn again.
    Again,
    /// A wait for the peer. `answered` means that an exchange is complete, so a new wait begins.
    Wait { phase: Phase, answered: bool },
    /// The end.
    Close,
}

/// The context of a step.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    pub(crate) limits: &'a Limits,
    pub(crate) answers: &'a mut Answers,
    /// What is asked for.
    pub(crate) site: &'a mut dyn Site,
    /// The buffer into which all connections read; [`SCRATCH_BYTES`] long.
    pub(crate) scratch: &'a mut [u8],
}

/// Room for one head. Further bytes stay in the socket.
pub(crate) const SCRATCH_BYTES: usize = MAX_HEAD_BYTES;

/// A connection. While it waits for a request it holds no buffer.
pub(crate) struct Connection {
    socket: OwnedFd,
    ends: Ends,
    transport: Transport,
    opened: Instant,
    /// The event that the reactor watches for, if any.
    pub(crate) watched: Option<Interest>,
    /// Bytes that have been read. Those from `taken` on are not answered yet.
    input: Vec<u8>,
    taken: usize,
    /// Whether `input` is known to hold no whole request.
    is_unfinished: bool,
    /// The answer that is being sent, and how many bytes of it have been sent.
    output: Option<(Answer, usize)>,
    was_answered: bool,
    /// After the last answer: how many bytes have been discarded.
    drained: Option<usize>,
}

impl Connection {
    /// `socket` must not block.
    pub(crate) fn new(socket: OwnedFd, ends: Ends, transport: Transport, now: Instant) -> Connection {
        Connection {
            socket,
            ends,
            transport,
            opened: now,
            watched: None,
            input: Vec::new(),
            taken: 0,
            is_unfinished: false,
            output: None,
            was_answered: false,
            drained: None,
        }
    }

    /// Does what can be done without waiting, up to one answer.
    pub(crate) fn step(&mut self, turn: &mut Turn<'_>) -> Step {
        if self.drained.is_some() {
            return self.drain(turn.scratch);
        }
        if self.output.is_some() {
            return self.write();
        }
        self.skip_empty_lines();
        if !self.is_unfinished && !self.rest().is_empty() {
            let last = self.is_last(turn);
            match turn.answers.respond(&self.input[self.taken..], last, self.ends, turn.site) {
                Outcome::Unfinished => self.is_unfinished = true,
                Outcome::Later => return Step::Wait { phase: Phase::Later, answered: false },
                Outcome::Answered(taken, answer) => {
                    self.taken += taken;
                    return self.send(answer);
                }
            }
        }
        self.read(turn)
    }

    /// Answers 408 because the head took too long. Closes without an answer if no byte of it has arrived.
    pub(crate) fn time_out(&mut self, answers: &Answers) -> Step {
        if self.rest().is_empty() {
            return Step::Close;
        }
        self.taken = self.input.len();
        self.send(answers.refuse(Refusal::LATE, false))
    }

    /// The event of the socket that ends a wait in this phase; `None` if there is none.
    pub(crate) fn interest(&self, phase: Phase) -> Option<Interest> {
        match phase {
            Phase::Later => None,
            _ if phase == Phase::Answer || self.transport.has_unsent() => Some(Interest::Write),
            _ => Some(Interest::Read),
        }
    }

    /// Whether a new request of the peer has arrived and was not read yet. The rest of a begun head does not count. Costs a
    /// system call.
    pub(crate) fn has_unread_request(&self, phase: Phase) -> bool {
        if phase == Phase::Answer || phase == Phase::Linger || !self.rest().is_empty() {
            return false;
        }
        let mut polled = [PollFd::new(&self.socket, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// The address and size of each of its buffers. Connections share those of equal answers.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = (usize, usize)> {
        let answer = self.output.iter().flat_map(|(answer, _)| answer.buffers());
        answer.chain([(self.input.as_ptr().addr(), self.input.capacity())])
    }

    fn rest(&self) -> &[u8] {
        &self.input[self.taken..]
    }

    fn is_last(&self, turn: &Turn<'_>) -> bool {
        turn.now.saturating_duration_since(self.opened) >= turn.limits.total
    }

    /// Skips empty lines before a request: some clients send an extra line end after a request.
    fn skip_empty_lines(&mut self) {
        self.taken += empty_lines(self.rest());
        if self.taken == self.input.len() {
            self.forget_input();
        }
    }

    fn forget_input(&mut self) {
        self.input = Vec::new();
        self.taken = 0;
        self.is_unfinished = false;
    }

    fn read(&mut self, turn: &mut Turn<'_>) -> Step {
        let kept = self.rest().len();
        turn.scratch[..kept].copy_from_slice(&self.input[self.taken..]);
        let read = match self.transport.receive(&self.socket, &mut turn.scratch[kept..]) {
            Ok(0) if kept == 0 => return Step::Close,
            // The peer has closed its half, but may still read the answer.
            Ok(0) => {
                self.taken = self.input.len();
                return self.send(turn.answers.refuse(Refusal::UNFINISHED, false));
            }
            Ok(read) => read,
            Err(Errno::AGAIN) => return self.wait(),
            Err(_) => return Step::Close,
        };
        let last = self.is_last(turn);
        let bytes = &turn.scratch[..kept + read];
        let bytes = &bytes[empty_lines(bytes)..];
        if bytes.is_empty() {
            self.forget_input();
            return self.wait();
        }
        let (taken, answer) = match turn.answers.respond(bytes, last, self.ends, turn.site) {
            Outcome::Unfinished => (0, None),
            Outcome::Later => {
                (self.input, self.taken, self.is_unfinished) = (bytes.to_vec(), 0, false);
                return Step::Wait { phase: Phase::Later, answered: false };
            }
            Outcome::Answered(taken, answer) => (taken, Some(answer)),
        };
        if taken == bytes.len() {
            self.forget_input();
        } else {
            self.input.clear();
            self.input.extend_from_slice(&bytes[taken..]);
            self.taken = 0;
            self.is_unfinished = answer.is_none();
        }
        match answer {
            Some(answer) => self.send(answer),
            None => self.wait(),
        }
    }

    /// Waits for a request, or for the rest of one.
    fn wait(&self) -> Step {
        let phase = if self.was_answered && self.rest().is_empty() { Phase::Idle } else { Phase::Head };
        Step::Wait { phase, answered: false }
    }

    fn send(&mut self, answer: Answer) -> Step {
        self.output = Some((answer, 0));
        self.write()
    }

    fn write(&mut self) -> Step {
        let Some((answer, sent)) = &mut self.output else { return Step::Again };
        while !answer.unsent(*sent).is_empty() {
            match self.transport.send(&self.socket, answer.unsent(*sent)) {
                Ok(count) => *sent += count,
                Err(Errno::AGAIN) => return Step::Wait { phase: Phase::Answer, answered: false },
                Err(_) => return Step::Close,
            }
        }
        match self.transport.flush(&self.socket) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Step::Wait { phase: Phase::Answer, answered: false },
            Err(_) => return Step::Close,
        }
        let after = answer.after;
        self.output = None;
        self.was_answered = true;
        match after {
            After::KeepAlive if self.rest().is_empty() && !self.transport.has_received() => {
                Step::Wait { phase: Phase::Idle, answered: true }
            }
            After::KeepAlive => Step::Again,
            After::Close if self.rest().is_empty() => {
                self.transport.say_end(&self.socket);
                Step::Close
            }
            After::Close | After::Linger => self.linger(),
        }
    }

    /// Closes this half of the connection and continues to read for a while. Closing a socket with unread bytes would reset
    /// the connection, and the peer could lose the answer.
    fn linger(&mut self) -> Step {
        self.forget_input();
        self.transport.say_end(&self.socket);
        if shutdown(&self.socket, Shutdown::Write).is_err() {
            return Step::Close;
        }
        self.drained = Some(0);
        Step::Wait { phase: Phase::Linger, answered: true }
    }

    fn drain(&mut self, scratch: &mut [u8]) -> Step {
        for _ in 0..DRAINS_PER_STEP {
            match self.transport.receive(&self.socket, scratch) {
                Ok(0) => return Step::Close,
                Ok(count) => {
                    let drained = self.drained.unwrap_or_default() + count;
                    self.drained = Some(drained);
                    if drained > MAX_DRAINED_BYTES {
                        return Step::Close;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(_) => return Step::Close,
            }
        }
        Step::Wait { phase: Phase::Linger, answered: false }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The length of the empty lines at the start.
fn empty_lines(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some(next) = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")) {
        rest = next;
    }
    bytes.len() - rest.len()
}
