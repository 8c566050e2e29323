//! The page for operators.

use anyhow::Result;
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::operators::follow;

#[test]
#[ignore = "needs a machine: cargo xtask test e2e"]
fn each_command_of_the_page_for_operators_does_what_the_page_says() -> Result<()> {
    follow(&Setup::open()?, |_| Ok(()))?;
    Ok(())
}
