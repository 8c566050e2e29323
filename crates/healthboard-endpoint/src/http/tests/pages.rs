//! What the page of a service says.

use crate::testing::{Endpoint, body, report};
use healthboard::{History, Impact, Processes, Report, State, Status};
use std::sync::Arc;
use std::time::Duration;

fn page(report: Report, target: &str) -> String {
    let endpoint = Endpoint::of(report);
    endpoint.ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"))
}

#[test]
fn a_page_offers_to_pause_or_to_go_on_and_does_what_it_says() {
    let endpoint = Endpoint::of(report(Status::Fault));
    let ask = |target| {
        endpoint.ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"))
    };
    // In this order and in the other: a page is kept for who asks the same.
    for target in ["/health", "/health?pause", "/health"] {
        let page = ask(target);
        let paused = target.ends_with("pause");
        assert_eq!(page.contains("refresh: 5\r\n"), !paused, "{page}");
        assert_eq!(page.contains("Loads itself again"), !paused, "{page}");
        assert_eq!(page.contains("Paused. <a href=\"?\">Go on</a>"), paused, "{page}");
        let link = page.find("<a ").unwrap();
        assert!(page[link..].starts_with("<a href=\"?"), "another link is first: {page}");
        // A service's own endpoint has no page of all services.
        assert!(!page.contains("All services"), "{page}");
    }
}

#[test]
fn a_hung_process_is_not_counted_as_another_one() {
    for (processes, words) in [
        (Processes { alive: 1, ..Processes::default() }, "Processes: 1 alive<"),
        (Processes { alive: 1, hung: 1, ..Processes::default() }, "Processes: 1 alive, of which 1 hung<"),
        (Processes { alive: 0, dead: 2, ..Processes::default() }, "Processes: 0 alive; 2 dead<"),
    ] {
        let page = page(Report { processes, ..report(Status::Fault) }, "/");
        assert!(page.contains(words), "{page}");
    }
}

#[test]
fn a_failing_informational_indicator_is_not_simply_ok() {
    let mut report = report(Status::Ok);
    let detail = report.details.get_mut("message_bus").unwrap();
    (detail.impact, detail.state) = (Impact::Informational, State::Failing);
    let page = page(report, "/");
    assert!(
        page.contains("<td class=\"status quiet\" data-label=\"Status\">✓\u{a0}OK (informational)</td>"),
        "{page}"
    );
}

#[test]
fn a_dead_service_shows_what_its_history_has() {
    let mut history = Arc::new(History::default());
    History::observe(&mut history, &report(Status::Fault));
    let mut dead = Report { history, ..report(Status::Fault) };
    dead.details.clear();
    dead.time += Duration::from_secs(600);
    let page = page(dead, "/");
    let body = body(&page);
    assert!(body.contains("before: failing") && body.contains("?\u{a0}not known"), "{body}");
    assert!(
        body.contains("<title>last hour: no problem seen; not known for the last 10 min</title>"),
        "{body}"
    );
    assert!(body.contains("<path class=\"unknown\" d=\"M3000000 16h600000\"/>"), "{body}");
}
