//! Our check beside those of today. `cargo xtask deploy probes` plays all faults.

use anyhow::{Context, Result};
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::probes::compare_quickly;

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn frozen_workers_are_told_by_our_check_alone_and_for_less() -> Result<()> {
    let (costs, truths) = compare_quickly(&Setup::open()?)?;
    let cpu = |name: &str| {
        let cost = costs.iter().find(|cost| cost.name.contains(name)).context("no such probe");
        cost.map(|cost| cost.cpu)
    };
    assert!(cpu("healthboard check")? * 4 < cpu("kolla")?, "{costs:?}");
    let said =
        |name: &str| truths[0].said.iter().find(|said| said.name.contains(name)).context("no such probe");
    for name in ["kolla", "TripleO"] {
        assert_eq!(said(name)?.failed, None, "{truths:?}");
    }
    for name in ["healthboard check`", "--ready", "--live"] {
        assert!(said(name)?.failed.is_some(), "{truths:?}");
    }
    Ok(())
}
