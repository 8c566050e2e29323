//! What `healthboard-generate` writes, in real shells and in groff. Needs all features.

#![cfg(all(feature = "agent", feature = "generate", feature = "watch"))]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]
#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// What is typed before the key, and which words there are then.
const LINES: [(&str, &[&str]); 9] = [
    ("healthboard ch", &["check"]),
    ("healthboard check --boards ", &["da", "db"]),
    ("healthboard check --timeout ", &[]),
    ("healthboard watch --interval ", &[]),
    ("healthboard agent --host ", &[]),
    ("healthboard agent --web.config.file f", &["f1", "f2"]),
    ("healthboard metrics --output f", &["f1", "f2"]),
    ("healthboard show d", &[]),
    ("healthboard check nova-api --li", &["--live"]),
];

/// A directory with the generated files in `gen`, and in `work` two directories and two files.
fn generated() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (gen_dir, work) = (directory.path().join("gen"), directory.path().join("work"));
    let made = Command::new(env!("CARGO_BIN_EXE_healthboard-generate")).arg(gen_dir).status();
    assert!(made.unwrap().success());
    ["da", "db"].iter().for_each(|name| fs::create_dir_all(work.join(name)).unwrap());
    ["f1", "f2"].iter().for_each(|name| fs::write(work.join(name), "").unwrap());
    directory
}

/// Whether the program is installed, as `cargo xtask test` sees to. If not, says what to do.
fn has(program: &str, package: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: `{program}` is not installed\nnext: apt-get install {package}");
    }
    found
}

fn run(directory: &Path, command: &[&str], input: &str) -> String {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .current_dir(directory.join("work"))
        .env("TERM", "dumb")
        .env("HOME", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    String::from_utf8_lossy(&child.wait_with_output().unwrap().stdout).into_owned()
}

/// Types each line and `key`, which inserts all completions, in a shell in which the command `healthboard` writes down its
/// arguments.
fn assert_inserted(shell: &[&str], setup: &str, key: &str) {
    let directory = generated();
    let record = "healthboard() { printf '%s ' healthboard \"$@\" >> ../typed; echo >> ../typed; }\n";
    let lines: String = LINES.iter().map(|(line, _)| format!("{line}{key}\n")).collect();
    let shown = run(directory.path(), shell, &format!("{setup}{record}{lines}exit\n"));
    let typed = fs::read_to_string(directory.path().join("typed")).unwrap_or_default();
    // Bash has files and directories in no order.
    let sorted = |line: &str| {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    let typed: Vec<_> = typed.lines().map(sorted).collect();
    let expected = LINES.map(|(line, words)| match words {
        [] => sorted(line),
        words => sorted(&format!("{} {}", line.rsplit_once(' ').unwrap().0, words.join(" "))),
    });
    assert_eq!(typed, expected, "{shown}");
}

#[test]
fn bash_completes_commands_options_directories_and_files() {
    if has("bash", "bash") {
        assert_inserted(
            &["bash", "--norc", "--noprofile", "-i"],
            "source ../gen/healthboard.bash\n",
            "\u{1b}*",
        );
    }
}

#[test]
fn zsh_completes_commands_options_directories_and_files() {
    let setup = "fpath=($PWD/../gen $fpath); autoload -U compinit; compinit -u -D\n\
        zle -C all complete-word _generic; bindkey '^Xa' all\n\
        zstyle ':completion:all:*' completer _all_matches _complete; zstyle ':completion:all:*' insert true\n";
    if has("zsh", "zsh") {
        // It edits lines on a terminal only.
        assert_inserted(&["script", "-qec", "zsh -f -i", "/dev/null"], setup, "\u{18}a");
    }
}

#[test]
fn fish_completes_commands_options_directories_and_files() {
    if !has("fish", "fish") {
        return;
    }
    let directory = generated();
    for (line, expected) in LINES {
        let script = format!("source ../gen/healthboard.fish; complete -C '{line}'\n");
        let words = run(directory.path(), &["fish", "--no-config"], &script);
        let words: Vec<&str> =
            words.lines().map(|row| row.split('\t').next().unwrap().trim_end_matches('/')).collect();
        assert_eq!(words, expected, "{line}");
    }
}

#[test]
fn groff_finds_no_fault_in_the_man_pages() {
    if !has("groff", "groff-base") {
        return;
    }
    let directory = generated();
    let pages: Vec<_> = fs::read_dir(directory.path().join("gen"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "1"))
        .collect();
    assert_eq!(pages.len(), 7);
    for page in pages {
        let output =
            Command::new("groff").args(["-ww", "-man", "-Tutf8", "-P-cbu"]).arg(&page).output().unwrap();
        assert_eq!((output.status.success(), String::from_utf8_lossy(&output.stderr).as_ref()), (true, ""));
        let (text, page) = (String::from_utf8_lossy(&output.stdout), page.display().to_string());
        assert!(text.contains("DESCRIPTION") && text.contains("SEE ALSO"), "{page}");
        assert!(!page.ends_with("watch.1") || ["KEYS", "ENVIRONMENT"].iter().all(|head| text.contains(head)));
        assert!(!page.ends_with("agent.1") || text.contains("NAME,…"), "{text}");
    }
}
