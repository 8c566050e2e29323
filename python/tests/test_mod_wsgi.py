"""Apache's mod_wsgi: it works in the main interpreter; in a sub-interpreter it says why it does not."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from servers import Server, program

import healthboard
from conftest import all_ended_in_order, ask, eventually

MODULES = Path("/usr/lib/apache2/modules")

APPLICATION = """
import sys
def application(environ, start_response):
    start_response("500 X" if environ["PATH_INFO"] == "/bad" else "200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
try:
    import healthboard
    from healthboard.middleware import WSGI
    healthboard.start("shop")
    application = WSGI(application)
except ImportError as error:
    print(error, file=sys.stderr)
"""

CONFIGURATION = """
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/errors
Mutex file:{folder}
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {modules}/mod_wsgi.so
<Directory />
  Require all granted
</Directory>
WSGIPythonPath {package}
WSGIScriptAlias / {folder}/shop.wsgi
WSGIApplicationGroup {group}
StartServers 2
"""


class Apache(Server):
    """Apache with its processes of an ordinary user, and the application in this group."""

    user = "www-data"

    def __init__(self, group: str) -> None:
        super().__init__()
        self.socket = self.folder / "health.sock"
        self.environment |= {
            "HEALTHBOARD_URI": f"unix://{self.socket}",
            "HEALTHBOARD_RUNTIME_DIR": f"{self.folder}/run",
        }
        (self.folder / "run").mkdir()
        (self.folder / "shop.wsgi").write_text(APPLICATION)
        # Apache's user may not read the environment that the tests run in.
        shutil.copytree(Path(healthboard.__file__).parent, self.folder / "site" / "healthboard")
        text = CONFIGURATION.format(
            folder=self.folder,
            port=self.port,
            modules=MODULES,
            package=self.folder / "site",
            group=group,
        )
        (self.folder / "apache.conf").write_text(text)
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "run"):
                shutil.chown(path, self.user)

    def command(self) -> list[str]:
        command = [program("apache2"), "-f", f"{self.folder}/apache.conf", "-DFOREGROUND"]
        if os.geteuid() == 0:
            user = f"--reuid={self.user}"
            return [program("setpriv"), user, f"--regid={self.user}", "--clear-groups", *command]
        return command

    def answers(self) -> bool:
        try:
            return self.get("/") == 200
        except OSError:
            return False

    def get(self, path: str) -> int:
        """Return the status of the application's answer."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
                return int(response.status)
        except HTTPError as error:
            return error.code

    def requests(self) -> str:
        """Return the state of `requests`."""
        return str(json.loads(ask(self.socket)[1])["details"]["requests"]["state"])

    def errors(self) -> str:
        return (self.folder / "errors").read_text()


def start(group: str) -> Apache:
    # Debian's module is one of Debian's Python.
    if not (MODULES / "mod_wsgi.so").exists() or sys.version_info[:2] != (3, 11):
        pytest.skip("needs apache2 and libapache2-mod-wsgi-py3 for this version of Python")
    return Apache(group)


@pytest.fixture
def main() -> Iterator[Apache]:
    with start("%{GLOBAL}") as server:
        yield server


@pytest.fixture
def sub() -> Iterator[Apache]:
    with start("shop") as server:
        yield server


def test_an_application_in_the_main_interpreter_is_recorded_and_says_goodbye(main: Apache) -> None:
    eventually(main.socket.exists)
    eventually(lambda: main.requests() == "passing")
    for _ in range(20):
        assert main.get("/bad") == 500
    eventually(lambda: main.requests() == "transient")
    main.stop()
    assert all_ended_in_order(main.folder)


def test_in_a_sub_interpreter_one_line_says_why_and_the_application_runs(sub: Apache) -> None:
    for _ in range(20):
        assert sub.get("/") == 200
    lines = [line for line in sub.errors().splitlines() if "healthboard works" in line]
    assert lines
    assert all("this is a sub-interpreter; under mod_wsgi, `WSGIApplicationGroup" in line for line in lines)
    # One in each process that has had a request.
    assert len({line.split("pid ")[1].split(":")[0] for line in lines}) == len(lines)
    time.sleep(1)
    assert not sub.socket.exists()
