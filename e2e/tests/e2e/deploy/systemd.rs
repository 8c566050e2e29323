//! systemd, in a container.

use std::time::Duration;

use anyhow::Result;
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::systemd::prove;

#[test]
#[ignore = "needs a container: cargo xtask test e2e"]
fn systemd_learns_how_services_are_and_restarts_those_that_hang_and_no_others() -> Result<()> {
    prove(&Setup::open()?, Duration::from_secs(60), |_| Ok(()))?;
    Ok(())
}
