//! `cargo xtask book`: all pages of this project as a website that needs no server.

use std::process::Command;

use anyhow::Result;
use healthboard_e2e::{Setup, Step};

/// What makes it, in the root of the workspace. A link that leads nowhere is an error.
pub(crate) const LINE: [&str; 8] = [
    "sphinx-build",
    "--fail-on-warning",
    "--keep-going",
    "--quiet",
    "--conf-dir",
    "docs",
    ".",
    "target/healthboard/book",
];

/// Makes it, and says where it is.
pub(crate) fn run() -> Result<()> {
    let setup = Setup::prepare_tools()?;
    let mut step = Step::begin("book", &setup.logs())?;
    let mut sphinx = Command::new(setup.program(LINE[0]));
    step.run(sphinx.args(&LINE[1..]).current_dir(setup.workspace()))?;
    step.end();
    println!("{}", setup.workspace().join(LINE[7]).join("docs/index.html").display());
    Ok(())
}
