//! Icinga 2 and Nagios of Debian, with `deploy/icinga` and `deploy/nagios`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Noticed;
use super::hosts::Hosts;
use crate::deploy::until;
use crate::servers::Server;
use crate::setup::Setup;

/// How long a state may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Plays a broken database of a host that Icinga watches by the shipped command.
///
/// # Errors
///
/// If Icinga does not start, or does not notice; the error names its log.
pub fn play(setup: &Setup, tick: fn(Duration) -> Result<()>) -> Result<Noticed> {
    let folder = tempfile::tempdir()?;
    let hosts = Hosts::start(setup, folder.path(), 1)?;
    let icinga = Icinga::start(setup, folder.path(), &hosts)?;
    let in_state = |state: &'static str| {
        let icinga = &icinga;
        move || Ok(icinga.newest().filter(|result| result.starts_with(state)))
    };
    until("Icinga: OK", LIMIT, tick, in_state("0 "))?;
    let fault = Instant::now();
    hosts.break_databases()?;
    let (said, _) = until("Icinga: CRITICAL", LIMIT, tick, in_state("2 "))?;
    let alarm = fault.elapsed();
    let mend = Instant::now();
    hosts.mend_databases()?;
    until("Icinga: OK again", LIMIT, tick, in_state("0 "))?;
    let said = said.split('|').next().unwrap_or_default().trim_start_matches("2 ").trim().to_owned();
    Ok(Noticed { monitor: "Icinga 2", alarm, recovery: mend.elapsed(), said })
}

/// Nagios accepts the shipped objects.
///
/// # Errors
///
/// If it refuses them; the error has what it said.
pub fn check_nagios(setup: &Setup) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let main = folder.path().join("nagios.cfg");
    let objects = folder.path().join("objects.cfg");
    fs::write(
        &objects,
        "define timeperiod {\n  timeperiod_name always\n  alias always\n  monday 00:00-24:00\n}\n\
         define contact {\n  contact_name nobody\n  host_notifications_enabled 0\n  service_notifications_enabled 0\n  \
         host_notification_period always\n  service_notification_period always\n  host_notification_commands none\n  \
         service_notification_commands none\n}\n\
         define command {\n  command_name none\n  command_line /bin/true\n}\n\
         define host {\n  host_name localhost\n  address 127.0.0.1\n  max_check_attempts 2\n  check_command none\n  contacts nobody\n  \
         check_period always\n  notification_period always\n}\n\
         define service {\n  name generic-service\n  max_check_attempts 2\n  check_interval 1\n  retry_interval 1\n  contacts nobody\n  \
         check_period always\n  notification_period always\n  register 0\n}\n",
    )?;
    let shipped = setup.workspace().join("deploy/nagios/healthboard.cfg");
    let path = folder.path().display();
    fs::write(
        &main,
        format!(
            "nagios_user=root\nnagios_group=root\ncfg_file={}\ncfg_file={}\nlog_file={path}/log\nobject_cache_file={path}/cache\nstatus_file={path}/status\n\
             command_file={path}/command\ntemp_file={path}/temp\ncheck_result_path={path}\nlock_file={path}/lock\n\
             state_retention_file={path}/retention\n",
            objects.display(),
            shipped.display()
        ),
    )?;
    let output = Command::new("nagios4").arg("-v").arg(&main).output().context("cannot start nagios4")?;
    ensure!(output.status.success(), "nagios4 -v: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// A running Icinga, which writes every check into a file of performance data.
struct Icinga {
    results: std::path::PathBuf,
    _server: Server,
}

impl Icinga {
    fn start(setup: &Setup, folder: &Path, hosts: &Hosts) -> Result<Self> {
        let shipped = setup.workspace().join("deploy/icinga/healthboard.conf");
        let text = fs::read_to_string(&shipped)?;
        let command = "/usr/bin/healthboard";
        ensure!(
            text.contains(command) && text.contains("check_interval = 15s"),
            "{} has changed",
            shipped.display()
        );
        let text = text
            .replace(command, &setup.programs().join("healthboard").display().to_string())
            .replace("check_interval = 15s", "check_interval = 1s")
            .replace("retry_interval = 5s", "retry_interval = 1s");
        fs::write(folder.join("healthboard.conf"), text)?;
        for part in ["data", "log", "cache", "run", "spool", "config"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let results = folder.join("results");
        let path = folder.display();
        fs::write(
            folder.join("icinga2.conf"),
            format!(
                "include <itl>\nobject CheckerComponent \"checker\" {{}}\n\
                 object FileLogger \"log\" {{ path = \"{path}/log/icinga2.log\" }}\n\
                 object PerfdataWriter \"results\" {{\n  service_perfdata_path = \"{path}/results\"\n  \
                 service_temp_path = \"{path}/results\"\n  host_perfdata_path = \"{path}/hosts\"\n  host_temp_path = \"{path}/hosts\"\n  \
                 rotation_interval = 1h\n  service_format_template = \"$service.state_id$ $service.output$|\"\n}}\n\
                 object Host \"host\" {{\n  check_command = \"dummy\"\n  vars.healthboard_services = [ \"sqlite-service\" ]\n}}\n\
                 include \"{path}/healthboard.conf\"\n\
                 apply Service \"boards\" {{\n  check_command = \"healthboard\"\n  vars.healthboard_boards = [ \"{}\" ]\n  \
                 vars.healthboard_target = \"sqlite-service\"\n  check_interval = 1s\n  retry_interval = 1s\n  assign where true\n}}\n",
                hosts.boards().display()
            ),
        )?;
        let mut command = Command::new("icinga2");
        command.arg("daemon").arg("-c").arg(folder.join("icinga2.conf"));
        for (name, part) in [
            ("DataDir", "data"),
            ("LogDir", "log"),
            ("CacheDir", "cache"),
            ("InitRunDir", "run"),
            ("SpoolDir", "spool"),
            ("ConfigDir", "config"),
        ] {
            command.arg("-D").arg(format!("Configuration.{name}={path}/{part}"));
        }
        command.arg("-D").arg(format!("Configuration.PidPath={path}/run/icinga2.pid"));
        command.args(["-D", "Configuration.RunAsUser=root", "-D", "Configuration.RunAsGroup=root"]);
        let written = results.clone();
        let mut server = Server::new("icinga2", command, folder, move || newest(&written).is_some())?;
        server.start()?;
        Ok(Self { results, _server: server })
    }

    /// The state and the output of the newest check that has read the boards.
    fn newest(&self) -> Option<String> {
        newest(&self.results)
    }
}

fn newest(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    // The other service has no board in the usual places: its state is 3.
    text.lines().rev().find(|line| line.contains("sqlite-service ")).map(str::to_owned)
}
