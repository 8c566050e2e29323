//! What was noticed, as a table.

use super::Noticed;
use crate::deploy::seconds;

/// The generated section of docs/monitoring.md.
pub fn page(noticed: &[Noticed]) -> String {
    let mut text = "A real service loses its database and gets it back, with the files in `deploy`; what has to last for 30 s there \
                    has to last for 2 s here, and everything that is done every 15 s is done every second.\n\n\
                    | monitor | alarm after | over after | what it said |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for Noticed { monitor, alarm, recovery, said } in noticed {
        text += &format!("| {monitor} | {} | {} | {said} |\n", seconds(*alarm), seconds(*recovery));
    }
    text
}
