//! What `--help` and the man page of each command have after the options. A line that ends in a colon heads a section. The
//! first paragraph is the man page's description.

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
    "A service is asked over its endpoint, or found by the boards that its processes keep on this host, also when it is dead.\n\n",
    targets!(),
    exit_status!(),
    files!(),
    "

See also:
  healthboard-run(1)"
);

pub(super) const CHECK: &str = concat!(
    "Each service has one line, which says why if it is not OK. The exit codes are those of a Nagios plugin.\n\n",
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
    "For each service: its status with the reasons, the number of its processes, and a row for each indicator.\n\n",
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
    "For each process and indicator with a problem: the evidence, the rules that made its status, and the next step. Where threads \
hang, their stacks if they are known.\n\n",
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
    "The targets are asked again and again until a key ends it. It needs a terminal.\n\n",
    targets!(),
    "

Keys:
  Up, Down, j, k          choose a service, or scroll
  PgUp, PgDn, Home, End   the same, in greater steps
  Enter                   its details on the whole screen, or back
  /                       show only services that contain a text: Enter keeps it, Esc ends it
  ?, h                    show or hide the keys
  q, Ctrl-C               end
  Ctrl-Z                  suspend

Exit status:
  0  ended by a key or a signal
  3  no terminal, or wrong usage

Environment:
  NO_COLOR  no colours, if it is set and not empty",
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
The boards of all services are read once. A service that is dead has its metrics, too.

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
It reads the boards when it is asked, and answers for each service as the service itself would, below /services/NAME. It writes \
nothing.

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
