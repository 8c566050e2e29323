//! `cargo xtask fleet`: one Prometheus and many hosts; writes docs/fleet.md.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use healthboard_e2e::Setup;
use healthboard_e2e::fleet::{Extent, page, run as measure};

use crate::terminal::{clear_wait, show_wait};
use crate::{generated, interrupt};

/// The numbers of hosts of the page.
const COUNTS: [usize; 3] = [100, 300, 1000];

/// Measures with these numbers of hosts, or with those of the page, which is then written.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let mut counts = Vec::new();
    let mut prepare = true;
    for word in words {
        match *word {
            "--as-is" => prepare = false,
            number => match number.parse() {
                Ok(count @ 1..=60_000) => counts.push(count),
                _ => bail!("no such number of hosts: `{number}`, expected 1 to 60000"),
            },
        }
    }
    interrupt::watch()?;
    let setup = if prepare { Setup::prepare_deploy()? } else { Setup::open()? };
    let is_for_page = counts.is_empty();
    let counts = if is_for_page { COUNTS.to_vec() } else { counts };
    let extent = Extent::full();
    let all = measure(&setup, &counts, extent, tick);
    clear_wait();
    let all = all?;
    let text = page(extent, &all);
    println!("{text}");
    ensure!(
        all.iter().all(|measured| measured.notifications == 1),
        "one broken database became several notifications"
    );
    if is_for_page {
        generated::write(setup.workspace(), "docs/fleet.md", "fleet", &text)
            .context("cannot write the page")?;
    }
    Ok(())
}

fn tick(elapsed: Duration) -> Result<()> {
    show_wait(elapsed);
    interrupt::check()
}
