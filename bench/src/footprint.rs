//! What the package adds to a Python process.

use crate::load::Target;
use crate::measure::Spread;
use crate::process::{Running, until};
use crate::table::{Part, Unit};
use crate::{output, place, python};
use anyhow::{Result, ensure};
use std::path::Path;

const RUNS: usize = 21;
const COLUMNS: [(&str, Unit); 7] = [
    ("time of the import", Unit::Milliseconds),
    ("private memory after the import", Unit::Kibibytes),
    ("private memory after the start", Unit::Kibibytes),
    ("private memory after the start, as far as it was written to", Unit::Kibibytes),
    ("resident memory after the start", Unit::Kibibytes),
    ("threads", Unit::Threads),
    ("library, stripped", Unit::Kilobytes),
];

pub fn run() -> Result<Part> {
    let mut part = Part::new(
        "Footprint in a Python process",
        "A fresh interpreter imports the package, starts health with a unix endpoint and records once: the median of 21 \
         interpreters, in parentheses the quartiles. The furnished one has imported `functools`, `inspect`, `logging` and \
         `threading` before, as every service has. Another process has health too, as another worker of the service \
         would: private (`smaps_rollup`) is what this process has for itself alone. The pages of the library that both use are \
         resident and not private.",
    );
    let elsewhere = place()?;
    let _other = other(elsewhere.path())?;
    let (bare, furnished) = (look(&[])?, look(&["furnished"])?);
    for (i, (what, unit)) in COLUMNS.into_iter().enumerate() {
        part.row(what, bare[i], unit, "bare interpreter");
        part.row(what, furnished[i], unit, "furnished");
    }
    part.goal("import", 2.0, Unit::Milliseconds, furnished[0]);
    part.goal("private memory", 512.0, Unit::Kibibytes, furnished[2]);
    part.goal("threads", 3.0, Unit::Threads, furnished[5]);
    part.goal("library, stripped", 1000.0, Unit::Kilobytes, furnished[6]);
    Ok(part)
}

fn look(how: &[&str]) -> Result<Vec<Spread>> {
    let mut columns = vec![Vec::new(); COLUMNS.len()];
    // The first one has the files read from the disk.
    for run in 0..=RUNS {
        let place = place()?;
        let text = output(python().arg("footprint.py").arg(place.path()).args(how))?;
        let values: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        ensure!(values.len() == COLUMNS.len(), "expected {} numbers, found: {text}", COLUMNS.len());
        if run > 0 {
            columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        }
    }
    Ok(columns.into_iter().map(Spread::of).collect())
}

/// Another process with health, which has the pages of the library in common with those that are looked at.
fn other(place: &Path) -> Result<Running> {
    let socket = place.join("health.sock");
    let code = format!(
        "import time, healthboard; \
         healthboard.start('other', {{'uri': 'unix://{}', 'runtime_dir': '{}'}}); \
         healthboard.record_ok('database'); time.sleep(600)",
        socket.display(),
        place.display()
    );
    let other = Running::start(python().args(["-c", &code]))?;
    until("the other process answers", || Target::Unix(socket.clone()).probe(1, false).is_ok())?;
    Ok(other)
}
