//! The commands of `docs/operators.md`, typed as they stand there: on a machine that has Nova as Debian packages it, and here.

mod host;
mod page;

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use self::page::{Block, blocks};
use super::containers::{PACKAGES, Podman, make_service};
use super::until;
use crate::setup::Setup;
use crate::stage::{private_folder, search_path};

/// The page in the workspace.
const PAGE: &str = "docs/operators.md";
/// The sections whose commands are for a machine that builds.
const HERE: [&str; 3] = ["Build", "Containers", "Kubernetes"];
/// The page promises what comes after a minute. The services start more slowly on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Types every command of the page, and compares the output with that of the page. Returns how many blocks there were.
///
/// # Errors
///
/// If a command fails, or does not come to write what the page says. The error has its line in the page.
pub fn follow(setup: &Setup, tick: fn(Duration) -> Result<()>) -> Result<usize> {
    let blocks = blocks(&Setup::workspace_file(PAGE)?)?;
    let (building, rest): (Vec<Block>, Vec<Block>) =
        blocks.into_iter().partition(|block| block.section == "Build");
    let here = Here::new(setup)?;
    for block in &building {
        here.follow(block, tick)?;
    }
    let machine = host::boot(setup, tick)?;
    for block in &rest {
        let followed = if HERE.contains(&block.section.as_str()) {
            here.follow(block, tick)
        } else {
            check(block, tick, |script| machine.shell(&format!("cd {}\n{script}", host::FOLDER)))
        };
        if let Err(error) = followed {
            let journal = machine.keep_journal(setup, "operators-journal.log")?;
            let root = machine.keep();
            bail!("{error:#}\nits files: {}\nnext: less {}", root.display(), journal.display());
        }
    }
    Ok(building.len() + rest.len())
}

/// This machine, which builds: the workspace, with the image of a service for podman.
struct Here<'a> {
    setup: &'a Setup,
    podman: Podman,
    _folder: tempfile::TempDir,
}

impl<'a> Here<'a> {
    fn new(setup: &'a Setup) -> Result<Self> {
        let _ = std::fs::remove_dir_all(setup.dist());
        let folder = private_folder()?;
        let podman = Podman::new(folder.path())?;
        make_service(&podman, folder.path(), "nova-compute", &Setup::build_static(&PACKAGES)?)?;
        Ok(Self { setup, podman, _folder: folder })
    }

    fn follow(&self, block: &Block, tick: fn(Duration) -> Result<()>) -> Result<()> {
        check(block, tick, |script| {
            let mut shell = Command::new("sh");
            shell.args(["-ec", script]).current_dir(self.setup.workspace());
            shell.envs(self.podman.environment()).env("PATH", search_path(self.setup)?);
            let output = shell.stdin(Stdio::null()).output().context("cannot start a shell")?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{}: {text}{errors}", output.status);
            Ok(text + &errors)
        })
    }
}

/// Runs a block: once if the page has no output for it, or else until that is its output.
fn check(
    block: &Block,
    tick: fn(Duration) -> Result<()>,
    shell: impl Fn(&str) -> Result<String>,
) -> Result<()> {
    let place = || format!("{PAGE}:{}: `{}`", block.line, block.script.trim_end());
    if block.output.is_none() {
        return shell(&block.script).map(drop).with_context(place);
    }
    let mut found = String::new();
    let looked = until("the output in the page", TIMEOUT, tick, || {
        // Until a service has started, its clients fail.
        found = shell(&block.script).unwrap_or_else(|error| format!("{error:#}"));
        Ok(block.is_output(&found).then_some(()))
    });
    looked.map(drop).with_context(|| format!("{}\nfound: {found}", place()))
}
