//! `cargo xtask reproduce`: whether two builds in two folders give the same bytes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use healthboard_e2e::Setup;

use crate::source::Source;
use crate::terminal::{bad, good, table};
use crate::{deb, wheels};

/// The two folders. Their names differ in length, too.
const FOLDERS: [&str; 2] = ["one", "another/with/a/longer/name"];

/// Builds the source package, Debian's packages, a wheel and the static command twice, and compares them.
pub(crate) fn run() -> Result<()> {
    let (setup, packaging) = Setup::prepare_packaging()?;
    Setup::prepare_wheels()?;
    let parent = packaging.with_file_name("reproduce");
    let [one, other] = FOLDERS.map(|name| build(&setup, &parent.join(name)));
    let (one, other) = (one?, other?);
    ensure!(!one.is_empty() && one.len() == other.len(), "found {one:?} and {other:?}");
    let mut differ = Vec::new();
    let mut rows = Vec::new();
    for (one, other) in one.iter().zip(&other) {
        let name = one.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_same = one.file_name() == other.file_name() && fs::read(one)? == fs::read(other)?;
        if !is_same {
            differ.push(format!("diffoscope {} {}", one.display(), other.display()));
        }
        rows.push([name, if is_same { good("the same") } else { bad("differs") }]);
    }
    println!("\n{}\n", table(["file", "both builds"], rows));
    if differ.is_empty() { Ok(()) } else { bail!("builds differ\nnext: {}", differ.join("\n      ")) }
}

/// Builds all of it in this folder, and returns the files in the same order each time.
fn build(setup: &Setup, folder: &Path) -> Result<Vec<PathBuf>> {
    let source = Source::write(setup, folder)?;
    deb::build(setup, &source)?;
    let mut files = source.files(".tar.xz")?;
    files.extend(source.packages()?);
    files.extend(wheels::build_one(setup, source.folder(), &folder.join("wheels"))?);
    files.push(setup.build_static_of(source.folder(), &["healthboard-cli"])?.join("healthboard"));
    Ok(files)
}
