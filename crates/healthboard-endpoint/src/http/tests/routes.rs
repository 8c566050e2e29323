//! Answers by path, method, `Accept`, `Host` and `Origin`.

use crate::connection::Limits;
use crate::options::HttpOptions;
use crate::testing::{Endpoint, body, code, report, traced};
use healthboard::{PROGRESS, Report, Status, format};

#[test]
fn the_verdict_is_answered_in_the_requested_format() {
    let report = report(Status::Degraded);
    let endpoint = Endpoint::of(report.clone());
    let formats = [
        ("", "application/json", format::json(&report)),
        ("Accept: */*\r\n", "application/json", format::json(&report)),
        ("Accept: image/png\r\n", "application/json", format::json(&report)),
        ("Accept: application/health+json\r\n", "application/health+json", format::health_json(&report)),
        ("Accept: text/plain\r\n", "text/plain; charset=utf-8", format::text(&report)),
    ];
    for path in ["/health", "/", "/health?", "/health?pretty=1"] {
        for (accept, media, body) in &formats {
            let length = body.len();
            assert_eq!(
                endpoint.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{accept}\r\n")),
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: {media}\r\nvary: Accept\r\nx-envoy-degraded: true\r\n\
                     x-content-type-options: nosniff\r\ncross-origin-resource-policy: same-origin\r\n\
                     cache-control: no-store\r\ncontent-length: {length}\r\n\r\n{body}"
                )
            );
        }
    }
}

#[test]
fn where_threads_stand_is_answered_when_asked_for_and_in_formats_with_a_place_for_it() {
    let endpoint = Endpoint::of(Report { stacks: vec![traced()], ..report(Status::Fault) });
    let ask = |target: &str, accept: &str| {
        endpoint.ask(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"))
    };
    for (media, has_place) in
        [("application/json", true), ("text/plain", true), ("application/health+json", false)]
    {
        // In this order and in the other: an answer is kept for who asks the same.
        for target in ["/health?verbose", "/health", "/?verbose", "/", "/health?verbose"] {
            let answer = ask(target, media);
            assert_eq!(code(&answer), 503);
            let expected = has_place && target.contains("verbose");
            assert_eq!(answer.contains("host.py:1234 list_all_domains"), expected, "{target} {answer}");
        }
    }
    for target in ["/readyz", "/livez"] {
        assert!(!ask(target, "*/*").contains("host.py"));
        assert!(ask(&format!("{target}?verbose"), "*/*").contains("host.py:1234 list_all_domains"));
    }
}

#[test]
fn head_has_the_headers_of_get_and_options_its_status_too() {
    for status in [Status::Ok, Status::Fault] {
        let endpoint = Endpoint::of(report(status));
        for path in ["/health", "/livez", "/readyz?verbose"] {
            let get = endpoint.get(path);
            let (headers, _) = get.split_once("\r\n\r\n").unwrap();
            let head = endpoint.ask(format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            assert_eq!(head, format!("{headers}\r\n\r\n"));

            let options = endpoint.ask(format!("OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            assert_eq!(options.replace("allow: GET, HEAD, OPTIONS\r\n", ""), get);
            assert!(options.contains("allow: GET, HEAD, OPTIONS\r\n"));
        }
    }
}

#[test]
fn the_bare_check_of_haproxy_is_answered() {
    let answer = Endpoint::of(report(Status::Ok)).ask_and_wait("OPTIONS / HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
    let answer = Endpoint::of(report(Status::Fault)).ask_and_wait("OPTIONS / HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 503 Service Unavailable\r\n"), "{answer}");
}

#[test]
fn other_methods_are_not_allowed_and_other_paths_not_found() {
    let endpoint = Endpoint::of(report(Status::Ok));
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get"] {
        let answer = endpoint.ask(format!("{method} /health HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(code(&answer), 405, "{method}");
        assert!(answer.contains("\r\nallow: GET, HEAD, OPTIONS\r\n"), "{answer}");
    }
    let paths = [
        "//health",
        "/health/",
        "/HEALTH",
        "/%68ealth",
        "/%2e%2e/health",
        "/x/../health",
        "/livez/ping",
        "/health%00",
        "/health;x",
    ];
    for path in paths {
        assert_eq!(code(&endpoint.get(path)), 404, "{path}");
    }
}

#[test]
fn status_codes_and_caching_are_configurable() {
    let mut options = HttpOptions::default();
    let ask = |options: &HttpOptions, status| {
        Endpoint::with(options.clone(), Limits::DEFAULT, report(status)).ask("GET / HTTP/1.0\r\n\r\n")
    };
    assert_eq!(code(&ask(&options, Status::Ok)), 200);
    assert_eq!(code(&ask(&options, Status::Degraded)), 200);
    assert_eq!(code(&ask(&options, Status::Fault)), 503);
    options.try_set("degraded_status_code", "429").unwrap();
    options.try_set("fault_status_code", "500").unwrap();
    options.try_set("cache_control", "5").unwrap();
    assert_eq!(code(&ask(&options, Status::Ok)), 200);
    assert_eq!(code(&ask(&options, Status::Degraded)), 429);
    assert_eq!(code(&ask(&options, Status::Fault)), 500);
    assert!(ask(&options, Status::Ok).contains("\r\ncache-control: max-age=5\r\n"));
    options.try_set("cache_control", "0").unwrap();
    assert!(!ask(&options, Status::Ok).contains("cache-control"));
}

#[test]
fn only_a_degraded_verdict_has_the_header_for_envoy() {
    for (status, said) in [(Status::Ok, false), (Status::Degraded, true), (Status::Fault, false)] {
        let answer = Endpoint::of(report(status)).get("/health");
        assert_eq!(answer.contains("x-envoy-degraded"), said, "{answer}");
    }
}

#[test]
fn no_dependency_affects_livez() {
    let endpoint = Endpoint::of(report(Status::Fault));
    assert_eq!(code(&endpoint.get("/livez")), 200);

    let mut hung = report(Status::Fault);
    let mut progress = hung.details["database"].clone();
    progress.status = Status::Fault;
    hung.details.insert(PROGRESS.to_owned(), progress);
    let endpoint = Endpoint::of(hung);
    assert_eq!(code(&endpoint.get("/livez")), 503);
}

#[test]
fn readyz_excludes_and_explains_on_request() {
    let endpoint = Endpoint::of(report(Status::Fault));
    assert_eq!(code(&endpoint.get("/readyz")), 503);
    assert_eq!(code(&endpoint.get("/readyz?exclude=database")), 503);
    assert_eq!(code(&endpoint.get("/readyz?exclude=message_bus")), 200);
    assert_eq!(code(&endpoint.get("/readyz?exclude=database&exclude=message_bus")), 200);

    let explained = endpoint.get("/readyz?exclude=message_bus&verbose");
    assert!(body(&explained).contains("[+]message_bus excluded: ok\n[+]"), "{explained}");
    assert!(body(&explained).contains("[+]database ok\n"), "{explained}");
    let mut draining = report(Status::Ok);
    draining.draining = true;
    assert_eq!(code(&Endpoint::of(draining).get("/readyz")), 503);
}

#[test]
fn only_an_address_or_localhost_is_answered() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let ask =
        |target: &str, headers: &str| code(&endpoint.ask(format!("GET {target} HTTP/1.1\r\n{headers}\r\n")));
    assert_eq!(ask("/health", "Host: localhost:8099\r\n"), 200);
    assert_eq!(ask("/health", "Host: [::1]:8099\r\n"), 200);
    assert_eq!(ask("/health", "Host: rebound.example.org\r\n"), 403);
    assert_eq!(ask("/health", "Host:\r\n"), 403);
    // The target's authority decides.
    assert_eq!(ask("http://127.0.0.1:8099/health", "Host: example.org\r\n"), 200);
    assert_eq!(ask("http://example.org/health", "Host: localhost\r\n"), 403);
    assert_eq!(ask("http://localhost@example.org/health", "Host: localhost\r\n"), 403);
    // Pages of other origins.
    assert_eq!(ask("/health", "Host: localhost:8099\r\nOrigin: http://localhost:8099\r\n"), 200);
    for origin in
        ["http://localhost", "https://localhost:8099", "http://example.org", "null", "http://localhost:8099/"]
    {
        assert_eq!(ask("/health", &format!("Host: localhost:8099\r\nOrigin: {origin}\r\n")), 403, "{origin}");
    }
}

#[test]
fn a_request_has_exactly_one_host() {
    let endpoint = Endpoint::of(report(Status::Ok));
    assert_eq!(code(&endpoint.ask("GET /health HTTP/1.1\r\n\r\n")), 400);
    assert_eq!(
        code(&endpoint.ask("GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")),
        400
    );
    assert_eq!(code(&endpoint.ask("GET http://localhost/health HTTP/1.1\r\n\r\n")), 400);
    assert_eq!(code(&endpoint.ask("GET /health HTTP/1.0\r\n\r\n")), 200);
}

#[test]
fn haproxy_s_agent_check_is_answered_on_the_same_socket() {
    for (status, line) in [(Status::Ok, "up 100%\n"), (Status::Fault, "down #")] {
        let endpoint = Endpoint::of(report(status));
        for answer in [endpoint.ask("agent-check\n"), endpoint.ask_and_wait("agent-check\r\n")] {
            assert!(answer.starts_with(line) && answer.lines().count() == 1, "{answer}");
        }
    }
}
