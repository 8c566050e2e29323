//! Requests that are broken, hostile or merely unusual.

use crate::connection::Limits;
use crate::options::HttpOptions;
use crate::testing::{Endpoint, HANG, body, code, report, rest_of, serve};
use healthboard::Status;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

#[test]
fn a_malformed_request_is_answered_400_and_closed() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let malformed: [(&str, &[u8]); 24] = [
        (
            "content length and transfer encoding",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "transfer encoding and content length",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ),
        ("two equal content lengths", b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        ("two content lengths of nothing", b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n"),
        ("two content lengths", b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
        ("a list of content lengths", b"Content-Length: 5, 5\r\n\r\nhello"),
        ("two transfer encodings", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("a signed content length", b"Content-Length: +5\r\n\r\nhello"),
        ("a negative content length", b"Content-Length: -5\r\n\r\nhello"),
        ("a hexadecimal content length", b"Content-Length: 0x5\r\n\r\nhello"),
        ("an endless content length", b"Content-Length: 99999999999999999999999\r\n\r\nhello"),
        ("an empty content length", b"Content-Length: \r\n\r\n"),
        ("an unknown transfer encoding", b"Transfer-Encoding: xchunked\r\n\r\n"),
        ("not chunked in the end", b"Transfer-Encoding: chunked, gzip\r\n\r\n"),
        ("a folded line", b"X-Folded: a\r\n b\r\n\r\n"),
        ("a space before the colon", b"X-Space : a\r\n\r\n"),
        ("a space before the name", b" X-Space: a\r\n\r\n"),
        ("a line without a colon", b"X-Nothing\r\n\r\n"),
        ("no name", b": a\r\n\r\n"),
        ("a NUL in a value", b"X-Nul: a\0b\r\n\r\n"),
        ("a CR in a value", b"X-Cr: a\rb\r\n\r\n"),
        ("an LF in a value", b"X-Lf: a\nb\r\n\r\n"),
        ("an escape in a value", b"X-Escape: \x1b[2J\r\n\r\n"),
        ("a second host", b"Host: localhost\r\n\r\n"),
    ];
    for (what, rest) in malformed {
        let request = [b"GET /health HTTP/1.1\r\nHost: localhost\r\n".as_slice(), rest].concat();
        let answer = endpoint.ask_and_close(&request);
        assert_eq!(code(&answer), 400, "{what}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{what}: {answer}");
    }
}

#[test]
fn a_malformed_request_line_is_answered_400_and_closed() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let lines: [&[u8]; 10] = [
        b"GET /health\r\n",
        b"GET /health\n",
        b"GET /health\r\n\r\n",
        b"GET /health http/1.1\r\n\r\n",
        b"GET  /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1 \r\n\r\n",
        b"GET\t/health HTTP/1.1\r\n\r\n",
        b"GET /hea\0lth HTTP/1.1\r\n\r\n",
        b" GET /health HTTP/1.1\r\n\r\n",
        b"GE\xc3\x89 /health HTTP/1.1\r\n\r\n",
    ];
    for line in lines {
        let answer = endpoint.ask_and_wait(line);
        assert_eq!(code(&answer), 400, "{}: {answer}", line.escape_ascii());
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[test]
fn an_unusual_but_unambiguous_request_is_answered() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let requests = [
        "GET /health HTTP/1.0\r\n\r\n",
        "GET /health HTTP/1.0\n\n",
        "GET /health HTTP/1.1\nHost: localhost\n\n",
        "\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /health HTTP/1.1\r\nhOsT:localhost\r\nX-Empty:\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    ];
    for request in requests {
        let answer = endpoint.ask(request);
        assert_eq!(code(&answer), 200, "{request:?}: {answer}");
        assert!(body(&answer).ends_with("}\n"), "{request:?}: {answer}");
    }
}

#[test]
fn a_client_that_half_closes_gets_its_full_answer() {
    let endpoint = Endpoint::of(report(Status::Fault));
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let whole = endpoint.ask(request);
    assert!(body(&whole).ends_with("}\n"), "{whole}");
    // The end may also arrive by itself, before or after the request has been read.
    for cut in [1, request.len() - 1, request.len()] {
        let mut stream = endpoint.connect();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&request[..cut]).unwrap();
        stream.write_all(&request[cut..]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(rest_of(stream), whole);
    }
}

#[test]
fn a_client_that_half_closes_gets_an_answer_larger_than_any_buffer() {
    let mut long = report(Status::Ok);
    let detail = long.details["database"].clone();
    long.details.extend((0..10_000).map(|i| (format!("indicator_{i}"), detail.clone())));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.sock");
    let uri = format!("unix://{}", path.display()).parse().unwrap();
    let [listener] = crate::listen::bind(&uri, 0o600).unwrap().try_into().unwrap();
    serve(listener, HttpOptions::default(), Limits::DEFAULT, long);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // The rest is read only after the answer has begun.
    assert_eq!(stream.read(&mut [0]).unwrap(), 1);
    let answer = rest_of(stream);
    assert!(answer.len() > 1 << 20 && answer.ends_with("}\n"), "cut off after {} bytes", answer.len());
}

#[test]
fn an_unfinished_request_is_answered_400() {
    let endpoint = Endpoint::of(report(Status::Ok));
    for request in ["GET /health", "GET /health HTTP/1.1\r\nHost: localhost\r\n", "G"] {
        assert_eq!(code(&endpoint.ask(request)), 400, "{request:?}");
    }
    assert_eq!(endpoint.ask(""), "");
}

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_split() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let requests = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n\
                    HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n\
                    GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n\
                    GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let whole = endpoint.ask_and_wait(requests);
    let codes: Vec<u16> = whole.match_indices("HTTP/1.1 ").map(|(at, _)| code(&whole[at..])).collect();
    assert_eq!(codes, [200, 200, 404, 200]);
    for cut in 1..requests.len() {
        let mut stream = endpoint.connect();
        stream.set_nodelay(true).unwrap();
        stream.write_all(&requests.as_bytes()[..cut]).unwrap();
        stream.write_all(&requests.as_bytes()[cut..]).unwrap();
        assert_eq!(rest_of(stream), whole, "cut after {cut}");
    }
}

#[test]
fn a_body_is_not_read_and_the_answer_arrives_all_the_same() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let size = 2 << 20;
    for (method, expected) in [("POST", 405), ("GET", 200)] {
        let head = format!("{method} /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n");
        let mut stream = endpoint.connect();
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
        // The whole body can be sent after the answer: the connection is not reset.
        for _ in 0..32 {
            stream.write_all(&vec![b'x'; size / 32]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let answer = rest_of_unreset(&mut stream);
        assert_eq!(code(&answer), expected, "{answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    }
    let chunked = "GET /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let answer = endpoint.ask_and_wait(chunked);
    assert_eq!((code(&answer), answer.contains("\r\nconnection: close\r\n")), (200, true), "{answer}");
    // A request inside the body is not answered.
    let hidden = "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(endpoint.ask_and_wait(hidden).matches("HTTP/1.1 ").count(), 1);
}

#[test]
fn another_protocol_is_refused_at_once() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03random and ciphers and extensions";
    assert_eq!(code(&endpoint.ask_and_wait(hello)), 400);
    let preface = endpoint.ask_and_wait(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert_eq!(code(&preface), 505);
    assert_eq!(code(&endpoint.ask_and_wait(b"SSH-2.0-OpenSSH_9.2p1\r\n")), 400);

    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..300 {
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        })
        .take(200)
        .collect();
        let answer = endpoint.ask(&noise);
        assert_eq!(code(&answer), 400, "{}", noise.escape_ascii());
    }
    assert_eq!(code(&endpoint.get("/health")), 200);
}

#[test]
fn a_reset_during_an_answer_affects_no_other_connection() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let requests = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    for _ in 0..20 {
        let mut stream = endpoint.connect();
        let _ = stream.write_all(&requests);
        // Closing with unread answers resets the connection.
        let _ = stream.read(&mut [0]);
    }
    assert_eq!(code(&endpoint.get("/health")), 200);
}

impl Endpoint {
    /// As [`ask_and_wait`](Endpoint::ask_and_wait), for a client that sends another request, which must not be
    /// answered.
    fn ask_and_close(&self, request: &[u8]) -> String {
        let again = [request, b"\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"].concat();
        let answer = self.ask_and_wait(again);
        assert_eq!(answer.matches("\r\ncontent-length: ").count(), 1, "{answer}");
        answer
    }
}

fn rest_of_unreset(stream: &mut impl Read) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
