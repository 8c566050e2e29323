//! The part `loom`: the models of the board's orderings as they are, then with each mutant of the board.
//!
//! A mutant is a step or an ordering of the board that can be switched off: `mutant("name")`, `unless("name", Acquire)`. The
//! model whose line `/// Mutants: name, other.` has its name must fail with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use healthboard_e2e::{Setup, Step};

use super::cargo;
use super::count::Count;

/// Orderings stronger than `Relaxed` that have no mutant, by a part of their statement, and why.
const EXEMPT: [(&str, &str); 1] =
    [("self.entries[index].store(made, Release)", "it is a part of the mutant `register-by-store` itself")];

const STRONG: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];

/// Builds the models once and runs them as they are, then each mutant's own with it, which counts as a test.
pub(super) fn run(setup: &Setup, step: &mut Step) -> Result<Count> {
    let board = setup.workspace().join("crates/healthboard/src/board");
    let named = check_names(&sources(&board)?)?;
    let program = build(setup, step)?;
    play(step, &program, "models", "none")?;
    let mut count = Count::of_cargo(&step.text());
    ensure!(count.failed == 0 && count.passed > 0, "the models do not pass as they are");
    for (mutant, model) in &named {
        let before = step.text().len();
        let passed = play(step, &program, &format!("::{model}"), mutant).is_ok();
        let text = step.text();
        let failed = failed_models(&text[before..]);
        ensure!(!passed, "no model notices the mutant `{mutant}`; expected `{model}` to fail");
        ensure!(failed.contains(model), "the mutant `{mutant}` makes {failed:?} fail; expected `{model}`");
        count = count + Count::PASSED;
    }
    Ok(count)
}

/// Optimised, and without what makes a release build slow to build.
fn build(setup: &Setup, step: &mut Step) -> Result<PathBuf> {
    let mut cargo = cargo(setup);
    let line = ["test", "--no-run", "--release", "--package", "healthboard", "--lib", "--target-dir"];
    cargo.args(line).args(["target/loom", "--message-format=json-render-diagnostics"]);
    cargo.env("RUSTFLAGS", "--cfg loom").env("CARGO_PROFILE_RELEASE_LTO", "off");
    cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "3").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    step.run(&mut cargo)?;
    let text = step.text();
    let after = text.rsplit_once("\"executable\":\"").context("cargo named no test program")?.1;
    Ok(PathBuf::from(after.split_once('"').context("cargo named no test program")?.0))
}

fn play(step: &mut Step, program: &Path, models: &str, mutant: &str) -> Result<()> {
    step.run(Command::new(program).arg(models).env("HEALTHBOARD_MUTANT", mutant).env("RUST_BACKTRACE", "0"))
}

/// The models that failed, by the names of their functions.
fn failed_models(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    lines.filter_map(|path| path.rsplit("::").next()).map(str::to_owned).collect()
}

/// A source file of the board.
struct Source {
    path: PathBuf,
    text: String,
}

fn sources(folder: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path)?;
            found.push(Source { path, text });
        }
    }
    Ok(found)
}

/// Each mutant with the model that is named for it. An error where one is without a model or has two, where a model names one
/// that there is not, and where an ordering has none.
fn check_names(sources: &[Source]) -> Result<BTreeMap<String, String>> {
    let is_model = |source: &&Source| source.path.components().any(|part| part.as_os_str() == "models");
    let mut models = BTreeMap::new();
    for source in sources.iter().filter(is_model) {
        for (mutant, model) in named_mutants(&source.text) {
            if let Some(other) = models.insert(mutant.clone(), model.clone()) {
                bail!("two models name the mutant `{mutant}`: `{other}` and `{model}`; expected one");
            }
        }
    }
    let mut mutants = BTreeSet::new();
    for source in sources.iter().filter(|source| !is_model(source)) {
        mutants.extend(mutants_of(&source.text));
        if let Some(statement) = orderings_without_mutant(&source.text).first() {
            let path = source.path.display();
            bail!("`{statement}` in {path} has no mutant; expected `unless(\"name\", …)` and a model");
        }
    }
    ensure!(!mutants.is_empty(), "the board has no mutants: the models prove nothing");
    if let Some(mutant) = mutants.iter().find(|mutant| !models.contains_key(*mutant)) {
        bail!("no model names the mutant `{mutant}`: give one the line `/// Mutants: {mutant}.`");
    }
    if let Some((mutant, model)) = models.iter().find(|(mutant, _)| !mutants.contains(*mutant)) {
        bail!("the model `{model}` names the mutant `{mutant}`, which the board does not have");
    }
    Ok(models)
}

/// The mutants that models name, each with its model.
fn named_mutants(text: &str) -> Vec<(String, String)> {
    let mut named = Vec::new();
    let mut waiting: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(names) = line.strip_prefix("/// Mutants: ") {
            waiting = names.trim_end_matches('.').split(", ").collect();
        } else if let Some(model) = line.strip_prefix("fn ").and_then(|rest| rest.split('(').next()) {
            named.extend(waiting.drain(..).map(|mutant| (mutant.to_owned(), model.to_owned())));
        }
    }
    named
}

fn mutants_of(text: &str) -> BTreeSet<String> {
    let calls = ["mutant(\"", "unless(\""].into_iter().flat_map(|call| text.split(call).skip(1));
    calls.filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()).collect()
}

/// The statements with an ordering that no mutant weakens.
fn orderings_without_mutant(text: &str) -> Vec<String> {
    let code: Vec<&str> =
        text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()).collect();
    let joined = code.iter().filter(|line| !line.starts_with("use ")).copied().collect::<Vec<_>>().join(" ");
    let mut without = Vec::new();
    let mut before = "";
    for statement in joined.split([';', ',']).map(str::trim) {
        let words: Vec<&str> = statement.split(|c: char| !c.is_alphanumeric()).collect();
        let is_strong = STRONG.iter().any(|ordering| words.contains(ordering));
        // Of `unless("name", Acquire)` the name stands before the comma.
        let has_mutant = [before, statement].iter().any(|part| mutant_is_in(part));
        // A line of several arguments is split before its ordering.
        let whole = format!("{before}, {statement}");
        if is_strong && !has_mutant && !EXEMPT.iter().any(|(part, _)| whole.contains(part)) {
            without.push(statement.to_owned());
        }
        before = statement;
    }
    without
}

fn mutant_is_in(part: &str) -> bool {
    part.contains("mutant(\"") || part.contains("unless(\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.to_owned() }
    }

    fn refusal(board: &str, models: &str) -> String {
        let sources = [source("board/slot.rs", board), source("board/models/slot.rs", models)];
        check_names(&sources).err().map(|error| error.to_string()).unwrap_or_default()
    }

    const MODEL: &str = "/// Mutants: a, b.\n#[test]\nfn one() {\n";

    #[test]
    fn every_mutant_has_the_model_that_names_it() {
        let board = "x.load(unless(\"a\", Acquire)); if !mutant(\"b\") { fence(SeqCst); }";
        assert_eq!(refusal(board, MODEL), "");
        assert!(refusal(&format!("{board} mutant(\"c\")"), MODEL).contains("no model names the mutant `c`"));
        assert!(refusal("mutant(\"a\")", MODEL).contains("names the mutant `b`, which the board does not"));
        assert!(refusal(board, &MODEL.repeat(2)).contains("two models name the mutant"));
    }

    #[test]
    fn an_ordering_without_a_mutant_is_refused() {
        let fine = "// Acquire\nuse Ordering::{Acquire, Release};\nx.load(unless(\"a\", Acquire));";
        assert!(orderings_without_mutant(fine).is_empty());
        assert_eq!(orderings_without_mutant("x.load(Acquire); y.load(Relaxed);"), ["x.load(Acquire)"]);
        assert_eq!(orderings_without_mutant("unless(\"a\", Acquire); z(); x.store(1, Release);").len(), 1);
    }

    #[test]
    fn failed_models_are_known_by_their_functions() {
        let text = "test board::models::text::one ... FAILED\ntest board::models::text::two ... ok\n";
        assert_eq!(failed_models(text), BTreeSet::from(["one".to_owned()]));
    }
}
