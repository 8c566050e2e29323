//! The bodies of oslo.middleware 8.2's `/healthcheck`, byte for byte: text, JSON and HTML.
//!
//! The detailed form leaves out the facts about an interpreter: its version, garbage collector and threads.

use super::{clamped, text};
use crate::scrub::printable;
use crate::verdict::{Report, Status};
use serde::Serialize;
use serde_json::json;
use serde_json::ser::{PrettyFormatter, Serializer};
use std::time::SystemTime;

/// The result of one backend of `/healthcheck`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether requests can be sent to the service.
    pub available: bool,
    /// Why not, or `OK`.
    pub reason: String,
    /// Further information, shown only in the detailed form.
    pub details: String,
}

/// What the detailed form says about the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its system, such as `Linux-6.1.0-amd64-x86_64`.
    pub platform: String,
    /// The current time.
    pub now: SystemTime,
}

impl Host {
    /// The time as Python's `str(datetime)` formats it.
    fn now(&self) -> String {
        let text = humantime::format_rfc3339_micros(clamped(self.now)).to_string();
        text.trim_end_matches('Z').replace('T', " ")
    }
}

impl Finding {
    /// The verdict as a finding. `degraded_is_available` says whether a `DEGRADED` service still gets requests. A service
    /// that is about to end is not available.
    ///
    /// The reason begins with `healthboard: `, so that an answer of oslo.middleware shows whether the backend is in use.
    pub fn of(report: &Report, degraded_is_available: bool) -> Finding {
        let is_good = match report.status {
            Status::Ok => true,
            Status::Degraded => degraded_is_available,
            Status::Fault => false,
        };
        // A process that has said goodbye may still answer.
        let is_ending = report.draining || report.stopped;
        let text = text(report);
        let mut reason = match (is_ending, report.status) {
            (false, _) => format!("healthboard: {}", text.trim_end()),
            (true, _) if report.stopped => "healthboard: STOPPED".to_owned(),
            (true, Status::Ok) => "healthboard: DRAINING".to_owned(),
            (true, _) => format!("healthboard: DRAINING, {}", text.trim_end()),
        };
        if report.processes.others_unseen {
            reason += " (of this process alone: the others of the service are not seen)";
        }
        let states =
            report.details.iter().map(|(name, d)| format!("{}: {}", printable(name), d.state.name()));
        let details = states.collect::<Vec<_>>().join(", ");
        Finding { available: is_good && !is_ending, reason, details }
    }
}

/// `text/plain`: one line for each finding.
pub fn healthcheck_text(findings: &[Finding]) -> String {
    findings.iter().map(|finding| &*finding.reason).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// `application/json` as Python formats it: sorted keys, an indent of four spaces, only ASCII.
pub fn healthcheck_json(findings: &[Finding], host: Option<&Host>) -> String {
    let value = match host {
        None => json!({
            "detailed": false,
            "reasons": findings.iter().map(|finding| &finding.reason).collect::<Vec<_>>(),
        }),
        Some(host) => {
            let detailed = |Finding { reason, details, .. }: &Finding| json!({"class": CLASS, "details": details, "reason": reason});
            json!({
                "detailed": true,
                "now": host.now(),
                "platform": host.platform,
                "reasons": findings.iter().map(detailed).collect::<Vec<_>>(),
            })
        }
    };
    let mut bytes = Vec::new();
    // Writing to a Vec does not fail.
    let _ =
        value.serialize(&mut Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    ")));
    ascii(&String::from_utf8_lossy(&bytes))
}

/// `text/html`.
pub fn healthcheck_html(findings: &[Finding], host: Option<&Host>) -> String {
    let head = match host {
        None => String::new(),
        Some(host) => format!(
            "<H1>Server status</H1>\n<B>Server hostname:</B><PRE>{}</PRE>\n<B>Current time:</B><PRE>{}</PRE>\n\
             <B>Platform:</B><PRE>{}</PRE>\n<HR></HR>",
            escaped(&host.name),
            host.now(),
            escaped(&host.platform)
        ),
    };
    let columns = match host {
        None => "\n<TH>\nReason\n</TH>",
        Some(_) => "<TH>\nKind\n</TH>\n<TH>\nReason\n</TH>\n<TH>\nDetails\n</TH>\n",
    };
    let row = |Finding { reason, details, .. }: &Finding| match host {
        None => format!("<TR>\n\n    <TD>{}</TD>\n\n</TR>", escaped(reason)),
        Some(_) => format!(
            "<TR>\n<TD>{CLASS}</TD>\n    <TD>{}</TD>\n<TD>{}</TD>\n</TR>",
            escaped(reason),
            escaped(details)
        ),
    };
    let rows: String = findings.iter().map(row).collect();
    format!(
        "<HTML>\n<HEAD><TITLE>Healthcheck Status</TITLE></HEAD>\n<BODY>\n{head}\n<H2>Result of {} checks:</H2>\n\
         <TABLE bgcolor=\"#ffffff\" border=\"1\">\n<TBODY>\n<TR>\n{columns}\n</TR>\n{rows}\n</TBODY>\n</TABLE>\n<HR></HR>\n\
         \n</BODY>\n</HTML>",
        findings.len()
    )
}

/// The class of a finding, as oslo.middleware names it.
const CLASS: &str = "HealthcheckResult";

/// Replaces everything but printable ASCII by JSON escapes.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' | ' '..='~' => text.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| text += &format!("\\u{unit:04x}")),
        }
    }
    text
}

fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '\'' => "&#39;".to_owned(),
        '"' => "&#34;".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}
