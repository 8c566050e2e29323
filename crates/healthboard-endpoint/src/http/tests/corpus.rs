//! Plays `tests/corpus/requests.txt`, with the bytes split in several ways.

use crate::connection::{Connection, Limits, Phase, SCRATCH_BYTES, Step, Turn};
use crate::http::{Answers, Ends, ServicePages, fuzz_head};
use crate::options::HttpOptions;
use crate::testing::report;
use crate::transport::Transport;
use healthboard::Status;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Instant;

const GOOD: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct Row {
    name: &'static str,
    statuses: Vec<u16>,
    fate: Fate,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Keeps,
    Closes,
    Waits,
}

fn rows() -> Vec<Row> {
    let table = include_str!("../../../tests/corpus/requests.txt");
    table.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect()
}

fn row(line: &'static str) -> Row {
    let (verdict, rest) = line.split_once(" | ").expect(line);
    let (name, bytes) = rest.split_once(" | ").expect(line);
    let (statuses, fate) = verdict.split_once(' ').expect(line);
    let statuses = match statuses {
        "-" => Vec::new(),
        statuses => statuses.split(',').map(|status| status.parse().expect(line)).collect(),
    };
    let fate = match fate {
        "keeps" => Fate::Keeps,
        "closes" => Fate::Closes,
        "waits" => Fate::Waits,
        _ => panic!("{line}"),
    };
    Row { name, statuses, fate, bytes: unescape(bytes) }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut text = text.replace("{sp}", " ");
    for method in ["GET", "POST"] {
        let beginning = format!("{method} /health HTTP/1.1\\r\\nHost: localhost\\r\\n");
        text = text.replace(&format!("{{{}}}", method.to_lowercase()), &beginning);
    }
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'\\') => b'\\',
                Some(b'x') => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => panic!("{other:?} in {text}"),
            },
            byte => byte,
        });
    }
    bytes
}

/// A connection without a server around it: it reads exactly the pieces that it is given.
struct Stage {
    connection: Connection,
    answers: Answers,
    peer: UnixStream,
    scratch: Vec<u8>,
    fate: Fate,
}

impl Stage {
    fn new() -> Stage {
        let (ours, peer) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        Stage {
            connection: Connection::new(ours.into(), Ends::default(), Transport::Plain, Instant::now()),
            answers: Answers::new(&HttpOptions::default()),
            peer,
            scratch: vec![0; SCRATCH_BYTES],
            fate: Fate::Waits,
        }
    }

    fn feed(&mut self, piece: &[u8]) {
        if self.fate != Fate::Closes {
            self.peer.write_all(piece).unwrap();
            self.run();
        }
    }

    fn run(&mut self) {
        while self.fate != Fate::Closes {
            let step = self.connection.step(&mut Turn {
                now: Instant::now(),
                limits: &Limits::DEFAULT,
                answers: &mut self.answers,
                site: &mut ServicePages::new(HttpOptions::default()).site(&mut || report(Status::Ok)),
                scratch: &mut self.scratch,
            });
            self.fate = match step {
                Step::Again => continue,
                // The next request may have arrived already.
                Step::Wait { answered: true, phase: Phase::Idle } => continue,
                Step::Wait { phase: Phase::Head, .. } => Fate::Waits,
                Step::Wait { phase: Phase::Idle, .. } => Fate::Keeps,
                Step::Wait { phase: Phase::Linger, .. } | Step::Close => Fate::Closes,
                Step::Wait { phase: Phase::Answer | Phase::Later, .. } => {
                    panic!("an answer that does not fit")
                }
            };
            return;
        }
    }

    fn feed_end(&mut self) {
        self.peer.shutdown(Shutdown::Write).unwrap();
        self.run();
    }

    /// The status codes of all answers so far.
    fn statuses(&mut self) -> Vec<u16> {
        let mut answers = Vec::new();
        let _ = self.peer.read_to_end(&mut answers);
        let answers = String::from_utf8(answers).unwrap();
        let (mut statuses, mut rest) = (Vec::new(), answers.as_str());
        while let Some((head, body)) = rest.split_once("\r\n\r\n") {
            let (version, status) = head.split_once(' ').unwrap();
            assert!(["HTTP/1.0", "HTTP/1.1"].contains(&version), "{head}");
            statuses.push(status[..3].parse().unwrap());
            let lower = head.to_ascii_lowercase();
            // 204 has none.
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            // After the answer to HEAD comes the next one at once.
            let has_body = !body.is_empty() && !body.starts_with("HTTP/1.");
            rest = if has_body { &body[length.parse().unwrap()..] } else { body };
        }
        assert_eq!(rest, "", "bytes after the answers");
        statuses
    }
}

/// Plays the pieces; returns the status codes and the fate of the connection.
fn play<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u16>, Fate) {
    let mut stage = Stage::new();
    pieces.for_each(|piece| stage.feed(piece));
    (stage.statuses(), stage.fate)
}

#[test]
fn every_request_gets_its_answer_however_it_is_split() {
    let rows = rows();
    assert!(rows.len() >= 150, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for Row { name, statuses, fate, bytes } in &rows {
        let mut check = |how: &str, expected: &[u16], played: (Vec<u16>, Fate)| {
            // A connection between two requests may count as waiting or as kept.
            let fates = match (fate, expected.len()) {
                (Fate::Waits, _) if bytes.ends_with(b"\n") || !expected.is_empty() => {
                    [Fate::Waits, Fate::Keeps]
                }
                _ => [*fate; 2],
            };
            if played.0 != expected || !fates.contains(&played.1) {
                wrong.push(format!("{name}, {how}: {played:?} instead of {expected:?} {fate:?}"));
            }
        };
        let behind: Vec<u16> = [200].iter().chain(statuses).copied().collect();
        check("whole", statuses, play([bytes.as_slice()].into_iter()));
        check("byte by byte", statuses, play(bytes.chunks(1)));
        check("behind a good one", &behind, play([[GOOD, bytes].concat().as_slice()].into_iter()));
        check("behind a good one, byte by byte", &behind, play([GOOD, bytes].concat().chunks(1)));
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_kept_connection_answers_again_and_a_waiting_one_is_refused_at_its_end() {
    for Row { name, statuses, fate, bytes } in rows() {
        let mut stage = Stage::new();
        stage.feed(&bytes);
        assert_eq!(stage.statuses(), statuses, "{name}");
        match fate {
            Fate::Keeps => {
                assert_eq!(stage.connection.buffers().map(|(_, size)| size).sum::<usize>(), 0, "{name}");
                stage.feed(GOOD);
                assert_eq!((stage.statuses(), stage.fate), (vec![200], Fate::Keeps), "{name}");
            }
            Fate::Waits => {
                stage.feed_end();
                let nothing = bytes.iter().all(|byte| b"\r\n".contains(byte));
                let expected = if nothing { Vec::new() } else { vec![400] };
                assert_eq!((stage.statuses(), stage.fate), (expected, Fate::Closes), "{name}");
            }
            Fate::Closes => {}
        }
    }
}

#[test]
fn splitting_makes_no_difference() {
    for Row { bytes, .. } in rows() {
        fuzz_head(&bytes);
    }
    for length in [8000, 8191, 8192, 8193, 16_000, 40_000] {
        let start = "GET /health HTTP/1.0\r\nX-Long: ";
        fuzz_head(format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4)).as_bytes());
    }
    // The same for random mixtures of the requests.
    let rows = rows();
    let mut seed = 11_u64;
    for _ in 0..2000 {
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let (a, b) = (&rows[next(rows.len())].bytes, &rows[next(rows.len())].bytes);
        let (from, to) = (next(a.len() + 1), next(b.len() + 1));
        let mut mixed = [&a[..from], &b[to..]].concat();
        if !mixed.is_empty() {
            let at = next(mixed.len());
            mixed[at] = next(256) as u8;
        }
        fuzz_head(&mixed);
    }
}
