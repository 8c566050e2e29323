"""The options of `[healthcheck]`. oslo.middleware has options in the same group; the names do not clash.

healthboard's `/healthcheck` obeys oslo.middleware's options. They are read from the environment and the
files, as oslo.config does, rather than registered, since the first to register an option determines its type,
and that must be oslo.middleware.
"""

from __future__ import annotations

import glob
import os
import string
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from oslo_config import cfg

from .. import _native, launch, notices
from ..indicators import KNOWN
from ..start import start as start_health

GROUP = "healthcheck"

SERVICE_OPTIONS: list[cfg.Opt] = [
    cfg.ListOpt(
        "uri",
        default=[],
        sample_default="unix:///run/nova/{binary}.sock",
        help="The endpoints: one or more of `tcp://ADDRESS:PORT`, `tcp://[IPV6]:PORT` and "
        "`unix:///ABSOLUTE/PATH`. `{binary}` is replaced by the name of the program, `{host}` by the name of "
        "the host, so that several programs can share a file. `board` by itself opens no endpoint and keeps "
        "the board, for `healthboard agent`. While this is empty, health is off and costs nothing.",
    ),
    cfg.IntOpt(
        "cache_control",
        min=-1,
        help="The `Cache-Control` of answers: the seconds of `max-age`, 0 for no such header, -1 for "
        "`no-cache`. Unset is `no-store`.",
    ),
    cfg.ListOpt(
        "allowed_hosts",
        default=[],
        help="Names that the `Host` header of a request may have, besides IP addresses and localhost, such "
        "as the name by which a load balancer or Prometheus reaches this host. `*` allows any name, and "
        "thereby requests from pages in a browser.",
    ),
    cfg.StrOpt("socket_mode", default="0660", regex="^0?[0-7]{3}$", help="The octal mode of unix sockets."),
    cfg.StrOpt(
        "runtime_dir",
        help="The directory for the boards, an absolute path. Unset: the first one in $RUNTIME_DIRECTORY, "
        "else /run/healthboard if it is usable, else $XDG_RUNTIME_DIR/healthboard, else "
        "/tmp/healthboard-UID.",
    ),
    cfg.ListOpt(
        "disabled_hooks",
        default=[],
        help="The hooks that `healthboard-run` does not install, such as one that an operator suspects.",
    ),
    cfg.IntOpt("fault_status_code", default=503, min=200, max=599, help="The HTTP status for `FAULT`."),
    cfg.IntOpt("degraded_status_code", default=200, min=200, max=599, help="The HTTP status for `DEGRADED`."),
    cfg.IntOpt(
        "degraded_weight",
        default=100,
        min=1,
        max=100,
        help="The weight that HAProxy's agent-check gets for `DEGRADED`, in percent of the server's.",
    ),
    cfg.StrOpt(
        "error_detail",
        default="class",
        choices=[
            ("none", "nothing"),
            ("class", "the class of the exception and its code"),
            ("message", "also its text, without anything that looks like a secret"),
        ],
        help="How much of the newest failure an answer shows.",
    ),
]

POLICY_OPTIONS: list[cfg.Opt] = [
    cfg.FloatOpt("ttl", default=300, min=0, help="For how many seconds an outcome counts. 0 means for ever."),
    cfg.IntOpt(
        "failure_threshold", default=2, min=1, help="How many failures in a row are needed to be failing."
    ),
    cfg.FloatOpt(
        "failure_window",
        default=10,
        min=0,
        help="How many seconds must lie between the first and the newest of these failures to be failing.",
    ),
    cfg.FloatOpt(
        "stall_after",
        default=60,
        min=0,
        help="After how many seconds in flight an operation makes its indicator stuck. If no operation has "
        "ended for that long, the indicator is stalled. 0 means never.",
    ),
    cfg.FloatOpt(
        "slow_after",
        default=10,
        min=0,
        help="From how many seconds on an abandoned operation (a timeout, a cancellation) is a failure. One "
        "abandoned earlier is no evidence.",
    ),
    cfg.FloatOpt(
        "refresh_interval",
        min=0,
        default=10,
        help="After how many seconds without an outcome a process of the service refreshes the indicator, by "
        "a small operation of its own. After a failure it does so earlier. 0 means never.",
    ),
]

# Listed by oslo.middleware itself.
HEALTHCHECK_OPTIONS: list[cfg.Opt] = [
    cfg.ListOpt(
        "backends",
        default=["healthboard"],
        help="What `/healthcheck` asks: `healthboard` for the verdict, `disable_by_file`, "
        "`disable_by_files_ports`, `enable_by_files`. With an empty list it always answers 200.",
    ),
    cfg.BoolOpt("detailed", default=False, help="Whether JSON and HTML say more, such as the host's name."),
    cfg.ListOpt(
        "allowed_source_ranges",
        default=[],
        help="Networks whose requests for `/healthcheck` are answered, such as `10.0.0.0/8`. A request over "
        "a unix socket has no address, and thus is in none. Empty: all are answered.",
    ),
    cfg.BoolOpt(
        "ignore_proxied_requests",
        default=False,
        help="Whether requests for `/healthcheck` that a proxy has forwarded are left unanswered: those with "
        "a header `X-Forwarded`, `-For`, `-Host`, `-Prefix` or `-Proto`.",
    ),
    cfg.StrOpt("disable_by_file_path", help="For `disable_by_file`: 503 while this file exists."),
    cfg.ListOpt(
        "disable_by_file_paths",
        default=[],
        help="For `disable_by_files_ports`: pairs `PORT:PATH`; 503 at this port while the file exists.",
    ),
    cfg.ListOpt(
        "enable_by_file_paths",
        default=[],
        help="For `enable_by_files`: 503 while one of the files is missing.",
    ),
]

# In the same group of a service's files: an old one of oslo.middleware, and one of ironic.
OTHERS = ("path", "enabled")

IMPACT = cfg.StrOpt(
    "impact",
    choices=[
        ("critical", "the service cannot work without it, `FAULT`"),
        ("degrading", "`DEGRADED` at worst"),
        ("informational", "shown, but never part of the verdict"),
    ],
    help="What a failing indicator means for the service.",
)


def list_opts() -> list[tuple[Any, list[cfg.Opt]]]:
    """List the options for oslo-config-generator and its validator: the service's and each indicator's."""
    groups = [
        cfg.OptGroup(
            f"{GROUP}:{name}", help=f"The indicator `{name}`: {about}. Unset options are as in [{GROUP}]."
        )
        for name, about in KNOWN.items()
    ]
    options = [*POLICY_OPTIONS, IMPACT]
    return [(GROUP, [*SERVICE_OPTIONS, *POLICY_OPTIONS]), *((group, options) for group in groups)]


_configuration: cfg.ConfigOpts | None = None


def configuration() -> cfg.ConfigOpts:
    """Return the service's configuration: the object that health was started with, or oslo.config's own."""
    return cfg.CONF if _configuration is None else _configuration


def start(conf: cfg.ConfigOpts) -> list[str]:
    """Start health for a service that has read its configuration. Return what `healthboard.start` returns."""
    options: dict[str, str | Unreadable] = _read(conf, GROUP, "", [*SERVICE_OPTIONS, *POLICY_OPTIONS])
    environment = os.environ if launch.environment is None else launch.environment
    if options.get("uri") or environment.get("HEALTHBOARD_URI"):
        with notices.suppress_errors("options"):
            options |= unregistered(conf, GROUP, [option.name for option in HEALTHCHECK_OPTIONS])
    with notices.suppress_errors("options"):
        known = [*SERVICE_OPTIONS, *HEALTHCHECK_OPTIONS, *POLICY_OPTIONS]
        # Others have options in this group, which most of them have registered by now.
        options |= _misspelled(conf, GROUP, "", {*(option.name for option in known), *conf[GROUP], *OTHERS})
    for section in conf.list_all_sections():
        indicator = section.removeprefix(f"{GROUP}:")
        if indicator != section:
            options |= _read(conf, section, f"{indicator}.", [*POLICY_OPTIONS, IMPACT])
            with notices.suppress_errors("options"):
                known = [*POLICY_OPTIONS, IMPACT]
                options |= _misspelled(conf, section, f"{indicator}.", {option.name for option in known})
    remember(conf)
    host = getattr(conf, "host", None)
    unreadable = [value.problem(name) for name, value in options.items() if isinstance(value, Unreadable)]
    for problem in unreadable:
        notices.warn_once(problem, problem)
    return unreadable + start_health(
        launch.service(conf.prog),
        {name: value for name, value in options.items() if isinstance(value, str)},
        host=host if isinstance(host, str) else None,
        environment=launch.environment,
    )


def remember(conf: cfg.ConfigOpts) -> None:
    """Note the service's configuration. A middleware may read one of its own, from other files."""
    global _configuration
    if _configuration is None or conf is cfg.CONF:
        _configuration = conf


class Unreadable(NamedTuple):
    """A value that refers to another option, which cannot be read."""

    value: str
    reason: str

    def problem(self, option: str) -> str:
        """Return the line for the log about this option, such as "database.ttl"."""
        indicator, _, name = option.rpartition(".")
        section = f"{GROUP}:{indicator}" if indicator else GROUP
        found = (
            f"found `{_native.scrub(self.value)}`, expected the name of an option after `$`: {self.reason}"
        )
        return f"option `{name}` in [{section}]: {found}"


def _read(conf: cfg.ConfigOpts, group: str, prefix: str, options: list[cfg.Opt]) -> dict[str, Any]:
    """Read the options that are set in one group.

    They are registered as text: a service that reads or logs its whole configuration must not fail because of
    one of these values. `healthboard.start` checks the values.
    """
    found: dict[str, str | Unreadable] = {}
    for option in options:
        conf.register_opt(cfg.StrOpt(option.name, help=option.help), group=group)
        try:
            value = conf[group][option.name]
        except cfg.Error as error:
            # Reading the value fails, so it is hidden from the service.
            value = Unreadable("", str(error))
            with notices.suppress_errors("options"):
                value = unregistered(conf, group, [option.name]).get(option.name, value)
            conf.set_override(option.name, None, group=group)
        if value is not None:
            found[prefix + option.name] = value
    return found


def unregistered(conf: cfg.ConfigOpts, group: str, names: list[str]) -> dict[str, str | Unreadable]:
    """Read those of these options that are set, whether they are registered or not."""
    texts: dict[str, str] = {}
    for section in _sections(conf, group):
        # The last line counts.
        texts |= {name: section[name][-1] for name in names if name in section}
    # For oslo.config, the environment overrides the files, unless the program does not want it. Nothing
    # public says whether it does.
    if getattr(conf, "_use_env", False):
        variables = {name: f"OS_{group.upper()}__{name.upper()}" for name in names}
        texts |= {name: os.environ[each] for name, each in variables.items() if each in os.environ}
    found: dict[str, str | Unreadable] = {}
    for name, text in texts.items():
        try:
            found[name] = _Template(text.replace(r"\$", "$$")).safe_substitute(_Values(conf, group))
        except cfg.Error as error:
            found[name] = Unreadable(text, str(error))
    return found


class _Template(string.Template):
    # As in oslo.config.
    idpattern = r"[_a-z][\._a-z0-9]*"


class _Values(Mapping[str, Any]):
    """The options that `$NAME` and `${GROUP.NAME}` stand for in this group."""

    def __init__(self, conf: cfg.ConfigOpts, group: str) -> None:
        self._conf = conf
        self._group = group

    def __getitem__(self, name: str) -> Any:
        group, _, option = name.rpartition(".")
        try:
            value = self._conf[group or self._group][option]
        except cfg.NoSuchOptError:
            value = self._conf[name]
        return "" if value is None else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._conf)

    def __len__(self) -> int:
        return len(self._conf)


def _misspelled(conf: cfg.ConfigOpts, section: str, prefix: str, known: set[str]) -> dict[str, str]:
    """Find unknown options in this section of the files. `healthboard.start` refuses them.

    oslo.config ignores options that are not registered.
    """
    # The value may be a secret in the wrong place.
    return {prefix + name: "" for found in _sections(conf, section) for name in found if name not in known}


def _sections(conf: cfg.ConfigOpts, section: str) -> Iterator[dict[str, list[str]]]:
    """Return the content of this section in each of the files. Later files override earlier ones."""
    files = list(conf.config_file or [])
    for directory in conf.config_dir or []:
        files += sorted(glob.glob(os.path.join(directory, "*.conf")))
    for file in files:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(file, sections).parse()
        yield sections.get(section, {})
