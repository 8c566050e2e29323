//! The part of HTTP/1 that an endpoint needs: parsing requests and rendering answers. No sockets, no time limits.

mod agent_check;
mod answers;
mod changes;
mod date;
mod head;
mod healthcheck;
mod host;
#[cfg(feature = "agent")]
mod host_page;
mod media;
mod page;
mod response;
mod service;
mod strip;

pub(crate) use answers::{After, Answer, Answers, Outcome, Site};
pub(crate) use head::{MAX_HEAD_BYTES, Refusal};
pub(crate) use healthcheck::Ends;
pub(crate) use service::ServicePages;
#[cfg(feature = "agent")]
pub(crate) use {
    agent_check::line as agent_check_line,
    answers::{Asked, Reply},
    host_page::{of_host as host_page, of_missing as missing_page},
    media::{Media, exposition, preferred},
    page::View,
    response::Response,
    service::{check, cpu_time, exposed, is_paused, is_verbose, refuse_method},
};

/// Parses bytes as a request, whole and in prefixes, and panics if the results differ. Used for fuzzing.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz_head(bytes: &[u8]) {
    let verdict = |bytes: &[u8]| {
        let mut room = [httparse::EMPTY_HEADER; head::MAX_HEADERS];
        head::Head::parse(bytes, &mut room)
            .map(|head| head.map(|head| (head.bytes, head.keep_alive, head.has_body)))
    };
    let whole = verdict(bytes);
    // The first prefix that is not unfinished must have the same result as the whole.
    let cut = (0..=bytes.len()).map(|end| verdict(&bytes[..end])).find(|verdict| *verdict != Ok(None));
    assert_eq!(cut.unwrap_or(Ok(None)), whole, "{}", bytes.escape_ascii());
}

#[cfg(test)]
mod tests;
