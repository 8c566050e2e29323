//! What our backend adds to oslo.middleware's `/healthcheck`.

use crate::cores::Cores;
use crate::load::Target;
use crate::measure::{Rounds, Subject, interleave_times};
use crate::probe::{free, paced, spent};
use crate::process::{Running, boards, service, until};
use crate::table::{Part, Unit};
use crate::{place, python};
use anyhow::Result;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Asks so many times, and returns the CPU time that the process has spent on it.
type Ask = fn(&Running, &Target, u32) -> Duration;

const ROUNDS: usize = 15;
const PROBES: u32 = 200;
const PROCESSES: usize = 3;

pub fn run() -> Result<Part> {
    let mut part = Part::new(
        "The backend of oslo.middleware's `/healthcheck`",
        "Two uWSGI processes with oslo.middleware's application and `disable_by_file`, one of them with `healthboard` as well: CPU \
         time of the process for each of 200 probes in turn, each over a new TCP connection, in 15 turns; compared with the other, turn by turn. Ours reads \
         three boards of eight indicators each, for at most a hundredth of the core. \"Now and then\" is a probe every 40 ms, so that \
         every one reads them.",
    );
    let _one_core = Cores::last()?;
    let place = place()?;
    let (oslo, oslo_at) = uwsgi(place.path(), false)?;
    let (ours, ours_at) = uwsgi(place.path(), true)?;
    let _others: Vec<Running> = (1..PROCESSES).map(|_| service(place.path(), None)).collect::<Result<_>>()?;
    until("all boards are there", || boards(place.path()) == PROCESSES)?;
    let ways: [(&str, Ask); 3] = [
        ("JSON", |server, target, times| spent(server, || target.probe_for_json(times))),
        ("text", |server, target, times| spent(server, || target.probe(times, false))),
        ("text, now and then", |server, target, times| {
            paced(server, target, times / 8, Duration::from_millis(40)) * 8
        }),
    ];
    for (way, ask) in ways {
        let subjects: Vec<Subject<'_>> = vec![
            ("disable_by_file", Box::new(|times| ask(&oslo, &oslo_at, times))),
            ("disable_by_file, healthboard", Box::new(|times| ask(&ours, &ours_at, times))),
        ];
        let rounds: Rounds = interleave_times(ROUNDS, PROBES, subjects);
        let [without, with] = ["disable_by_file", "disable_by_file, healthboard"];
        let more = rounds.difference(with, without).map(|ns| ns / 1e3);
        let goal = format!("our backend, {way}: more than `disable_by_file` alone");
        for name in [without, with] {
            let ratio = rounds.ratio(name, without).median;
            let time = rounds.time(name).map(|ns| ns / 1e3);
            part.row(format!("{way}, `{name}`"), time, Unit::Microseconds, format!("{ratio:.2}"));
        }
        part.goal(goal, 60.0, Unit::Microseconds, more);
    }
    Ok(part)
}

fn uwsgi(place: &Path, with_ours: bool) -> Result<(Running, Target)> {
    let address = free()?;
    let target = Target::Tcp(address);
    let mut uwsgi = Command::new(Path::new(python().get_program()).with_file_name("uwsgi"));
    uwsgi.current_dir(env!("CARGO_MANIFEST_DIR"));
    uwsgi.args(["--need-app", "--disable-logging", "--die-on-term", "--enable-threads"]);
    uwsgi.args(["--wsgi-file", "healthcheck.py", "--http-socket", &address.to_string()]);
    uwsgi.arg("--logto").arg(place.join(format!("uwsgi-{with_ours}.log")));
    if with_ours {
        uwsgi.env("PLACE", place);
    }
    let running = Running::start(&mut uwsgi)?;
    until("uWSGI answers", || target.probe(1, false).is_ok())?;
    Ok((running, target))
}
