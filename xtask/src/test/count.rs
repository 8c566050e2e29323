//! The number of tests, from the summaries of cargo and pytest.

use std::ops::Add;

/// How many tests passed and failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Count {
    /// One test that passed.
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0 };

    /// The sum over all test programs that cargo ran: `test result: ok. 3 passed; 0 failed; …`.
    pub(crate) fn of_cargo(text: &str) -> Self {
        let lines = text.lines().filter(|line| line.starts_with("test result: "));
        lines.map(Self::of_line).fold(Self::default(), Self::add)
    }

    /// The numbers in pytest's summary, such as `2 failed, 3 passed, 1 error in 0.12s`.
    pub(crate) fn of_pytest(text: &str) -> Self {
        let is_summary = |line: &&str| line.contains(" in ") && !line.starts_with("test result: ");
        text.lines()
            .rev()
            .filter(is_summary)
            .map(Self::of_line)
            .find(|count| *count != Self::default())
            .unwrap_or_default()
    }

    /// The numbers before the words. An error of a fixture counts as a failure.
    fn of_line(line: &str) -> Self {
        let words: Vec<&str> =
            line.split([' ', ',', ';', '.', '=']).filter(|word| !word.is_empty()).collect();
        let before = |kinds: &[&str]| -> usize {
            words
                .windows(2)
                .filter(|pair| kinds.contains(&pair[1]))
                .filter_map(|pair| pair[0].parse::<usize>().ok())
                .sum()
        };
        Self { passed: before(&["passed"]), failed: before(&["failed", "error", "errors"]) }
    }
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summaries_of_all_test_programs_are_added() {
        let text = "\
test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s
noise: 7 passed
test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.20s
";
        assert_eq!(Count::of_cargo(text), Count { passed: 5, failed: 1 });
    }

    #[test]
    fn pytest_counts_errors_of_fixtures_as_failures() {
        let text = "..F\n=== 1 failed, 12 passed, 2 errors in 0.12s ===\n";
        assert_eq!(Count::of_pytest(text), Count { passed: 12, failed: 3 });
    }

    #[test]
    fn each_summary_is_counted_once() {
        let pytest = "2 failed, 52 passed, 1 warning in 83.28s (0:01:23)\n";
        assert_eq!(Count::of_pytest(pytest), Count { passed: 52, failed: 2 });
        let cargo = "test result: ok. 3 passed; 0 failed; 0 ignored; finished in 73.43s\n";
        assert_eq!(Count::of_pytest(cargo), Count::default());
    }

    #[test]
    fn output_without_a_summary_counts_nothing() {
        assert_eq!(Count::of_cargo("running 0 tests"), Count::default());
        assert_eq!(Count::of_pytest("no tests ran in 0.01s"), Count::default());
    }
}
