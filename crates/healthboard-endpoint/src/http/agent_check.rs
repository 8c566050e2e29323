//! HAProxy's agent-check, on the same socket as HTTP: the one line that `agent-send "agent-check\n"` sends is answered by
//! another, in the words of HAProxy's configuration manual, section 5.2, `agent-check`.

use healthboard::{Report, Status, printable};

const REQUEST: &[u8] = b"agent-check";

/// The longest reason, in bytes.
const MAX_REASON: usize = 200;

/// The length of the request at the start of these bytes, if it is this one.
pub(super) fn request(bytes: &[u8]) -> Option<usize> {
    let end = bytes.strip_prefix(REQUEST)?;
    let end = end.strip_prefix(b"\r").unwrap_or(end);
    end.starts_with(b"\n").then_some(bytes.len() - end.len() + 1)
}

/// The answer. `ready` ends an earlier `drain`, which `up` alone does not.
pub(super) fn line(report: &Report, degraded_weight: u8) -> String {
    match report.status {
        _ if report.stopped => "stopped #stopped\n".to_owned(),
        Status::Fault => format!("down #{}\n", reason(report)),
        _ if report.draining => "drain #draining\n".to_owned(),
        Status::Degraded => format!("up ready {degraded_weight}% #{}\n", reason(report)),
        Status::Ok => "up ready 100%\n".to_owned(),
    }
}

/// Printable ASCII alone, which is what HAProxy's logs and statistics show.
fn reason(report: &Report) -> String {
    let message = printable(&report.message);
    message.chars().map(|c| if c.is_ascii() { c } else { '?' }).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    #[test]
    fn the_request_is_one_whole_line() {
        for (bytes, length) in
            [("agent-check\n", Some(12)), ("agent-check\r\n", Some(13)), ("agent-check\nGET", Some(12))]
        {
            assert_eq!(request(bytes.as_bytes()), length, "{bytes:?}");
        }
        for bytes in
            ["agent-check", "agent-check \n", "agent-check\r", "agent-checks\n", "GET /agent-check\n", ""]
        {
            assert_eq!(request(bytes.as_bytes()), None, "{bytes:?}");
        }
    }

    #[test]
    fn each_status_has_its_word_and_its_reason() {
        assert_eq!(line(&report(Status::Ok), 50), "up ready 100%\n");
        let mut worse = report(Status::Degraded);
        worse.message = "database: \u{7}\u{e9}\nagain".to_owned();
        let answer = line(&worse, 50);
        assert!(answer.starts_with("up ready 50% #database: ") && answer.ends_with("again\n"), "{answer}");
        assert!(answer.trim_end().chars().all(|c| (' '..='~').contains(&c)), "{answer}");
        worse.draining = true;
        assert_eq!(line(&worse, 50), "drain #draining\n");
        let mut fault = report(Status::Fault);
        fault.message = "x".repeat(5000);
        fault.draining = true;
        assert_eq!(line(&fault, 50), format!("down #{}\n", "x".repeat(200)));
        fault.stopped = true;
        assert_eq!(line(&fault, 50), "stopped #stopped\n");
    }
}
