//! Pages with a part that a job writes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const END: &str = "<!-- end -->\n";

/// Puts `results` between the two lines of `page`, a path in the workspace, that enclose what `cargo xtask JOB` writes.
pub(crate) fn write(workspace: &Path, page: &str, job: &str, results: &str) -> Result<()> {
    let path = workspace.join(page);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = with(&text, job, results)
        .with_context(|| format!("{page} does not have the lines that enclose the results"))?;
    fs::write(&path, text)?;
    eprintln!("written to {page}");
    Ok(())
}

fn with(text: &str, job: &str, results: &str) -> Option<String> {
    let begin = format!("<!-- begin: written by `cargo xtask {job}` -->\n");
    let (head, rest) = text.split_once(&begin)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{begin}\n{results}{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_lines_is_replaced() {
        let page = "# Title\n<!-- begin: written by `cargo xtask bench` -->\nold\n<!-- end -->\ntail\n";
        let wanted = "# Title\n<!-- begin: written by `cargo xtask bench` -->\n\nnew\n<!-- end -->\ntail\n";
        assert_eq!(with(page, "bench", "new\n").as_deref(), Some(wanted));
        assert_eq!(with(page, "services", "new\n"), None);
    }
}
