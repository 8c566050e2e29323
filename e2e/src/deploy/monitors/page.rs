//! What was noticed, as a table.

use super::Noticed;
use crate::deploy::seconds;

/// The generated section of docs/monitoring.md.
pub fn page(noticed: &[Noticed]) -> String {
    let mut text = "A real service loses its database and gets it back, with the files in `deploy`. In this test all waits are \
                    short: the service's `failure_window` is 2 s (10 s by default); each scrape, rule, request and check comes \
                    every 1 s (15 s, and 5 s for Icinga's second check); `for: 30s` is 2 s; Alertmanager's `group_wait` (30 s) \
                    and `group_interval` (5 min) are 1 s.\n\n\
                    | monitor | alarm after | over after | what it said |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for Noticed { monitor, alarm, recovery, said } in noticed {
        text += &format!("| {monitor} | {} | {} | {said} |\n", seconds(*alarm), seconds(*recovery));
    }
    text
}
