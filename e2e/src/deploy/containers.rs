//! The health check of `deploy/containers`, turning in a real container.
//!
//! The image has one static service and the static command, and nothing else. Without systemd, podman starts no health check by
//! itself: we do, as often as the image says.

mod podman;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::podman::Container;
pub(crate) use self::podman::Podman;
use crate::processes::{Signal, send};
use crate::setup::Setup;
use crate::stage::private_folder;

/// The programs that the image has.
pub(crate) const PACKAGES: [&str; 2] = ["healthboard-cli", "sqlite-service"];
/// The image of a service.
const SERVICE: &str = "\
FROM scratch
COPY sqlite-service /
WORKDIR /var/lib/nova
ENV HEALTHBOARD_RUNTIME_DIR=/var/lib/nova/boards
CMD [\"/sqlite-service\", \"visits.db\"]
";
/// How often the health check may be asked for a turn.
const MOST_CHECKS: usize = 30;

/// How long everything takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As the file says that users copy.
    Shipped,
    /// A check each second, and a first failure that is a `FAULT`.
    Quick,
}

/// One turn of a container's health.
#[derive(Debug)]
pub struct Turn {
    /// What was done to the service.
    pub what: &'static str,
    /// What the container was afterwards: `healthy` or `unhealthy`.
    pub health: String,
    /// How long that took.
    pub after: Duration,
    /// The output of the newest check.
    pub said: String,
}

/// Freezes the service in a container, and takes its database away, and tells how the container's health turned.
///
/// # Errors
///
/// If podman cannot be used, or if a turn takes longer than thirty checks.
pub fn turns(pace: Pace) -> Result<Vec<Turn>> {
    let programs = Setup::build_static(&PACKAGES)?;
    let folder = private_folder()?;
    let podman = Podman::new(folder.path())?;
    make_images(&podman, folder.path(), &programs, pace)?;
    let data = folder.path().join("data");
    fs::create_dir(&data)?;
    let container = podman.run("health", &data)?;
    let mut turns = Vec::new();
    let mut turn = |what, wanted: &str, act: &dyn Fn() -> Result<()>| -> Result<()> {
        turns.push(one_turn(&container, what, wanted, act)?);
        Ok(())
    };
    let signal = |signal| container.pid().and_then(|pid| send(pid, signal));
    let (database, away) = (data.join("visits.db"), data.join("away.db"));
    turn("started", "healthy", &|| Ok(()))?;
    // Until then failures do not count.
    sleep(container.start_period()?);
    turn("frozen (SIGSTOP)", "unhealthy", &|| signal(Signal::STOP))?;
    turn("running again", "healthy", &|| signal(Signal::CONT))?;
    turn("its database is away", "unhealthy", &|| Ok(fs::rename(&database, &away)?))?;
    turn("its database is back", "healthy", &|| Ok(fs::rename(&away, &database)?))?;
    Ok(turns)
}

/// A table of what was played.
pub fn page(turns: &[Turn]) -> String {
    let mut text =
        String::from("| the service | its container | after | said |\n| --- | --- | --- | --- |\n");
    for Turn { what, health, after, said } in turns {
        let _ = writeln!(text, "| {what} | {health} | {:.0} s | {said} |", after.as_secs_f64());
    }
    text + "\n"
}

/// Makes the image of a small service, as if somebody had made it before.
pub(crate) fn make_service(podman: &Podman, folder: &Path, tag: &str, programs: &Path) -> Result<()> {
    build(podman, folder, tag, SERVICE, &programs.join("sqlite-service"))
}

/// Makes the image of the service, then that of `deploy/containers/Dockerfile` from it.
fn make_images(podman: &Podman, folder: &Path, programs: &Path, pace: Pace) -> Result<()> {
    make_service(podman, folder, "service", programs)?;
    let shipped = Setup::workspace_file("deploy/containers/Dockerfile")?;
    let health = match pace {
        Pace::Shipped => shipped,
        Pace::Quick => {
            let mut quick = shipped.clone();
            for (long, short) in [("=10s", "=1s"), ("=60s", "=1s"), ("\"4\"", "\"1\"")] {
                ensure!(quick.contains(long), "found no {long} in deploy/containers/Dockerfile");
                quick = quick.replace(long, short);
            }
            quick + "ENV HEALTHBOARD_FAILURE_WINDOW=0\n"
        }
    };
    build(podman, folder, "health", &health, &programs.join("healthboard"))
}

/// Makes an image with a program from the text of a Dockerfile.
fn build(podman: &Podman, folder: &Path, tag: &str, dockerfile: &str, program: &Path) -> Result<()> {
    let context = folder.join(tag);
    fs::create_dir(&context)?;
    fs::write(context.join("Dockerfile"), dockerfile)?;
    let name = program.file_name().context("a program has no name")?;
    fs::copy(program, context.join(name)).with_context(|| format!("cannot copy {}", program.display()))?;
    podman.build(tag, &context, "IMAGE=localhost/service")
}

fn one_turn(
    container: &Container<'_>,
    what: &'static str,
    wanted: &str,
    act: &dyn Fn() -> Result<()>,
) -> Result<Turn> {
    act().with_context(|| format!("cannot have it {what}"))?;
    let start = Instant::now();
    let interval = container.interval()?;
    let mut due = start;
    for _ in 0..MOST_CHECKS {
        due += interval;
        sleep(due.saturating_duration_since(Instant::now()));
        container.check()?;
        let (health, said) = container.health()?;
        if health == wanted {
            return Ok(Turn { what, health, after: start.elapsed(), said });
        }
    }
    let (health, said) = container.health()?;
    bail!("{what}: found {health} after {MOST_CHECKS} checks, expected {wanted}: {said}")
}
