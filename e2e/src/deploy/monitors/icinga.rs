//! Icinga 2 and Nagios of Debian, with `deploy/icinga` and `deploy/nagios`.

use std::fs;
use std::path::{Path, PathBuf};
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

/// Plays a broken database of a host that Icinga watches by the shipped service. What counts are its notifications: the first check
/// that fails is not one.
///
/// # Errors
///
/// If Icinga does not start, or does not notice; the error names its log.
pub fn play(setup: &Setup, tick: fn(Duration) -> Result<()>) -> Result<Noticed> {
    let folder = tempfile::tempdir()?;
    let hosts = Hosts::start(setup, folder.path(), 1)?;
    hosts.break_databases()?;
    let icinga = Icinga::start(setup, folder.path(), &hosts)?;
    let notified = |state: &'static str| {
        let icinga = &icinga;
        move || Ok(icinga.newest().filter(|notification| notification.starts_with(state)))
    };
    // Icinga says nothing of a service that was well from the beginning. So this one begins ill.
    until("Icinga: a first problem", LIMIT, tick, notified("CRITICAL "))?;
    hosts.mend_databases()?;
    until("Icinga: the end of the first problem", LIMIT, tick, notified("OK "))?;

    let fault = Instant::now();
    hosts.break_databases()?;
    let (said, _) = until("Icinga: a problem", LIMIT, tick, notified("CRITICAL "))?;
    let alarm = fault.elapsed();
    let mend = Instant::now();
    hosts.mend_databases()?;
    until("Icinga: the end of the problem", LIMIT, tick, notified("OK "))?;
    let said = said.trim_start_matches("CRITICAL ").trim().to_owned();
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

/// A running Icinga, which appends each notification to a file.
struct Icinga {
    notifications: PathBuf,
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
        let notifications = folder.join("notifications");
        let path = folder.display();
        fs::write(
            folder.join("icinga2.conf"),
            format!(
                "include <itl>\nobject CheckerComponent \"checker\" {{}}\n\
                 object FileLogger \"log\" {{ path = \"{path}/log/icinga2.log\" }}\n\
                 object NotificationComponent \"notification\" {{}}\n\
                 object NotificationCommand \"note\" {{\n  command = [ \"sh\", \"-c\", \"echo \\\"$$STATE $$OUTPUT\\\" >> {path}/notifications\" ]\n  \
                 env.STATE = \"$service.state$\"\n  env.OUTPUT = \"$service.output$\"\n}}\n\
                 object User \"operator\" {{}}\n\
                 apply Notification \"note\" to Service {{\n  command = \"note\"\n  users = [ \"operator\" ]\n  assign where true\n}}\n\
                 object Host \"host\" {{\n  check_command = \"dummy\"\n  vars.healthboard_services = [ \"sqlite-service\" ]\n  \
                 vars.healthboard_boards = [ \"{}\" ]\n}}\n\
                 include \"{path}/healthboard.conf\"\n",
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
        let pid = folder.join("run/icinga2.pid");
        let mut server = Server::new("icinga2", command, folder, move || pid.exists())?;
        server.start()?;
        Ok(Self { notifications, _server: server })
    }

    /// The state and the output of the newest notification.
    fn newest(&self) -> Option<String> {
        fs::read_to_string(&self.notifications).ok()?.lines().next_back().map(str::to_owned)
    }
}
