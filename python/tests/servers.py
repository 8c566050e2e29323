"""Real servers for the tests: MariaDB, a Galera node with its arbitrator, PostgreSQL, Redis and RabbitMQ.

    with MariaDb() as server:
        pymysql.connect(host="127.0.0.1", port=server.port, user="app", password=PASSWORD, database="app")

Each lives in a private folder, listens on a loopback port that the kernel has chosen, and ends with the tests
even when these are killed. Start it in the main thread: Linux ends it with the thread that started it. A
missing program is an error: `cargo xtask test` installs the packages.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

PASSWORD = "correct"

# RabbitMQ takes 16 s after a `kill -9` on an idle machine.
START_TIMEOUT = 120.0
STOP_TIMEOUT = 20.0

# The wrapper on `PATH` requires another user.
RABBITMQ = Path("/usr/lib/rabbitmq/bin")

GALERA = Path("/usr/lib/galera/libgalera_smm.so")


def free_port() -> int:
    """Return a loopback port that nobody uses now."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def program(name: str) -> str:
    """Return the path of a program, also where an ordinary user does not look for it."""
    versioned = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *map(str, versioned)]))
    assert found, f"`{name}` is missing\nnext: cargo xtask test, which installs the packages"
    return found


def _as(user: str | None) -> list[str]:
    """Return the beginning of a command that runs as this user, if we may choose."""
    chosen = [program("setpriv")]
    if user is not None and os.geteuid() == 0:
        chosen += [f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
    return chosen


class Server:
    """A process of a server, and the folder with its data and its log."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="healthboard-"))
        # The server may run as another user.
        self.folder.chmod(0o711)
        self.log = self.folder / "log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.environment = dict(os.environ)

    def command(self) -> list[str]:
        """Return what starts it."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether it is ready to work."""
        raise NotImplementedError

    def start(self) -> Self:
        """Start it and return when it answers."""
        assert self.process is None, "it runs already"
        self.process = self._spawn(self.command())
        self.until_it_answers()
        return self

    def until_it_answers(self) -> None:
        end = time.monotonic() + START_TIMEOUT
        while not self.answers():
            ended = self.process is None or self.process.poll() is not None
            if ended or time.monotonic() > end:
                log = self.log.read_text(errors="replace")
                why = "it has ended" if ended else f"no answer within {START_TIMEOUT:g} s"
                self.remove()
                raise AssertionError(f"{type(self).__name__}: {why}:\n{log[-4000:]}")
            time.sleep(0.05)

    def freeze(self) -> None:
        """Stop it with SIGSTOP: its connections stay open, and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        """End `freeze`, and return when it answers."""
        self._signal_all(signal.SIGCONT)
        self.until_it_answers()

    def kill(self) -> None:
        """End it as `kill -9` does, and return when it has ended."""
        self._signal_all(signal.SIGKILL)
        self._reap()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it in good order, and return when it has ended. Its data remain."""
        if self.process is not None:
            self._signal_all(signal.SIGCONT)
            self.process.send_signal(number)
            self._reap()

    def remove(self) -> None:
        """End it at once, and remove its folder."""
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.remove()
            raise

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _spawn(self, command: list[str], user: str | None = None) -> subprocess.Popen[bytes]:
        # It ends with the tests, whatever ends them.
        prefix = [*_as(user), "--pdeathsig=KILL"]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*prefix, *command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the server and its children: each connection to PostgreSQL has one."""
        assert self.process is not None, "it does not run"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for pid in (self.process.pid, *map(int, children.read_text().split())):
                os.kill(pid, number)

    def _reap(self) -> None:
        assert self.process is not None
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _run(self, command: list[str], user: str | None = None) -> str:
        """Run a command to its end, and return its output."""
        command = [*_as(user), *command]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=START_TIMEOUT,
        )
        output = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{command[0]} failed:\n{output[-4000:]}"
        return output


class MariaDb(Server):
    """MariaDB with the database `app` and its user. `sql` works whatever limits `app` has reached."""

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.admin_port = free_port()
        self.options = options
        self.data = self.folder / "data"
        # At its start a server removes the temporary files that it finds, those of others as well.
        self.environment["TMPDIR"] = str(self.folder)
        self._run(
            [
                program("mariadb-install-db"),
                *("--no-defaults", "--user=root", "--skip-test-db", "--innodb-log-file-size=4M"),
                *("--auth-root-authentication-method=normal", f"--datadir={self.data}"),
            ]
        )

    def command(self) -> list[str]:
        return [
            program("mariadbd"),
            *("--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--skip-name-resolve"),
            *(f"--port={self.port}", f"--extra-port={self.admin_port}", f"--datadir={self.data}"),
            *(f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}"),
            *("--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M", "--performance-schema=OFF"),
            *("--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", *self.options),
        ]

    def sql(self, statements: str) -> str:
        """Run statements as `root`, and return the client's output."""
        client = [program("mariadb"), "--no-defaults", "--protocol=TCP", "--host=127.0.0.1", "--user=root"]
        return self._run([*client, f"--port={self.admin_port}", "--batch", f"--execute={statements}"])

    def answers(self) -> bool:
        try:
            self.sql("DO 1")
        except AssertionError:
            return False
        return True

    def start(self) -> Self:
        super().start()
        if "app" not in self.sql("SHOW DATABASES").split():
            self.sql(
                f"CREATE DATABASE app; CREATE USER app@'%' IDENTIFIED BY '{PASSWORD}';"
                "GRANT ALL ON app.* TO app@'%'"
            )
        return self

    def arguments(self, **changed: Any) -> dict[str, Any]:
        """Return the arguments with which a driver connects as `app`."""
        usual = {"host": "127.0.0.1", "port": self.port, "user": "app", "password": PASSWORD}
        return {**usual, "database": "app", **changed}


class Galera(MariaDb):
    """A node of a Galera cluster. The only other member is an arbitrator, without which it has no quorum."""

    def __init__(self) -> None:
        assert GALERA.exists(), f"`{GALERA}` is missing\nnext: cargo xtask test, which installs the packages"
        self.member, self.arbitrator_member = free_port(), free_port()
        self.arbitrator: subprocess.Popen[bytes] | None = None
        # Timeouts as short as they can be, so that a lost member is noticed within two seconds.
        self.timing = (
            "evs.keepalive_period=PT0.2S;evs.inactive_check_period=PT0.1S;evs.suspect_timeout=PT0.8S;"
            "evs.inactive_timeout=PT1.5S;evs.install_timeout=PT1.5S;gmcast.peer_timeout=PT1S"
        )
        super().__init__(
            *("--wsrep-on=ON", f"--wsrep-provider={GALERA}", "--wsrep-cluster-name=app"),
            *("--wsrep-cluster-address=gcomm://", "--wsrep-new-cluster", "--wsrep-node-address=127.0.0.1"),
            *("--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-sst-method=rsync"),
            "--wsrep-provider-options=gcache.size=4M;pc.recovery=FALSE;"
            f"gmcast.listen_addr=tcp://127.0.0.1:{self.member};{self.timing}",
        )

    def start(self) -> Self:
        state = self.data / "grastate.dat"
        if state.exists():
            # The arbitrator, which has no data, left last.
            state.write_text(state.read_text().replace("bootstrap: 0", "bootstrap: 1"))
        super().start()
        self.start_arbitrator()
        return self

    def start_arbitrator(self) -> None:
        """Let the other member join, and return when the cluster has both."""
        self.arbitrator = self._spawn(
            [
                *(program("garbd"), "--group=app", f"--address=gcomm://127.0.0.1:{self.member}"),
                f"--options=gmcast.listen_addr=tcp://127.0.0.1:{self.arbitrator_member};{self.timing}",
            ]
        )
        self._until("wsrep_cluster_size", "2")

    def kill_arbitrator(self) -> None:
        """Kill the other member, and return when the node has noticed that it is without quorum."""
        self._end_arbitrator()
        self._until("wsrep_cluster_status", "non-Primary")

    def status(self, name: str) -> str:
        """Return the value of a status variable. A node without quorum answers that, too."""
        return self.sql(f"SHOW STATUS LIKE '{name}'").split()[-1]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        super().stop(number)
        self._end_arbitrator()

    def remove(self) -> None:
        self._end_arbitrator()
        super().remove()

    def _end_arbitrator(self) -> None:
        if self.arbitrator is not None:
            self.arbitrator.kill()
            self.arbitrator.wait()
            self.arbitrator = None

    def _until(self, name: str, value: str) -> None:
        end = time.monotonic() + START_TIMEOUT
        while (found := self.status(name)) != value:
            assert time.monotonic() < end, f"{name} is {found}, not {value}:\n{self.log.read_text()[-4000:]}"
            time.sleep(0.05)


class PostgreSql(Server):
    """PostgreSQL with the database `app` and its user. `sql` works whatever limits `app` has reached."""

    def __init__(self, *options: str) -> None:
        super().__init__()
        self.options = options
        # It refuses to run as root.
        names = {entry.pw_name for entry in pwd.getpwall()}
        self.user = "postgres" if "postgres" in names else "nobody"
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.data = self.folder / "data"
        self._run(
            [
                *(program("initdb"), "--no-sync", "--username=postgres", f"--pgdata={self.data}"),
                *("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"),
            ],
            self.user,
        )

    def _spawn(self, command: list[str], user: str | None = None) -> subprocess.Popen[bytes]:
        return super()._spawn(command, user or self.user)

    def command(self) -> list[str]:
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "fsync=off"]
        settings += ["shared_buffers=8MB", "max_connections=20", *self.options]
        chosen = [part for setting in settings for part in ("-c", setting)]
        return [program("postgres"), "-D", str(self.data), "-p", str(self.port), *chosen]

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Run statements as `postgres`, and return the client's output."""
        client = [program("psql"), "--no-psqlrc", f"--host={self.folder}", f"--port={self.port}"]
        client += ["--username=postgres", f"--dbname={database}", "--tuples-only", "--no-align"]
        # Each in a transaction of its own: `CREATE DATABASE` needs that.
        each = [f"--command={statement}" for statement in statements.split(";") if statement.strip()]
        return self._run([*client, "--set=ON_ERROR_STOP=1", *each])

    def answers(self) -> bool:
        try:
            self.sql("SELECT 1")
        except AssertionError:
            return False
        return True

    def start(self) -> Self:
        super().start()
        if "app" not in self.sql("SELECT datname FROM pg_database").split():
            self.sql(f"CREATE USER app PASSWORD '{PASSWORD}'; CREATE DATABASE app OWNER app")
        return self

    def arguments(self, **changed: Any) -> dict[str, Any]:
        """Return the arguments with which psycopg connects as `app`. asyncpg calls `dbname` `database`."""
        usual = {"host": "127.0.0.1", "port": self.port, "user": "app", "password": PASSWORD}
        return {**usual, "dbname": "app", **changed}


class Redis(Server):
    """redis-server. With `arguments`, such as `--maxmemory 1mb`."""

    def __init__(self, *arguments: str) -> None:
        super().__init__()
        self._arguments = arguments

    def command(self) -> list[str]:
        place = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        return [program("redis-server"), *place, "--save", "", *self._arguments]

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as asked:
            asked.sendall(b"PING\r\n")
            return asked.recv(16).startswith(b"+PONG")
        return False

    def do(self, command: str) -> None:
        """Execute a command."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as asked:
            asked.sendall(command.encode() + b"\r\n")
            answer = asked.recv(64)
        assert answer.startswith(b"+OK"), answer


class RabbitMq(Server):
    """RabbitMQ with the user `guest`, whose password is `guest`."""

    def __init__(self, configuration: str = "") -> None:
        super().__init__()
        (self.folder / "plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text(f"log.file.level = warning\n{configuration}")
        for name in [name for name in self.environment if name.startswith(("RABBITMQ_", "ERL_"))]:
            del self.environment[name]
        mapper = str(free_port())
        self.environment |= {
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": mapper,
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
            # The script then executes the server instead of supervising it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        # Erlang's port mapper. The server would start one that outlives it.
        self.mapper = self._spawn([program("epmd")])

    def command(self) -> list[str]:
        server = RABBITMQ / "rabbitmq-server"
        assert server.exists(), f"`{server}` is missing\nnext: cargo xtask test, which installs the packages"
        return [str(server)]

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl`, which takes seconds, and return its output."""
        return self._run([str(RABBITMQ / "rabbitmqctl"), "--quiet", *arguments])

    def answers(self) -> bool:
        # The first exchange of AMQP 0-9-1: the server answers the protocol's header with a method frame.
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.5) as stream:
            stream.sendall(b"AMQP\x00\x00\x09\x01")
            return stream.recv(1) == b"\x01"
        return False

    def remove(self) -> None:
        super().remove()
        self.mapper.kill()
        self.mapper.wait()


class RabbitMqCluster:
    """Three nodes of RabbitMQ with the user `guest`. They share Erlang's port mapper and cookie."""

    NAMES = ("a@localhost", "b@localhost", "c@localhost")

    def __init__(self, configuration: str = "") -> None:
        members = "".join(
            f"cluster_formation.classic_config.nodes.{number} = {name}\n"
            for number, name in enumerate(self.NAMES, 1)
        )
        configuration += f"\nnet_ticktime = 10\n{members}"
        self.nodes = [RabbitMq(configuration) for _ in self.NAMES]
        first = self.nodes[0]
        cookie = first.folder / ".erlang.cookie"
        cookie.write_text("healthboard")
        cookie.chmod(0o400)
        for name, node in zip(self.NAMES, self.nodes, strict=True):
            node.environment |= {
                "RABBITMQ_NODENAME": name,
                "HOME": first.environment["HOME"],
                "ERL_EPMD_PORT": first.environment["ERL_EPMD_PORT"],
            }

    @property
    def ports(self) -> list[int]:
        return [node.port for node in self.nodes]

    def control(self, *arguments: str) -> str:
        """Run `rabbitmqctl` on the first node that runs."""
        return next(node for node in self.nodes if node.process is not None).control(*arguments)

    def __enter__(self) -> Self:
        try:
            # Each waits for the others.
            for node in self.nodes:
                node.process = node._spawn(node.command())
            for node in self.nodes:
                node.until_it_answers()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # The first one last: its port mapper serves them all.
        for node in reversed(self.nodes):
            node.remove()
