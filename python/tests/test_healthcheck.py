"""`/healthcheck` of the endpoint beside the real oslo.middleware: the same requests, the same bytes."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from conftest import Service, eventually

pytest.importorskip("oslo_middleware")

import webob
from oslo_config import cfg
from oslo_middleware.healthcheck import Healthcheck

IDLE = """
import sys
import healthboard
healthboard.start("svc")
healthboard.record_ok("work")
print("started", flush=True)
sys.stdin.read()
"""

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO"]

ACCEPTS = [
    None,
    "",
    "*/*",
    "text/plain",
    "text/html",
    "application/json",
    "application/*",
    "text/*",
    "image/png",
    "nonsense",
    "TEXT/HTML",
    "text/html,application/json",
    "application/json, text/html",
    "application/json, */*",
    "application/json;q=.5,text/plain;q=.1",
    "application/json;q=0.5, text/plain;q=0.1",
    "application/json;charset=utf-8",
    "application/json;q=0.9;extension, text/html;q=0.8",
    "text/plain;q=0, */*;q=0.5",
    "*/*;q=0",
    "text/html;q=1.0000, application/json",
    "text/html;q=2, application/json",
    'application/json;a="q, text/html";q=0.4, text/html;q=0.3',
    ",text/html",
    ", , text/html",
    "text/html,,application/json;q=0.1",
    "text/html ,",
    "text/html/plain",
    "text / html",
    "application/json;q=1;q=0.1",
    "application/json; q=0.3, text/html ;q=0.4",
    "text/html;level=1, text/html;q=0.1, application/json;q=0.2",
]

FORWARDED = ["X-Forwarded-For", "X-Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"]
# Names that are the same to a WSGI application.
FORWARDED += ["X_Forwarded_For", "x-forwarded_proto"]
OTHERS = ["Forwarded", "X-Forwarded-Port", "X-Real-IP"]

# What each set of options is, with a file that exists and one that does not.
OPTIONS: list[dict[str, str]] = [
    {"backends": ""},
    {"backends": "disable_by_file"},
    {"backends": "disable_by_file", "disable_by_file_path": "{absent}"},
    {"backends": "disable_by_file", "disable_by_file_path": "{present}"},
    {"backends": "disable_by_file", "disable_by_file_path": "{folder}"},
    {"backends": "disable_by_files_ports", "disable_by_file_paths": "1:{present},{port}:{absent}"},
    {"backends": "disable_by_files_ports", "disable_by_file_paths": "{port}:{absent},{port}:{present}"},
    {"backends": "disable_by_files_ports", "disable_by_file_paths": "70000:/x,1:,{port}:{present}"},
    {"backends": "enable_by_files", "enable_by_file_paths": "{present},{folder}"},
    {"backends": "enable_by_files", "enable_by_file_paths": "{present},{folder},"},
    {"backends": "enable_by_files", "enable_by_file_paths": "{present},,{folder}"},
    {"backends": "enable_by_files", "enable_by_file_paths": "{present},{absent}"},
    {
        "backends": "disable_by_files_ports,disable_by_file",
        "disable_by_file_path": "{present}",
        "disable_by_file_paths": "{port}:{absent}",
    },
    {"backends": "disable_by_file", "ignore_proxied_requests": "true"},
    {"backends": "disable_by_file", "allowed_source_ranges": "127.0.0.0/8,fd00::/8"},
    {"backends": "disable_by_file", "allowed_source_ranges": "10.0.0.0/8,::/0"},
    {"backends": "disable_by_file", "allowed_source_ranges": "127.0.0.0/0.255.255.255"},
    {"backends": "disable_by_file", "allowed_source_ranges": "10.0.0.0/0.255.255.255"},
    {"backends": "enable_by_files", "allowed_source_ranges": "127.0.0.1", "ignore_proxied_requests": "yes"},
]

# How many requests each set of options gets.
REQUESTS = 120


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    present = tmp_path / "present"
    present.touch()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    return {
        "absent": str(tmp_path / "absent"),
        "present": str(present),
        "folder": str(tmp_path),
        "port": port,
    }


def random_accept(rng: random.Random) -> str | None:
    """Make up an `Accept`: valid, or nearly."""
    if rng.random() < 0.4:
        return rng.choice(ACCEPTS)
    ranges = [
        "text/plain",
        "text/html",
        "application/json",
        "*/*",
        "text/*",
        "application/*",
        "a/b",
        "*/json",
        "a",
    ]
    tails = [
        "",
        "",
        "",
        ";q=0",
        ";q=1",
        ";q=0.5",
        ";Q=0.25",
        ";q=0.1234",
        ";v=1",
        ' ; v="a, b" ;q=0.7',
        ";q",
        ";q=.1",
    ]
    parts = [rng.choice(ranges) + rng.choice(tails) for _ in range(rng.randint(1, 4))]
    return rng.choice([",", ", ", " , ", ",,"]).join(parts)


def random_request(rng: random.Random) -> tuple[str, dict[str, str]]:
    headers = {}
    accept = random_accept(rng)
    if accept is not None:
        headers["Accept"] = accept
    if rng.random() < 0.3:
        headers[rng.choice([*FORWARDED, *OTHERS])] = rng.choice(["", "10.0.0.1", "https"])
    return rng.choice(METHODS), headers


def ask_oslo(app: Any, port: str, method: str, headers: dict[str, str]) -> tuple[str, Any, bytes]:
    request = webob.Request.blank("/healthcheck", method=method, headers=headers)
    request.environ |= {"REMOTE_ADDR": "127.0.0.1", "SERVER_PORT": port}
    response = request.get_response(app)
    return response.status, sorted(response.headerlist), response.body


def ask_ours(port: str, method: str, headers: dict[str, str]) -> tuple[str, Any, bytes]:
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = f"{method} /healthcheck HTTP/1.0\r\n{''.join(lines)}\r\n"
    with socket.create_connection(("127.0.0.1", int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head_of_answer, _, body = answer.partition(b"\r\n\r\n")
    status, *rest = head_of_answer.decode().split("\r\n")
    fields = (line.partition(": ") for line in rest)
    # What a server adds to what the application says.
    shown = [(name, value) for name, _, value in fields if name not in ("date", "connection")]
    return status.partition(" ")[2], sorted(shown), body


def next_application(environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b""]


def start(service: Service, places: dict[str, str], options: dict[str, str], program: str = IDLE) -> None:
    service.environment["HEALTHBOARD_URI"] = f"tcp://127.0.0.1:{places['port']},unix://{service.socket}"
    for name, value in options.items():
        service.environment[f"HEALTHBOARD_{name.upper()}"] = value
    service.start(program)
    service.health()


def oslo_with(folder: Path, options: dict[str, str]) -> Healthcheck:
    """oslo.middleware's application with these options in its file."""
    file = folder / "oslo.conf"
    file.write_text("\n".join(["[healthcheck]", *(f"{name} = {value}" for name, value in options.items())]))
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(file)], default_config_dirs=[])
    return Healthcheck(next_application, conf)


def filled(options: dict[str, str], places: dict[str, str]) -> dict[str, str]:
    return {name: value.format(**places) for name, value in options.items()}


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options.values()))
def test_the_same_request_gets_the_same_bytes(
    service: Service, places: dict[str, str], options: dict[str, str]
) -> None:
    options = filled(options, places)
    start(service, places, options)
    oslo = oslo_with(service.folder, options)
    rng = random.Random(str(options["backends"]) + str(sorted(options)))
    for _ in range(REQUESTS):
        method, headers = random_request(rng)
        expected, found = (
            ask_oslo(oslo, places["port"], method, headers),
            ask_ours(places["port"], method, headers),
        )
        if expected[0].startswith("404"):
            assert found[0] == expected[0], (method, headers)
        else:
            assert found == expected, (method, headers)


def test_every_accept_of_the_list_chooses_what_oslo_chooses(service: Service, places: dict[str, str]) -> None:
    start(service, places, {"backends": "disable_by_file"})
    oslo = oslo_with(service.folder, {"backends": "disable_by_file"})
    for accept in ACCEPTS:
        headers = {} if accept is None else {"Accept": accept}
        for method in METHODS:
            expected = ask_oslo(oslo, places["port"], method, headers)
            assert ask_ours(places["port"], method, headers) == expected, (method, accept)


BOTH = """
import json, sys
import healthboard
healthboard.start("svc")
from oslo_config import cfg
conf = cfg.ConfigOpts()
conf([], default_config_files=["oslo.conf"], default_config_dirs=[])
from oslo_middleware.healthcheck import Healthcheck
import webob
app = Healthcheck(None, conf)
for line in sys.stdin:
    what = json.loads(line)
    if what["record"] == "ok":
        healthboard.record_ok("work")
    elif what["record"] == "fail":
        healthboard.record_fail("work", "Broken")
    elif what["record"] == "drain":
        healthboard.drain()
    request = webob.Request.blank("/healthcheck", method=what["method"], headers=what["headers"])
    response = request.get_response(app)
    print(json.dumps([response.status, sorted(response.headerlist), response.text]), flush=True)
"""


def test_both_ports_of_a_service_answer_with_the_same_bytes(service: Service, places: dict[str, str]) -> None:
    options = {"backends": "disable_by_file,healthboard", "disable_by_file_path": places["absent"]}
    oslo_with(service.folder, {})
    file = service.folder / "oslo.conf"
    file.write_text("\n".join(["[healthcheck]", *(f"{name} = {value}" for name, value in options.items())]))
    service.environment |= {f"HEALTHBOARD_{name.upper()}": value for name, value in options.items()}
    service.environment |= {"HEALTHBOARD_FAILURE_THRESHOLD": "1", "HEALTHBOARD_FAILURE_WINDOW": "0"}
    service.environment["HEALTHBOARD_URI"] = f"tcp://127.0.0.1:{places['port']},unix://{service.socket}"
    service.start(BOTH)
    service.health()
    process = service.process
    assert process is not None
    assert process.stdin is not None
    assert process.stdout is not None

    def ask_api(what: str, method: str, headers: dict[str, str]) -> tuple[str, Any, bytes]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"record": what, "method": method, "headers": headers}) + "\n")
        process.stdin.flush()
        status, shown, body = json.loads(process.stdout.readline())
        return status, [tuple(header) for header in shown], body.encode()

    rng = random.Random(7)
    for what, begins in [("ok", b"OK\nhealthboard: OK"), ("fail", b"OK\nhealthboard: FAULT: work: Broken"),
                         ("drain", b"OK\nhealthboard: DRAINING, FAULT: work")]:  # fmt: skip
        ask_api(what, "GET", {})
        eventually(lambda begins=begins: ask_api("", "GET", {})[2].startswith(begins))
        eventually(lambda begins=begins: ask_ours(places["port"], "GET", {})[2].startswith(begins))
        for _ in range(40):
            method, headers = random_request(rng)
            headers = {name: value for name, value in headers.items() if name == "Accept"}
            # Ages in the message go on.
            eventually(
                lambda method=method, headers=headers: (
                    ask_ours(places["port"], method, headers) == ask_api("", method, headers)
                )
            )


def test_a_file_that_appears_takes_the_service_out_within_a_second(
    service: Service, places: dict[str, str]
) -> None:
    start(
        service, places, {"backends": "healthboard,disable_by_file", "disable_by_file_path": places["absent"]}
    )
    assert ask_ours(places["port"], "GET", {})[2] == b"healthboard: OK\nOK"
    Path(places["absent"]).touch()
    eventually(lambda: ask_ours(places["port"], "GET", {})[0].startswith("503"), within=3)
    assert ask_ours(places["port"], "GET", {})[2] == b"healthboard: OK\nDISABLED BY FILE"
    Path(places["absent"]).unlink()
    eventually(lambda: ask_ours(places["port"], "GET", {})[0].startswith("200"), within=3)


def test_without_an_option_the_verdict_is_asked(service: Service, places: dict[str, str]) -> None:
    service.environment |= {"HEALTHBOARD_FAILURE_WINDOW": "0", "HEALTHBOARD_FAILURE_THRESHOLD": "1"}
    fails = "healthboard.record_fail('work', 'Broken')\n"
    program = IDLE.replace("print", f"{fails}{fails}print")
    service.environment["HEALTHBOARD_URI"] = f"tcp://127.0.0.1:{places['port']},unix://{service.socket}"
    service.start(program)
    service.health()
    eventually(lambda: ask_ours(places["port"], "GET", {})[0] == "503 Service Unavailable")
    _, headers, body = ask_ours(places["port"], "GET", {})
    assert body.startswith(b"healthboard: FAULT: work: ")
    assert headers == [("Content-Length", str(len(body))), ("Content-Type", "text/plain; charset=UTF-8")]
    assert ask_ours(places["port"], "HEAD", {})[0] == "503 Service Unavailable"
    reasons = json.loads(ask_ours(places["port"], "GET", {"Accept": "application/json"})[2])["reasons"]
    assert reasons == [body.decode()]


def test_a_unix_socket_is_in_no_range(service: Service, places: dict[str, str]) -> None:
    start(service, places, {"allowed_source_ranges": "127.0.0.1"})
    assert service.status("/healthcheck") == 404
    assert ask_ours(places["port"], "GET", {})[2] == b"healthboard: OK"
    # One connection's answer is not given to another.
    assert service.status("/healthcheck") == 404


def test_the_detailed_form_says_more_of_the_same(service: Service, places: dict[str, str]) -> None:
    options = {"backends": "healthboard,disable_by_file", "detailed": "true"}
    start(service, places, options | {"disable_by_file_path": places["present"]})
    answer = json.loads(ask_ours(places["port"], "GET", {"Accept": "application/json"})[2])
    assert answer["detailed"] is True
    disabled = {"class": "HealthcheckResult", "reason": "DISABLED BY FILE"}
    disabled["details"] = f"Path '{places['present']}' was found"
    assert answer["reasons"][1] == disabled
    eventually(
        lambda: "work: passing" in ask_ours(places["port"], "GET", {"Accept": "application/json"})[2].decode()
    )
    page = ask_ours(places["port"], "GET", {"Accept": "text/html"})[2].decode()
    assert f"<TD>Path &#39;{places['present']}&#39; was found</TD>" in page
    assert "<H1>Server status</H1>" in page


def test_what_is_wrong_is_named_in_the_log_and_the_service_goes_on(
    service: Service, places: dict[str, str]
) -> None:
    options = {
        "backends": "disable_by_file, ours",
        "disable_by_file_paths": "8774",
        "allowed_source_ranges": "10.0.0.1/8,127.0.0.0/8",
        "detailed": "perhaps",
    }
    start(service, places, options, "import logging; logging.basicConfig(filename='log')\n" + IDLE)
    assert ask_ours(places["port"], "GET", {})[2] == b"OK"
    log = service.folder / "log"
    named = [
        "ours",
        "pairs PORT:PATH",
        "bits of a host",
        "perhaps",
        "no effect without `disable_by_file_path`",
    ]
    eventually(lambda: all(each in log.read_text() for each in named))


def test_of_a_list_of_ranges_the_right_ones_count(service: Service, places: dict[str, str]) -> None:
    program = "import logging; logging.basicConfig(filename='log')\n" + IDLE
    start(service, places, {"allowed_source_ranges": "10.0.0.0/8,10.1.2.3/8"}, program)
    assert ask_ours(places["port"], "GET", {})[0].startswith("404")
    log = service.folder / "log"
    eventually(lambda: "`10.1.2.3/8` has bits of a host; the rest counts" in log.read_text())
    service.end()
    start(service, places, {"allowed_source_ranges": "10.1.2.3/8"}, program)
    assert ask_ours(places["port"], "GET", {})[0].startswith("404")
    eventually(lambda: "has bits of a host; so no request is answered" in log.read_text())


def test_a_port_of_no_endpoint_is_named_in_the_log(service: Service, places: dict[str, str]) -> None:
    options = {"backends": "disable_by_files_ports", "disable_by_file_paths": f"1:{places['present']}"}
    start(service, places, options, "import logging; logging.basicConfig(filename='log')\n" + IDLE)
    log = service.folder / "log"
    eventually(lambda: "`disable_by_file_paths` has no effect: none of its ports" in log.read_text())


def test_a_file_that_may_not_be_looked_for_counts_as_absent_and_is_named(
    service: Service, places: dict[str, str]
) -> None:
    closed = service.folder / "closed"
    closed.mkdir()
    (closed / "off").touch()
    closed.chmod(0)
    begin = "import logging, os; logging.basicConfig(filename='log')\n"
    # Everything is open to root.
    program = IDLE.replace('start("svc")', 'start("svc")\nos.getuid() or os.setuid(65534)')
    options = {"backends": "disable_by_file", "disable_by_file_path": str(closed / "off")}
    start(service, places, options, begin + program)
    assert service.process is not None
    assert service.process.stdout is not None
    assert service.process.stdout.readline() == "started\n"
    assert ask_ours(places["port"], "GET", {})[2] == b"OK"
    line = f"cannot look for the file `{closed}/off`: Permission denied (os error 13); it counts as absent"
    eventually(lambda: line in (service.folder / "log").read_text())
    closed.chmod(0o700)


# A program that reads `svc.conf`, and then one line more: it prints what oslo.middleware answers.
CONFIGURED = """
import logging, sys
logging.basicConfig(filename="log")
from oslo_config import cfg
cfg.CONF.register_opt(cfg.StrOpt("state_path"))
cfg.CONF([], project="svc", default_config_files=["svc.conf"], default_config_dirs=[], use_env=USE_ENV)
if sys.stdin.readline():
    from oslo_middleware.healthcheck import Healthcheck
    import webob
    print(webob.Request.blank("/healthcheck").get_response(Healthcheck(None, {})).text, flush=True)
"""


def start_configured(
    service: Service, places: dict[str, str], options: dict[str, str], use_env: bool = True
) -> None:
    lines = "\n".join(f"{name} = {value}" for name, value in options.items())
    (service.folder / "svc.conf").write_text(
        f"[DEFAULT]\nstate_path = {places['folder']}\n[healthcheck]\n{lines}\n"
    )
    service.environment["HEALTHBOARD_URI"] = f"tcp://127.0.0.1:{places['port']},unix://{service.socket}"
    service.start(CONFIGURED.replace("USE_ENV", str(use_env)), launch=True)
    service.health()


def ask_oslo_of(service: Service) -> str:
    """Have a program print what oslo.middleware answers, and end."""
    assert service.process is not None
    output, _ = service.process.communicate("\n", timeout=30)
    return output.strip()


@pytest.mark.parametrize(
    "path",
    ["$state_path/present", "${state_path}/present", r"$state_path/\$x", "$state_path/$", "$runtime_dir"],
)
def test_services_read_the_options_of_oslo_middleware_from_their_file(
    service: Service, places: dict[str, str], path: str
) -> None:
    for file in ("$x", "$"):
        (service.folder / file).touch()
    options = {"disable_by_file_path": path, "runtime_dir": f"{service.folder}/run"}
    start_configured(service, places, {"backends": "disable_by_file", **options})
    assert ask_ours(places["port"], "GET", {})[2] == b"DISABLED BY FILE"
    assert ask_oslo_of(service) == "DISABLED BY FILE"


@pytest.mark.parametrize(
    ("backend", "option"),
    [("disable_by_file", "disable_by_file_path"), ("enable_by_files", "enable_by_file_paths")],
)
def test_a_path_with_the_name_of_no_option_is_refused_and_named(
    service: Service, places: dict[str, str], backend: str, option: str
) -> None:
    start_configured(service, places, {"backends": f"healthboard, {backend}", option: "$statepath/x"})
    # oslo.middleware itself raises. Here the rest decides.
    status, _, body = ask_ours(places["port"], "GET", {})
    assert status == "200 OK"
    assert body.startswith(b"healthboard: OK\n")
    line = (
        f"option `{option}` in [healthcheck]: found `$statepath/x`, expected the name of an option after `$`"
    )
    eventually(lambda: line in (service.folder / "log").read_text())


@pytest.mark.parametrize("use_env", [True, False])
def test_the_environment_of_oslo_config_overrides_the_file(
    service: Service, places: dict[str, str], use_env: bool
) -> None:
    service.environment["OS_HEALTHCHECK__DISABLE_BY_FILE_PATH"] = "$state_path/present"
    options = {"backends": "disable_by_file", "disable_by_file_path": "$state_path/absent"}
    start_configured(service, places, options, use_env)
    expected = "DISABLED BY FILE" if use_env else "OK"
    assert ask_ours(places["port"], "GET", {})[2] == expected.encode()
    assert ask_oslo_of(service) == expected
