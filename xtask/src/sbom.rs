//! What a package was made of, in the format of CycloneDX 1.6: <https://cyclonedx.org/docs/1.6/json/>
//!
//! The same sources give the same bytes: no time, no path, no random number.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::source::foreign_crates;

/// The system that the packages of this project are built for.
const SYSTEM: &str = "x86_64-unknown-linux-gnu";

/// The crates that are compiled into `root`, a member of the workspace in `folder`, and how they depend on each other.
pub(crate) fn of(folder: &Path, root: &str) -> Result<String> {
    let metadata = metadata(folder, &["--filter-platform", SYSTEM])?;
    let packages = by_id(&metadata["packages"]);
    let (root, dependencies) = compiled_in(folder, &metadata, root)?;
    let checksums = checksums(&std::fs::read_to_string(folder.join("Cargo.lock"))?);
    let component = |id: &str| component(packages[id], &checksums);
    let reference = |id: &&str| purl(packages[id]);
    let components: Vec<Value> =
        dependencies.keys().filter(|id| **id != root).map(|id| component(id)).collect();
    let dependencies: Vec<Value> = dependencies
        .iter()
        .map(|(id, needed)| json!({"ref": reference(id), "dependsOn": sorted(needed.iter().map(reference))}))
        .collect();
    let mut main = component(root);
    main["type"] = "application".into();
    let bom = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": main},
        "components": sorted_by(components, "bom-ref"),
        "dependencies": sorted_by(dependencies, "ref"),
    });
    Ok(serde_json::to_string_pretty(&bom)? + "\n")
}

/// The crates of others that are compiled into `root`, as cargo describes them.
pub(crate) fn crates(folder: &Path, root: &str) -> Result<Vec<Value>> {
    let metadata = metadata(folder, &["--filter-platform", SYSTEM])?;
    let (_, dependencies) = compiled_in(folder, &metadata, root)?;
    let mut crates = foreign_crates(&metadata);
    crates.retain(|package| package["id"].as_str().is_some_and(|id| dependencies.contains_key(id)));
    Ok(crates)
}

/// The id of `root`, and those of all crates that are compiled into it, each with what it depends on.
fn compiled_in<'a>(
    folder: &Path,
    metadata: &'a Value,
    root: &str,
) -> Result<(&'a str, BTreeMap<&'a str, BTreeSet<&'a str>>)> {
    let packages = by_id(&metadata["packages"]);
    let nodes = by_id(&metadata["resolve"]["nodes"]);
    let used = used(folder, root)?;
    let root = packages.values().find(|package| package["name"] == root).context("no such crate")?;
    let root = root["id"].as_str().unwrap_or_default();
    let mut dependencies = BTreeMap::new();
    let mut waiting = vec![root];
    while let Some(id) = waiting.pop() {
        if !dependencies.contains_key(id) {
            let mut needed = nodes.get(id).map(|node| needed_to_run(node)).unwrap_or_default();
            needed.retain(|id| used.contains(&purl(packages[id])) && !is_macro(packages[id]));
            waiting.extend(&needed);
            dependencies.insert(id, needed);
        }
    }
    Ok((root, dependencies))
}

/// What cargo says of the workspace in `folder`.
pub(crate) fn metadata(folder: &Path, more: &[&str]) -> Result<Value> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version", "1"]).args(more).current_dir(folder);
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("cannot read what `cargo metadata` says")
}

fn by_id(list: &Value) -> BTreeMap<&str, &Value> {
    list.as_array().into_iter().flatten().filter_map(|each| Some((each["id"].as_str()?, each))).collect()
}

/// The crates that are used with the features that `root` by itself has. `cargo metadata` has those of the whole workspace.
fn used(folder: &Path, root: &str) -> Result<BTreeSet<String>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--package", root, "--edges", "normal", "--target", SYSTEM, "--prefix", "none"]);
    let output = command.args(["--format", "{p}"]).current_dir(folder).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    // `name v1.2.3 (path)`
    let words = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let names = words.filter(|words| words.len() > 1);
    Ok(names
        .map(|words| purl(&json!({"name": words[0], "version": words[1].trim_start_matches('v')})))
        .collect())
}

/// Whether the crate runs in the compiler.
fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets.flat_map(|target| target["kind"].as_array()).flatten().any(|kind| kind == "proc-macro")
}

/// The dependencies of a crate, without those of its tests and of its build script.
fn needed_to_run(node: &Value) -> BTreeSet<&str> {
    let is_normal = |dependency: &&Value| {
        dependency["dep_kinds"]
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let dependencies = node["deps"].as_array().into_iter().flatten().filter(is_normal);
    dependencies.filter_map(|dependency| dependency["pkg"].as_str()).collect()
}

fn component(package: &Value, checksums: &BTreeMap<String, String>) -> Value {
    let purl = purl(package);
    let license = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": package["name"],
        "version": package["version"],
        "licenses": [{"expression": license}],
        "purl": purl,
    });
    if let Some(sum) = checksums.get(&purl) {
        component["hashes"] = json!([{"alg": "SHA-256", "content": sum}]);
    }
    component
}

/// <https://github.com/package-url/purl-spec>
fn purl(package: &Value) -> String {
    let text = |key: &str| package[key].as_str().unwrap_or_default().replace('+', "%2B");
    format!("pkg:cargo/{}@{}", text("name"), text("version"))
}

/// The checksums in a Cargo.lock, by purl.
fn checksums(lock: &str) -> BTreeMap<String, String> {
    let packages = lock.split("[[package]]").skip(1);
    let sums = packages.filter_map(|package| {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            line.map(|value| Value::from(value.trim_matches('"')))
        };
        let sum = value("checksum")?;
        Some((purl(&json!({"name": value("name")?, "version": value("version")?})), sum.as_str()?.to_owned()))
    });
    sums.collect()
}

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    texts.collect::<BTreeSet<_>>().into_iter().collect()
}

fn sorted_by(mut list: Vec<Value>, key: &str) -> Vec<Value> {
    list.sort_by(|one, other| one[key].as_str().cmp(&other[key].as_str()));
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_names_all_that_is_compiled_in_and_nothing_else() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = of(&workspace, "healthboard-python").unwrap();
        let bom: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(bom["metadata"]["component"]["name"], "healthboard-python");
        let of_name = |name: &str| {
            bom["components"].as_array().unwrap().iter().find(|component| component["name"] == name).cloned()
        };
        let libc = of_name("libc").unwrap();
        assert_eq!(libc["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(libc["hashes"][0]["content"].as_str().unwrap().len(), 64);
        assert!(of_name("healthboard").unwrap().get("hashes").is_none());
        // Of the tests, of the command, of the agent, of macros.
        assert!(["loom", "clap", "rustls", "syn"].iter().all(|name| of_name(name).is_none()));
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")));
    }

    #[test]
    fn each_dependency_is_a_component() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let bom: Value = serde_json::from_str(&of(&workspace, "healthboard-cli").unwrap()).unwrap();
        let mut known: BTreeSet<&str> = bom["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|each| each["bom-ref"].as_str().unwrap())
            .collect();
        known.insert(bom["metadata"]["component"]["bom-ref"].as_str().unwrap());
        let dependencies = bom["dependencies"].as_array().unwrap();
        assert_eq!(dependencies.len(), known.len());
        for dependency in dependencies {
            let needed = dependency["dependsOn"].as_array().unwrap().iter();
            assert!(needed.chain([&dependency["ref"]]).all(|each| known.contains(each.as_str().unwrap())));
        }
    }
}
