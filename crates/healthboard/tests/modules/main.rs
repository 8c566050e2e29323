//! Checks the dependencies between modules against the table in `rules.rs`.

mod rules;
mod source;

use rules::{CRATES, Rules};
use source::{Source, sources};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const ADVICE: &str = "Move the code, or change tests/modules/rules.rs and ARCHITECTURE.md together";

fn read(rules: &Rules) -> Vec<Source> {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(rules.root));
    assert!(sources.len() > rules.dependencies.len(), "{}: only {} files", rules.root, sources.len());
    sources
}

/// The dependencies between modules, each with a file and a path for the message. The root re-exports names of its
/// modules, so a name of the root counts as its module.
fn dependencies(sources: &[Source]) -> BTreeMap<(String, String), (String, String)> {
    let root = sources.iter().find(|source| source.module.is_empty()).expect("a root");
    let mut reexported = BTreeMap::new();
    for path in root.written().iter().map(|path| path.trim_start_matches("crate::").to_owned()) {
        if let Some((module, name)) = path.split_once("::") {
            let name = name.rsplit("::").next().unwrap_or(name);
            reexported.insert(name.to_owned(), module.to_owned());
        }
    }
    let modules: BTreeSet<&String> = sources.iter().filter_map(|source| source.module.first()).collect();
    let mut dependencies = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.module.is_empty()) {
        for path in source.paths() {
            let Some(first) = path.first() else { continue };
            let target = if modules.contains(first) { first } else { reexported.get(first).unwrap_or(first) };
            if *target != source.module[0] {
                let dependency = (source.module[0].clone(), target.clone());
                dependencies.entry(dependency).or_insert_with(|| (source.file.clone(), path.join("::")));
            }
        }
    }
    dependencies
}

#[test]
fn every_dependency_between_modules_is_in_the_table() {
    for rules in CRATES {
        let table: BTreeMap<&str, &[&str]> = rules.dependencies.iter().copied().collect();
        let found = dependencies(&read(rules));
        let mut wrong = Vec::new();
        for ((from, to), (file, path)) in &found {
            let may = table.get(from.as_str()).copied().unwrap_or_default();
            if !may.contains(&to.as_str()) {
                let may = if may.is_empty() { "nothing".to_owned() } else { may.join(", ") };
                wrong.push(format!("{file} uses `crate::{path}`: `{from}` may use {may}"));
            }
        }
        assert!(wrong.is_empty(), "{}:\n  {}\n{ADVICE}", rules.root, wrong.join("\n  "));
        for (from, to) in rules.dependencies.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)))
        {
            let dependency = ((*from).to_owned(), (*to).to_owned());
            assert!(
                found.contains_key(&dependency),
                "{}: `{from}` no longer uses `{to}`. {ADVICE}",
                rules.root
            );
        }
    }
}

#[test]
fn every_module_is_in_the_table() {
    for rules in CRATES {
        let sources = read(rules);
        let there: BTreeSet<&str> =
            sources.iter().filter_map(|source| source.module.first()).map(String::as_str).collect();
        let listed: BTreeSet<&str> = rules.dependencies.iter().map(|(module, _)| *module).collect();
        assert_eq!(there, listed, "{}: left are the modules, right is the table. {ADVICE}", rules.root);
    }
}

#[test]
fn modules_form_no_cycle() {
    for rules in CRATES {
        let dependencies = dependencies(&read(rules));
        let mut open: BTreeSet<&str> =
            dependencies.keys().flat_map(|(from, to)| [from.as_str(), to]).collect();
        // A module that uses no other, or is used by no other, is in no cycle. Remove it and repeat.
        while let Some(done) = open.iter().copied().find(|module| {
            let within = || {
                dependencies.keys().filter(|(f, t)| open.contains(f.as_str()) && open.contains(t.as_str()))
            };
            !within().any(|(from, _)| from == module) || !within().any(|(_, to)| to == module)
        }) {
            open.remove(done);
        }
        assert!(open.is_empty(), "{}: these form a cycle: {open:?}. {ADVICE}", rules.root);
    }
}

#[test]
fn no_module_names_what_it_must_not_know() {
    for rules in CRATES {
        let mut wrong = Vec::new();
        for source in read(rules) {
            for (word, allowed) in rules.foreign {
                let module = source.module.first().map_or("", String::as_str);
                let named = source.tokens.iter().find(|token| token.to_lowercase().contains(word));
                if let Some(token) = named.filter(|_| !allowed.contains(&module)) {
                    wrong.push(format!("{} names {token}", source.file));
                }
            }
        }
        assert!(wrong.is_empty(), "{}:\n  {}\n{ADVICE}", rules.root, wrong.join("\n  "));
    }
}

#[test]
fn confined_paths_are_named_only_in_their_files() {
    for rules in CRATES {
        let mut wrong = Vec::new();
        for source in read(rules) {
            let written = source.written();
            for (path, files) in rules.confined {
                let allowed = files
                    .iter()
                    .any(|file| source.file == *file || file.ends_with('/') && source.file.starts_with(file));
                let named = |written: &&String| {
                    written.starts_with(path) || written.rsplit("::").next() == Some(path)
                };
                if let Some(found) = written.iter().find(named).filter(|_| !allowed) {
                    wrong.push(format!(
                        "{} names `{found}`, which belongs in {}",
                        source.file,
                        files.join(", ")
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{}:\n  {}\n{ADVICE}", rules.root, wrong.join("\n  "));
    }
}
