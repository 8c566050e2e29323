//! Output on stdout, and exit codes.

use healthboard::Status;
use healthboard::format::Answer;
use std::io::Write;

/// No answer, or wrong usage.
pub(crate) const UNKNOWN: u8 = 3;

/// The service works, with a problem.
pub(crate) const DEGRADED: u8 = 1;

/// The service does not do its work.
pub(crate) const FAULT: u8 = 2;

/// The exit code by the conventions of Nagios. It is unknown for a service that was stopped in good order.
pub(crate) fn exit_code(answer: &Answer) -> u8 {
    match answer.status {
        _ if answer.stopped => UNKNOWN,
        Status::Ok => 0,
        Status::Degraded => DEGRADED,
        Status::Fault => FAULT,
    }
}

/// The worst exit code. A service that is FAULT is worse than one of which nothing is known.
pub(crate) fn worst(codes: impl Iterator<Item = u8>) -> u8 {
    codes.max_by_key(|code| severity(*code)).unwrap_or(UNKNOWN)
}

/// How bad an exit code is.
pub(crate) fn severity(code: u8) -> u8 {
    match code {
        FAULT => 3,
        UNKNOWN => 2,
        DEGRADED => 1,
        _ => 0,
    }
}

/// Prints a line to stderr. Errors are ignored: the exit code is the answer.
pub(crate) fn say(line: &str) {
    let mut line = healthboard::printable(line);
    line.push('\n');
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Prints additional information for the user to stderr.
pub(crate) fn hint(text: &str) {
    say(&format!("hint: {text}"));
}

/// Prints a text to stdout. Errors are ignored: the exit code is the answer.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}
