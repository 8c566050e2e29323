"""`healthboard-run`, and the hooks that it installs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import healthboard
from conftest import RUN, Service, all_ended_in_order, ask, eventually


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(RUN), *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_help_and_version_are_printed() -> None:
    assert run("--help").stdout.startswith("usage: healthboard-run")
    assert run("--version").stdout.startswith("healthboard-run 0.")


def test_a_wrong_command_line_prints_the_usage() -> None:
    for arguments, found in (
        ((), "no program"),
        (("--servce", "x"), "`--servce`"),
        (("--service",), "no program"),
    ):
        answer = run(*arguments)
        assert answer.returncode == 2
        assert answer.stderr.startswith(
            f"healthboard-run: found {found}, expected [--service NAME] PROGRAM\n"
        )
        assert "usage: healthboard-run" in answer.stderr


def test_a_missing_program_is_named() -> None:
    answer = run("no-such-program")
    assert answer.returncode == 127
    assert answer.stderr == "healthboard-run: cannot run `no-such-program`: No such file or directory\n"


def test_a_program_that_cannot_be_run_is_named(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("")
    answer = run(str(file))
    assert answer.returncode == 126
    assert answer.stderr == f"healthboard-run: cannot run `{file}`: Permission denied\n"


SHOW = "import os, sys; print(sys.path, dict(os.environ), sys.argv)"


def test_the_program_sees_neither_our_path_nor_our_variables(tmp_path: Path) -> None:
    bare = subprocess.run(
        [sys.executable, "-c", SHOW, "a"], env={**os.environ}, capture_output=True, text=True, check=True
    ).stdout
    assert run(sys.executable, "-c", SHOW, "a", HEALTHBOARD_URI="unix:///nowhere").stdout == bare


def test_an_existing_path_stays_for_the_program_and_its_children(tmp_path: Path) -> None:
    answer = run(sys.executable, "-c", SHOW, PYTHONPATH=f"{tmp_path}:")
    assert f"'PYTHONPATH': '{tmp_path}:'" in answer.stdout
    assert str(tmp_path) in answer.stdout.split("]")[0]


def test_a_hidden_sitecustomize_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("name = __name__")
    program = "import sitecustomize; print(sitecustomize.name, sitecustomize.__file__)"
    answer = run(sys.executable, "-c", program, PYTHONPATH=str(tmp_path))
    assert answer.stdout == f"sitecustomize {tmp_path}/sitecustomize.py\n"


def test_the_program_runs_if_healthboard_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "healthboard").mkdir()
    (tmp_path / "healthboard/__init__.py").write_text("raise ImportError('not for this interpreter')")
    site = Path(healthboard.__file__).with_name("site")
    answer = subprocess.run(
        [sys.executable, "-c", "print('runs')"],
        env={**os.environ, "PYTHONPATH": f"{site}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "runs\n"
    assert answer.stderr == ("healthboard-run: the program runs without health: not for this interpreter\n")


def test_no_module_is_imported_that_a_service_may_have_to_import_first() -> None:
    answer = run(
        sys.executable,
        "-c",
        "import sys; bad = {'eventlet', 'urllib3', 'logging', 'socket', 'oslo_config', 'oslo_context',"
        " 'oslo_log', 'oslo_messaging', 'oslo_service', 'sqlalchemy'}; print(bad & set(sys.modules))",
    )
    assert answer.stdout == "set()\n", answer.stderr


OSLO = """
import logging, sys, time
from oslo_config import cfg
from oslo_log import log
CONF = cfg.CONF
log.register_options(CONF)
CONF(["--config-file", "svc.conf"], project="svc")
log.setup(CONF, "svc")
logging.getLogger("svc").warning("the service runs")
CONF.log_opt_values(logging.getLogger("svc"), logging.WARNING)
"""


@pytest.fixture
def oslo(service: Service) -> Service:
    """A service whose configuration comes from its file alone."""
    pytest.importorskip("oslo_log")
    del service.environment["HEALTHBOARD_URI"], service.environment["HEALTHBOARD_RUNTIME_DIR"]
    return service


def test_health_starts_when_the_service_has_read_its_configuration(oslo: Service) -> None:
    (oslo.folder / "svc.conf").write_text(
        f"[healthcheck]\nuri = unix://{oslo.folder}/{{binary}}.sock\nruntime_dir = {oslo.folder}/run\n"
        "[healthcheck:database]\nttl = 0\nimpact = informational\n"
    )
    oslo.start(OSLO + "import healthboard; healthboard.record_ok('database'); sys.stdin.read()", launch=True)
    oslo.socket = oslo.folder / "svc.sock"
    health = eventually(lambda: (h := oslo.health())["details"].get("database") and h)
    assert health["service"] == "svc"
    assert health["details"]["database"]["impact"] == "informational"


def test_the_environment_overrides_the_configuration_file(oslo: Service) -> None:
    (oslo.folder / "svc.conf").write_text("[healthcheck]\nuri = tcp://192.0.2.1:80\n")
    oslo.environment["HEALTHBOARD_URI"] = f"unix://{oslo.socket}"
    oslo.environment["HEALTHBOARD_RUNTIME_DIR"] = str(oslo.folder / "run")
    oslo.start(OSLO + "sys.stdin.read()", launch=True)
    assert oslo.health()["status"] == "OK"


def test_without_an_endpoint_the_service_runs_as_usual(oslo: Service) -> None:
    (oslo.folder / "svc.conf").write_text("")
    output = oslo.run(OSLO + "import os; print(len(os.listdir('/proc/self/task')))", launch=True)
    assert output.endswith("\n1\n")
    assert "WARNING healthboard" not in output


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("uri = http://localhost", "option `uri` in [healthcheck]: found `http://localhost`, expected"),
        ("uri = unix://relative", "option `uri` in [healthcheck]: found `unix://relative`, expected"),
        ("ttl = soon", "option `ttl` in [healthcheck]: found `soon`, expected seconds, 0 (for ever) or more"),
        ("socket_mode = 0999", "option `socket_mode` in [healthcheck]: found `0999`, expected an octal mode"),
        (
            "stall_after = $nothing",
            "option `stall_after` in [healthcheck]: found `$nothing`, expected the name of an option",
        ),
        (
            "[healthcheck:database]\nttl = $nothing",
            "option `ttl` in [healthcheck:database]: found `$nothing`, expected the name of",
        ),
        (
            "disabled_hooks = sqlalchemy, alchemy",
            "option `disabled_hooks` in [healthcheck]: found `alchemy`, expected names of hooks: amqp, ",
        ),
        ("tlt = 60", "option `tlt` in [healthcheck]: found `tlt`, expected one of "),
        (
            "[healthcheck:database]\ntlt = 60",
            "option `tlt` in [healthcheck:database]: found `tlt`, expected one of ",
        ),
        (
            "[healthcheck:database]\nimpact = grave",
            "option `impact` in [healthcheck:database]: found `grave`",
        ),
    ],
)
def test_a_bad_value_is_logged_and_the_service_starts(oslo: Service, line: str, message: str) -> None:
    (oslo.folder / "svc.conf").write_text(f"[healthcheck]\n{line}\n")
    output = oslo.run(OSLO, launch=True)
    assert "the service runs" in output
    assert output.count(message) == 1, output
    assert "WARNING healthboard [-] " + message in output


@pytest.mark.parametrize("where", ["file", "environment", "nowhere"])
def test_a_hook_that_is_disabled_records_nothing(oslo: Service, where: str) -> None:
    pytest.importorskip("sqlalchemy")
    oslo.environment["HEALTHBOARD_URI"] = f"unix://{oslo.socket}"
    if where == "environment":
        oslo.environment["HEALTHBOARD_DISABLED_HOOKS"] = "sqlalchemy"
    option = "disabled_hooks = amqp, sqlalchemy\n" if where == "file" else ""
    (oslo.folder / "svc.conf").write_text(f"[healthcheck]\nruntime_dir = {oslo.folder}/run\n{option}")
    oslo.start(
        OSLO
        + "import sqlalchemy, healthboard\n"
        + "sqlalchemy.create_engine('sqlite://').connect().execute(sqlalchemy.text('select 1'))\n"
        + "healthboard.record_ok('other'); sys.stdin.read()",
        launch=True,
    )
    details = eventually(lambda: (found := oslo.health()["details"]).get("other") and found)
    assert ("database" in details) == (where == "nowhere")


def test_a_socket_that_cannot_be_created_is_logged_and_the_service_runs(oslo: Service) -> None:
    (oslo.folder / "svc.conf").write_text(
        f"[healthcheck]\nuri = unix:///proc/no/such.sock\nruntime_dir = {oslo.folder}/run\n"
    )
    output = oslo.run(OSLO + "time.sleep(2.5)", launch=True)
    assert "the service runs" in output
    assert "/proc/no/such.sock" in output.split("the service runs")[1]


@pytest.mark.parametrize("first", [True, False])
def test_a_second_installation_is_named(oslo: Service, first: bool) -> None:
    used = Path(healthboard.__file__).parent
    other = oslo.folder / "packages" / used.name
    shutil.copytree(used, other)
    if first:
        used, other = other, used
    path = [str(path.parent) for path in (used, other)]
    oslo.environment |= {"PYTHONPATH": os.pathsep.join(path), "HEALTHBOARD_URI": f"unix://{oslo.socket}"}
    (oslo.folder / "svc.conf").write_text("")
    output = oslo.run(OSLO, launch=True)
    assert "the service runs" in output
    expected = f"healthboard is installed twice: `{used}` is used, and `{other}` is not"
    assert output.count(expected) == 1, output


def test_the_service_can_be_given_a_name(oslo: Service) -> None:
    (oslo.folder / "svc.conf").write_text("")
    file = oslo.folder / "svc"
    file.write_text(OSLO + "from healthboard import launch; print(launch.service())")
    command = [str(RUN), "--service", "nova-api", sys.executable, str(file)]
    output = subprocess.run(
        command, cwd=oslo.folder, env=oslo.environment, capture_output=True, text=True, check=True
    )
    assert output.stdout.endswith("\nnova-api\n")


def test_options_are_listed_for_the_generator() -> None:
    generator = pytest.importorskip("oslo_config.generator")
    conf = generator.cfg.ConfigOpts()
    generator.register_cli_opts(conf)
    import io

    conf(["--namespace", "healthboard"], project="x", default_config_files=[], default_config_dirs=[])
    sample = io.StringIO()
    generator.generate(conf, output_file=sample)
    text = sample.getvalue()
    for option in ("uri", "ttl", "cache_control", "socket_mode", "runtime_dir", "stall_after", "impact"):
        assert f"#{option} = " in text, option
    assert "[healthcheck]" in text
    assert "[healthcheck:database]" in text


def test_no_option_clashes_with_an_option_of_oslo_middleware() -> None:
    pytest.importorskip("oslo_middleware")
    from oslo_config import cfg
    from oslo_middleware.healthcheck import opts as theirs

    from healthboard.oslo import opts

    conf = cfg.ConfigOpts()
    for group, options in opts.list_opts():
        conf.register_opts(options, group=group)
    for options in vars(theirs).values():
        if isinstance(options, list):
            conf.register_opts(options, group="healthcheck")


@pytest.mark.parametrize(
    ("end", "in_order"),
    [
        ("", True),
        ("sys.exit()", True),
        ("sys.exit(3)", False),
        ("sys.exit('no configuration')", False),
        ("raise RuntimeError('a bug')", False),
        ("healthboard.drain(); sys.exit(3)", True),
        ("healthboard.goodbye(); raise RuntimeError('a bug')", True),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", True),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", True),
        ("os.kill(os.getpid(), signal.SIGABRT); time.sleep(9)", False),
        # A handler of the program's own, whatever status it exits with.
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)); os.kill(os.getpid(), signal.SIGTERM)", True),
        ("signal.signal(signal.SIGINT, lambda *_: sys.exit(130)); os.kill(os.getpid(), signal.SIGINT)", True),
        (
            "import faulthandler\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(1))\n"
            "faulthandler.register(signal.SIGTERM, file=open(os.devnull, 'w'), chain=True)\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler); os.kill(os.getpid(), signal.SIGTERM)",
            True,
        ),
        ("signal.signal(signal.SIGHUP, lambda *_: sys.exit(1)); os.kill(os.getpid(), signal.SIGHUP)", False),
        (
            "import asyncio\nasync def main():\n end = asyncio.Event()\n"
            " asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)\n"
            " os.kill(os.getpid(), signal.SIGTERM)\n await end.wait()\nasyncio.run(main()); sys.exit(1)",
            True,
        ),
    ],
)
def test_a_process_that_fails_says_no_goodbye(oslo: Service, end: str, in_order: bool) -> None:
    (oslo.folder / "svc.conf").write_text(
        f"[healthcheck]\nuri = unix://{oslo.socket}\nruntime_dir = {oslo.folder}/run\n"
    )
    oslo.start(OSLO + f"import os, signal, healthboard\nhealthboard.record_ok('work')\n{end}\n", launch=True)
    assert oslo.process is not None
    oslo.process.wait(timeout=30)
    assert list(oslo.folder.glob("run/*/*.board"))
    assert all_ended_in_order(oslo.folder) == in_order


@pytest.mark.parametrize("status", [0, 2])
def test_an_os_exit_with_status_0_says_goodbye(oslo: Service, status: int) -> None:
    (oslo.folder / "svc.conf").write_text(
        f"[healthcheck]\nuri = unix://{oslo.socket}\nruntime_dir = {oslo.folder}/run\n"
    )
    oslo.start(
        OSLO
        + f"""
import os, healthboard
if (pid := os.fork()) == 0:
    healthboard.record_ok("work")
    os._exit({status})
os.waitpid(pid, 0)
sys.stdin.read()
""",
        launch=True,
    )
    dead = 1 if status else 0
    eventually(lambda: oslo.health()["processes"] == {**oslo.health()["processes"], "alive": 1, "dead": dead})
    assert ask(oslo.socket, "/livez")[0] == 200
