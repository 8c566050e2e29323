//! HAProxy's agent-check, on the same socket as HTTP. The line that `agent-send "agent-check\n"` sends is answered with one
//! line, as described in HAProxy's configuration manual, section 5.2, `agent-check`.

use healthboard::{Report, Status, printable};

const REQUEST: &[u8] = b"agent-check";

/// The longest name of a service, in bytes: `NAME@DIRECTORY-COUNT`, each part of 64 at most.
const MAX_NAME: usize = 160;

/// The longest reason, in bytes.
const MAX_REASON: usize = 200;

/// The length of an agent-check request at the start of these bytes, and the service that it names. The name is empty if
/// the request has none. `None` if the bytes do not begin with a complete request of this kind.
pub(super) fn request(bytes: &[u8]) -> Option<(usize, &str)> {
    let rest = bytes.strip_prefix(REQUEST)?;
    let end = rest.iter().take(MAX_NAME + 3).position(|byte| *byte == b'\n')?;
    let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
    let name = match line.split_first() {
        None => &[],
        Some((b' ', name)) if !name.is_empty() && name.iter().all(u8::is_ascii_graphic) => name,
        Some(_) => return None,
    };
    Some((REQUEST.len() + end + 1, std::str::from_utf8(name).ok()?))
}

/// The answer. It never has `ready` or `drain`: for HAProxy these are the operator's words, and `ready` would end the drain or
/// the maintenance that an operator has set. A weight of 0 drains as well.
pub(crate) fn line(report: &Report, degraded_weight: u8) -> String {
    match report.status {
        _ if report.stopped => "stopped #stopped\n".to_owned(),
        Status::Fault => format!("down #{}\n", reason(report)),
        _ if report.draining => "up 0% #draining\n".to_owned(),
        Status::Degraded => format!("up {degraded_weight}% #{}\n", reason(report)),
        Status::Ok => "up 100%\n".to_owned(),
    }
}

/// The message in printable ASCII, which is all that HAProxy's logs and statistics show.
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
        for (bytes, found) in [
            ("agent-check\n", (12, "")),
            ("agent-check\r\n", (13, "")),
            ("agent-check\nGET", (12, "")),
            ("agent-check nova-api\n", (21, "nova-api")),
            ("agent-check nova-api\r\n", (22, "nova-api")),
        ] {
            assert_eq!(request(bytes.as_bytes()), Some(found), "{bytes:?}");
        }
        let long = format!("agent-check {}\n", "x".repeat(200));
        for bytes in [
            "agent-check",
            "agent-check \n",
            "agent-check\r",
            "agent-checks\n",
            "agent-check a b\n",
            "GET /agent-check\n",
            "",
            &long,
        ] {
            assert_eq!(request(bytes.as_bytes()), None, "{bytes:?}");
        }
    }

    #[test]
    fn each_status_has_its_word_and_its_reason() {
        assert_eq!(line(&report(Status::Ok), 50), "up 100%\n");
        let mut worse = report(Status::Degraded);
        worse.message = "database: \u{7}\u{e9}\nagain".to_owned();
        let answer = line(&worse, 50);
        assert!(answer.starts_with("up 50% #database: ") && answer.ends_with("again\n"), "{answer}");
        assert!(answer.trim_end().chars().all(|c| (' '..='~').contains(&c)), "{answer}");
        worse.draining = true;
        assert_eq!(line(&worse, 50), "up 0% #draining\n");
        let mut fault = report(Status::Fault);
        fault.message = "x".repeat(5000);
        fault.draining = true;
        assert_eq!(line(&fault, 50), format!("down #{}\n", "x".repeat(200)));
        fault.stopped = true;
        assert_eq!(line(&fault, 50), "stopped #stopped\n");
    }
}
