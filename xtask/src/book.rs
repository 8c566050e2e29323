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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use crate::USAGE;

    /// The page whose commands a test types: `cargo xtask test e2e`.
    const TYPED: &str = "docs/operators.md";

    /// Commands elsewhere, each with the file that runs it and how it does so there.
    const OTHERS: [(&str, &str, &str); 7] = [
        ("curl --unix-socket ", "e2e/tests/e2e/nova.rs", "--unix-socket"),
        ("curl -s http://127.0.0.1:8774/healthcheck", "e2e/tests/e2e/cluster.rs", "/healthcheck"),
        ("export HEALTHBOARD_URI=", "python/tests/conftest.py", "HEALTHBOARD_URI"),
        ("healthboard-run celery -A ", "python/tests/test_programs.py", r#""celery", "-A""#),
        ("healthboard-run uvicorn ", "python/tests/test_programs.py", r#""--workers=2""#),
        (
            "healthboard-run --service shop-api gunicorn ",
            "python/tests/test_servers.py",
            r#""-m", "gunicorn""#,
        ),
        ("cargo run -p ", "examples/axum-service/tests/lives_beside_tokio.rs", "CARGO_BIN_EXE"),
    ];

    /// It takes hours.
    const NOT_RUN: &str = "cargo mutants ";

    fn workspace() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    /// The pages of the book, each with its commands.
    fn pages() -> Vec<(String, Vec<String>)> {
        let root = workspace();
        let markdown = |folder: PathBuf| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            entries.filter(|path| path.extension().is_some_and(|end| end == "md"))
        };
        let deploy = fs::read_dir(root.join("deploy")).unwrap().flatten().map(|entry| entry.path());
        let mut pages: Vec<PathBuf> = markdown(root.clone()).chain(markdown(root.join("docs"))).collect();
        pages.extend(deploy.flat_map(markdown));
        let name = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
        let read = |path: &PathBuf| (name(path), fs::read_to_string(path).unwrap());
        let all = |(name, text): (String, String)| {
            let commands = [commands(&text), prompted(&name, &text)].concat();
            (name, commands)
        };
        pages.iter().map(read).map(all).collect()
    }

    /// The commands with a prompt. Those of the README are the demo's own.
    fn prompted(name: &str, page: &str) -> Vec<String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix("$ "));
        lines.filter(|_| name != "README.md").map(str::to_owned).collect()
    }

    /// The commands in the blocks `sh`, without their comments.
    fn commands(page: &str) -> Vec<String> {
        let mut commands = Vec::new();
        let mut lines = page.lines();
        while lines.by_ref().any(|line| line == "```sh") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let block = block.join("\n").replace("\\\n", " ");
            let line = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
            commands.extend(block.lines().map(line).filter(|line| !line.is_empty()));
        }
        commands
    }

    #[test]
    fn every_command_in_the_book_is_run_by_something() {
        let pages = pages();
        let typed = &pages.iter().find(|(page, _)| page == TYPED).unwrap().1;
        let is_job = |job: &str| USAGE.lines().any(|line| line.trim_start().split(' ').next() == Some(job));
        let in_usage: Vec<&str> = USAGE.split(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).collect();
        let scenarios = healthboard_e2e::services::scenarios(std::time::Duration::ZERO);
        let is_argument = |word: &str| {
            let is_scenario = scenarios.iter().any(|scenario| scenario.name == word);
            in_usage.contains(&word) || is_scenario || word.parse::<u32>().is_ok()
        };
        let mut found = 0;
        for (page, commands) in pages.iter().filter(|(page, _)| page != TYPED) {
            for command in commands {
                found += 1;
                let known = match command.strip_prefix("cargo xtask ") {
                    Some(words) => {
                        let mut words = words.split(' ');
                        words.next().is_some_and(|job| job == "help" || is_job(job)) && words.all(is_argument)
                    }
                    None => {
                        typed.contains(command)
                            || command.starts_with(NOT_RUN)
                            || OTHERS.iter().any(|(begin, ..)| command.starts_with(begin))
                    }
                };
                assert!(known, "{page}: nothing runs `{command}`");
            }
        }
        assert!(found > 20, "{found}");
        for (begin, file, how) in OTHERS {
            let text = fs::read_to_string(workspace().join(file)).unwrap();
            assert!(text.contains(how), "{file} does not run `{begin}…`");
        }
    }

    #[test]
    fn commands_stand_in_blocks_that_the_tests_read() {
        for (page, _) in pages() {
            let text = fs::read_to_string(workspace().join(&page)).unwrap();
            let mut in_block = false;
            for line in text.lines() {
                in_block ^= line.starts_with("```");
                let command = ["    cargo ", "    healthboard", "    curl ", "    pip ", "    $ "];
                let hidden = !in_block && command.iter().any(|begin| line.starts_with(begin));
                assert!(!hidden, "{page}: not in a block `sh`: {line}");
            }
        }
    }
}
