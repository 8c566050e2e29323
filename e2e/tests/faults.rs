//! The quickest and most telling faults, on all of Nova and its servers. `cargo xtask e2e` plays all of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::faults::{Patience, Scene, play, scenarios};
use healthboard_e2e::{Concurrency, Setup};

/// Far longer than any operation of an idle service takes.
const STALL_AFTER: Duration = Duration::from_secs(8);

const FAULTS: [&str; 5] =
    ["rabbitmq-killed", "mariadb-stopped", "mariadb-frozen", "worker-frozen", "holder-killed"];

/// One test, since they share one cluster.
#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn each_fault_is_said_in_time_by_those_it_concerns_and_by_nobody_else() -> Result<()> {
    let patience = Patience { brief: true, calm: Duration::from_secs(1), tick: |_| Ok(()) };
    let lines = format!("stall_after = {}", STALL_AFTER.as_secs());
    let mut scene = Scene::new(&Setup::open()?, Concurrency::Threading, &lines, patience.tick)?;
    let known = scenarios(STALL_AFTER);
    for name in FAULTS {
        let scenario =
            known.iter().find(|scenario| scenario.name == name).context("there is no such fault")?;
        let outcome = play(&mut scene, scenario, patience)?;
        if !outcome.is_as_wanted(scenario) {
            scene.keep_folder();
        }
        let missed: Vec<_> =
            scenario.checks(&outcome.findings).into_iter().filter(|check| !check.met).collect();
        ensure!(
            outcome.is_as_wanted(scenario),
            "{}: {missed:#?}\nnext: look at the logs in {}",
            scenario.title,
            scene.folder().display()
        );
    }
    Ok(())
}
