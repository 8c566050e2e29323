//! The quickest and most important faults, on all of Nova and its servers. `cargo xtask e2e` plays all of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::faults::{Pacing, Scene, play, scenarios};
use healthboard_e2e::{Concurrency, Setup};

/// Much longer than any operation of an idle service takes.
const STALL_AFTER: Duration = Duration::from_secs(8);

const FAULTS: [&str; 6] = [
    "rabbitmq-killed",
    "mariadb-stopped",
    "mariadb-frozen",
    "mariadb-read-only",
    "worker-frozen",
    "holder-killed",
];

/// A single test, because the faults share one cluster.
#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn each_fault_raises_the_required_alarms_and_no_others() -> Result<()> {
    let pacing = Pacing { ends_early: true, watch_after: Duration::ZERO, tick: |_| Ok(()) };
    let lines = format!("stall_after = {}", STALL_AFTER.as_secs());
    let mut scene = Scene::new(&Setup::open()?, Concurrency::Threading, &lines, pacing.tick)?;
    let known = scenarios(STALL_AFTER);
    for name in FAULTS {
        let scenario = known.iter().find(|scenario| scenario.name == name).context("unknown fault")?;
        let outcome = play(&mut scene, scenario, pacing)?;
        if !outcome.meets_goals(scenario) {
            scene.keep_folder();
        }
        let missed: Vec<_> =
            scenario.checks(&outcome.findings).into_iter().filter(|check| !check.met).collect();
        ensure!(
            outcome.meets_goals(scenario),
            "{}: {missed:#?}\nfound: {:#?}\nnext: look at the logs in {}",
            scenario.title,
            outcome.findings.iter().map(|f| (&f.service, &f.message, &f.after, f.last)).collect::<Vec<_>>(),
            scene.folder().display()
        );
    }
    Ok(())
}
