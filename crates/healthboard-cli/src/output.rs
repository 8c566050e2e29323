//! What every part of the command ends with: text on stdout, and an exit code.

use healthboard::Status;
use healthboard::format::Answer;
use std::io::Write;

/// No answer, or not used as it should be.
pub(crate) const UNKNOWN: u8 = 3;

/// It works, with something amiss.
pub(crate) const DEGRADED: u8 = 1;

/// The convention of Nagios, which others follow. A service that was stopped in good order is neither well nor ill.
pub(crate) fn exit_code(answer: &Answer) -> u8 {
    match answer.status {
        _ if answer.stopped => UNKNOWN,
        Status::Ok => 0,
        Status::Degraded => DEGRADED,
        Status::Fault => 2,
    }
}

/// Nobody left to read it is no reason to fail: the exit code is the answer.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
