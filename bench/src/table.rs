//! What has been measured, as Markdown.

use crate::measure::{Rounds, Spread};
use std::fmt::{self, Display, Write};

/// One part of a run.
#[derive(Debug, Default)]
pub struct Part {
    title: &'static str,
    /// How it was measured.
    method: String,
    rows: Vec<[String; 3]>,
    goals: Vec<Goal>,
}

/// A goal, and whether it is met.
#[derive(Debug)]
struct Goal {
    what: String,
    limit: f64,
    unit: Unit,
    measured: Spread,
}

/// Of a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As often as long as the anchor.
    Times,
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Kibibytes,
    Kilobytes,
    Percent,
    Threads,
    Count,
    Instructions,
}

impl Part {
    pub fn new(title: &'static str, method: impl Into<String>) -> Part {
        Part { title, method: method.into(), ..Part::default() }
    }

    /// A line with what was measured and, beside it, how that compares.
    pub fn row(
        &mut self,
        what: impl Into<String>,
        measured: Spread,
        unit: Unit,
        compared: impl Into<String>,
    ) {
        self.rows.push([what.into(), unit.show(measured), compared.into()]);
    }

    /// A line for each subject, compared with the anchor.
    pub fn rows(&mut self, rounds: &Rounds, anchor: &str, unit: Unit) {
        for name in &rounds.names {
            let ratio = rounds.ratio(name, anchor).median;
            self.row(name, rounds.time(name).map(|ns| ns / unit.nanoseconds()), unit, format!("{ratio:.2}"));
        }
    }

    /// Met at equality, as far as the digits go that are shown.
    pub fn goal(&mut self, what: impl Into<String>, limit: f64, unit: Unit, measured: Spread) {
        self.goals.push(Goal { what: what.into(), limit, unit, measured });
    }

    /// The goals that are not met, a line for each.
    pub fn missed(&self) -> impl Iterator<Item = String> {
        self.goals.iter().filter(|goal| !goal.is_met()).map(|goal| {
            let Goal { what, limit, unit, measured } = goal;
            format!("{what}: {}, not <= {}", unit.show(*measured), unit.one(*limit))
        })
    }
}

impl Goal {
    fn is_met(&self) -> bool {
        self.unit.round(self.measured.median) <= self.limit
    }
}

impl Unit {
    /// How many nanoseconds it has, if it is one of time.
    fn nanoseconds(self) -> f64 {
        match self {
            Unit::Microseconds => 1e3,
            Unit::Milliseconds => 1e6,
            _ => 1.0,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Times => "×",
            Unit::Nanoseconds => "ns",
            Unit::Microseconds => "µs",
            Unit::Milliseconds => "ms",
            Unit::Kibibytes => "KiB",
            Unit::Kilobytes => "KB",
            Unit::Percent => "%",
            Unit::Threads | Unit::Count | Unit::Instructions => "",
        }
    }

    fn digits(self) -> usize {
        match self {
            Unit::Times | Unit::Milliseconds => 2,
            Unit::Nanoseconds | Unit::Microseconds | Unit::Percent => 1,
            Unit::Kibibytes | Unit::Kilobytes | Unit::Threads | Unit::Count | Unit::Instructions => 0,
        }
    }

    fn round(self, value: f64) -> f64 {
        let scale = 10f64.powi(self.digits() as i32);
        (value * scale).round() / scale
    }

    fn one(self, value: f64) -> String {
        format!("{value:.*} {}", self.digits(), self.name()).trim_end().to_owned()
    }

    fn show(self, Spread { low, median, high }: Spread) -> String {
        let digits = self.digits();
        match (self.round(low), self.round(high)) {
            (low, high) if low == high => self.one(median),
            (low, high) => format!("{} ({low:.digits$} to {high:.digits$})", self.one(median)),
        }
    }
}

/// The goals of all parts.
pub struct Goals<'a>(pub &'a [Part]);

impl Display for Goals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table(
            f,
            ["goal", "at most", "measured", "met"],
            self.0.iter().flat_map(|part| &part.goals).map(|goal| {
                let met = if goal.is_met() { "yes" } else { "**no**" };
                [goal.what.clone(), goal.unit.one(goal.limit), goal.unit.show(goal.measured), met.to_owned()]
            }),
        )
    }
}

impl Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.method)?;
        table(f, ["what", "measured", "compared"], self.rows.iter().cloned())
    }
}

fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    writeln!(f, "| {} |", head.join(" | "))?;
    writeln!(f, "|{}", " --- |".repeat(N))?;
    for row in rows {
        writeln!(f, "| {} |", row.join(" | "))?;
    }
    f.write_char('\n')
}
