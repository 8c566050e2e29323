//! One question from a shell or a health check of a container.

use crate::measure::{Subject, interleave_times};
use crate::place;
use crate::process::{built, service, until};
use crate::table::{Part, Unit};
use anyhow::{Result, ensure};
use std::ffi::OsStr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const NOTHING: &str = "`/bin/true`";
const CHECK: &str = "`healthboard check`";

pub fn run() -> Result<Part> {
    let mut part = Part::new(
        "One check",
        "From starting the program to its end, over a unix socket: the median of 401 runs, in parentheses the quartiles; \
         compared with `/bin/true`, run by run.",
    );
    let place = place()?;
    let socket = place.path().join("health.sock");
    let uri = format!("unix://{}", socket.display());
    let _service = service(place.path(), Some(&uri))?;
    until("the endpoint answers", || std::os::unix::net::UnixStream::connect(&socket).is_ok())?;

    let command = built("healthboard");
    let curl =
        ["-s".as_ref(), "--unix-socket".as_ref(), socket.as_os_str(), "http://localhost/health".as_ref()];
    let address = format!("UNIX-CONNECT:{}", socket.display());
    let subjects: [(&str, &OsStr, Vec<&OsStr>, &str); 4] = [
        (NOTHING, "/bin/true".as_ref(), vec![], ""),
        (CHECK, command.as_os_str(), vec!["check".as_ref(), uri.as_ref()], ""),
        ("curl", "curl".as_ref(), curl.into(), ""),
        ("socat", "socat".as_ref(), vec!["-".as_ref(), address.as_ref()], "GET /health HTTP/1.0\r\n\r\n"),
    ];
    let mut turns: Vec<Subject<'_>> = Vec::new();
    for (name, program, arguments, input) in &subjects {
        once(program, arguments, input)?;
        turns.push((
            name,
            Box::new(move |times| {
                (0..times).map(|_| once(program, arguments, input).expect("it did before")).sum()
            }),
        ));
    }
    let rounds = interleave_times(401, 1, turns);
    part.rows(&rounds, NOTHING, Unit::Milliseconds);
    part.goal("`healthboard check` / `/bin/true`", 2.0, Unit::Times, rounds.ratio(CHECK, NOTHING));
    Ok(part)
}

fn once(program: &OsStr, arguments: &[&OsStr], input: &str) -> Result<Duration> {
    use std::io::Write;
    let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
    let start = Instant::now();
    let mut child = Command::new(program).args(arguments).stdin(stdin).stdout(Stdio::null()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let status = child.wait()?;
    let elapsed = start.elapsed();
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(elapsed)
}
