//! The compiler's diagnostics for correct and wrong uses of the attribute.
//!
//! A file in `refused/` has comments with the expected errors and their places:
//!
//! ```text
//! #[healthcheck("data base")]
//! //            ^^^^^^^^^^^ error: expected a name of 1 to 64 letters, digits and `_.:-`
//! ```
//!
//! The carets mark the span of the error. The message is given only for errors of the attribute: the compiler's own
//! messages change with its version. A file in `same/` must get the same errors and warnings in the same places as
//! without the attribute. Every file is compiled in each edition.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const EDITIONS: [&str; 2] = ["2021", "2024"];

#[test]
fn mistakes_are_named_where_they_were_made() {
    assert_each(&files("refused"), |compiler, file, edition| {
        let expected = annotations(&fs::read_to_string(file).unwrap());
        assert!(!expected.is_empty(), "{} has no expected error", file.display());
        (expected, compiler.compile(file, edition, Attribute::Kept))
    });
}

#[test]
fn errors_and_warnings_about_a_body_are_those_of_a_plain_function() {
    assert_each(&files("same"), |compiler, file, edition| {
        let mut expected = compiler.compile(file, edition, Attribute::Removed);
        // The messages differ (a parameter, a local variable); the code of the error is the same.
        expected.iter_mut().for_each(|diagnostic| diagnostic.text.clear());
        assert!(!expected.is_empty(), "{} has no errors or warnings", file.display());
        (expected, compiler.compile(file, edition, Attribute::Kept))
    });
}

#[test]
fn every_kind_of_function_is_accepted_without_a_warning() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accepted.rs");
    assert_each(&[file], |compiler, file, edition| {
        (Vec::new(), compiler.compile(file, edition, Attribute::Kept))
    });
}

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(directory);
    let files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    files
}

/// Runs a check on each file in each edition and compares the expected with the found diagnostics.
fn assert_each(
    files: &[PathBuf],
    check: impl Fn(&Compiler, &Path, &str) -> (Vec<Diagnostic>, Vec<Diagnostic>) + Sync,
) {
    let compiler = Compiler::new();
    let differences: String = std::thread::scope(|scope| {
        let each = files.iter().flat_map(|file| EDITIONS.map(|edition| (file, edition)));
        let (compiler, check) = (&compiler, &check);
        let running: Vec<_> = each
            .map(|(file, edition)| {
                scope.spawn(move || {
                    let (expected, found) = check(compiler, file, edition);
                    differences(&format!("{}, edition {edition}", file.display()), expected, found)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(differences.is_empty(), "\n{differences}");
}

/// The differences as text for people. Empty if there are none.
fn differences(what: &str, expected: Vec<Diagnostic>, mut found: Vec<Diagnostic>) -> String {
    let mut text = String::new();
    for expected in expected {
        match found.iter().position(|found| found.is(&expected)) {
            Some(position) => drop(found.swap_remove(position)),
            None => writeln!(text, "{what}: missing: {expected:?}").unwrap(),
        }
    }
    for found in found {
        writeln!(text, "{what}: found: {found:?}").unwrap();
    }
    text
}

/// An error or a warning. Lines and columns count from 1; `end` is the column after the last.
#[derive(Debug)]
struct Diagnostic {
    line: usize,
    start: usize,
    end: usize,
    level: String,
    /// The compiler's code, such as `E0308` or the name of a lint. Empty in an expectation: any.
    code: String,
    /// The message. Empty in an expectation: any.
    text: String,
}

impl Diagnostic {
    fn is(&self, expected: &Diagnostic) -> bool {
        (self.line, self.start, self.end, &self.level)
            == (expected.line, expected.start, expected.end, &expected.level)
            && (expected.code.is_empty() || self.code == expected.code)
            && (expected.text.is_empty() || self.text == expected.text)
    }

    /// Parses the JSON that rustc writes. A message without a place is only a summary.
    fn from_json(message: &Value, file: &Path) -> Option<Diagnostic> {
        let spans = message["spans"].as_array()?;
        let place = spans.iter().find(|span| span["is_primary"] == true)?;
        assert_eq!(place["file_name"].as_str(), file.to_str(), "an error points elsewhere: {message}");
        let number = |key: &str| usize::try_from(place[key].as_u64().unwrap()).unwrap();
        let text = |key: &str| message[key].as_str().unwrap().to_owned();
        Some(Diagnostic {
            line: number("line_start"),
            start: number("column_start"),
            end: number("column_end"),
            level: text("level"),
            code: message["code"]["code"].as_str().unwrap_or_default().to_owned(),
            text: text("message"),
        })
    }
}

/// Comments with carets. Each refers to the last line that is not such a comment.
fn annotations(source: &str) -> Vec<Diagnostic> {
    let mut annotations = Vec::new();
    let mut line = 0;
    for (index, text) in source.lines().enumerate() {
        let Some((indent, comment)) = text.split_once("//").filter(|(_, c)| c.trim_start().starts_with('^'))
        else {
            line = index + 1;
            continue;
        };
        assert!(indent.trim().is_empty(), "carets on a line of their own: {text}");
        let (carets, said) = comment.trim_start().split_once(' ').unwrap();
        let start = text.find('^').unwrap() + 1;
        let (level, text) = said.split_once(": ").unwrap_or((said, ""));
        annotations.push(Diagnostic {
            line,
            start,
            end: start + carets.len(),
            level: level.to_owned(),
            code: String::new(),
            text: text.to_owned(),
        });
    }
    annotations
}

/// The compiler, and the crate `healthboard` as cargo has built it for this test.
struct Compiler {
    healthboard: PathBuf,
    output: tempfile::TempDir,
}

impl Compiler {
    fn new() -> Compiler {
        let cargo = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["test", "--no-run", "--offline", "--locked", "--test=compile", "--message-format=json"])
            .arg("--target-dir")
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap())
            .output()
            .unwrap();
        assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
        let healthboard = json_lines(&cargo.stdout)
            .filter(|message| {
                message["reason"] == "compiler-artifact" && message["target"]["name"] == "healthboard"
            })
            .flat_map(|message| message["filenames"].as_array().unwrap().clone())
            .map(|file| PathBuf::from(file.as_str().unwrap()))
            .find(|file| file.extension().is_some_and(|extension| extension == "rlib"));
        Compiler {
            healthboard: healthboard.expect("cargo has built healthboard"),
            output: tempfile::tempdir().unwrap(),
        }
    }

    fn compile(&self, file: &Path, edition: &str, attribute: Attribute) -> Vec<Diagnostic> {
        let source = match attribute {
            Attribute::Kept => file.to_owned(),
            Attribute::Removed => self.without_attribute(file, edition),
        };
        let name = format!("{attribute:?}-{edition}-{}.rmeta", file.file_stem().unwrap().to_str().unwrap());
        let rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
            .args(["--crate-type=lib", "--emit=metadata", "--error-format=json", "--edition", edition])
            .arg("-L")
            .arg(format!("dependency={}", self.healthboard.parent().unwrap().display()))
            .arg("--extern")
            .arg(format!("healthboard={}", self.healthboard.display()))
            .arg("-o")
            .arg(self.output.path().join(name))
            .arg(&source)
            .output()
            .unwrap();
        let found: Vec<_> = json_lines(&rustc.stderr)
            .filter_map(|message| Diagnostic::from_json(&message, &source))
            .collect();
        let errors = found.iter().any(|found| found.level == "error");
        assert_eq!(rustc.status.success(), !errors, "{}", String::from_utf8_lossy(&rustc.stderr));
        found
    }

    /// A copy without the attribute, in which everything else keeps its place.
    fn without_attribute(&self, file: &Path, edition: &str) -> PathBuf {
        let lines = fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = lines
            .lines()
            .map(|line| {
                if line.contains("#[healthcheck") || line.contains("use healthboard::healthcheck") {
                    ""
                } else {
                    line
                }
            })
            .collect();
        let copy =
            self.output.path().join(format!("{edition}-{}", file.file_name().unwrap().to_str().unwrap()));
        fs::write(&copy, lines.join("\n")).unwrap();
        copy
    }
}

#[derive(Clone, Copy, Debug)]
enum Attribute {
    Kept,
    Removed,
}

fn json_lines(output: &[u8]) -> impl Iterator<Item = Value> {
    output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}
