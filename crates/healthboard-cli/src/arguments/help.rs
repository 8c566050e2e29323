//! What `--help` and the man page of each command have after the options. A line that ends in a colon heads a section.

macro_rules! targets {
    () => {
        "\
Targets:
TARGET is the service's `uri` in [healthcheck], such as tcp://127.0.0.1:8099 or unix:///run/nova/nova-api.sock; that of an agent; or \
the name of a service of this host, whose boards are read then. Without one, all services of this host."
    };
}

macro_rules! exit_status {
    () => {
        "

Exit status:
  0  OK
  1  DEGRADED
  2  FAULT
  3  no answer, stopped, or wrong usage
Of several targets the worst counts: 2, 3, 1, 0."
    };
}

macro_rules! files {
    () => {
        "

Files:
Without --boards, boards are looked for in /run/healthboard, /run/*, $XDG_RUNTIME_DIR/healthboard and /tmp/healthboard-UID."
    };
}

pub(super) const HEALTHBOARD: &str = concat!(
    targets!(),
    exit_status!(),
    files!(),
    "

See also:
  healthboard-run(1)"
);

pub(super) const CHECK: &str = concat!(
    targets!(),
    exit_status!(),
    "
With --live and --ready: 0 yes, 2 no, 3 no answer or wrong usage. With --docker, 2 and 3 are 1, and 1 is 0.",
    files!(),
    "

Examples:
  healthboard check
  healthboard check --nagios nova-api
  healthboard check --ready unix:///run/nova/nova-api.sock

See also:
  healthboard(1), healthboard-explain(1)"
);

pub(super) const SHOW: &str = concat!(
    targets!(),
    exit_status!(),
    files!(),
    "

Examples:
  healthboard show
  healthboard show nova-api

See also:
  healthboard(1), healthboard-explain(1), healthboard-watch(1)"
);

pub(super) const EXPLAIN: &str = concat!(
    targets!(),
    exit_status!(),
    files!(),
    "

Examples:
  healthboard explain nova-api

See also:
  healthboard(1), healthboard-show(1)"
);

#[cfg(feature = "watch")]
pub(super) const WATCH: &str = concat!(
    targets!(),
    "

Exit status:
  0  ended by a key
  3  no terminal, or wrong usage",
    files!(),
    "

Examples:
  healthboard watch
  ssh -t HOST healthboard watch

See also:
  healthboard(1), healthboard-show(1)"
);

pub(super) const METRICS: &str = concat!(
    "\
Exit status:
  0  written
  3  FILE cannot be written, or wrong usage",
    files!(),
    "

Examples:
  healthboard metrics --output /var/lib/prometheus/node-exporter/healthboard.prom

See also:
  healthboard(1), healthboard-agent(1)"
);

#[cfg(feature = "agent")]
pub(super) const AGENT: &str = concat!(
    "\
Signals:
  SIGHUP           reads the file of --web.config.file again
  SIGTERM, SIGINT  end it

Exit status:
  0  ended by a signal
  3  cannot serve, or wrong usage",
    files!(),
    "
  /etc/default/healthboard-agent  OPTIONS of healthboard-agent.service
  /etc/healthboard/web.yml        the usual file of --web.config.file

Examples:
  healthboard agent --expect nova-api,nova-conductor
  healthboard agent --listen tcp://192.0.2.10:9955 --web.config.file web.yml
  curl http://127.0.0.1:9955/services

See also:
  healthboard(1), healthboard-metrics(1)"
);
