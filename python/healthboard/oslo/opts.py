"""The options of `[healthcheck]`, a group in which oslo.middleware has options, too; none clash."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from .. import launch
from .. import start as start_health

GROUP = "healthcheck"

SERVICE_OPTIONS: list[cfg.Opt] = [
    cfg.ListOpt(
        "uri",
        default=[],
        sample_default="unix:///run/nova/{binary}.sock",
        help="Where to answer: `tcp://ADDRESS:PORT`, `tcp://[IPV6]:PORT`, `unix:///ABSOLUTE/PATH`, or "
        "several. `{binary}` is the name of the program and `{host}` that of the host, so that programs can "
        "share a file. Health is off, and costs nothing, while this is empty.",
    ),
    cfg.IntOpt(
        "cache_control",
        min=-1,
        help="How long an answer may be kept by whoever asked, in seconds: -1 is `no-cache`, 0 is no such "
        "header, and unset is `no-store`.",
    ),
    cfg.ListOpt(
        "allowed_hosts",
        default=[],
        help="The names that a request's `Host` may be, beside IP addresses and localhost: a balancer's or a "
        "Prometheus' name for this host. `*` is any, which lets pages in a browser ask, too.",
    ),
    cfg.StrOpt("socket_mode", default="0660", regex="^0?[0-7]{3}$", help="The mode of unix sockets, octal."),
    cfg.StrOpt(
        "runtime_dir",
        help="Where the boards are kept, an absolute path. Unset: $RUNTIME_DIRECTORY, else /run/healthboard "
        "if it can be used, else $XDG_RUNTIME_DIR/healthboard, else a directory of the user's own.",
    ),
    cfg.IntOpt("fault_status_code", default=503, min=200, max=599, help="The HTTP status for `FAULT`."),
    cfg.IntOpt("degraded_status_code", default=200, min=200, max=599, help="The HTTP status for `DEGRADED`."),
    cfg.StrOpt(
        "error_detail",
        default="class",
        choices=[
            ("none", "nothing"),
            ("class", "the class of the exception, and its code"),
            ("message", "its text too, without what looks like a secret"),
        ],
        help="How much an answer tells of the newest failure.",
    ),
]

POLICY_OPTIONS: list[cfg.Opt] = [
    cfg.FloatOpt(
        "ttl", default=300, min=0, help="For how long an outcome counts, in seconds; 0 is for ever."
    ),
    cfg.IntOpt(
        "failure_threshold", default=2, min=1, help="As many failures in a row are needed to be failing."
    ),
    cfg.FloatOpt(
        "failure_window",
        default=10,
        min=0,
        help="From the first of these failures to the newest so many seconds must have passed to be failing.",
    ),
    cfg.FloatOpt(
        "stall_after",
        default=60,
        min=0,
        help="An operation in flight for longer than so many seconds is stuck; when none has ended for so "
        "long, the indicator is stalled; 0 is never.",
    ),
    cfg.FloatOpt(
        "slow_after",
        default=10,
        min=0,
        help="An operation that its caller gives up (a timeout, a cancellation) says nothing before so many "
        "seconds, and is a failure from then on.",
    ),
    cfg.FloatOpt(
        "refresh_interval",
        min=0,
        default=10,
        help="When a service has recorded nothing for so many seconds, one of its processes asks what it "
        "can, by a small operation of its own; after a failure earlier. 0 is never.",
    ),
]

IMPACT = cfg.StrOpt(
    "impact",
    choices=[
        ("critical", "the service cannot work without it: `FAULT`"),
        ("degrading", "`DEGRADED` at worst"),
        ("informational", "shown, and never part of the verdict"),
    ],
    help="What it means for the service when this indicator fails.",
)


def list_opts() -> list[tuple[Any, list[cfg.Opt]]]:
    """List the options for oslo-config-generator; any indicator can have a group as `database` has."""
    indicator = cfg.OptGroup(
        f"{GROUP}:database", help="The indicator `database`; unset is as in [healthcheck]."
    )
    return [(GROUP, [*SERVICE_OPTIONS, *POLICY_OPTIONS]), (indicator, [*POLICY_OPTIONS, IMPACT])]


def start(conf: cfg.ConfigOpts) -> list[str]:
    """Start health for a service that has read its configuration; answer as `healthboard.start` does."""
    options = _read(conf, GROUP, "", [*SERVICE_OPTIONS, *POLICY_OPTIONS])
    for section in conf.list_all_sections():
        indicator = section.removeprefix(f"{GROUP}:")
        if indicator != section:
            options |= _read(conf, section, f"{indicator}.", [*POLICY_OPTIONS, IMPACT])
    host = getattr(conf, "host", None)
    return start_health(
        launch.service(conf.prog),
        options,
        host=host if isinstance(host, str) else None,
        environment=launch.environment,
    )


def _read(conf: cfg.ConfigOpts, group: str, prefix: str, options: list[cfg.Opt]) -> dict[str, str]:
    """Read what is set in one group.

    The options are registered as text, whatever it is: a service that reads or logs all of its configuration
    must not fail over a value of ours. What is wrong with it is found out, and said, when health starts.
    """
    found = {}
    for option in options:
        conf.register_opt(cfg.StrOpt(option.name, help=option.help), group=group)
        try:
            value = conf[group][option.name]
        except cfg.Error as error:
            # A `$name` that is none. Reading it fails for everybody, so nobody gets to.
            conf.set_override(option.name, None, group=group)
            value = f"$: {error}"
        if value is not None:
            found[prefix + option.name] = value
    return found
