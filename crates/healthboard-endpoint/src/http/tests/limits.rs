//! Limits of size and time.

use crate::connection::Limits;
use crate::http::MAX_HEAD_BYTES;
use crate::options::HttpOptions;
use crate::testing::{Endpoint, HANG, code, report, rest_of};
use healthboard::Status;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(150);

fn endpoint(limits: Limits) -> Endpoint {
    Endpoint::with(HttpOptions::default(), limits, report(Status::Ok))
}

/// A client that sends its request byte by byte until the endpoint closes.
fn drip(mut stream: TcpStream) -> String {
    let began = Instant::now();
    let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut answer = Vec::new();
    while began.elapsed() < HANG {
        let _ = stream.write_all(b"x");
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes) {
            Ok(0) => return String::from_utf8(answer).unwrap(),
            Ok(n) => answer.extend_from_slice(&bytes[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => (),
            Err(_) => return String::from_utf8(answer).unwrap(),
        }
    }
    panic!("the endpoint does not stop it");
}

#[test]
fn a_head_of_exactly_the_limit_is_accepted_and_one_byte_more_is_not() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let head = |bytes: usize| {
        let start = "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Long: ";
        let value = "x".repeat(bytes - start.len() - 4);
        format!("{start}{value}\r\n\r\n")
    };
    for (bytes, expected) in [
        (MAX_HEAD_BYTES - 1, 200),
        (MAX_HEAD_BYTES, 200),
        (MAX_HEAD_BYTES + 1, 431),
        (2 * MAX_HEAD_BYTES, 431),
    ] {
        let request = head(bytes);
        assert_eq!(request.len(), bytes);
        assert_eq!(code(&endpoint.ask(&request)), expected, "{bytes} bytes");
    }
    // The same behind other requests in one segment.
    let good = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for before in [1, 3, 150] {
        for (bytes, expected) in
            [(MAX_HEAD_BYTES - 1, 200), (MAX_HEAD_BYTES, 200), (MAX_HEAD_BYTES + 1, 431), (16_000, 431)]
        {
            let answers = endpoint.ask(good.repeat(before) + &head(bytes));
            let last = answers.rfind("HTTP/1.1 ").unwrap();
            assert_eq!(code(&answers[last..]), expected, "{bytes} bytes behind {before} others");
            assert_eq!(answers.matches("\r\ncontent-length: ").count(), before + 1);
        }
    }
    // An endless head, and many headers instead of a long one.
    let endless = format!("GET /{} HTTP/1.1\r\n", "x".repeat(1 << 20));
    assert_eq!(code(&endpoint.ask_and_wait(endless)), 431);
    let many = |count| format!("GET /health HTTP/1.0\r\n{}\r\n", "a: b\r\n".repeat(count));
    assert_eq!(code(&endpoint.ask(many(100))), 200);
    assert_eq!(code(&endpoint.ask(many(101))), 431);
    for (count, expected) in [(99, 200), (100, 200), (101, 431)] {
        let answers = endpoint.ask(good.to_owned() + &many(count));
        let second = answers.find("ok\nHTTP/1.").unwrap() + 3;
        assert_eq!(code(&answers[second..]), expected, "{count} headers behind another request");
    }
}

#[test]
fn a_head_that_does_not_end_is_answered_408_and_closed() {
    let endpoint = endpoint(Limits { head: SHORT, ..Limits::DEFAULT });
    let stalled = endpoint.ask_and_wait("GET /health HTTP/1.1\r\nHost: local");
    assert_eq!(code(&stalled), 408);
    assert!(stalled.contains("\r\nconnection: close\r\n"), "{stalled}");
    assert!(stalled.ends_with("\r\n\r\nthe head of the request took too long\n"), "{stalled}");
    assert_eq!(code(&drip(endpoint.connect())), 408);
    // Also on a connection that has had an answer.
    let mut used = endpoint.connect();
    used.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_ne!(used.read(&mut [0; 4096]).unwrap(), 0);
    assert_eq!(code(&drip(used)), 408);
}

#[test]
fn a_connection_without_a_request_is_closed_without_an_answer() {
    let endpoint = endpoint(Limits { head: SHORT, idle: SHORT, ..Limits::DEFAULT });
    assert_eq!(endpoint.ask_and_wait(""), "");
    let after_an_answer = endpoint.ask_and_wait("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(after_an_answer.ends_with("\r\n\r\nok\n"), "{after_an_answer}");
}

#[test]
fn a_connection_may_wait_longer_for_its_next_request_than_within_one() {
    let endpoint = endpoint(Limits { head: SHORT, idle: HANG, ..Limits::DEFAULT });
    let mut stream = endpoint.connect();
    // Meanwhile the limit for a head passes on another connection.
    for _ in 0..2 {
        stream.write_all(b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
        assert_eq!(endpoint.ask_and_wait(""), "");
    }
}

#[test]
fn no_connection_outlives_the_total_limit() {
    let endpoint = endpoint(Limits { total: SHORT, ..Limits::DEFAULT });
    let mut stream = endpoint.connect();
    let began = Instant::now();
    while stream.write_all(b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").is_ok() {
        match stream.read(&mut [0; 4096]) {
            Ok(0) | Err(_) => break,
            Ok(_) => assert!(began.elapsed() < HANG),
        }
    }
    assert!(began.elapsed() >= SHORT);
}

#[test]
fn the_answer_after_the_total_limit_says_that_it_is_the_last() {
    let endpoint = endpoint(Limits { total: SHORT, ..Limits::DEFAULT });
    let (begin, mut stream) = (Instant::now(), endpoint.connect());
    loop {
        stream.write_all(b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = [0; 4096];
        let read = stream.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert_eq!(code(&answer), 200);
        if answer.contains("\r\nconnection: close\r\n") {
            break;
        }
        assert!(begin.elapsed() < HANG);
    }
    assert!(begin.elapsed() >= SHORT);
    assert_eq!(rest_of(stream), "");
}

#[test]
fn a_client_that_does_not_read_is_closed() {
    let endpoint = endpoint(Limits { head: SHORT, answer: SHORT, ..Limits::DEFAULT });
    let mut stream = endpoint.connect();
    stream.set_write_timeout(Some(HANG)).unwrap();
    let requests = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    // The answers fill every buffer; then the endpoint waits until the limit.
    let error = loop {
        if let Err(error) = stream.write_all(&requests) {
            break error;
        }
    };
    assert!(
        [std::io::ErrorKind::ConnectionReset, std::io::ErrorKind::BrokenPipe].contains(&error.kind()),
        "{error}"
    );
    drop(rest_of(endpoint.connect()));
    assert_eq!(code(&endpoint.get("/health")), 200);
}
