//! The source package: what is needed of this workspace, and the crates that it depends on.

pub(crate) mod copyright;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::{Setup, Step};
use serde_json::Value;

use crate::sbom;

/// What is in it. Tests of whole services, benchmarks and their dependencies are not.
const PARTS: [&str; 10] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "crates",
    "deploy",
    "docs",
    "python",
];

/// Debian's directory in the workspace.
const DEBIAN: &str = "deploy/debian";

/// Systems that Debian runs on. What only other ones need is left out.
const SYSTEMS: [&str; 6] = [
    "aarch64-unknown-linux-gnu",
    "armv7-unknown-linux-gnueabihf",
    "powerpc64le-unknown-linux-gnu",
    "riscv64gc-unknown-linux-gnu",
    "s390x-unknown-linux-gnu",
    "x86_64-unknown-linux-gnu",
];

/// An unpacked source package, beside its archives.
pub(crate) struct Source {
    folder: PathBuf,
}

impl Source {
    /// The bills of materials of the command and of the Python package.
    pub(crate) const MATERIALS: [&str; 2] = ["healthboard.cdx.json", "python3-healthboard.cdx.json"];

    /// The copyright and the licenses of all crates.
    pub(crate) const COPYRIGHT: &str = "LICENSE.crates";

    /// Writes it from the files that git knows, or would add, into an emptied folder.
    pub(crate) fn write(setup: &Setup, parent: &Path) -> Result<Source> {
        let mut step = Step::begin("deb source", &setup.logs())?;
        if parent.exists() {
            fs::remove_dir_all(parent).with_context(|| format!("cannot empty {}", parent.display()))?;
        }
        let source = Source { folder: parent.join(format!("healthboard-{}", env!("CARGO_PKG_VERSION"))) };
        fs::create_dir_all(&source.folder)?;
        copy(setup.workspace(), &source.folder)?;
        source.narrow_workspace()?;
        for (file, root) in Source::MATERIALS.iter().zip(["healthboard-cli", "healthboard-python"]) {
            fs::write(source.folder.join(file), sbom::of(&source.folder, root)?)?;
        }
        source.cargo(&mut step, &["vendor", "--versioned-dirs", "--quiet", "vendor"])?;
        let crates = source.crates()?;
        fs::rename(source.folder.join(DEBIAN), source.folder.join("debian"))?;
        let copyright = copyright::of(&crates)?;
        fs::write(source.folder.join("debian/copyright"), &copyright)?;
        fs::write(source.folder.join(Source::COPYRIGHT), copyright)?;
        source.empty_foreign(&crates)?;
        source.pack(&mut step)?;
        step.end();
        Ok(source)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its archives are, and where the packages come to be.
    pub(crate) fn parent(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

    /// The packages that were built of it.
    pub(crate) fn packages(&self) -> Result<Vec<PathBuf>> {
        let mut packages = self.files(".deb")?;
        packages.retain(|package| !package.to_string_lossy().contains("-dbgsym_"));
        ensure!(packages.len() == 3, "expected three packages, found {packages:?}");
        Ok(packages)
    }

    /// The files beside it whose names end so.
    pub(crate) fn files(&self, end: &str) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.parent())? {
            files.extend(Some(entry?.path()).filter(|path| path.to_string_lossy().ends_with(end)));
        }
        files.sort();
        Ok(files)
    }

    /// Leaves only those members in the workspace that are there.
    fn narrow_workspace(&self) -> Result<()> {
        let path = self.folder.join("Cargo.toml");
        let text = fs::read_to_string(&path)?;
        let lines = text.lines().filter(|line| !line.starts_with("exclude = "));
        let lines = lines.map(|line| match line.starts_with("members = ") {
            true => r#"members = ["crates/*", "python"]"#,
            false => line,
        });
        fs::write(path, lines.collect::<Vec<_>>().join("\n") + "\n")?;
        // Leaves only their dependencies in Cargo.lock.
        self.metadata(None).map(drop)
    }

    fn cargo(&self, step: &mut Step, arguments: &[&str]) -> Result<()> {
        step.run(Command::new(env!("CARGO")).args(arguments).current_dir(&self.folder))
    }

    fn metadata(&self, system: Option<&str>) -> Result<Value> {
        let mut more = vec!["--all-features"];
        more.extend(system.into_iter().flat_map(|system| ["--filter-platform", system]));
        sbom::metadata(&self.folder, &more)
    }

    /// The vendored crates, as cargo describes them.
    fn crates(&self) -> Result<Vec<Value>> {
        let crates = foreign_crates(&self.metadata(None)?);
        let vendored = fs::read_dir(self.folder.join("vendor"))?.count();
        ensure!(crates.len() == vendored, "{vendored} crates are vendored, cargo names {}", crates.len());
        Ok(crates)
    }

    /// Empties the crates of other systems, which cargo wants to see and does not build.
    fn empty_foreign(&self, crates: &[Value]) -> Result<()> {
        let mut needed = BTreeSet::new();
        for system in SYSTEMS {
            let metadata = self.metadata(Some(system))?;
            let nodes = metadata["resolve"]["nodes"].as_array().cloned().unwrap_or_default();
            needed.extend(nodes.iter().filter_map(|node| node["id"].as_str().map(str::to_owned)));
        }
        let is_needed = |package: &&Value| package["id"].as_str().is_some_and(|id| needed.contains(id));
        let mut foreign = crates.iter().filter(|package| !is_needed(package));
        foreign.try_for_each(|package| empty(&self.folder.join(vendored(package))))
    }

    /// Packs the archives: the same files give the same bytes.
    fn pack(&self, step: &mut Step) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        let date =
            Command::new("dpkg-parsechangelog").arg("-STimestamp").current_dir(&self.folder).output()?;
        let date = format!("--mtime=@{}", String::from_utf8(date.stdout)?.trim());
        let mut pack = |archive: &str, arguments: &[&str]| {
            let mut tar = Command::new("tar");
            tar.args([
                "--sort=name",
                "--owner=0",
                "--group=0",
                "--numeric-owner",
                "--mode=go=rX,u+rw,a-s",
                &date,
            ]);
            tar.arg("-cJf").arg(self.parent().join(format!("healthboard_{version}.{archive}.tar.xz")));
            step.run(tar.args(arguments).current_dir(self.parent()))
        };
        let folder = format!("healthboard-{version}");
        let [debian, crates] = ["debian", "vendor"].map(|part| format!("--exclude={folder}/{part}"));
        pack("orig", &[&debian, &crates, &folder])?;
        pack("orig-vendor", &["-C", &folder, "vendor"])
    }
}

/// The crates of others in what cargo says of a workspace.
pub(crate) fn foreign_crates(metadata: &Value) -> Vec<Value> {
    let mut crates = metadata["packages"].as_array().cloned().unwrap_or_default();
    crates.retain(|package| !package["source"].is_null());
    crates
}

/// The folder of a crate.
fn vendored(package: &Value) -> PathBuf {
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    Path::new("vendor").join(format!("{}-{}", text("name"), text("version")))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"])
        .args(PARTS)
        .current_dir(from)
        .output()?;
    ensure!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    for name in String::from_utf8(listed.stdout)?.split_terminator('\0') {
        let (from, to) = (from.join(name), to.join(name));
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        match fs::symlink_metadata(&from) {
            Ok(found) if found.is_symlink() => symlink(fs::read_link(&from)?, &to)?,
            Ok(_) => drop(fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?),
            // Removed, and not committed yet.
            Err(_) => {}
        }
    }
    Ok(())
}

/// Leaves only the manifest of a crate, and an empty library.
fn empty(folder: &Path) -> Result<()> {
    let (manifest, sums) = (folder.join("Cargo.toml"), folder.join(".cargo-checksum.json"));
    let kept =
        fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let mut checksum: Value = serde_json::from_str(&fs::read_to_string(&sums)?)?;
    fs::remove_dir_all(folder)?;
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    fs::write(manifest, kept)?;
    checksum["files"] = Value::Object(serde_json::Map::new());
    fs::write(sums, checksum.to_string()).context("cannot write a checksum")
}
