//! `cargo xtask static`: the command `healthboard` as one file that runs in an image without libc and shell.

use anyhow::Result;
use healthboard_e2e::Setup;

/// Builds it, and says where it is.
pub(crate) fn run() -> Result<()> {
    let command = Setup::build_static(&["healthboard-cli"])?.join("healthboard");
    println!("{} bytes: {}", command.metadata()?.len(), command.display());
    Ok(())
}
