//! The header `Date`, rendered once a second (RFC 9110, section 5.6.7).

use std::time::{SystemTime, UNIX_EPOCH};

/// The date of an answer.
#[derive(Debug)]
pub(super) struct Date {
    second: u64,
    text: String,
}

impl Date {
    pub(super) fn now() -> Date {
        let second = seconds(SystemTime::now());
        Date { second, text: format(second) }
    }

    /// Reads the clock again; returns whether the text has changed.
    pub(super) fn refresh(&mut self) -> bool {
        let second = seconds(SystemTime::now());
        let changed = second != self.second;
        if changed {
            *self = Date { second, text: format(second) };
        }
        changed
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn format(second: u64) -> String {
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // A wrong clock must still give a year of four digits.
    let second = second.min(253_402_300_799);
    let (days, of_day) = (second / 86_400, second % 86_400);
    let (mut year, mut day) = (1970, days);
    while day >= year_days(year) {
        day -= year_days(year);
        year += 1;
    }
    let mut month = 0;
    while day >= month_days(year, month) {
        day -= month_days(year, month);
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let (weekday, month) = (WEEKDAYS[(days % 7) as usize], MONTHS[month]);
    format!("{weekday}, {:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1)
}

fn year_days(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_days(year: u64, month: usize) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

#[cfg(test)]
mod tests {
    use super::format;

    #[test]
    fn a_date_is_that_of_other_programs_for_the_same_second() {
        // `date -u -R -d @SECOND`
        for (second, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (68_169_599, "Mon, 28 Feb 1972 23:59:59 GMT"),
            (68_169_600, "Tue, 29 Feb 1972 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_795_347_602, "Sun, 22 Nov 2026 11:40:02 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(format(second), date, "{second}");
        }
    }
}
