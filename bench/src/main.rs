//! What healthboard costs, beside what people know. Run it as `cargo xtask bench`: that builds and installs what it needs.

mod agent;
mod attack;
mod backend;
mod check;
mod cores;
mod footprint;
mod load;
mod measure;
mod nova;
mod probe;
mod process;
mod python;
mod reading;
mod record;
mod table;

use anyhow::{Context, Result, ensure};
use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use table::{Goals, Part};

type Play = fn() -> Result<Part>;

const PARTS: [(&str, Play); 10] = [
    ("record", record::run),
    ("python", python::run),
    ("probe", probe::run),
    ("backend", backend::run),
    ("attack", attack::run),
    ("check", check::run),
    ("footprint", footprint::run),
    ("reading", reading::run),
    ("agent", agent::run),
    ("nova", nova::run),
];

fn main() -> Result<()> {
    let names: Vec<String> = env::args().skip(1).collect();
    for name in &names {
        let known = PARTS.map(|(part, _)| part);
        ensure!(
            known.contains(&name.as_str()),
            "no such part: `{name}`, expected some of {}",
            known.join(", ")
        );
    }
    let mut parts = Vec::new();
    for (name, play) in PARTS {
        if names.is_empty() || names.iter().any(|n| n == name) {
            eprintln!("bench {name}");
            parts.push(play().with_context(|| format!("in the part {name}"))?);
        }
    }
    println!("{}\n", machine()?);
    let ran = |part: &&str| names.is_empty() || names.iter().any(|name| name == part);
    let left_out: Vec<&str> = PARTS.map(|(part, _)| part).into_iter().filter(|part| !ran(part)).collect();
    if !left_out.is_empty() {
        println!("Left out of this run: {}.\n", left_out.join(", "));
    }
    print!("{}", Goals(&parts));
    parts.iter().for_each(|part| print!("{part}"));
    parts.iter().flat_map(Part::missed).for_each(|goal| eprintln!("missed: {goal}"));
    Ok(())
}

/// Where this run took place.
fn machine() -> Result<String> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown CPU");
    let model = model.trim_start_matches(|c: char| c.is_whitespace() || c == ':');
    let cores = std::thread::available_parallelism()?;
    let kernel = output(Command::new("uname").arg("-rm"))?;
    let rustc = output(Command::new("rustc").arg("--version"))?;
    let python = output(python().arg("--version"))?;
    let [kernel, rustc, python] = [&kernel, &rustc, &python].map(|text| text.trim());
    Ok(format!("Measured on: {model}, {cores} cores, Linux {kernel}, {rustc}, {python}."))
}

/// The interpreter that has our package and those to compare with.
fn python() -> Command {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new(home.join("target/venv/bin/python"));
    python.current_dir(home);
    python
}

/// What a command says on standard output.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {name}"))?;
    ensure!(output.status.success(), "{name} failed ({})", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// A folder that is gone afterwards: in memory, as `/run` is.
fn place() -> Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    Ok(tempfile::Builder::new().prefix("healthboard-bench-").tempdir_in(folder)?)
}
