//! `cargo xtask sanitize`: the tests of the core and of the endpoint under what watches memory and threads.
//!
//! Each tool has its limits, which are said here and in docs/reliability.md.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use healthboard_e2e::{Setup, Step};

use crate::terminal::{bad, duration, good, table};
use crate::test::Count;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A tool, and what has to be there for it.
struct Tool {
    name: &'static str,
    /// What is missing, and how to get it; `None` where it can run.
    missing: fn() -> Option<String>,
    command: fn() -> Command,
}

const TOOLS: [Tool; 4] = [
    Tool { name: "address", missing: || None, command: address },
    Tool { name: "thread", missing: without_rust_src, command: thread },
    Tool { name: "memcheck", missing: without_valgrind, command: memcheck },
    Tool { name: "miri", missing: without_miri, command: miri },
];

/// Runs the tools of these names; none named means all that can run here.
pub(crate) fn run(names: &[&str]) -> Result<()> {
    for name in names {
        let known = TOOLS.map(|tool| tool.name);
        ensure!(known.contains(name), "no such tool: `{name}`, expected some of {}", known.join(", "));
    }
    let setup = Setup::prepare_tools()?;
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for tool in TOOLS.into_iter().filter(|tool| names.is_empty() || names.contains(&tool.name)) {
        if let Some(missing) = (tool.missing)() {
            ensure!(names.is_empty(), "`{}` cannot run: {missing}", tool.name);
            rows.push([tool.name.to_owned(), "0".to_owned(), String::new(), format!("skipped: {missing}")]);
            continue;
        }
        let mut step = Step::begin(&format!("sanitize {}", tool.name), &setup.logs())?;
        let outcome = step.run((tool.command)().current_dir(setup.workspace()));
        let (text, count) = (step.text(), Count::of_cargo(&step.text()));
        let elapsed = duration(step.end());
        let passed = outcome.is_ok() && count.passed > 0 && count.failed == 0;
        if !passed {
            println!("\n{text}");
            failed.push(tool.name);
        }
        let result = if passed { good("passed") } else { bad("FAILED") };
        rows.push([tool.name.to_owned(), count.passed.to_string(), elapsed, result]);
    }
    println!("\n{}", table(["tool", "tests", "time", "result"], rows));
    ensure!(failed.is_empty(), "these have found something: {}", failed.join(", "));
    Ok(())
}

/// Tests of both crates in a folder of their own: what is built for a tool is of no use to anybody else.
fn tests(tool: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--no-fail-fast", "--package", "healthboard", "--package", "healthboard-endpoint"]);
    cargo.args(["--target", TARGET, "--target-dir", &format!("target/sanitize/{tool}")]);
    // The sanitizers are no part of stable Rust, which is what the rest of the project is built with.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo
}

/// Without the examples of the documentation, which need flags of their own.
fn address() -> Command {
    let mut tests = tests("address");
    tests.args(["--lib", "--tests"]).env("RUSTFLAGS", "-Zsanitizer=address");
    // What a service keeps for ever, it keeps on purpose.
    tests.env("ASAN_OPTIONS", "detect_leaks=0:handle_sigbus=0");
    tests
}

/// The standard library is built anew: a race with a part that is not watched would not be seen.
fn thread() -> Command {
    let mut tests = tests("thread");
    tests.args(["-Zbuild-std", "--lib", "--tests"]).env("RUSTFLAGS", "-Zsanitizer=thread");
    tests.env("TSAN_OPTIONS", "die_after_fork=0");
    tests
}

/// The tests in the crates alone: processes that are killed all the time are too slow under it.
fn memcheck() -> Command {
    let mut tests = tests("memcheck");
    tests.arg("--lib");
    tests.env(
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER",
        "valgrind --quiet --error-exitcode=1 --fair-sched=yes",
    );
    tests
}

/// What is pure: it knows neither the kernel's files nor its mappings.
fn miri() -> Command {
    let mut miri = Command::new("cargo");
    miri.args(["+nightly", "miri", "test", "--target-dir", "target/sanitize/miri"]);
    miri.args(["--package", "healthboard", "--lib", "--", "failure::", "config::uri", "format::"]);
    miri.args(
        ["states", "messages", "processes", "services"].map(|tables| format!("verdict::tests::{tables}")),
    );
    miri.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    miri
}

fn without_rust_src() -> Option<String> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let missing = !Path::new(&sysroot).join("lib/rustlib/src/rust/library").exists();
    missing.then(|| "no sources of the standard library; next: rustup component add rust-src".to_owned())
}

fn without_valgrind() -> Option<String> {
    let missing = !answers("valgrind", &["--version"]);
    missing.then(|| "no valgrind; next: apt-get install valgrind".to_owned())
}

fn without_miri() -> Option<String> {
    let missing = !answers("cargo", &["+nightly", "miri", "--version"]);
    missing.then(|| "no miri; next: rustup toolchain install nightly -c miri -c rust-src".to_owned())
}

fn answers(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
