//! The blocks of a page that are commands, and the output that follows them.

use anyhow::{Context, Result, ensure};

/// Stands for anything in a line of output.
const ANYTHING: char = '…';

/// One block of commands.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    pub(super) section: String,
    /// Where it begins in the page.
    pub(super) line: usize,
    pub(super) script: String,
    pub(super) output: Option<String>,
}

impl Block {
    /// Whether this is the output that the page has.
    pub(super) fn is_output(&self, found: &str) -> bool {
        let expected = self.output.as_deref().unwrap_or_default().trim_end().lines();
        let found: Vec<&str> = found.trim_end().lines().collect();
        let expected: Vec<&str> = expected.collect();
        expected.len() == found.len()
            && expected.iter().zip(&found).all(|(expected, found)| matches(expected, found))
    }
}

/// The blocks `sh` of a page in their order. A block `text` is the output of the one before.
pub(super) fn blocks(page: &str) -> Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut section = String::new();
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
        let Some(kind) = line.strip_prefix("```") else { continue };
        let inner = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let text: String = inner.flat_map(|line| [line, "\n"]).collect();
        match kind {
            "sh" => {
                blocks.push(Block { section: section.clone(), line: index + 1, script: text, output: None });
            }
            "text" => {
                let block =
                    blocks.last_mut().with_context(|| format!("line {}: output of nothing", index + 1))?;
                ensure!(block.output.is_none(), "line {}: a second output of line {}", index + 1, block.line);
                block.output = Some(text);
            }
            other => anyhow::bail!("line {}: a block of `{other}`, expected `sh` or `text`", index + 1),
        }
    }
    ensure!(!blocks.is_empty(), "the page has no commands");
    Ok(blocks)
}

/// Whether a line is the expected one.
fn matches(expected: &str, found: &str) -> bool {
    let mut parts = expected.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| found.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_commands_and_their_output() {
        let page = "# T\n## One\n```sh\na\nb\n```\ntext\n```text\nc…\n```\n## Two\n```sh\nd\n```\n";
        let blocks = blocks(page).unwrap();
        let block = |section: &str, line, script: &str, output: Option<&str>| Block {
            section: section.to_owned(),
            line,
            script: script.to_owned(),
            output: output.map(str::to_owned),
        };
        assert_eq!(blocks, [block("One", 3, "a\nb\n", Some("c…\n")), block("Two", 12, "d\n", None)]);
        assert!(blocks[0].is_output("cd\n") && !blocks[0].is_output("cd\ne\n") && !blocks[0].is_output(""));
    }

    #[test]
    fn an_ellipsis_stands_for_anything() {
        for (expected, found, is) in [
            ("OK", "OK", true),
            ("OK", "OK ", false),
            ("a…", "a", true),
            ("a…c", "abc", true),
            ("a…c", "abcd", false),
            ("a…b…c", "a-b-c", true),
            ("a…b…c", "a-c", false),
            ("…b", "ab", true),
            ("ab…b", "ab", false),
        ] {
            assert_eq!(matches(expected, found), is, "{expected} {found}");
        }
    }
}
