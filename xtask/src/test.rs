//! `cargo xtask test`: all tests, in parts, each with its count and its time. A part that runs no test fails.

mod count;
mod loom;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use healthboard_e2e::{Setup, Step};

pub(crate) use self::count::Count;
use crate::pythons;
use crate::terminal::{bad, duration, good, table};

/// The argument for what packagers build in addition.
pub(crate) const GENERATE: &str = "--features=healthboard-cli/generate";

type Play = fn(&Setup, &mut Step) -> Result<Count>;

/// The parts, from cheap to expensive.
const PARTS: [(&str, Play); 4] = [("rust", rust), ("loom", loom::run), ("python", python), ("e2e", e2e)];

struct Row {
    name: &'static str,
    count: Count,
    elapsed: Duration,
    passed: bool,
}

/// The parts that run only if they are named.
const OTHERS: [(&str, Play); 1] = [("pythons", pythons::run)];

/// Runs the named parts, or all but the `OTHERS` if none is named.
pub(crate) fn run(names: &[&str]) -> Result<()> {
    let known: Vec<&str> = PARTS.iter().chain(&OTHERS).map(|(part, _)| *part).collect();
    for name in names {
        ensure!(known.contains(name), "no such part: `{name}`, expected some of {}", known.join(", "));
    }
    let is_default = |part: &str| PARTS.iter().any(|(name, _)| *name == part);
    let chosen = |part: &str| if names.is_empty() { is_default(part) } else { names.contains(&part) };
    // The other parts need only the tools.
    let setup =
        if chosen("python") || chosen("e2e") { Setup::prepare_cluster()? } else { Setup::prepare_tools()? };
    let mut rows = Vec::new();
    for (name, play) in PARTS.into_iter().chain(OTHERS).filter(|(name, _)| chosen(name)) {
        rows.push(run_part(&setup, name, play)?);
    }
    conclude(&rows)
}

fn run_part(setup: &Setup, name: &'static str, play: Play) -> Result<Row> {
    let mut step = Step::begin(&format!("test {name}"), &setup.logs())?;
    let outcome = play(setup, &mut step);
    let text = step.text();
    let count =
        outcome.as_ref().map_or_else(|_| Count::of_cargo(&text) + Count::of_pytest(&text), |count| *count);
    let passed = outcome.is_ok() && count.failed == 0 && count.passed > 0;
    if !passed {
        println!("\n{text}");
        match outcome {
            Err(error) => eprintln!("{} {error:#}", bad("error:")),
            Ok(_) if count.passed == 0 => eprintln!("{} the part {name} ran no test", bad("error:")),
            Ok(_) => eprintln!("{} in the part {name}", bad("error:")),
        }
    }
    Ok(Row { name, count, elapsed: step.end(), passed })
}

fn conclude(rows: &[Row]) -> Result<()> {
    let lines = rows.iter().map(|row| {
        let result = if row.passed { good("passed") } else { bad("FAILED") };
        let Count { passed, failed } = row.count;
        [row.name.to_owned(), passed.to_string(), failed.to_string(), duration(row.elapsed), result]
    });
    println!("\n{}\n", table(["part", "passed", "failed", "time", "result"], lines));
    let passed: usize = rows.iter().map(|row| row.count.passed).sum();
    // A part that broke before it could count its tests is one failure.
    let failed: usize = rows.iter().map(|row| row.count.failed.max(usize::from(!row.passed))).sum();
    println!("{passed} passed, {failed} failed");
    if failed > 0 { bail!("not all tests passed") } else { Ok(()) }
}

fn cargo(setup: &Setup) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(setup.workspace());
    cargo
}

fn rust(setup: &Setup, step: &mut Step) -> Result<Count> {
    step.run(cargo(setup).args(["test", "--workspace", GENERATE, "--no-fail-fast"]))?;
    Ok(Count::of_cargo(&step.text()))
}

fn python(setup: &Setup, step: &mut Step) -> Result<Count> {
    Setup::prepare_tools()?;
    let program = |name: &str| {
        let mut command = Command::new(setup.program(name));
        command.current_dir(setup.workspace());
        command
    };
    // They wait more than they work. A file's tests share servers, so one process runs them.
    step.run(program("pytest").args(["-q", "-n", "4", "--dist", "loadfile", "python/tests"]))?;
    let count = Count::of_pytest(&step.text());
    step.run(program("stubtest").arg("healthboard")).context("the type stubs differ from the module")?;
    Ok(count + Count::PASSED)
}

/// Runs only the tests that need the stage. The part `rust` runs the others.
fn e2e(setup: &Setup, step: &mut Step) -> Result<Count> {
    Setup::prepare_deploy()?;
    let line = [
        "test",
        "--package",
        "healthboard-e2e",
        "--no-fail-fast",
        "--tests",
        "--",
        "--ignored",
        // Each test starts its own servers and services. Two cores manage three at a time.
        "--test-threads=3",
    ];
    step.run(cargo(setup).args(line).env("RUST_LIB_BACKTRACE", "0"))?;
    Ok(Count::of_cargo(&step.text()))
}
