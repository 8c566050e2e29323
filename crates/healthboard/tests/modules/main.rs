//! The house has one-way doors: which module uses which, held to the table in `rules.rs`.

mod rules;
mod source;

use rules::{CRATES, Rules};
use source::{Source, sources};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const ADVICE: &str = "Move the code, or change tests/modules/rules.rs and ARCHITECTURE.md together";

fn read(rules: &Rules) -> Vec<Source> {
    let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(rules.root));
    assert!(sources.len() > rules.arrows.len(), "{}: only {} files", rules.root, sources.len());
    sources
}

/// What is used from where: by module, each with a file and a path for the message. The root hands out what others make, so
/// a name of the root stands for the module it is from.
fn arrows(sources: &[Source]) -> BTreeMap<(String, String), (String, String)> {
    let root = sources.iter().find(|source| source.module.is_empty()).expect("a root");
    let mut handed_out = BTreeMap::new();
    for path in root.written().iter().map(|path| path.trim_start_matches("crate::").to_owned()) {
        if let Some((module, name)) = path.split_once("::") {
            let name = name.rsplit("::").next().unwrap_or(name);
            handed_out.insert(name.to_owned(), module.to_owned());
        }
    }
    let modules: BTreeSet<&String> = sources.iter().filter_map(|source| source.module.first()).collect();
    let mut arrows = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.module.is_empty()) {
        for path in source.paths() {
            let Some(first) = path.first() else { continue };
            let target = if modules.contains(first) { first } else { handed_out.get(first).unwrap_or(first) };
            if *target != source.module[0] {
                let arrow = (source.module[0].clone(), target.clone());
                arrows.entry(arrow).or_insert_with(|| (source.file.clone(), path.join("::")));
            }
        }
    }
    arrows
}

#[test]
fn every_arrow_between_modules_is_in_the_table() {
    for rules in CRATES {
        let table: BTreeMap<&str, &[&str]> = rules.arrows.iter().copied().collect();
        let found = arrows(&read(rules));
        let mut wrong = Vec::new();
        for ((from, to), (file, path)) in &found {
            let may = table.get(from.as_str()).copied().unwrap_or_default();
            if !may.contains(&to.as_str()) {
                let may = if may.is_empty() { "nothing".to_owned() } else { may.join(", ") };
                wrong.push(format!("{file} uses `crate::{path}`: `{from}` may use {may}"));
            }
        }
        assert!(wrong.is_empty(), "{}:\n  {}\n{ADVICE}", rules.root, wrong.join("\n  "));
        for (from, to) in rules.arrows.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to))) {
            let arrow = ((*from).to_owned(), (*to).to_owned());
            assert!(found.contains_key(&arrow), "{}: `{from}` uses `{to}` no more. {ADVICE}", rules.root);
        }
    }
}

#[test]
fn every_module_is_in_the_table() {
    for rules in CRATES {
        let sources = read(rules);
        let there: BTreeSet<&str> =
            sources.iter().filter_map(|source| source.module.first()).map(String::as_str).collect();
        let listed: BTreeSet<&str> = rules.arrows.iter().map(|(module, _)| *module).collect();
        assert_eq!(there, listed, "{}: left are the modules, right is the table. {ADVICE}", rules.root);
    }
}

#[test]
fn modules_form_no_circle() {
    for rules in CRATES {
        let arrows = arrows(&read(rules));
        let mut open: BTreeSet<&str> = arrows.keys().flat_map(|(from, to)| [from.as_str(), to]).collect();
        // Who uses nobody else, or is used by nobody else, is in no circle; and so on with the rest.
        while let Some(done) = open.iter().copied().find(|module| {
            let within =
                || arrows.keys().filter(|(f, t)| open.contains(f.as_str()) && open.contains(t.as_str()));
            !within().any(|(from, _)| from == module) || !within().any(|(_, to)| to == module)
        }) {
            open.remove(done);
        }
        assert!(open.is_empty(), "{}: these use each other in a circle: {open:?}. {ADVICE}", rules.root);
    }
}

#[test]
fn no_module_speaks_of_what_it_does_not_know() {
    for rules in CRATES {
        let mut wrong = Vec::new();
        for source in read(rules) {
            for (word, allowed) in rules.foreign {
                let module = source.module.first().map_or("", String::as_str);
                let speaks = source.tokens.iter().find(|token| token.to_lowercase().contains(word));
                if let Some(token) = speaks.filter(|_| !allowed.contains(&module)) {
                    wrong.push(format!("{} names {token}", source.file));
                }
            }
        }
        assert!(wrong.is_empty(), "{}:\n  {}\n{ADVICE}", rules.root, wrong.join("\n  "));
    }
}

#[test]
fn shared_atomics_and_their_orderings_are_where_the_models_are() {
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
                        "{} names `{found}`, which belongs into {}",
                        source.file,
                        files.join(", ")
                    ));
                }
            }
        }
        assert!(wrong.is_empty(), "{}:\n  {}\n{ADVICE}", rules.root, wrong.join("\n  "));
    }
}
