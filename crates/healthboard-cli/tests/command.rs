//! Output and exit codes of the command, against a small HTTP server and against boards. `BLESS=1` rewrites the files
//! in `tests/golden`.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use healthboard::{Failure, Handle, Policy, Service};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const OK: &str = r#"{"status":"OK","service":"nova-api","time":"2026-11-22T11:40:02Z","processes":{"alive":2,"hung":0,"dead":0,"serving":4711},"details":{"database":{"status":"OK","state":"passing","impact":"critical","last_success":"2026-11-22T11:40:00Z","failures":0,"in_flight":0,"ttl":300}}}"#;

const DEGRADED: &str = r#"{"status":"DEGRADED","message":"message_bus: ConnectionRefusedError, 3 failures in 12 s, last success 14 s ago; process 7 died 3 s ago without saying goodbye","service":"nova-compute","time":"2026-11-22T11:40:02Z","processes":{"alive":1,"hung":0,"dead":1},"refused":2,"refused_name":"queue-31","new_member":{"is":"passed over"},"details":{"image":{"status":"OK","state":"failing","impact":"informational","last_failure":"2026-11-22T09:30:00Z","failures":12,"in_flight":0,"error":"Timeout | 5","ttl":60},"message_bus":{"status":"DEGRADED","state":"transient","impact":"critical","last_success":"2026-11-22T11:39:48Z","last_failure":"2026-11-22T11:40:01Z","failures":3,"in_flight":1,"error":"ConnectionRefusedError","ttl":60}}}"#;

const FAULT: &str = r#"{"status":"FAULT","message":"database: no such | table\u001b[31m","service":"nova-api","time":"2026-11-22T11:40:02Z","processes":{"alive":2,"hung":0,"dead":0},"details":{}}"#;

const HUNG: &str = r#"{"status":"FAULT","message":"not progressing for 34 s; hypervisor: 1 operation in flight, none has ended for 65 s; requests: all 2 places taken by 2 operations that hang, the newest for 61 s; and 1 more","service":"nova-compute","time":"2026-11-22T11:40:02Z","processes":{"alive":1,"hung":1,"dead":0,"serving":4711},"details":{"database":{"status":"DEGRADED","state":"stale","impact":"critical","last_success":"2026-11-22T11:30:00Z","failures":0,"in_flight":0,"ttl":300},"hypervisor":{"status":"FAULT","state":"stalled","impact":"critical","last_success":"2026-11-22T11:38:57Z","failures":0,"in_flight":1,"ttl":300},"progress":{"status":"FAULT","state":"stale","impact":"critical","last_success":"2026-11-22T11:39:28Z","failures":0,"in_flight":0,"ttl":10},"requests":{"status":"FAULT","state":"stalled","impact":"degrading","failures":0,"in_flight":2,"ttl":0}}}"#;

fn healthboard(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_healthboard")).args(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Answers every connection with these bytes, for as long as the tests run.
fn serve(answer: impl Into<Vec<u8>>) -> String {
    let (answer, listener) = (answer.into(), TcpListener::bind("127.0.0.1:0").unwrap());
    let uri = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 1024];
            let n = stream.read(&mut request).unwrap();
            let (path, rest) =
                request[..n].split_at(request.windows(9).position(|w| w == b" HTTP/1.0").unwrap());
            assert!(
                [&b"GET /health"[..], b"GET /health?verbose", b"GET /livez", b"GET /readyz"].contains(&path)
            );
            assert!(rest.starts_with(b" HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n"));
            let _ = stream.write_all(&answer);
        }
    });
    uri
}

fn http(code: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[track_caller]
fn assert_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(found, expected, "{name} differs; run with BLESS=1 if that is meant");
}

#[test]
fn every_status_has_its_output_and_its_exit_codes() {
    for (name, http_code, body, expected, docker) in
        [("ok", 200, OK, 0, 0), ("degraded", 200, DEGRADED, 1, 0), ("fault", 503, FAULT, 2, 1)]
    {
        let uri = serve(http(http_code, body));
        let plain = healthboard(&["check", &uri]);
        let nagios = healthboard(&["check", "--nagios", &uri]);
        let show = healthboard(&["show", &uri]);
        assert_golden(&format!("{name}.check"), &stdout(&plain));
        assert_golden(&format!("{name}.nagios"), &stdout(&nagios));
        assert_golden(&format!("{name}.show"), &stdout(&show));
        assert_eq!([code(&plain), code(&nagios), code(&show)], [expected; 3], "{name}");

        let json = healthboard(&["check", &uri, "--json"]);
        assert_eq!((stdout(&json), code(&json)), (format!("{body}\n"), expected));
        assert_eq!(code(&healthboard(&["check", "--docker", &uri])), docker);
        assert_eq!(stderr(&plain) + &stderr(&nagios) + &stderr(&show) + &stderr(&json), "");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    assert_golden("help", &stdout(&healthboard(&["--help"])));
    assert_golden("check.help", &stdout(&healthboard(&["check", "--help"])));
    assert_golden("agent.help", &stdout(&healthboard(&["agent", "--help"])));
    assert!(stdout(&healthboard(&["-V"])).starts_with("healthboard 0."));
    assert_eq!(code(&healthboard(&["-h"])), 0);
}

#[test]
fn the_error_for_wrong_usage_says_what_is_expected() {
    for (arguments, expected) in [
        (&[][..], "Asks services for their health"),
        (&["probe"], "unrecognized subcommand 'probe'"),
        (&["check", "http://x"], "expected `tcp://ADDRESS:PORT` or `unix:///PATH`, or the name of a service"),
        (&["check", "tcp://127.0.0.1:0"], "expected a port from 1 to 65535"),
        (&["check", "--timeout", "0", "unix:///a"], "expected seconds, more than 0"),
        (&["check", "--timeout=nan", "unix:///a"], "expected seconds, more than 0"),
        (&["check", "--live", "--boards", "/a", "unix:///a"], "'--live' cannot be used with"),
        (&["check", "--ready"], "`--live` and `--ready` ask one endpoint"),
        (&["check", "--live", "unix:///a", "unix:///b"], "`--live` and `--ready` ask one endpoint"),
        (&["check", "--verbose", "unix:///a"], "unexpected argument '--verbose'"),
        (&["check", "unix:///a", "--boards"], "a value is required for '--boards <DIR>'"),
        (&["agent", "--listen", "8099"], "expected `tcp://ADDRESS:PORT`"),
        (&["agent", "--allowed-hosts", "a b"], "expected host names without ports"),
        (&["agent", "--socket-mode", "888"], "expected an octal mode"),
    ] {
        let output = healthboard(arguments);
        assert_eq!((code(&output), stdout(&output).as_str()), (3, ""), "{arguments:?}");
        let stderr = stderr(&output);
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert!(arguments.is_empty() || stderr.starts_with("error: "), "{arguments:?}: {stderr}");
    }
    assert_eq!(code(&healthboard(&["check", "--docker", "--nonsense"])), 1, "docker knows no other");
}

#[test]
fn live_and_ready_are_what_their_paths_answer() {
    for (http_code, body, expected, docker) in [
        (200, "[+]progress ok\nlivez check passed\n", 0, 0),
        (503, "[-]progress failed: \u{1b}[31mnot progressing for 34 s\nlivez check failed\n", 2, 1),
        (404, "not found\n", 3, 1),
    ] {
        let uri = serve(http(http_code, body));
        for option in ["--live", "--ready"] {
            let output = healthboard(&["check", option, &uri]);
            assert_eq!((code(&output), stdout(&output)), (expected, body.replace("\u{1b}[31m", "")));
            assert_eq!(code(&healthboard(&["check", option, "--docker", &uri])), docker);
        }
    }
    let nobody = healthboard(&["check", "--live", "unix:///nowhere"]);
    assert_eq!(code(&nobody), 3);
    assert!(stdout(&nobody).starts_with("UNKNOWN: no answer from unix:///nowhere: "), "{}", stdout(&nobody));
}

#[test]
fn no_answer_is_unknown_with_a_hint() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = healthboard(&["check", &format!("tcp://{closed}")]);
    assert_eq!(code(&output), 3);
    let expected = format!(
        "UNKNOWN: no answer from tcp://{closed}: cannot connect: Connection refused (os error 111)\n"
    );
    assert_eq!(stdout(&output), expected);
    assert_eq!(
        stderr(&output),
        "hint: is the service running, with `uri` in its [healthcheck] set to this?\n"
    );
    assert_eq!(code(&healthboard(&["check", "--docker", "unix:///nowhere"])), 1);
    let json = healthboard(&["check", "--json", "unix:///nowhere"]);
    assert_eq!((stdout(&json).as_str(), code(&json)), ("", 3));
    assert!(stderr(&json).starts_with("error: no answer from unix:///nowhere: cannot connect: No such file"));
}

#[test]
fn an_answer_that_is_no_report_is_unknown() {
    for (answer, expected) in [
        ("", "connection lost: unexpected end of file"),
        ("HTTP/1.1 200 OK\r\nX: ", "connection lost: unexpected end of file"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "found something other than HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", "found 2 bytes, expected 50"),
        (&http(404, "not found"), "found HTTP status 404 and no report of a service"),
        (&http(200, "{\"status\":\"pass\"}"), "found HTTP status 200 and no report of a service"),
    ] {
        let output = healthboard(&["check", &serve(answer)]);
        assert_eq!(code(&output), 3, "{answer:?}");
        assert!(stdout(&output).contains(expected), "{answer:?}: {}", stdout(&output));
    }
    let flood = healthboard(&["check", &serve(vec![b'x'; 5 << 20])]);
    assert!(stdout(&flood).contains("found more than 4194304 bytes"), "{}", stdout(&flood));
}

#[test]
fn no_control_character_of_an_answer_reaches_the_terminal() {
    let control =
        |text: &str| text.trim_end().contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}');
    for body in [
        r#"{"status":"\u001b[2J"}"#.to_owned(),
        OK.replace("nova-api", "\u{9b}2J\u{202e}"),
        OK.replace("nova-api", "\\u001b[2J\\u202e\\n"),
    ] {
        let uri = serve(http(200, &body));
        for arguments in
            [&["check"][..], &["check", "--nagios"], &["check", "--json"], &["show"], &["explain"]]
        {
            let output = healthboard(&[arguments, &[&uri]].concat());
            let (stdout, stderr) = (stdout(&output), stderr(&output));
            assert!(!control(&stdout) && !control(&stderr), "{arguments:?}: {stdout:?} {stderr:?}");
            assert!(arguments[0] != "check" || stdout.lines().count() <= 1, "{stdout:?}");
        }
    }
}

#[test]
fn an_endpoint_with_tls_is_named() {
    let output = healthboard(&["check", &serve(vec![0x15, 3, 3, 0, 2, 2, 10])]);
    assert!(stdout(&output).ends_with(": found TLS, expected HTTP without it\n"), "{}", stdout(&output));
    assert_eq!((code(&output), stderr(&output).starts_with("hint: ")), (3, true));
}

#[test]
fn a_name_as_long_as_an_answer_is_shown() {
    let wide = OK.replace("\"database\":{", &format!("\"{}\":{{", "x".repeat(1 << 20)));
    let others = (0..1000)
        .map(|i| format!("\"{i}\":{}", &OK[OK.find("{\"status\":\"OK\",\"state").unwrap()..OK.len() - 2]));
    let wide =
        wide.replace("\"details\":{", &format!("\"details\":{{{},", others.collect::<Vec<_>>().join(",")));
    let output = healthboard(&["show", &serve(http(200, &wide))]);
    assert_eq!((code(&output), stderr(&output).as_str()), (0, ""));
    assert!(output.stdout.len() < 4 << 20, "{}", output.stdout.len());
}

#[test]
fn the_timeout_covers_the_whole_check() {
    // A server that never answers, one that answers a byte at a time, and one whose backlog is full.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let dripping = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let full = directory.path().join("full.sock");
    let listener = UnixListener::bind(&full).unwrap();
    let drip = format!("tcp://{}", dripping.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in dripping.incoming().flatten() {
            while stream.write_all(b"H").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
    let filling = fill_backlog(&full);
    for uri in [format!("tcp://{}", silent.local_addr().unwrap()), drip, format!("unix://{}", full.display())]
    {
        let started = Instant::now();
        let output = healthboard(&["check", "--timeout", "0.3", &uri]);
        let took = started.elapsed();
        assert_eq!(stdout(&output), format!("UNKNOWN: no answer from {uri}: timed out\n"));
        assert_eq!(code(&output), 3);
        assert!((250..2000).contains(&took.as_millis()), "{uri}: {took:?}");
    }
    drop((filling, listener));
}

/// Connects until the backlog is full, and keeps the connections.
fn fill_backlog(path: &Path) -> Vec<socket2::Socket> {
    let address = socket2::SockAddr::unix(path).unwrap();
    let connect = |_| {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&address).ok().map(|()| socket)
    };
    (0..100_000).map_while(connect).collect()
}

#[test]
fn several_services_are_shown_and_the_worst_decides() {
    let (ok, degraded) = (serve(http(200, OK)), serve(http(200, DEGRADED)));
    let both = healthboard(&["show", &ok, &degraded]);
    assert_eq!(code(&both), 1);
    assert!(stdout(&both).contains("nova-api: OK\n") && stdout(&both).contains("\nnova-compute: DEGRADED\n"));
    let missing = healthboard(&["show", &ok, "unix:///nowhere"]);
    assert_eq!(code(&missing), 3);
    let fault = serve(http(503, FAULT));
    for command in [&["show"][..], &["check"], &["check", "--nagios"], &["explain"]] {
        let output = healthboard(&[command, &["unix:///nowhere", &fault, &ok]].concat());
        assert_eq!(code(&output), 2, "{command:?}: a FAULT is worse than no answer");
    }
    // Nagios reads one result: the worst first, and one block of performance data.
    let output = stdout(&healthboard(&["check", "--nagios", &ok, "unix:///nowhere", &fault, &degraded]));
    let lines: Vec<&str> = output.lines().collect();
    assert!(
        lines[0].starts_with("1 FAULT, 1 UNKNOWN, 1 DEGRADED, 1 OK; nova-api FAULT: database: "),
        "{output}"
    );
    assert!(
        lines[4].starts_with("nova-api OK | ") && lines[4].contains(" 'nova-compute alive'=1 "),
        "{output}"
    );
    assert_eq!((lines.len(), output.matches(" |").count()), (5, 1), "{output}");
    assert!(lines[1].starts_with("nova-api FAULT") && lines[2].starts_with("UNKNOWN: "), "{output}");
    assert!(stdout(&missing).contains("\nUNKNOWN: no answer from unix:///nowhere: "));
}

#[test]
fn a_service_is_found_by_its_name_and_all_are_without_one() {
    let runtime = tempfile::tempdir().unwrap();
    let (first, second) = (start("first", runtime.path()), start("second", runtime.path()));
    first.tick();
    second.tick();
    second.indicator("database", Policy::DEFAULT).record_fail(&Failure::new("Gone"));
    let boards = runtime.path().to_str().unwrap();
    let one = healthboard(&["check", "first", "--boards", boards]);
    assert_eq!((stdout(&one).as_str(), code(&one)), ("first OK\n", 0));
    let all = healthboard(&["check", "--boards", boards]);
    assert!(stdout(&all).starts_with("first OK\nsecond DEGRADED: database: Gone"), "{}", stdout(&all));
    assert_eq!(code(&all), 1);
    let nobody = healthboard(&["check", "third", "--boards", boards]);
    assert_eq!(stdout(&nobody), format!("UNKNOWN: found no board of `third` in `{boards}`\n"));
    assert_eq!(code(&nobody), 3);
}

#[test]
fn an_explanation_names_the_evidence_the_rule_and_what_to_look_at() {
    for (name, body) in [("ok", OK), ("degraded", DEGRADED), ("fault", FAULT), ("hung", HUNG)] {
        assert_golden(
            &format!("{name}.explain"),
            &stdout(&healthboard(&["explain", &serve(http(200, body))])),
        );
    }
    let runtime = tempfile::tempdir().unwrap();
    let health = start("explained", runtime.path());
    health.tick();
    let boards = runtime.path().to_str().unwrap();
    let output = healthboard(&["explain", "explained", "--boards", boards]);
    assert!(
        stdout(&output).starts_with("explained is OK.\n  Its only indicator is passing"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn an_explanation_tells_a_hanging_process_from_one_that_has_nothing_to_do() {
    let next = |body: &str| {
        let text = stdout(&healthboard(&["explain", &serve(http(503, body))]));
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let of =
            |name: &str| lines.iter().position(|line| line.starts_with(&format!("  {name} is "))).unwrap();
        (text, lines[of("database") + 3].clone(), lines[of("hypervisor") + 3].clone())
    };
    let two = HUNG.replace("\"alive\":1", "\"alive\":2").replace("\"not pro", "\"process 123 not pro");
    let (text, database, hypervisor) = next(&two);
    assert!(text.contains("`gdb -p 123`") && !text.contains("4711"), "{text}");
    assert!(
        database
            .ends_with("records nothing. Of the others, does none use it, or is its `refresh_interval` 0?")
    );
    assert!(hypervisor.ends_with("does not answer; where it hangs is not known."), "{hypervisor}");

    let (text, ..) = next(&HUNG.replace(",\"serving\":4711", ""));
    assert!(
        text.contains("gdb -p PID") && text.contains("PID is in the name of its board, nova-compute/PID-…")
    );

    let working = two.replace("\"hung\":1", "\"hung\":0");
    let (text, database, _) = next(&working);
    assert!(
        database.ends_with("Next: is its `refresh_interval` 0, or does nothing use it any more?"),
        "{text}"
    );

    let stacks = r#","stacks":[{"pid":99,"threads":[{"role":"main","count":1,"frames":["a.py:1 f"]}]}]}"#;
    let (text, _, hypervisor) = next(&(working[..working.len() - 1].to_owned() + stacks));
    assert!(
        hypervisor.ends_with("; where it hangs is below.") && text.ends_with("main:\n    a.py:1 f\n"),
        "{text}"
    );
    // A stack of another process is none of the one that hangs.
    let (text, ..) = next(&(two[..two.len() - 1].to_owned() + stacks));
    assert!(text.contains("`py-spy dump --pid 123`"), "{text}");
}

#[test]
fn what_to_look_at_next_depends_on_the_error() {
    for (error, expected) in [
        (
            "ConnectionRefusedError",
            "can this host reach what `message_bus` stands for, and do address and password",
        ),
        ("OperationalError 1045: Access denied", "can this host reach what `message_bus` stands for"),
        ("NoAnswer", "it does not answer within 5 s: is it overloaded, locked or frozen?\n"),
        ("Abandoned after 12 s", "callers gave up waiting for it: is it overloaded, locked or frozen?\n"),
        ("TimeoutError", "it did not answer in time, or no connection of the service's pool became free"),
        (
            "TimeoutError: QueuePool limit of size 5 overflow 10 reached",
            "all places of the service's pool are taken",
        ),
        ("EmptyPoolError", "all places of the service's pool are taken: is something not returned"),
        ("PoolTimeout", "all places of the service's pool are taken"),
        ("LimitExceeded: 10", "all places of the service's pool are taken"),
        ("HttpServerError 503", "it answers with errors (5xx): its own log says why.\n"),
    ] {
        let body = DEGRADED.replace("\"error\":\"ConnectionRefusedError", &format!("\"error\":\"{error}"));
        let text = stdout(&healthboard(&["explain", &serve(http(200, &body))]));
        assert!(text.contains(&format!("    Next: {expected}")), "{error}: {text}");
        assert!(!text.contains("?."), "{text}");
    }
    let body = DEGRADED.replace("\"message_bus\":", "\"service_report\":");
    let text = stdout(&healthboard(&["explain", &serve(http(200, &body))]));
    assert!(text.contains("    Next: work of the service itself fails: its log says why"), "{text}");
}

#[test]
fn an_endpoint_that_does_not_answer_may_belong_to_a_frozen_service() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("tcp://{}", silent.local_addr().unwrap());
    let output = healthboard(&["explain", "--timeout", "0.3", &uri]);
    assert_eq!(
        (code(&output), stderr(&output).as_str()),
        (3, "hint: it may be frozen: on its host, `healthboard explain NAME` reads its boards\n")
    );
}

#[test]
fn endpoints_and_boards_are_asked_together_and_none_waits_for_another() {
    let runtime = tempfile::tempdir().unwrap();
    let health = start("a-service", runtime.path());
    health.tick();
    health.indicator("database", Policy::DEFAULT).record_fail(&Failure::new("Gone"));

    let boards = runtime.path().join("a-service");
    let boards = boards.to_str().unwrap();
    let output = healthboard(&["show", "--boards", boards]);
    assert!(
        stdout(&output).contains("  database   DEGRADED  transient  critical  never "),
        "{}",
        stdout(&output)
    );
    assert_eq!((code(&output), stderr(&output).as_str()), (1, ""));

    let silent = runtime.path().join("silent.sock");
    let _silent = UnixListener::bind(&silent).unwrap();
    let (silent, other) = (format!("unix://{}", silent.display()), serve(http(200, OK)));
    let answers = healthboard(&["check", "--timeout", "2", &silent, &other, "--boards", boards]);
    let lines = stdout(&answers);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines[..2], [&format!("UNKNOWN: no answer from {silent}: timed out"), "nova-api OK"]);
    assert!(lines[2].starts_with("a-service DEGRADED: database: Gone, 1 failure "), "{lines:?}");
    assert_eq!(code(&answers), 3);
}

/// Boards that another user may not read are no reason to look for a service that is not started.
#[test]
fn a_user_who_may_not_read_the_boards_is_told_so() {
    use std::os::unix::fs::PermissionsExt;
    let runtime = tempfile::tempdir().unwrap();
    let allow = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let nova = runtime.path().join("nova");
    std::fs::create_dir(&nova).unwrap();
    let health = start("nova-api", &nova);
    health.tick();
    allow(runtime.path(), 0o755);
    let command = runtime.path().join("healthboard");
    std::fs::copy(env!("CARGO_BIN_EXE_healthboard"), &command).unwrap();
    for hidden in [&nova, &nova.join("nova-api")] {
        allow(hidden, 0o700);
        let mut asked = Command::new(&command);
        asked.args(["check", "nova-api", "--boards"]).arg(runtime.path().join("*"));
        // SAFETY: only asks the kernel.
        if unsafe { libc::geteuid() } == 0 {
            std::os::unix::process::CommandExt::uid(&mut asked, 65534);
        }
        let output = asked.output().unwrap();
        // The owner of a directory may read it.
        // SAFETY: as above.
        if unsafe { libc::geteuid() } == 0 {
            let expected = format!("hint: this user may not read `{}`: be root or", hidden.display());
            assert!(stderr(&output).starts_with(&expected), "{}", stderr(&output));
            assert_eq!(code(&output), 3);
        }
        allow(hidden, 0o755);
    }
}

fn start(name: &str, runtime: &Path) -> Handle {
    let builder = Service::builder(name).runtime_dir(runtime).uri("unix:///never/bound".parse().unwrap());
    builder.start_with(|keeper| keeper.listening(Ok(Vec::new()))).unwrap()
}

/// Not a test by itself: a service that stops or is killed, started by the test below.
#[test]
fn role() {
    let Some(runtime) = std::env::var_os("ROLE_RUNTIME") else { return };
    let health = start("a-service", Path::new(&runtime));
    health.tick();
    if std::env::var_os("ROLE_LEAVES").is_some() {
        health.goodbye();
    }
    // SAFETY: ends this process as the kernel would.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

#[test]
fn a_service_that_died_is_a_fault_and_one_that_stopped_is_not() {
    for (leaves, expected, exit) in
        [(false, "a-service FAULT: no process is alive; process ", 2), (true, "a-service is stopped\n", 3)]
    {
        let runtime = tempfile::tempdir().unwrap();
        let mut role = Command::new(std::env::current_exe().unwrap());
        role.args(["--exact", "role"]).env("ROLE_RUNTIME", runtime.path());
        if leaves {
            role.env("ROLE_LEAVES", "");
        }
        assert!(!role.output().unwrap().status.success());
        let boards = runtime.path().join("a-service");
        let output = healthboard(&["check", "--boards", boards.to_str().unwrap()]);
        assert!(stdout(&output).starts_with(expected), "{}", stdout(&output));
        assert_eq!(code(&output), exit);
    }
}

#[test]
fn a_directory_without_boards_is_unknown() {
    let empty = tempfile::tempdir().unwrap();
    for boards in [empty.path(), Path::new("/nowhere")] {
        let output = healthboard(&["check", "--boards", boards.to_str().unwrap()]);
        assert_eq!(code(&output), 3);
        let expected = format!("UNKNOWN: found no board of any process in `{}`\n", boards.display());
        assert_eq!(stdout(&output), expected);
    }
}

/// Icinga reads stdout and stderr as one, and takes the first line for the result.
#[test]
fn hints_follow_the_result() {
    let runtime = tempfile::tempdir().unwrap();
    let health = start("nova-console", runtime.path());
    health.tick();
    std::fs::write(runtime.path().join("nova-console/1-1.board"), "no board").unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_healthboard"));
    check.args(["check", "--nagios", "--boards"]).arg(runtime.path());
    check.stdout(writer.try_clone().unwrap()).stderr(writer).status().unwrap();
    drop(check);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("nova-console ") && lines[1].starts_with("hint: cannot read"), "{said}");
}

#[test]
fn a_closed_stdout_does_not_change_the_exit_code() {
    let uri = serve(http(200, DEGRADED));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_healthboard"))
        .args(["check", &uri])
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_stderr_that_takes_nothing_does_not_change_the_exit_code() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_healthboard"));
    let status = command.args(["check", "--boards", "/nonexistent"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn an_agent_without_services_is_unknown() {
    let none = r#"{"status":"OK","host":"h","time":"2026-11-22T11:40:02Z","services":{}}"#;
    let uri = serve(http(200, none));
    let output = healthboard(&["check", "--nagios", &uri]);
    assert_eq!(
        (code(&output), stdout(&output)),
        (3, format!("UNKNOWN: the agent at {uri} knows no service\n"))
    );
}

#[test]
fn only_a_regular_file_is_replaced_by_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let (link, file) = (directory.path().join("link.prom"), directory.path().join("file.prom"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    std::fs::write(&file, "").unwrap();
    let boards = directory.path().to_str().unwrap();
    assert_eq!(code(&healthboard(&["metrics", "--boards", boards, "--output", link.to_str().unwrap()])), 0);
    assert!(link.is_symlink() && std::fs::read_to_string(&file).unwrap().contains("healthboard_build_info"));
    let output = healthboard(&["metrics", "--boards", boards, "--output", "/dev/null"]);
    assert!(code(&output) == 3 && stderr(&output).contains("no regular file"), "{}", stderr(&output));
}
