//! Recording a call, in Python.

use crate::measure::Rounds;
use crate::table::{Part, Unit};
use crate::{output, place, python};
use anyhow::Result;

pub fn run() -> Result<Part> {
    let place = place()?;
    let text = output(python().arg("calls.py").arg(place.path()))?;
    let rounds: Rounds = serde_json::from_str(&text)?;
    let mut part = Part::new(
        "Calls in Python",
        "`timeit`, 20 calls in each turn of its loop, in turns of 1 ms: the median of 201 turns, in parentheses the quartiles; \
         compared with the bare function, turn by turn. The small function is `return rows.get(key, 0) + 1`, the empty one \
         `pass`. The decorators of others are as empty as they can be: `functools.partial`, `functools.wraps` and wrapt only pass the call on, \
         prometheus_client counts exceptions, the span has no exporter.",
    );
    for kind in ["small", "empty", "method"] {
        let bare = format!("{kind}, bare");
        for name in rounds.names.iter().filter(|name| name.starts_with(kind)) {
            let ratio = rounds.ratio(name, &bare).median;
            part.row(name, rounds.time(name), Unit::Nanoseconds, format!("{ratio:.2}"));
        }
    }
    let against = |other: &str| rounds.ratio("small, healthboard", &format!("small, {other}"));
    part.goal("decorated function / bare function", 2.0, Unit::Times, against("bare"));
    part.goal(
        "decorated method / bare method",
        2.2,
        Unit::Times,
        rounds.ratio("method, healthboard", "method, bare"),
    );
    part.goal(
        "decorated function / empty `functools.wraps` wrapper",
        0.5,
        Unit::Times,
        against("functools.wraps"),
    );
    part.goal("decorated function / `functools.partial`", 1.15, Unit::Times, against("functools.partial"));
    let added = |other| rounds.added("small, healthboard", other, "small, bare");
    part.row("added by healthboard / by `functools.wraps`", added("small, functools.wraps"), Unit::Times, "");
    part.row(
        "added by healthboard / by prometheus_client",
        added("small, prometheus_client"),
        Unit::Times,
        "",
    );
    Ok(part)
}
