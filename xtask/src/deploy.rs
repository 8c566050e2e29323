//! `cargo xtask deploy`: what acts on health, each as the real program; the results go into its page.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::balancers::{self, Extent, Played};
use healthboard_e2e::deploy::{containers, kubernetes, monitors, pages, probes, systemd};

use crate::terminal::{clear_wait, duration, show_wait, strong};
use crate::{generated, interrupt};

/// What the command line says besides the parts.
struct Plan {
    /// For how long systemd watches services under load.
    load: Duration,
    prepare: bool,
}

struct Part {
    name: &'static str,
    /// The page that has the results.
    page: &'static str,
    play: fn(&Setup, &Plan) -> Result<String>,
}

const PARTS: [Part; 6] = [
    Part { name: "systemd", page: "docs/systemd.md", play: systemd },
    Part { name: "balancers", page: "docs/balancers.md", play: balancers },
    Part { name: "containers", page: "deploy/containers/README.md", play: containers },
    Part { name: "kubernetes", page: "deploy/kubernetes/README.md", play: kubernetes },
    Part { name: "probes", page: "docs/probes.md", play: probes },
    Part { name: "monitors", page: "docs/monitoring.md", play: monitors },
];

/// Plays the named parts, or all if none is named.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    // A page must not be written from a shorter run by accident.
    let mut plan = Plan { load: Duration::from_secs(60 * 60), prepare: true };
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
                let known = PARTS.map(|part| part.name);
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
    let setup = if plan.prepare { Setup::prepare_deploy()? } else { Setup::open()? };
    for Part { name, page, play } in PARTS {
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        println!("{}", strong(name));
        let begin = Instant::now();
        let results = play(&setup, &plan);
        clear_wait();
        let results = results?;
        println!("\n{results}{name}: done in {}", duration(begin.elapsed()));
        generated::write(setup.workspace(), page, &format!("deploy {name}"), &results)?;
    }
    Ok(())
}

fn systemd(setup: &Setup, plan: &Plan) -> Result<String> {
    Ok(systemd::page(&systemd::prove(setup, plan.load, tick)?))
}

fn balancers(setup: &Setup, _: &Plan) -> Result<String> {
    let extent = Extent::full();
    let all = balancers::play_all(setup, &balancers::scenarios(), &extent, tick)?;
    let text = balancers::page(setup, &extent, &all);
    ensure!(all.iter().all(Played::is_right), "a balancer lost what it could have saved\n{text}");
    Ok(text)
}

fn containers(_: &Setup, _: &Plan) -> Result<String> {
    Ok(containers::page(&containers::turns(containers::Pace::Shipped)?))
}

fn kubernetes(setup: &Setup, _: &Plan) -> Result<String> {
    kubernetes::validate(setup)?;
    let mut text = String::new();
    for manifest in kubernetes::MANIFESTS {
        text += &kubernetes::page(manifest, &kubernetes::play(setup, manifest, kubernetes::Pace::Shipped)?);
    }
    Ok(text)
}

fn probes(setup: &Setup, _: &Plan) -> Result<String> {
    let (costs, truths) = probes::compare(setup, |what| eprintln!("  {what}"))?;
    probes::page(&costs, &truths)
}

fn monitors(setup: &Setup, _: &Plan) -> Result<String> {
    let pictures = tempfile::tempdir()?;
    pages::open(setup, pictures.path(), tick)?;
    monitors::check_files(setup)?;
    monitors::check_nagios(setup)?;
    monitors::node_exporter(setup)?;
    let noticed = monitors::play(setup, &pictures.path().join("dashboard.png"), tick)?;
    let kept = setup.workspace().join("docs/images");
    fs::create_dir_all(&kept)?;
    for picture in ["host-light", "fault-dark", "host-phone", "dashboard"] {
        let name = format!("{picture}.png");
        fs::copy(pictures.path().join(&name), kept.join(&name))
            .with_context(|| format!("there is no {name}"))?;
    }
    Ok(monitors::page(&noticed))
}

fn tick(elapsed: Duration) -> Result<()> {
    show_wait(elapsed);
    interrupt::check()
}
