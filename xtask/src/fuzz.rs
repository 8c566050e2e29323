//! `cargo xtask fuzz`: bytes of anybody's choice for everything that reads bytes.
//!
//! The targets are in `fuzz/`, a workspace of its own. A run begins with the corpus in `fuzz/corpus` and with what earlier runs
//! on this machine have found; what it finds goes to `fuzz/target/found`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use healthboard_e2e::{Setup, Step};

use crate::terminal::{duration, good, table};

/// How long each target runs unless told otherwise.
const USUAL: Duration = Duration::from_secs(60);

/// An input that takes longer is a finding like a crash. By the wall clock, so generous: the machine may be busy.
const MAX_SECONDS_OF_AN_INPUT: u32 = 60;

struct Target {
    name: &'static str,
    /// The longest input that is tried. Of a board: a header and three slots.
    max_bytes: u32,
}

const TARGETS: [Target; 6] = [
    Target { name: "board", max_bytes: 4104 },
    Target { name: "http_head", max_bytes: 600 },
    Target { name: "settings", max_bytes: 1000 },
    Target { name: "stacks", max_bytes: 1000 },
    Target { name: "uri", max_bytes: 150 },
    Target { name: "scrub", max_bytes: 1000 },
];

/// Where cargo-fuzz builds.
const BUILT: &str = "fuzz/target/x86_64-unknown-linux-gnu/release";

/// Runs the targets that these words name, or all; `--seconds N` says how long each.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (names, each) = match words {
        [names @ .., "--seconds", seconds] => {
            let seconds = seconds.parse().with_context(|| format!("found `{seconds}`, expected seconds"))?;
            (names, Duration::from_secs(seconds))
        }
        names => (names, USUAL),
    };
    for name in names {
        let known = TARGETS.map(|target| target.name);
        ensure!(known.contains(name), "no such target: `{name}`, expected some of {}", known.join(", "));
    }
    let chosen: Vec<Target> =
        TARGETS.into_iter().filter(|target| names.is_empty() || names.contains(&target.name)).collect();

    let setup = Setup::prepare_tools()?;
    build(&setup)?;
    let mut rows = Vec::new();
    for together in chosen.chunks(available_parallelism().map_or(1, usize::from)) {
        rows.extend(run_together(&setup, together, each)?);
    }
    println!("\n{}", table(["target", "inputs tried", "time", "result"], rows));
    Ok(())
}

fn build(setup: &Setup) -> Result<()> {
    let mut step = Step::begin("fuzz build", &setup.logs())?;
    let mut cargo_fuzz = Command::new(setup.program("cargo-fuzz"));
    // The instrumentation is no part of stable Rust, which is what the rest of the project is built with.
    cargo_fuzz.args(["fuzz", "build"]).current_dir(setup.workspace()).env("RUSTC_BOOTSTRAP", "1");
    step.run(&mut cargo_fuzz)?;
    step.end();
    Ok(())
}

fn run_together(setup: &Setup, targets: &[Target], each: Duration) -> Result<Vec<[String; 4]>> {
    let names: Vec<&str> = targets.iter().map(|target| target.name).collect();
    let mut step = Step::begin(&format!("fuzz {}", names.join(" ")), &setup.logs())?;
    let mut commands = Vec::new();
    for target in targets {
        commands.push((target.name, command(setup.workspace(), target, each)?));
    }
    let outcome = step.run_together(commands);
    let text = step.text();
    let elapsed = duration(step.end());
    if let Some((name, input)) = finding(&text) {
        bail!("the target `{name}` fails with {input}\nnext: {BUILT}/{name} {input}");
    }
    outcome?;
    let row = |name: &str| {
        let tried = tried(&text, name);
        ensure!(tried > 0, "the target `{name}` tried no input");
        Ok([name.to_owned(), tried.to_string(), elapsed.clone(), good("no finding")])
    };
    names.into_iter().map(row).collect()
}

fn command(workspace: &Path, target: &Target, each: Duration) -> Result<Command> {
    let Target { name, max_bytes } = target;
    let corpus = format!("fuzz/corpus/{name}");
    ensure!(workspace.join(&corpus).is_dir(), "found no {corpus}, expected inputs to begin with");
    let (found, findings) = (format!("fuzz/target/found/{name}"), format!("fuzz/target/findings/{name}/"));
    fs::create_dir_all(workspace.join(&found))?;
    fs::create_dir_all(workspace.join(&findings))?;
    let mut command = Command::new(workspace.join(BUILT).join(name));
    command
        .current_dir(workspace)
        .arg(format!("-max_total_time={}", each.as_secs()))
        .arg(format!("-max_len={max_bytes}"))
        .arg(format!("-timeout={MAX_SECONDS_OF_AN_INPUT}"))
        .arg(format!("-report_slow_units={MAX_SECONDS_OF_AN_INPUT}"))
        .arg(format!("-artifact_prefix={findings}"))
        .arg("-print_final_stats=1")
        .args([found, corpus])
        // Looking for leaks needs the right to trace processes, which containers often lack.
        .env("ASAN_OPTIONS", "detect_leaks=0");
    Ok(command)
}

/// The first input that a target has failed with, as libFuzzer says it.
fn finding(text: &str) -> Option<(&str, &str)> {
    text.lines().find_map(|line| {
        let (name, said) = line.split_once(": ")?;
        Some((name, said.split_once("Test unit written to ")?.1.trim()))
    })
}

/// How many inputs this target has tried, as libFuzzer says at its end.
fn tried(text: &str, name: &str) -> u64 {
    let start = format!("{name}: stat::number_of_executed_units:");
    text.lines().find_map(|line| line.strip_prefix(&start)?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
board: #2 INITED cov: 3
uri: stat::number_of_executed_units: 12
board: stat::number_of_executed_units: 345
board: artifact_prefix='fuzz/target/findings/board/'; Test unit written to fuzz/target/findings/board/crash-1
";

    #[test]
    fn each_target_has_a_count_of_its_own() {
        assert_eq!((tried(TEXT, "board"), tried(TEXT, "uri"), tried(TEXT, "scrub")), (345, 12, 0));
    }

    #[test]
    fn a_finding_is_named_with_its_input() {
        assert_eq!(finding(TEXT), Some(("board", "fuzz/target/findings/board/crash-1")));
        assert_eq!(finding("board: all is well"), None);
    }

    #[test]
    fn every_target_has_a_program_and_a_corpus() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        for kind in ["targets", "corpus"] {
            let mut found: Vec<String> = fs::read_dir(fuzz.join(kind))
                .expect(kind)
                .map(|entry| entry.expect(kind).file_name().to_string_lossy().replace(".rs", ""))
                .collect();
            let mut known = TARGETS.map(|target| target.name);
            found.sort();
            known.sort_unstable();
            assert_eq!(found, known, "{kind}");
        }
    }
}
