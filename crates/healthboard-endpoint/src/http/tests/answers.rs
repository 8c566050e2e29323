//! Answers that are kept between requests, and the notice about refused hosts.

use crate::http::{After, Answer, Ends, Outcome};
use crate::options::HttpOptions;
use crate::testing::{HANG, Pages, body, report};
use healthboard::{Report, Status};
use rustix::time::{ClockId, clock_gettime};
use std::rc::Rc;
use std::time::{Duration, Instant};

fn answer(answers: &mut Pages, request: &str, make: &mut dyn FnMut() -> Report) -> Answer {
    match answers.respond(request.as_bytes(), false, Ends::default(), make) {
        Outcome::Answered(taken, answer) => {
            assert!(
                taken == request.len() || text(&answer).contains("\r\nconnection: close\r\n"),
                "{request}"
            );
            answer
        }
        other => panic!("{request:?}: {other:?}"),
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.bytes.to_vec()).unwrap()
}

/// Uses this much CPU time in this thread.
fn work(time: Duration) {
    let used = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let end = used() + time;
    while used() < end {}
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

#[test]
fn a_report_is_reused_for_ten_times_the_cpu_time_that_it_took_to_make() {
    let mut answers = Pages::new(HttpOptions::default());
    let mut made = 0;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(500) {
        let mut make = || {
            made += 1;
            work(Duration::from_millis(10));
            report(Status::Ok)
        };
        for path in ["/health", "/livez", "/readyz", "/"] {
            answer(&mut answers, &get(path), &mut make);
        }
    }
    // Each took 10 ms and is used for 100.
    assert!((2..=6).contains(&made), "{made} reports in half a second");
}

#[test]
fn waiting_does_not_extend_the_reuse_of_a_report() {
    let mut answers = Pages::new(HttpOptions::default());
    let mut waits = || {
        std::thread::sleep(Duration::from_millis(200));
        report(Status::Ok)
    };
    answer(&mut answers, &get("/health"), &mut waits);
    let made = healthboard::now_ns();
    while healthboard::now_ns() == made {}
    let mut is_fresh = false;
    answer(&mut answers, &get("/health"), &mut || {
        is_fresh = true;
        report(Status::Fault)
    });
    assert!(is_fresh);
}

#[test]
fn a_report_is_never_reused_for_more_than_a_second() {
    let mut answers = Pages::new(HttpOptions::default());
    let mut slow = || {
        work(Duration::from_millis(300));
        report(Status::Ok)
    };
    answer(&mut answers, &get("/health"), &mut slow);
    let (begin, mut fresh) = (Instant::now(), false);
    while !fresh {
        assert!(begin.elapsed() < Duration::from_millis(2500), "it is still in use");
        std::thread::sleep(Duration::from_millis(5));
        answer(&mut answers, &get("/health"), &mut || {
            fresh = true;
            report(Status::Fault)
        });
    }
}

#[test]
fn a_newer_report_is_answered_soon_in_status_and_body() {
    let mut answers = Pages::new(HttpOptions::default());
    for path in ["/health", "/readyz"] {
        for status in [Status::Ok, Status::Fault, Status::Degraded, Status::Ok] {
            let expected = if status == Status::Fault { "HTTP/1.1 503 " } else { "HTTP/1.1 200 " };
            let said = format!(r#"{{"status":"{}""#, status.name());
            let begin = Instant::now();
            loop {
                let answer = text(&answer(&mut answers, &get(path), &mut || report(status)));
                if answer.starts_with(expected) && (path != "/health" || answer.contains(&said)) {
                    break;
                }
                // Usually in the next tick, and within a second if the report took long to make.
                assert!(begin.elapsed() < HANG, "{path} {status:?}: {answer}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

#[test]
fn the_same_request_in_the_same_tick_gets_the_same_bytes() {
    let mut answers = Pages::new(HttpOptions::default());
    let request = get("/health");
    let same = (0..1000).any(|_| {
        let first = answer(&mut answers, &request, &mut || report(Status::Ok));
        let second = answer(&mut answers, &request, &mut || report(Status::Ok));
        Rc::ptr_eq(&first.bytes, &second.bytes)
    });
    assert!(same, "it is rendered again each time");
    // A request that only begins with the same bytes does not.
    let longer = request.replace("\r\n\r\n", "\r\nAccept: text/plain\r\n\r\n");
    assert!(body(&text(&answer(&mut answers, &longer, &mut || report(Status::Ok)))) == "OK\n");
    // Neither does one on a connection that will be closed.
    match answers.respond(request.as_bytes(), true, Ends::default(), &mut || report(Status::Ok)) {
        Outcome::Answered(_, answer) => assert_eq!(answer.after, After::Close),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_about_a_file_for_a_port_is_kept_for_that_port() {
    let mut options = HttpOptions::default();
    options.try_set("backends", "disable_by_files_ports").unwrap();
    options.try_set("disable_by_file_paths", "8774:/").unwrap();
    let mut answers = Pages::new(options);
    let request = get("/healthcheck");
    let mut ask = |port| {
        let ends = Ends { port: Some(port), ..Ends::default() };
        match answers.respond(request.as_bytes(), false, ends, &mut || report(Status::Ok)) {
            Outcome::Answered(_, answer) => answer,
            other => panic!("{other:?}"),
        }
    };
    let same = (0..1000).any(|_| {
        let first = ask(8774);
        assert!(text(&ask(8775)).starts_with("HTTP/1.1 200 ") && text(&first).starts_with("HTTP/1.1 503 "));
        Rc::ptr_eq(&first.bytes, &ask(8774).bytes)
    });
    assert!(same, "it is rendered again each time");
}

#[test]
fn a_thousand_different_requests_do_not_fill_the_memory() {
    let mut answers = Pages::new(HttpOptions::default());
    for i in 0..1000 {
        answer(&mut answers, &get(&format!("/health?{i}")), &mut || report(Status::Ok));
    }
    assert!(answers.answers.kept_requests() <= 8);
}

#[test]
fn the_number_of_exclusions_is_limited() {
    let mut answers = Pages::new(HttpOptions::default());
    let mut ask = |query: String| {
        let answer = answer(&mut answers, &get(&format!("/readyz?{query}")), &mut || report(Status::Ok));
        (text(&answer)[9..12].parse::<u16>().unwrap(), answer.bytes.len())
    };
    for (count, expected) in [(31, 200), (32, 200), (33, 400), (800, 400)] {
        let (status, bytes) = ask(vec!["exclude=a"; count].join("&"));
        assert_eq!(status, expected, "{count} times");
        assert!(bytes < 8192, "{bytes} bytes");
    }
    for (bytes, expected) in [(2047, 200), (2048, 200), (2049, 400)] {
        assert_eq!(ask(format!("exclude={}", "x".repeat(bytes - 8))).0, expected, "{bytes} bytes");
    }
}

#[test]
fn allowed_hosts_are_answered_and_the_first_refused_one_is_logged_once() {
    let mut options = HttpOptions::default();
    options.try_set("allowed_hosts", "nova.example.org").unwrap();
    let mut answers = Pages::new(options);
    let ask = |answers: &mut Pages, headers: &str| {
        let request = format!("GET /livez HTTP/1.1\r\n{headers}\r\n");
        text(&answer(answers, &request, &mut || report(Status::Ok)))[9..12].parse::<u16>().unwrap()
    };
    for host in ["nova.example.org", "NOVA.example.org:8774", "localhost", "10.0.0.1"] {
        assert_eq!(ask(&mut answers, &format!("Host: {host}\r\n")), 200, "{host}");
    }
    // Pages that the load balancer serves under that name, with TLS or without.
    for (origin, expected) in [
        ("https://nova.example.org", 200),
        ("http://nova.example.org", 200),
        ("https://other.example.org", 403),
    ] {
        let headers = format!("Host: nova.example.org\r\nOrigin: {origin}\r\n");
        assert_eq!(ask(&mut answers, &headers), expected, "{origin}");
    }
    assert_eq!(answers.answers.take_refused_host(), None);
    // An invalid name is not logged.
    assert_eq!(ask(&mut answers, "Host: \x22><script>\r\n"), 403);
    assert_eq!(answers.answers.take_refused_host(), None);
    assert_eq!(ask(&mut answers, "Host: Glance.example.org:443\r\n"), 403);
    assert_eq!(ask(&mut answers, "Host: neutron.example.org\r\n"), 403);
    assert_eq!(answers.answers.take_refused_host().as_deref(), Some("glance.example.org"));
    assert_eq!(ask(&mut answers, "Host: neutron.example.org\r\n"), 403);
    assert_eq!(answers.answers.take_refused_host(), None);

    let mut options = HttpOptions::default();
    options.try_set("allowed_hosts", "*").unwrap();
    let mut answers = Pages::new(options);
    assert_eq!(ask(&mut answers, "Host: neutron.example.org\r\n"), 200);
}
