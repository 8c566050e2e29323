//! Measuring side by side: every subject once in each round, so that whatever else the machine does meets all of them.

use std::time::{Duration, Instant};

/// What is measured: runs this many times and says how long that took.
pub type Subject<'a> = (&'static str, Box<dyn FnMut(u32) -> Duration + 'a>);

/// The median of all rounds, and the quartiles around it.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// One column of nanoseconds for each subject, one line for each round.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Rounds {
    pub names: Vec<String>,
    pub nanoseconds: Vec<Vec<f64>>,
}

/// A subject that is nothing but a function.
pub fn calls<'a, T>(name: &'static str, mut function: impl FnMut() -> T + 'a) -> Subject<'a> {
    let run = move |times| {
        let start = Instant::now();
        for _ in 0..times {
            std::hint::black_box(function());
        }
        start.elapsed()
    };
    (name, Box::new(run))
}

/// Measures in turns that last about `turn` each; the first round, which warms up, does not count.
pub fn interleave(rounds: usize, turn: Duration, mut subjects: Vec<Subject<'_>>) -> Rounds {
    let times = subjects.iter_mut().map(|(_, run)| times_for(turn, run)).collect();
    measure(rounds, times, subjects)
}

/// Measures in turns of so many runs each.
pub fn interleave_times(rounds: usize, times: u32, subjects: Vec<Subject<'_>>) -> Rounds {
    measure(rounds, vec![times; subjects.len()], subjects)
}

fn measure(rounds: usize, times: Vec<u32>, mut subjects: Vec<Subject<'_>>) -> Rounds {
    let nanoseconds = subjects.iter().map(|_| Vec::with_capacity(rounds)).collect();
    let names = subjects.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut measured = Rounds { names, nanoseconds };
    for round in 0..=rounds {
        for (i, (_, run)) in subjects.iter_mut().enumerate() {
            let elapsed = run(times[i]);
            if round > 0 {
                measured.nanoseconds[i].push(elapsed.as_nanos() as f64 / f64::from(times[i]));
            }
        }
    }
    measured
}

fn times_for(turn: Duration, run: &mut dyn FnMut(u32) -> Duration) -> u32 {
    let mut times = 1;
    while run(times) < turn / 2 && times < 1 << 30 {
        times *= 2;
    }
    times
}

impl Rounds {
    /// How long one subject took.
    pub fn time(&self, name: &str) -> Spread {
        Spread::of(self.column(name).to_vec())
    }

    /// How much longer than another one it took, compared within each round.
    pub fn ratio(&self, name: &str, anchor: &str) -> Spread {
        Spread::of(self.column(name).iter().zip(self.column(anchor)).map(|(a, b)| a / b).collect())
    }

    /// How much more than another one it took, compared within each round.
    pub fn difference(&self, name: &str, other: &str) -> Spread {
        Spread::of(self.column(name).iter().zip(self.column(other)).map(|(a, b)| a - b).collect())
    }

    /// How much more it adds to `bare` than another one does.
    pub fn added(&self, name: &str, other: &str, bare: &str) -> Spread {
        let columns = self.column(name).iter().zip(self.column(other)).zip(self.column(bare));
        Spread::of(columns.map(|((a, b), bare)| (a - bare) / (b - bare)).collect())
    }

    fn column(&self, name: &str) -> &[f64] {
        let i = self
            .names
            .iter()
            .position(|n| n == name)
            .unwrap_or_else(|| panic!("nothing measured as `{name}`"));
        &self.nanoseconds[i]
    }
}

impl Spread {
    pub fn of(mut values: Vec<f64>) -> Spread {
        values.sort_by(f64::total_cmp);
        let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
        Spread { low: at(0.25), median: at(0.5), high: at(0.75) }
    }

    pub fn map(self, f: impl Fn(f64) -> f64) -> Spread {
        Spread { low: f(self.low), median: f(self.median), high: f(self.high) }
    }
}
