//! `cargo xtask deploy`: those who act on health, each as a real program.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::{Check, prove_systemd};

use crate::interrupt;
use crate::terminal::{clear_wait, duration, show_wait, strong, table};

/// What the command line says besides the parts.
struct Plan {
    /// For how long services under load are watched.
    load: Duration,
    prepare: bool,
}

type Prove = fn(&Setup, &Plan) -> Result<Vec<Check>>;

const PARTS: [(&str, Prove); 1] = [("systemd", systemd)];

/// Proves the named parts, or all if none is named.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let mut plan = Plan { load: Duration::from_secs(60), prepare: true };
    let mut names = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "--minutes" => {
                let minutes: Option<u64> = words.next().and_then(|minutes| minutes.parse().ok());
                plan.load = Duration::from_secs(minutes.context("--minutes needs a number")? * 60);
            }
            "--as-is" => plan.prepare = false,
            name => {
                let known = PARTS.map(|(part, _)| part);
                ensure!(
                    known.contains(&name),
                    "no such part: `{name}`, expected some of {}",
                    known.join(", ")
                );
                names.push(name);
            }
        }
    }
    interrupt::watch()?;
    let setup = if plan.prepare { Setup::prepare()? } else { Setup::open()? };
    for (name, prove) in PARTS.into_iter().filter(|(name, _)| names.is_empty() || names.contains(name)) {
        println!("{}", strong(name));
        let begin = Instant::now();
        let checks = prove(&setup, &plan);
        clear_wait();
        let rows = checks?.into_iter().map(|check| [check.name, check.found]);
        println!("\n{}\n\n{name}: proven in {}", table(["what", "found"], rows), duration(begin.elapsed()));
    }
    Ok(())
}

fn systemd(setup: &Setup, plan: &Plan) -> Result<Vec<Check>> {
    if plan.prepare {
        setup.prepare_systemd()?;
    }
    prove_systemd(setup, plan.load, tick)
}

fn tick(elapsed: Duration) -> Result<()> {
    show_wait(elapsed);
    interrupt::check()
}
