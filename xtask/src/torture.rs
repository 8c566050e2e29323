//! `cargo xtask torture`: writers and holders are killed at any moment, and forked as often as can be.

use std::process::Command;

use anyhow::{Result, bail, ensure};
use healthboard_e2e::{Setup, Step};

use crate::terminal::{good, table};

/// Runs the short form of the parts that these words name, or of all; with `--full` the one that docs/reliability.md has the
/// figures of.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let setup = Setup::prepare_tools()?;
    let mut step = Step::begin("torture", &setup.logs())?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--package", "healthboard-torture", "--"]).args(words);
    let outcome = step.run(cargo.current_dir(setup.workspace()));
    let text = step.text();
    step.end();
    let rows: Vec<[String; 4]> = text.lines().filter_map(row).collect();
    println!("\n{}", table(["what", "how often", "what was seen", "result"], rows.clone()));
    if let Some(error) = text.lines().find_map(|line| line.strip_prefix("error: ")) {
        bail!("{error}");
    }
    outcome?;
    ensure!(!rows.is_empty(), "nothing was tortured");
    Ok(())
}

fn row(line: &str) -> Option<[String; 4]> {
    let mut parts = line.strip_prefix("result: ")?.split(" | ").map(str::to_owned);
    Some([parts.next()?, parts.next()?, parts.next()?, good("passed")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_it_says() {
        let found = row("result: writers | 400 x kill -9 | none torn").expect("a row");
        assert_eq!(found[..3], ["writers", "400 x kill -9", "none torn"]);
        assert_eq!(row("writers: killed 3"), None);
    }
}
