//! Units that take from a service what health would like to have: it starts and works, and one line says
//! of each thing that it is missing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Check, FOLDER, SOON};
use crate::deploy::machine::Machine;
use crate::deploy::until;
use crate::setup::Setup;

/// The end of each unit. The port is the first one and the number of the unit.
const RUST: &str = "\
StateDirectory=<name>
ExecStart=<folder>/sqlite-service --uri unix:///run/<name>/health.sock,tcp://127.0.0.1:<port> /var/lib/<name>/visits.db
";
const PYTHON: &str = "\
StateDirectory=<name>
Environment=HEALTHBOARD_URI=unix:///run/<name>/health.sock,tcp://127.0.0.1:<port>
ExecStart=<environment>/bin/healthboard-run --service sqlite-service <environment>/bin/python <folder>/visits.py /var/lib/<name>/visits.db
";
/// The service in Python.
pub(super) const VISITS: &str = include_str!("../../../deploy/systemd/visits.py");
const FIRST_PORT: usize = 9700;

struct Sandbox {
    name: &'static str,
    /// What runs: the end of the unit.
    program: &'static str,
    /// What the unit has before it.
    settings: &'static str,
    /// What happens to it once it works.
    event: &'static str,
    /// Who answers then.
    answers: Answers,
    /// What the log says: a line for each thing that is missing.
    lines: &'static [&'static str],
}

#[derive(Clone, Copy)]
enum Answers {
    Socket,
    Port,
    Nobody,
}

const SANDBOXES: [Sandbox; 15] = [
    Sandbox {
        name: "strict",
        program: RUST,
        settings: "RuntimeDirectory=strict\nProtectSystem=strict\nPrivateTmp=yes\nProtectHome=yes",
        event: "",
        answers: Answers::Socket,
        lines: &[],
    },
    Sandbox {
        name: "dynamic",
        program: RUST,
        settings: "RuntimeDirectory=dynamic\nDynamicUser=yes",
        event: "",
        answers: Answers::Socket,
        lines: &[],
    },
    Sandbox {
        name: "vanishing",
        program: RUST,
        settings: "RuntimeDirectory=vanishing",
        event: "rm -r /run/vanishing && install -d /run/vanishing",
        answers: Answers::Socket,
        lines: &["/run/vanishing"],
    },
    Sandbox {
        name: "vanished",
        program: RUST,
        settings: "RuntimeDirectory=vanished",
        event: "rm -r /run/vanished",
        answers: Answers::Port,
        lines: &["/run/vanished"],
    },
    Sandbox {
        name: "homeless",
        program: RUST,
        settings: "User=daemon\nPrivateTmp=yes",
        event: "",
        answers: Answers::Port,
        lines: &["/run/homeless/health.sock"],
    },
    Sandbox {
        name: "readonly",
        program: RUST,
        settings: "ProtectSystem=strict",
        event: "",
        answers: Answers::Port,
        lines: &["the board is in memory", "/run/readonly/health.sock"],
    },
    Sandbox {
        name: "noruntime",
        program: RUST,
        settings: "ReadOnlyPaths=/run /tmp",
        event: "",
        answers: Answers::Port,
        lines: &["the board is in memory", "/run/noruntime/health.sock"],
    },
    Sandbox {
        name: "nobind",
        program: RUST,
        settings: "RuntimeDirectory=nobind\nSystemCallFilter=~bind\nSystemCallErrorNumber=EACCES",
        event: "",
        answers: Answers::Nobody,
        lines: &["is refused by a policy of this host", "no process can become a standby"],
    },
    Sandbox {
        name: "noinet",
        program: RUST,
        settings: "RuntimeDirectory=noinet\nRestrictAddressFamilies=AF_UNIX",
        event: "",
        answers: Answers::Socket,
        lines: &["tcp://127.0.0.1"],
    },
    Sandbox {
        name: "noepoll",
        program: RUST,
        settings: "RuntimeDirectory=noepoll\nSystemCallFilter=~epoll_create1\nSystemCallErrorNumber=EPERM",
        event: "",
        answers: Answers::Nobody,
        lines: &["Operation not permitted"],
    },
    Sandbox {
        name: "norange",
        program: RUST,
        settings: "RuntimeDirectory=norange\nSystemCallFilter=~close_range\nSystemCallErrorNumber=EPERM",
        event: "",
        answers: Answers::Nobody,
        lines: &["Operation not permitted"],
    },
    Sandbox {
        name: "noopen",
        program: RUST,
        settings: "RuntimeDirectory=noopen\nSystemCallFilter=~openat2\nSystemCallErrorNumber=EPERM",
        event: "",
        answers: Answers::Socket,
        lines: &[],
    },
    Sandbox {
        name: "python-strict",
        program: PYTHON,
        settings: "RuntimeDirectory=python-strict\nProtectSystem=strict",
        event: "",
        answers: Answers::Socket,
        lines: &[],
    },
    Sandbox {
        name: "python-readonly",
        program: PYTHON,
        settings: "ProtectSystem=strict",
        event: "",
        answers: Answers::Port,
        lines: &["the board is in memory", "/run/python-readonly/health.sock"],
    },
    Sandbox {
        name: "python-norange",
        program: PYTHON,
        settings: "RuntimeDirectory=python-norange\nSystemCallFilter=~close_range\nSystemCallErrorNumber=EPERM",
        event: "",
        answers: Answers::Nobody,
        lines: &["Operation not permitted"],
    },
];

/// Puts the units into the root of a machine.
pub(super) fn install(setup: &Setup, root: &Path) -> Result<()> {
    // The workspace may be below /tmp, which some of them hide.
    let folder = root.join(FOLDER.trim_start_matches('/'));
    fs::create_dir_all(&folder)?;
    fs::copy(setup.programs().join("sqlite-service"), folder.join("sqlite-service"))?;
    for (number, sandbox) in SANDBOXES.iter().enumerate() {
        let rest = sandbox
            .program
            .replace("<name>", sandbox.name)
            .replace("<environment>", &setup.venv().display().to_string())
            .replace("<folder>", FOLDER)
            .replace("<port>", &(FIRST_PORT + number).to_string());
        let path = root.join(format!("etc/systemd/system/{}.service", sandbox.name));
        fs::write(path, format!("[Service]\n{}\n{rest}", sandbox.settings)).context("cannot write a unit")?;
    }
    Ok(())
}

/// Starts all of them.
pub(super) fn check(machine: &Machine, tick: fn(Duration) -> Result<()>) -> Result<Check> {
    for sandbox in &SANDBOXES {
        machine.shell(&format!("systemctl start {}", sandbox.name))?;
    }
    let wrong: Vec<String> = SANDBOXES
        .iter()
        .enumerate()
        .filter_map(|(number, sandbox)| {
            let checked = sandbox.check(machine, FIRST_PORT + number, tick);
            checked.err().map(|error| format!("the unit {}: {error:#}", sandbox.name))
        })
        .collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(Check::new(
        "a service in a sandbox that takes directories or system calls from it starts and works, and logs one line for each thing that is missing",
        format!("{} sandboxes", SANDBOXES.len()),
    ))
}

impl Sandbox {
    fn check(&self, machine: &Machine, port: usize, tick: fn(Duration) -> Result<()>) -> Result<()> {
        let Sandbox { name, event, answers, lines, .. } = *self;
        let visits = |text: &str| text.matches("visit ").count();
        let works = |more: usize| {
            let wanted = visits(&journal(machine, name)?) + more;
            until("it works", SOON, tick, || Ok((visits(&journal(machine, name)?) >= wanted).then_some(())))
        };
        works(2)?;
        if !event.is_empty() {
            machine.shell(event)?;
        }
        let uri = match answers {
            Answers::Socket => Some(format!("unix:///run/{name}/health.sock")),
            Answers::Port => Some(format!("tcp://127.0.0.1:{port}")),
            Answers::Nobody => None,
        };
        if let Some(uri) = uri {
            let check = format!("healthboard check {uri} || true");
            let answer = |found: &str| found.starts_with("sqlite-service OK").then_some(());
            until(&uri, SOON, tick, || Ok(answer(&machine.shell(&check)?)))?;
        }
        for part in lines {
            until(part, SOON, tick, || Ok(journal(machine, name)?.contains(part).then_some(())))?;
        }
        // It has had the time to say more.
        works(2)?;
        let text = journal(machine, name)?;
        let ours: Vec<&str> = text.lines().filter(|line| !is_of_the_service(line)).collect();
        let each_once =
            ours.len() == lines.len() && lines.iter().all(|part| ours.iter().any(|line| line.contains(part)));
        ensure!(each_once, "it logs {ours:#?}, expected a line with each of {lines:?}");
        machine.shell(&format!("systemctl stop {name}"))?;
        Ok(())
    }
}

/// What the service has written.
fn journal(machine: &Machine, name: &str) -> Result<String> {
    machine.shell(&format!("journalctl -u {name} --output cat --no-pager -q _TRANSPORT=stdout || true"))
}

fn is_of_the_service(line: &str) -> bool {
    ["visit ", "health at "].iter().any(|begin| line.starts_with(begin))
}
