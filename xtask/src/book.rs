//! `cargo xtask book`: all pages of this project as a website that needs no server.

use std::process::Command;

use anyhow::Result;
use healthboard_e2e::{Setup, Step};

/// Makes it, and says where it is. A link that leads nowhere is an error.
pub(crate) fn run() -> Result<()> {
    let setup = Setup::prepare_tools()?;
    let book = setup.logs().with_file_name("book");
    let mut step = Step::begin("book", &setup.logs())?;
    let mut sphinx = Command::new(setup.program("sphinx-build"));
    sphinx.args(["--fail-on-warning", "--keep-going", "--quiet", "--conf-dir", "docs", "."]).arg(&book);
    step.run(sphinx.current_dir(setup.workspace()))?;
    step.end();
    println!("{}", book.join("docs/index.html").display());
    Ok(())
}
