//! Evidence that a reader can check: every part of a failure is computed from its number.

use anyhow::{Result, ensure};
use healthboard::{Evidence, Failure};

/// A success is recorded before every failure whose number divides by this.
const SUCCESS_EVERY: u64 = 7;

/// Whether a success comes before the failure of this number.
pub(crate) fn success_before(number: u64) -> bool {
    number.is_multiple_of(SUCCESS_EVERY)
}

/// The failures in a row up to this one.
fn streak(number: u64) -> u32 {
    let since = if number < SUCCESS_EVERY { number } else { number % SUCCESS_EVERY + 1 };
    since as u32
}

/// The failure of this number. Its text is as long as a board keeps.
pub(crate) fn failure(number: u64) -> Failure {
    let words = (0..26).map(|i| format!("{:05}", (number * 31 + i * 7919) % 100_000));
    let text = words.collect::<Vec<_>>().join(" ");
    Failure::new(format!("Failure{number}")).code(streak(number).to_string()).text(text)
}

/// The number of a failure that was read; `None` if there is none. Fails if its parts do not belong to one number.
pub(crate) fn number(found: &Evidence) -> Result<Option<u64>> {
    let Some(found) = &found.error else { return Ok(None) };
    let number = found.class.strip_prefix("Failure").and_then(|number| number.parse().ok());
    let whole = number.is_some_and(|number| failure(number) == **found);
    ensure!(whole, "a torn text was accepted: {found:?}");
    Ok(number)
}

/// Checks the evidence of a process that was killed after it had recorded the failure `done`, and before the next but
/// one.
pub(crate) fn check_final_evidence(found: &Evidence, done: u64) -> Result<()> {
    let next = done + 1;
    let (failures, number) = (found.failures, number(found)?);
    // The newest text stays readable once there was an earlier streak.
    let known = number.is_none_or(|number| number == done || number == next);
    let nothing = failures == 0 && known && (done == 0 || success_before(next));
    let as_done = done > 0 && failures == streak(done) && number == Some(done);
    let with_text = done > 0 && failures == streak(done) && number == Some(next);
    let as_next = failures == streak(next) && number == Some(next);
    ensure!(
        nothing || as_done || with_text || as_next,
        "{done} failures were recorded, and the board says {failures} in a row, the newest {number:?}: {found:?}"
    );
    ensure!(
        failures == 0 || found.failing_since_ns.is_some_and(|since| Some(since) <= found.last_failure_ns),
        "the beginning of a streak was lost: {found:?}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_two_failures_is_not_accepted() {
        let with = |error: Failure| Evidence { error: Some(error.into()), ..Evidence::default() };
        assert_eq!(number(&with(failure(12))).expect("whole"), Some(12));
        let torn = Failure { text: failure(13).text, ..failure(12) };
        assert!(number(&with(torn)).is_err());
    }

    #[test]
    fn a_lost_failure_is_not_accepted() {
        let after = |number: u64| Evidence {
            failures: streak(number),
            error: Some(failure(number).into()),
            last_failure_ns: Some(2),
            failing_since_ns: Some(1),
            ..Evidence::default()
        };
        for done in 1..30 {
            assert!(check_final_evidence(&after(done), done).is_ok());
            assert!(check_final_evidence(&after(done + 1), done).is_ok());
            assert!(check_final_evidence(&after(done + 2), done).is_err());
            assert!(check_final_evidence(&after(done), done + 1).is_err());
        }
    }
}
