//! `healthboard agent` and `healthboard watch`, as those who use them see them.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod support;
mod watch;

use healthboard::Failure;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Agent, Asker, Crowd, HANG, body, code, critical, die, free_port, start_service};

/// Waits until this is something.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + HANG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn all_services_of_a_host_are_answered_for_and_each_as_it_would_itself() {
    let runtime = tempfile::tempdir().unwrap();
    let (api, compute) = (start_service("api", runtime.path()), start_service("compute", runtime.path()));
    api.tick();
    api.indicator("database", critical()).record_ok();
    compute.indicator("libvirt", critical()).record_fail(&Failure::new("Gone"));
    let agent = Agent::start(runtime.path(), &["--expect", "api,scheduler"]);

    let health = agent.get("/health");
    assert_eq!(code(&health), 503, "{health}");
    let expected = r#"{"status":"FAULT","message":"scheduler FAULT: never started: no board of it was found; compute DEGRADED: libvirt: Gone, 1 failure"#;
    assert!(body(&health).starts_with(expected), "{health}");
    let services = agent.get("/services");
    assert_eq!(code(&services), 200, "{services}");
    assert!(
        body(&services).contains(r#""api":{"status":"OK","processes":{"alive":1,"hung":0,"dead":0}}"#),
        "{services}"
    );
    assert!(
        !body(&services).contains("\"libvirt\":")
            && body(&agent.get("/services?verbose")).contains("\"libvirt\":")
    );

    let own = agent.get("/services/compute/health");
    assert_eq!(code(&own), 200);
    assert!(body(&own).starts_with(r#"{"status":"DEGRADED","message":"libvirt: Gone, 1 failure"#), "{own}");
    assert_eq!(code(&agent.get("/services/scheduler/health")), 503);
    assert_eq!(code(&agent.get("/services/scheduler/readyz")), 503);
    assert_eq!(body(&agent.get("/services/api/livez")), "ok\n");
    assert_eq!(body(&agent.get("/services/api/healthcheck")), "healthboard: OK");
    assert_eq!(code(&agent.get("/readyz")), 503);
    assert_eq!(body(&agent.get("/livez")), "ok\n");
    for path in
        ["/services/", "/services/nobody/health", "/services/api/nothing", "/services/api", "/etc/passwd"]
    {
        assert_eq!(code(&agent.get(path)), 404, "{path}");
    }
    assert_eq!(code(&agent.ask("POST /health HTTP/1.1\r\nHost: localhost\r\n\r\n")), 405);

    let metrics = agent.get("/metrics");
    for line in [
        "healthboard_status{service=\"api\",healthboard_status=\"OK\"} 1",
        "healthboard_status{service=\"scheduler\",healthboard_status=\"FAULT\"} 1",
        "healthboard_indicator_state{service=\"compute\",indicator=\"libvirt\",healthboard_indicator_state=\"transient\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    assert!(
        !metrics.contains("healthboard_indicator_state{service=\"api\""),
        "a passing indicator has no state"
    );
    assert!(agent.get("/metrics?verbose").contains("healthboard_indicator_state{service=\"api\""));

    assert_eq!(agent.ask("agent-check api\n"), "up 100%\n");
    assert!(agent.ask("agent-check compute\n").starts_with("up 100% #libvirt: Gone"));
    assert!(agent.ask("agent-check scheduler\n").starts_with("down #never started"));
    assert!(agent.ask("agent-check nobody\n").starts_with("down #no service"));
    assert!(agent.ask("agent-check\n").starts_with("down #"));
}

#[test]
fn a_service_of_a_second_directory_is_found_by_its_name_as_browsers_send_it() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let _living = start_service("twice", one.path());
    die("twice", other.path(), false);
    let directory = other.path().file_name().unwrap().to_str().unwrap();
    let agent = Agent::start(one.path(), &["--boards", other.path().to_str().unwrap()]);
    for name in [format!("twice@{directory}"), format!("twice%40{directory}")] {
        let health = agent.get(&format!("/services/{name}/health"));
        assert!(body(&health).contains("no process is alive"), "{health}");
    }
    for name in ["twice%4", "twice%", "twice%zz", "twice%ff", "%"] {
        assert_eq!(code(&agent.get(&format!("/services/{name}/health"))), 404, "{name}");
    }
    // A second agent at its address.
    let uri = format!("unix://{}", agent.socket.display());
    let refused = support::run(&["agent", "--listen", &uri, "--boards", one.path().to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("(`healthboard`) serves `") && said.contains("`; choose another path"), "{said}");
}

#[test]
fn a_service_that_died_or_stopped_is_told_apart_long_after() {
    let runtime = tempfile::tempdir().unwrap();
    die("died", runtime.path(), false);
    die("stopped", runtime.path(), true);
    let agent = Agent::start(runtime.path(), &["--expect", "died,stopped"]);
    let died = agent.get("/services/died/health");
    assert!(code(&died) == 503 && body(&died).contains("no process is alive"), "{died}");
    let stopped = agent.get("/services/stopped/health");
    assert!(code(&stopped) == 200 && body(&stopped).contains("\"stopped\":true"), "{stopped}");
    assert!(agent.ask("agent-check stopped\n").starts_with("stopped"));
    assert!(agent.get("/metrics").contains("healthboard_stopped{service=\"stopped\"} 1\n"));
}

#[test]
fn a_page_for_people_names_the_worst_first() {
    let runtime = tempfile::tempdir().unwrap();
    let api = start_service("paged", runtime.path());
    api.indicator("database", critical()).record_ok();
    die("killed", runtime.path(), false);
    let agent = Agent::start(runtime.path(), &[]);
    let page = agent.ask("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
    assert!(
        page.contains("content-type: text/html; charset=utf-8\r\n")
            && page.contains("content-security-policy: default-src 'none'"),
        "{page}"
    );
    assert!(page.contains("refresh: 5\r\n") && !page.contains("<script"), "{page}");
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
    assert!(at("/services/killed/health") < at("/services/paged/health"));
    assert!(
        !agent
            .ask("GET /?pause HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n")
            .contains("refresh: 5")
    );
    let one =
        agent.ask("GET /services/paged/health HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
    assert!(one.contains("<span class=\"name\">database</span>"), "{one}");
    assert!(one.contains("<a href=\"/\">All services of "), "{one}");
}

#[test]
fn a_paused_page_stays_paused_and_one_of_a_service_that_is_gone_loads_itself_again() {
    let runtime = tempfile::tempdir().unwrap();
    start_service("paused", runtime.path()).indicator("database", critical()).record_ok();
    let agent = Agent::start(runtime.path(), &[]);
    let ask = |target: &str| {
        agent.ask(&format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n"))
    };
    assert!(ask("/?pause").contains("href=\"/services/paused/health?pause\""));
    assert!(ask("/services/paused/health?pause").contains("<a href=\"/?pause\">All services of "));
    let gone = ask("/services/gone/health");
    assert!(
        code(&gone) == 404 && gone.contains("refresh: 5\r\n") && gone.contains("gone: not found"),
        "{gone}"
    );
    assert!(gone.contains("<a href=\"/\">All services of "), "{gone}");
    assert!(!ask("/services/gone/health?pause").contains("refresh: 5"));
    let text = agent.get("/services/gone/health");
    assert!(
        code(&text) == 404 && body(&text) == "`gone`: no service of this name has a board here\n",
        "{text}"
    );
}

#[test]
fn whatever_is_in_the_directories_each_is_named_once_and_the_agent_lives() {
    let runtime = tempfile::tempdir().unwrap();
    let api = start_service("hostile", runtime.path());
    api.tick();
    for number in 0..900_usize {
        let bytes: Vec<u8> = (0..number % 4096).map(|at| (at * number) as u8).collect();
        std::fs::write(runtime.path().join(format!("hostile/{number}-0.board")), bytes).unwrap();
    }
    // A board of a later version: the layout is the third word.
    let own =
        names(&runtime.path().join("hostile")).into_iter().find(|name| !name.ends_with("-0.board")).unwrap();
    let mut later = std::fs::read(runtime.path().join("hostile").join(own)).unwrap();
    later[16..24].copy_from_slice(&99_u64.to_ne_bytes());
    std::fs::write(runtime.path().join("hostile/later.board"), later).unwrap();
    std::fs::create_dir(runtime.path().join("empty")).unwrap();
    std::os::unix::fs::symlink("/proc", runtime.path().join("link")).unwrap();
    let mut agent = Agent::start(runtime.path(), &["--boards", "/nowhere"]);
    for _ in 0..3 {
        let health = agent.get("/health");
        assert!(code(&health) == 200 && body(&health).contains("\"problem_count\":902"), "{health:.500}");
        std::thread::sleep(Duration::from_millis(1100));
    }
    std::fs::remove_dir_all(runtime.path().join("hostile")).unwrap();
    until("the directory's end", || {
        (!agent.get("/services").contains("\"hostile\":{\"status\":\"OK\"")).then_some(())
    });
    let said = agent.end();
    assert_eq!(said.lines().filter(|line| line.contains("/77-0.board")).count(), 1);
    assert!(
        said.lines().any(|line| line.contains("/later.board") && line.contains("99")),
        "the version is not named"
    );
    assert!(said.lines().count() < 910, "{}", said.lines().count());
}

#[test]
fn an_address_that_others_reach_needs_tls() {
    let runtime = tempfile::tempdir().unwrap();
    let uri = format!("tcp://0.0.0.0:{}", free_port());
    let refused = support::run(&["agent", "--listen", &uri, "--boards", runtime.path().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains(&format!("found `{uri}`, which is not a loopback address, without TLS; expected")),
        "{said}"
    );
    let passwords = runtime.path().join("web.yml");
    std::fs::write(&passwords, format!("basic_auth_users: {{op: \"{}\"}}\n", support::HASH)).unwrap();
    let file = passwords.to_str().unwrap();
    let refused = support::run(&["agent", "--listen", &uri, "--web.config.file", file]);
    assert_eq!(refused.status.code(), Some(3), "a password would be readable");
    drop(Agent::at(&uri, runtime.path(), &["--insecure"]));
}

#[test]
fn a_wrong_configuration_is_an_error_that_names_what_was_found() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("web.yml");
    let tls = support::Certificates::new(directory.path());
    let good = tls.web_config("");
    for (text, expected) in [
        ("tls: {}".to_owned(), "tls"),
        ("[".to_owned(), "web.yml`"),
        ("#".repeat(1 << 20) + "\n", "more than 1 MiB"),
        (good.replace("server.key", "/dev/zero"), "/dev/zero"),
        (format!("{good}  cipher_suites: []\n"), "cipher_suites"),
        (good.replace("server.crt", "missing.crt"), "missing.crt"),
        (good.replace("cert_file: server.crt", "cert_file: server.key"), "no certificate"),
        (good.replace("server.crt", "version-1.crt"), "version-1.crt`: is of X.509 version 1, expected 3"),
        (good.replace("key_file: server.key", "key_file: server.crt"), "private key"),
        (good.replace("key_file: server.key", "key_file: other.key"), "server.crt"),
        (format!("{good}  client_ca_file: ca.crt\n"), "client_auth_type"),
        (format!("{good}  client_auth_type: RequireAndVerifyClientCert\n"), "client_ca_file"),
        (format!("{good}  client_auth_type: Perhaps\n"), "Perhaps"),
        ("basic_auth_users: {op: secret}".to_owned(), "the password of `op`"),
        (format!("basic_auth_users: {{op: \"{}\"}}", support::HASH.replace("$04$", "$31$")), "cost 31"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let uri = format!("unix://{}/a.sock", directory.path().display());
        let output = support::run(&["agent", "--listen", &uri, "--web.config.file", file.to_str().unwrap()]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(3) && said.contains(expected) && said.contains("web.yml"),
            "{text}: {said}"
        );
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn passwords_are_checked_and_wrong_ones_counted() {
    let runtime = tempfile::tempdir().unwrap();
    let file = runtime.path().join("web.yml");
    std::fs::write(&file, format!("basic_auth_users:\n  op: {}\n", support::HASH)).unwrap();
    let mut agent = Agent::start(runtime.path(), &["--web.config.file", file.to_str().unwrap()]);
    let ask = |agent: &Agent, credentials: &str| {
        agent.ask(&format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{credentials}\r\n"))
    };
    let none = ask(&agent, "");
    assert!(code(&none) == 401 && none.contains("www-authenticate: Basic"), "{none}");
    // op:secret, op:wrong, nobody:secret
    for (credentials, expected) in
        [("b3A6c2VjcmV0", 200), ("b3A6d3Jvbmc=", 401), ("bm9ib2R5OnNlY3JldA==", 401), ("!", 401), ("", 401)]
    {
        for _ in 0..3 {
            let answer = ask(&agent, &format!("Authorization: Basic {credentials}\r\n"));
            assert_eq!(code(&answer), expected, "{credentials}: {answer}");
        }
    }
    assert_eq!(code(&ask(&agent, "authorization: basic b3A6c2VjcmV0\r\n")), 200);
    assert_eq!(code(&ask(&agent, "Authorization: Bearer b3A6c2VjcmV0\r\n")), 401);
    assert!(!agent.ask("agent-check\n").contains("up"), "nobody is told without a password");
    until("wrong passwords in the log", || agent.said().contains("wrong passwords").then_some(()));
    // A new password counts at once, and the old one no longer.
    std::fs::write(&file, format!("basic_auth_users:\n  other: {}\n", support::HASH)).unwrap();
    agent.hang_up();
    until("the new configuration", || {
        (code(&ask(&agent, "Authorization: Basic b3A6c2VjcmV0\r\n")) == 401).then_some(())
    });
    // Replaced by a file that claims to be as old, as `cp --preserve` makes it.
    let written = std::fs::metadata(&file).unwrap().modified().unwrap();
    let next = runtime.path().join("next.yml");
    std::fs::write(
        &next,
        format!("basic_auth_users:\n  op: {}\n  other: {}\n", support::HASH, support::HASH),
    )
    .unwrap();
    std::fs::File::options().write(true).open(&next).unwrap().set_modified(written).unwrap();
    std::fs::rename(&next, &file).unwrap();
    until("the replaced file", || {
        (code(&ask(&agent, "Authorization: Basic b3A6c2VjcmV0\r\n")) == 200).then_some(())
    });
    // Nobody writes to a FIFO.
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    until("the refusal", || {
        agent.said().contains("regular file; the configuration from before").then_some(())
    });
    assert_eq!(code(&ask(&agent, "Authorization: Basic b3A6c2VjcmV0\r\n")), 200);
    std::fs::remove_file(&file).unwrap();
    // Cut short, as by a full disk: nobody may ask without a password for that.
    std::fs::write(&file, "").unwrap();
    until("the refusal", || agent.said().contains("`basic_auth_users` is gone; SIGHUP").then_some(()));
    assert_eq!(code(&ask(&agent, "")), 401);
    std::fs::write(&file, "basic_auth_users: {other: secret}\n").unwrap();
    agent.hang_up();
    until("the refusal", || agent.said().contains("the password of `other`").then_some(()));
    assert_eq!(code(&ask(&agent, "Authorization: Basic b3RoZXI6c2VjcmV0\r\n")), 200);
    let said = agent.end();
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn who_asks_while_passwords_are_checked_or_the_configuration_is_read_gets_an_answer() {
    let runtime = tempfile::tempdir().unwrap();
    let file = runtime.path().join("web.yml");
    std::fs::write(&file, format!("basic_auth_users:\n  op: {}\n", support::HASH)).unwrap();
    let agent = Agent::start(runtime.path(), &["--web.config.file", file.to_str().unwrap()]);
    let ask = |credentials: &str| {
        code(&agent.ask(&format!(
            "GET /health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {credentials}\r\n\r\n"
        )))
    };
    // A configuration that was read again has checked nothing yet.
    for round in 0..5 {
        std::thread::scope(|scope| {
            // op:secret, op:wrong
            let right: Vec<_> = (0..6).map(|_| scope.spawn(|| ask("b3A6c2VjcmV0"))).collect();
            let wrong: Vec<_> = (0..6).map(|_| scope.spawn(|| ask("b3A6d3Jvbmc="))).collect();
            agent.hang_up();
            assert!(right.into_iter().all(|asked| asked.join().unwrap() == 200), "{round}");
            assert!(wrong.into_iter().all(|asked| asked.join().unwrap() == 401), "{round}");
        });
    }
}

#[test]
fn wrong_passwords_are_summed_up_in_the_log() {
    let runtime = tempfile::tempdir().unwrap();
    let file = runtime.path().join("web.yml");
    std::fs::write(&file, format!("basic_auth_users:\n  op: {}\n", support::HASH)).unwrap();
    let mut agent = Agent::start(runtime.path(), &["--web.config.file", file.to_str().unwrap()]);
    let said = |said: &str| said.lines().filter(|line| line.contains("wrong passwords")).count();
    for number in 0..10 {
        let mut stream = agent.connect();
        guess(&mut stream, number);
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
        if number == 1 {
            until("the first line", || (said(&agent.said()) == 1).then_some(()));
        }
    }
    let log = agent.end();
    let counts = log.lines().filter_map(|line| line.split_once("wrong passwords: ")?.1.parse::<u32>().ok());
    assert_eq!((said(&log), counts.sum::<u32>()), (2, 10), "{log}");
}

/// The users `op`, and `slow`, whose hash takes long to check.
fn write_users(runtime: &Path) -> String {
    let file = runtime.join("web.yml");
    let slow = support::HASH.replace("$04$", "$11$");
    std::fs::write(&file, format!("basic_auth_users:\n  op: {}\n  slow: {slow}\n", support::HASH)).unwrap();
    file.into_os_string().into_string().unwrap()
}

/// Sends a password for `slow` that is wrong.
fn guess(stream: &mut impl Write, number: usize) {
    // Four digits are three bytes.
    let head = "GET /livez HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic c2xvdzow";
    write!(stream, "{head}{number:04}\r\n\r\n").unwrap();
}

/// With the password of `op`.
const RIGHT: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Basic b3A6c2VjcmV0\r\n\r\n";

#[test]
fn a_right_password_is_remembered_when_the_configuration_is_read_again_amid_guesses() {
    let runtime = tempfile::tempdir().unwrap();
    let agent = Agent::start(runtime.path(), &["--web.config.file", &write_users(runtime.path())]);
    assert_eq!(code(&agent.ask(RIGHT)), 200);
    let mut guesses: Vec<_> = (0..20).map(|_| agent.connect()).collect();
    guesses.iter_mut().enumerate().for_each(|(number, stream)| guess(stream, number));
    agent.hang_up();
    until("the configuration", || agent.said().contains("read the configuration again").then_some(()));
    assert_eq!(code(&agent.ask(RIGHT)), 200);
}

#[test]
fn who_guesses_at_one_address_keeps_nobody_waiting_at_another() {
    let runtime = tempfile::tempdir().unwrap();
    let port = free_port();
    let agent = Agent::at(
        &format!("tcp://127.0.0.1:{port}"),
        runtime.path(),
        &["--web.config.file", &write_users(runtime.path())],
    );
    let connect = |from: [u8; 4]| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&std::net::SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
        socket.set_read_timeout(Some(HANG)).unwrap();
        TcpStream::from(socket)
    };
    let mut guesses: Vec<_> = (0..20).map(|_| connect([127, 0, 0, 2])).collect();
    guesses.iter_mut().enumerate().for_each(|(number, stream)| guess(stream, number));
    let mut last = [0; 12];
    guesses.last_mut().unwrap().read_exact(&mut last).unwrap();
    assert_eq!(&last, b"HTTP/1.1 503", "too many wait");
    let mut stream = connect([127, 0, 0, 1]);
    stream.write_all(RIGHT.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(code(&answer), 200, "{answer}");
    drop(agent);
}

#[test]
fn tls_is_spoken_and_certificates_are_demanded_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let tls = support::Certificates::new(directory.path());
    let file = directory.path().join("web.yml");
    std::fs::write(&file, tls.web_config("  min_version: TLS13\n")).unwrap();
    let port = free_port();
    let uri = format!("tcp://127.0.0.1:{port}");
    let api = start_service("secured", directory.path());
    api.tick();
    let agent = Agent::at(&uri, directory.path(), &["--web.config.file", file.to_str().unwrap()]);
    let answer = tls.get(port, "/health", None).unwrap();
    assert!(code(&answer) == 200 && answer.contains("\"secured\""), "{answer}");
    // Plain HTTP gets no answer.
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.set_read_timeout(Some(HANG)).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP"), "{}", bytes.escape_ascii());

    std::fs::write(
        &file,
        tls.web_config("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n"),
    )
    .unwrap();
    // A changed file is found without a signal.
    until("certificates to be demanded", || tls.get(port, "/health", None).is_err().then_some(()));
    assert_eq!(code(&tls.get(port, "/health", Some("client")).unwrap()), 200);
    assert!(tls.get(port, "/health", Some("expired")).is_err());
    // An authority with the same key, whose date does not count.
    std::fs::write(
        &file,
        tls.web_config("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: expired-ca.crt\n"),
    )
    .unwrap();
    until("the date of the authority", || {
        agent.said().contains("expired-ca.crt`: it has expired; clients with").then_some(())
    });
    assert_eq!(code(&tls.get(port, "/health", Some("client")).unwrap()), 200);
    // In one record, of which more is decrypted than was asked for.
    assert_eq!(tls.pipeline(port, 100, 128), 100);
    let many = tls.get(port, "/metrics?verbose", Some("client")).unwrap();
    assert!(many.contains("healthboard_indicator_state"), "{many}");
    let expired = "tls_server_config:\n  cert_file: expired.crt\n  key_file: expired.key\n";
    std::fs::write(&file, expired).unwrap();
    until("the refusal", || {
        agent.said().contains("`RequireAndVerifyClientCert` is gone; SIGHUP").then_some(())
    });
    agent.hang_up();
    until("the date", || agent.said().contains("it has expired").then_some(()));
}

#[test]
fn who_does_not_read_and_who_does_not_speak_keep_nobody_waiting() {
    let runtime = tempfile::tempdir().unwrap();
    let _services = Crowd::start("crowd", 40, runtime.path());
    let agent = Agent::start(runtime.path(), &[]);
    let series = || agent.get("/metrics").lines().filter(|line| line.starts_with("healthboard_")).count();
    until("all services", || (series() > 40 * (8 + 9 * 2)).then_some(()));
    let request = b"GET /metrics?verbose HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut idle: Vec<_> = (0..500).map(|_| agent.connect()).collect();
    for stream in idle.iter_mut().take(250) {
        // Far more than fits into a socket, and never read.
        (0..20).for_each(|_| stream.write_all(request).unwrap_or(()));
    }
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(code(&agent.get("/metrics")), 200);
    }
    assert!(began.elapsed() < HANG);
    drop(idle);
}

#[test]
fn answers_that_nobody_reads_do_not_fill_the_memory() {
    let runtime = tempfile::tempdir().unwrap();
    let _services = Crowd::start("unread", 40, runtime.path());
    let agent = Agent::start(runtime.path(), &[]);
    // Each is some hundred kilobytes, more than a socket takes.
    until("all services", || (agent.get("/metrics?verbose").len() > 400_000).then_some(()));
    let unread: Vec<_> = (0..1000)
        .map(|number| {
            let mut stream = agent.connect();
            write!(stream, "GET /metrics?verbose&x={number} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream
        })
        .collect();
    // The others were accepted before this one.
    assert_eq!(code(&agent.get("/livez")), 200);
    let peak = agent.peak_memory();
    // The unit has MemoryMax=64M.
    assert!(peak < 64 << 10, "{peak} KiB for {} connections", unread.len());
    // Who does read gets all of it.
    assert!(agent.get("/metrics?verbose").len() > 400_000);
}

#[test]
fn requests_that_differ_in_what_the_agent_does_not_know_get_one_answer() {
    let runtime = tempfile::tempdir().unwrap();
    let _services = Crowd::start("flooded", 20, runtime.path());
    let agent = Agent::start(runtime.path(), &[]);
    let mut number = 0;
    // An answer of its own would have counted one more request.
    until("a shared answer", || {
        number += 1;
        let [one, other] = ["x", "y"].map(|name| agent.get(&format!("/metrics?verbose&{name}={number}")));
        assert_eq!(code(&one), 200);
        (body(&one) == body(&other)).then_some(())
    });
    assert_ne!(body(&agent.get("/metrics?verbose")), body(&agent.get("/metrics")));
}

#[test]
fn one_thousand_scrapes_at_once_are_all_answered() {
    let runtime = tempfile::tempdir().unwrap();
    let _services = Crowd::start("scraped", 40, runtime.path());
    let agent = Agent::start(runtime.path(), &[]);
    until("all services", || {
        (agent.get("/metrics").matches("healthboard_stopped{").count() == 40).then_some(())
    });
    let mut scrapes: Vec<_> = (0..1000).map(|_| agent.connect()).collect();
    for stream in &mut scrapes {
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    }
    for mut stream in scrapes {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(code(&answer), 200, "{answer:.100}");
        assert_eq!(answer.matches("healthboard_stopped{").count(), 40);
    }
}

#[test]
fn metrics_can_be_written_to_a_file_as_a_whole() {
    let runtime = tempfile::tempdir().unwrap();
    let api = start_service("filed", runtime.path());
    api.tick();
    let file = runtime.path().join("healthboard.prom");
    let boards = runtime.path().to_str().unwrap();
    let output = support::run(&["metrics", "--boards", boards, "--output", file.to_str().unwrap()]);
    assert!(output.status.success() && output.stdout.is_empty());
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("healthboard_status{service=\"filed\",healthboard_status=\"OK\"} 1\n"), "{text}");
    let printed = support::run(&["metrics", "--boards", boards]);
    assert!(String::from_utf8(printed.stdout).unwrap().contains("service=\"filed\""));
    assert_eq!(names(runtime.path()), ["filed", "healthboard.prom"], "no temporary file is left");
    let missing = support::run(&["metrics", "--boards", boards, "--output", "/nowhere/x.prom"]);
    assert_eq!(missing.status.code(), Some(3));
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Not a test by itself: see [`die`].
#[test]
fn role() {
    support::role();
}
