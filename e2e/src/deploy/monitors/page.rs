//! What was noticed, as a table.

use super::Noticed;
use crate::deploy::seconds;

/// The generated section of docs/monitoring.md.
pub fn page(noticed: &[Noticed]) -> String {
    let mut text = "A real service loses its database and gets it back, with the files in `deploy`; in this test their waits \
                    of 30 s are 2 s, and their intervals of 15 s are 1 s.\n\n\
                    | monitor | alarm after | over after | what it said |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for Noticed { monitor, alarm, recovery, said } in noticed {
        text += &format!("| {monitor} | {} | {} | {said} |\n", seconds(*alarm), seconds(*recovery));
    }
    text
}
