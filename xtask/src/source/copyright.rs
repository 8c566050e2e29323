//! Who holds the copyright of this project and of each crate in it, and the licenses, in Debian's machine-readable format:
//! <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::vendored;

/// The text of a license that every Debian system has.
const APACHE: &str = " On Debian systems, the full text is in /usr/share/common-licenses/Apache-2.0.\n";

const LLVM_EXCEPTION: &str = " On Debian systems, the text of the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0. To it is added:
 .
 As an exception, if, as a result of your compiling your source code, portions
 of this Software are embedded into an Object form of such source code, you
 may redistribute such embedded portions in such Object form without complying
 with the conditions of Sections 4(a), 4(b) and 4(d) of the License.
 .
 In addition, if you combine or link compiled forms of this Software with
 software that is licensed under the GPLv2 (\"Combined Software\") and if a
 court of competent jurisdiction determines that the patent provision (Section
 3), the indemnity provision (Section 9) or other Section of the License
 conflicts with the conditions of the GPLv2, you may retroactively and
 prospectively choose to deem waived or otherwise exclude such Section(s) of
 the License, but only in their entirety and only with respect to the Combined
 Software.
";

const LGPL: &str = " On Debian systems, the full text is in /usr/share/common-licenses/LGPL-2.1.\n";

/// The text, for these crates as cargo describes them.
pub(crate) fn of(crates: &[Value]) -> Result<String> {
    let mut text = String::from(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: healthboard\n\n\
         Files: *\nCopyright: 2026 the authors of healthboard\nLicense: Apache-2.0\n",
    );
    // Crates of the same holders and license have one paragraph.
    let mut paragraphs: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for package in crates {
        let sources = Path::new(package["manifest_path"].as_str().unwrap_or_default()).with_file_name("");
        let name = package["name"].as_str().unwrap_or_default();
        let license =
            package["license"].as_str().with_context(|| format!("crate `{name}` names no license"))?;
        for word in licenses(license) {
            if !word.starts_with("Apache-2.0") && !texts.contains_key(&word) {
                texts.extend(text_of(&sources, &word).map(|text| (word, text)));
            }
        }
        let key = (holders(&sources, package), in_debian(license));
        paragraphs.entry(key).or_default().push(format!("{}/*", vendored(package).display()));
    }
    let mut used = BTreeSet::from([String::from("Apache-2.0")]);
    for ((holders, license), files) in &paragraphs {
        let _ =
            write!(text, "\nFiles: {}\nCopyright: {holders}\nLicense: {license}\n", files.join("\n       "));
        used.extend(names(license).map(str::to_owned));
    }
    for license in used {
        let body = match &*license {
            "Apache-2.0" => APACHE,
            "Apache-2.0 with LLVM exception" => LLVM_EXCEPTION,
            "LGPL-2.1+" => LGPL,
            other => texts.get(other).with_context(|| format!("found no text of the license `{other}`"))?,
        };
        let _ = write!(text, "\nLicense: {license}\n{body}");
    }
    Ok(text)
}

/// The licenses in an expression of SPDX.
fn licenses(expression: &str) -> Vec<String> {
    names(&in_debian(expression)).map(str::to_owned).collect()
}

/// The licenses in an expression as Debian writes it.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(" or ").flat_map(|part| part.split(" and ")).map(|name| name.trim_end_matches(','))
}

/// An expression of SPDX, as Debian writes it.
fn in_debian(expression: &str) -> String {
    // `and` binds more tightly than `or`, and a comma less than both.
    let words = expression.replace(") AND ", ", and ").replace(['(', ')'], "").replace('/', " OR ");
    let words = words.replace("WITH LLVM-exception", "with LLVM exception").replace("-or-later", "+");
    words.replace(" OR ", " or ").replace(" AND ", " and ")
}

/// The lines of the crate's own files that say who holds the copyright; otherwise its authors.
fn holders(folder: &Path, package: &Value) -> String {
    let mut found = BTreeSet::new();
    for file in license_files(folder) {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines =
            text.lines().map(str::trim).filter(|line| line.starts_with("Copyright") && line.len() < 120);
        // Not the example in the appendix of the Apache License.
        let lines = lines.filter(|line| line.contains(|c: char| c.is_ascii_digit()) && !line.contains('['));
        found.extend(lines.map(|line| line.trim_start_matches("Copyright").trim().to_owned()));
    }
    if found.is_empty() {
        let authors = package["authors"].as_array().cloned().unwrap_or_default();
        found.extend(authors.iter().filter_map(|author| author.as_str().map(str::to_owned)));
    }
    if found.is_empty() {
        found.insert(format!("the authors of {}", package["name"].as_str().unwrap_or_default()));
    }
    found.into_iter().collect::<Vec<_>>().join("\n           ")
}

/// The text of a license in a crate that has it in a file of its own, without the holders.
fn text_of(folder: &Path, license: &str) -> Option<String> {
    // What the file's name says of it: `LICENSE-MIT`, `LICENSE-BOOST`.
    let short = match license.split('-').next().unwrap_or(license) {
        "BSL" => String::from("BOOST"),
        other => other.to_uppercase(),
    };
    let files: Vec<_> = license_files(folder).collect();
    let name =
        |file: &std::path::PathBuf| file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    let own = files.iter().find(|file| name(file).contains(&short));
    let only = files.first().filter(|_| files.len() == 1);
    let text = fs::read_to_string(own.or(only)?).ok()?;
    let lines = text.lines().map(str::trim_end).filter(|line| !line.trim().starts_with("Copyright"));
    let lines: Vec<&str> = lines.skip_while(|line| line.trim().is_empty()).collect();
    let line = |line: &str| if line.is_empty() { String::from(" .\n") } else { format!(" {line}\n") };
    Some(lines.into_iter().map(line).collect())
}

fn license_files(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.into_iter().filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file()
            && ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE"]
                .iter()
                .any(|start| name.starts_with(start))
    })
}
