"""Finds the facts. Nothing is changed, but for a probe file and a probe key, which go again at once."""

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote

from packaging.requirements import Requirement

from api_service.doctor.facts import Facts, Machine, Package, Storage
from shared.core.facts import Postgres, Redis
from shared.core.timings import Timings
from shared.db.doctor import postgres_facts
from shared.db.pool import connect, unavailable
from shared.db.pruning import PruneStore
from shared.doorbell import REDIS_AWAY
from shared.errors import TransientError
from shared.redis_facts import redis_facts
from shared.settings import Settings
from shared.storage.uploads import UploadFiles

PROGRAM_SECONDS = 30
OURS = "GRISTMILL_"
STRAY = timedelta(hours=1)
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")


async def look(settings: Settings) -> Facts:
    pool = connect(settings.database_url, name="gristmill-doctor", size=1, seconds=30)
    try:
        try:
            postgres: Postgres | str = await postgres_facts(pool, Timings().scaled(settings.time_scale))
        except TransientError as error:
            postgres = unavailable(error)
        except ValueError as error:  # a URL whose port is no number
            postgres = f"GRISTMILL_DATABASE_URL is no URL of Postgres: {error}"
        strays: tuple[str, ...] = ()
        if not isinstance(postgres, str) and postgres.cluster:
            with contextlib.suppress(TransientError):
                strays = await _strays(settings.storage, PruneStore(pool))
    finally:
        await pool.close()
    try:
        redis: Redis | str = await redis_facts(settings.redis_url)
    except (*REDIS_AWAY, TypeError, ValueError) as error:  # the last two: an unknown option of the URL
        redis = str(error) or type(error).__name__
    storage = await asyncio.to_thread(_storage, settings.storage, postgres, strays)
    machine = await asyncio.to_thread(_machine, settings)
    return Facts(settings=settings, machine=machine, storage=storage, postgres=postgres, redis=redis)


def _storage(folder: Path, postgres: Postgres | str, strays: tuple[str, ...]) -> Storage:
    try:
        return _seen(folder, postgres, strays)
    except OSError as error:  # a folder above may not be entered
        return Storage(exists=True, is_folder=True, refusal=error.strerror or str(error))


def _seen(folder: Path, postgres: Postgres | str, strays: tuple[str, ...]) -> Storage:
    if not folder.is_dir():
        return Storage(exists=folder.exists(), is_folder=False)
    files, room = UploadFiles(folder), os.statvfs(folder)
    known = () if isinstance(postgres, str) or not postgres.cluster else postgres.cluster.uploads
    return Storage(
        exists=True,
        is_folder=True,
        refusal=_refusal(folder),
        bytes_free=room.f_bavail * room.f_frsize,
        bytes_total=room.f_blocks * room.f_frsize,
        files_free=room.f_favail,
        files_total=room.f_files,
        missing=tuple(upload for tenant, upload in known if not files.path(tenant, upload).exists()),
        strays=strays,
    )


def _refusal(folder: Path) -> str:
    """Write a file and make it durable, as an upload is."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as probe:
            probe.write(b"1")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return ""


async def _strays(folder: Path, store: PruneStore) -> tuple[str, ...]:
    """Uploads that are an hour old and not of this database; the row of a younger one may be on its way."""
    old = await asyncio.to_thread(UploadFiles(folder).older_than, STRAY)
    return tuple(sorted(await store.strays([upload for _, upload in old])))


def _machine(settings: Settings) -> Machine:
    variant, absence = _native()
    return Machine(
        memory_bytes=_memory(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        variables={name: value for name, value in os.environ.items() if name.startswith(OURS)},
        version=metadata.version("gristmill"),
        packages=_packages(),
        unreadable=_unreadable(settings.sources),
        native=variant,
        no_native=absence,
    )


def _memory() -> int:
    """Bytes of this machine, or of its container."""
    bytes_there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # no cgroup, or no limit: "max"
        bytes_there = min(bytes_there, int(_CGROUP_MEMORY.read_text()))
    return bytes_there


def _packages() -> tuple[Package, ...]:
    """The packages of the extra `server`."""
    environment = {"extra": "server"}
    required = [Requirement(text) for text in metadata.requires("gristmill") or ()]
    return tuple(
        _package(each)
        for each in required
        if each.name != "gristmill" and (each.marker is None or each.marker.evaluate(environment))
    )


def _package(required: Requirement) -> Package:
    try:
        installed: str | None = metadata.version(required.name)
    except metadata.PackageNotFoundError:
        installed = None
    fits = installed is not None and required.specifier.contains(installed, prereleases=True)
    return Package(name=required.name, required=str(required.specifier), installed=installed, fits=fits)


def _unreadable(sources: list[str]) -> dict[str, str]:
    """Folders that cannot be listed, with the reason. A part behind {tenant} is not looked at."""
    found = {}
    for source in sources:
        path = unquote(source.partition("{tenant}")[0].removeprefix("file://"))
        folder = path.rpartition("/")[0] or "/"
        try:
            next(Path(folder).iterdir(), None)
        except OSError as error:
            found[folder] = error.strerror or str(error)
    return found


def _native() -> tuple[str | None, str]:
    """The library that a worker of this installation uses: its variant, and the reason for none."""
    command = [sys.executable, "-m", "worker_service.native"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PROGRAM_SECONDS)
    if ran.returncode != 0:
        return None, ran.stderr.strip().rpartition("\n")[2]
    told = json.loads(ran.stdout)
    return told["variant"], told["absence"]
