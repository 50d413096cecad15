"""All of Gristmill on one machine: the servers, the gateway and the workers are children of this process."""

import os
import pwd
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from gristmill.launcher.datafolder import locked, record_running, stop_leftovers
from gristmill.launcher.extras import need
from gristmill.launcher.processes import Child, Command, keep_private, run, wait_until
from gristmill.launcher.servers import free_port, start_postgres, start_valkey
from gristmill.launcher.services import service_command, service_environment

READY_SECONDS = 60.0
SERVICE_GRACE = 5.0
TEND_SECONDS = 0.2
"""Between two calls of `Stack.tend`."""
LONGEST_PAUSE_SECONDS = 30.0
"""The longest time between a death and the next start."""
SETTLED_SECONDS = 30.0
"""A child that has lived so long is restarted as if it had never died before."""
NOT_INHERITED = ("DATABASE_URL", "REDIS_URL", "GRISTMILL_API_KEY")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Jobs may read below `sources`, which are URLs, and below those of GRISTMILL_SOURCES.

    Without `sources` that is the current folder. A stack that is not `durable` starts faster, and a crash of
    the machine may cost its data.
    """

    data_dir: Path
    port: int
    workers: int
    extra: str = "standalone"
    """The extra of the package whose parts are needed."""
    durable: bool = True
    api_key: str | None = None
    sources: Sequence[str] | None = None


@dataclass(slots=True)
class Supervised:
    """A child that is started again when it dies.

    `deaths` are those in a row, each soon after a start; `due` is the time of the next start.
    """

    child: Child
    deaths: int = 0
    due: float | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack.

    The login of `dsn` reads results only. `sources` are the GRISTMILL_SOURCES of the services.
    """

    url: str
    dsn: str
    folder: Path
    sources: str
    children: list[Supervised]
    say: Say

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def tend(self) -> None:
        """Restart the children that have died. Call it often, from the main thread."""
        for supervised in self.children:
            if supervised.due is not None:
                self._restart_when_due(supervised, time.monotonic())
            elif not supervised.child.alive:
                self._note_death(supervised, time.monotonic())

    def abandon(self) -> None:
        """End all at once, as the kernel does when the launcher dies. Work under way is lost."""
        for supervised in self.children:
            if supervised.child.alive:
                supervised.child.process.send_signal(supervised.child.command.death_signal)

    def deaths(self) -> int:
        """The most deaths in a row of any child."""
        return max(supervised.deaths for supervised in self.children)

    def _note_death(self, supervised: Supervised, now: float) -> None:
        supervised.deaths = 1 if now - supervised.child.started > SETTLED_SECONDS else supervised.deaths + 1
        pause = restart_pause(supervised.deaths)
        supervised.due = now + pause
        reason = (
            str(supervised.child.died()) if supervised.deaths == 1 else f"{supervised.child.end}, like before"
        )
        self.say(f"{reason}\nNext try in {pause:g} s.")

    def _restart_when_due(self, supervised: Supervised, now: float) -> None:
        if supervised.due is not None and now >= supervised.due:
            supervised.child.start()
            supervised.due = None
            self.say(f"Started {supervised.child.command.name} again.")
            record_running(self.folder, [each.child for each in self.children if each.due is None])


def restart_pause(deaths: int) -> float:
    """Seconds from the last of so many deaths in a row, 1 or more, to the next start."""
    return min(0.5 * 2.0 ** (deaths - 1), LONGEST_PAUSE_SECONDS)


@contextmanager
def running(options: Options, say: Say) -> Iterator[Stack]:
    """The stack, ready for requests. It ends in this order: gateway, workers, Valkey, Postgres."""
    need(options.extra)
    keep_private()
    folder = options.data_dir.resolve()
    with locked(folder), ExitStack() as ends:
        stop_leftovers(folder)
        logs = _fresh_logs(folder)
        children: list[Child] = []

        def supervise(*started: Child) -> None:
            children.extend(started)
            ends.callback(_stop, started)
            record_running(folder, children)

        postgres = start_postgres(folder / "postgres", log=logs / "postgres.log", durable=options.durable)
        supervise(postgres.child)
        valkey = start_valkey(folder / "valkey", log=logs / "valkey.log", durable=options.durable)
        supervise(valkey.child)
        settings = _settings(options, folder, postgres.url, valkey.url, say)
        # Before the migrations, for which it waits: both take their time to import their modules.
        gateway = Child(_service("gateway", "api_service", "serve", folder=folder, env=settings))
        run(_service("migrate", "api_service", "migrate", folder=folder, env=settings))
        supervise(
            *(
                Child(_service(f"worker-{n + 1}", "worker_service", folder=folder, env=settings))
                for n in range(options.workers)
            )
        )
        supervise(gateway)
        url = f"http://127.0.0.1:{settings['GRISTMILL_PORT']}"
        _wait_for_gateway(url, gateway)
        yield Stack(
            url,
            postgres.reader,
            folder,
            settings["GRISTMILL_SOURCES"],
            [Supervised(child) for child in children],
            say,
        )


def _settings(options: Options, folder: Path, dsn: str, redis_url: str, say: Say) -> dict[str, str]:
    """The environment of the services: that of this process, but with the servers of this stack.

    An API key is not needed, since the gateway binds loopback only.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_INHERITED and not name.startswith("PG")
    }
    slots = max(1, (os.cpu_count() or 1) // options.workers)
    defaults = {"GRISTMILL_SLOTS": str(slots), "GRISTMILL_LOG_FORMAT": "console", "NO_COLOR": "1"}
    port = free_port(options.port)
    if port != options.port:
        say(f"Port {options.port} is not free: using {port}.")
    sources = [_start_folder(say)] if options.sources is None else options.sources
    fixed = {
        "GRISTMILL_DATABASE_URL": dsn,
        "GRISTMILL_REDIS_URL": redis_url,
        "GRISTMILL_STORAGE": str(folder / "storage"),
        "GRISTMILL_PROTECTED_FOLDERS": ",".join(
            filter(None, [os.environ.get("GRISTMILL_PROTECTED_FOLDERS"), folder.as_uri()])
        ),
        "GRISTMILL_SOURCES": ",".join(filter(None, [os.environ.get("GRISTMILL_SOURCES"), *sources])),
        "GRISTMILL_HOST": "127.0.0.1",
        "GRISTMILL_PORT": str(port),
    }
    if options.api_key:
        fixed["GRISTMILL_API_KEY"] = options.api_key
    return service_environment(defaults | inherited | fixed)


def _start_folder(say: Say) -> str | None:
    """The current folder as a source; None, with a warning, if it is a home folder or holds one."""
    here = Path.cwd()
    homes = [os.environ.get("HOME", ""), *(account.pw_dir for account in pwd.getpwall())]
    if any(Path(home).resolve().is_relative_to(here) for home in homes if home.startswith("/")):
        say(
            f"Started in {here}, which is a home folder or holds one: jobs may not read what is below it."
            " Start in the folder of your data, or name that in GRISTMILL_SOURCES, or upload files."
        )
        return None
    return here.as_uri() + "/"


def _service(name: str, *module: str, folder: Path, env: Mapping[str, str]) -> Command:
    # SIGKILL when the launcher dies: Postgres ends too, so no work could be finished, and the unit protocol
    # expects a kill.
    log = folder / "logs" / f"{name}.log"
    return Command(
        name=name, argv=service_command(*module), log=log, env=env, cwd=folder, grace=SERVICE_GRACE
    )


def _wait_for_gateway(url: str, gateway: Child) -> None:
    def ready() -> bool:
        try:
            return client.get("/readyz").status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False

    with httpx2.Client(base_url=url, trust_env=False, timeout=5) as client:
        wait_until(ready, child=gateway, seconds=READY_SECONDS)


def _stop(children: tuple[Child, ...]) -> None:
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop()


def _fresh_logs(folder: Path) -> Path:
    """The folder of the logs; the logs of the last run stay there with the suffix `.1`."""
    logs = folder / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    for log in logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))
    return logs
