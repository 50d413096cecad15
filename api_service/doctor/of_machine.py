"""Verdicts about settings, the storage folder, this machine and this installation."""

from difflib import get_close_matches
from urllib.parse import urlsplit

from api_service.auth.credentials import is_loopback
from api_service.doctor.facts import Facts
from api_service.doctor.finding import Finding, error, listed, ok, size, warning
from shared.core.facts import Postgres
from shared.settings import Settings

KNOWN = {f"GRISTMILL_{name.upper()}" for name in Settings.model_fields}
OTHERS = {"GRISTMILL_URL", "GRISTMILL_DSN", "GRISTMILL_FAULT_POINTS"}
"""Variables of the client, of examples and of tests, which are no settings of the service."""
FEW_FILES = 1024
LITTLE, NONE_LEFT = 0.10, 0.01
"""Parts of a file system that are free: below the first there is a warning, below the second an error."""


def variables(facts: Facts) -> Finding:
    unknown = sorted(set(facts.machine.variables) - KNOWN - OTHERS)
    if not unknown:
        return ok(f"{len(facts.machine.variables)} variables are set, and each is a setting")
    names = []
    for name in unknown:
        near = get_close_matches(name, KNOWN, n=1)
        names.append(f"{name} (is it {near[0]}?)" if near else name)
    return warning(
        f"No setting has the name {listed(names)}, so it has no effect",
        "Correct the name or remove the variable; docs/settings.md lists all settings",
    )


def access(facts: Facts) -> Finding | None:
    settings = facts.settings
    if settings.api_key is None and not isinstance(facts.postgres, Postgres):
        return None
    if settings.api_key or (isinstance(facts.postgres, Postgres) and _has_keys(facts.postgres)):
        return ok("Requests need an API key")
    if not is_loopback(settings.host):
        return error(
            f"GRISTMILL_HOST is {settings.host}, and there is no API key, so the gateway does not start",
            "Run `gristmill server keys add NAME`, or set GRISTMILL_HOST to 127.0.0.1",
        )
    if settings.trusted_proxies:
        return warning(
            "GRISTMILL_TRUSTED_PROXIES is set, and there is no API key, so clients of the proxy get 401",
            "Run `gristmill server keys add NAME`",
        )
    return ok("No API key: the gateway answers this machine only")


def _has_keys(postgres: Postgres) -> bool:
    return postgres.cluster is not None and postgres.cluster.has_keys


def proxy(facts: Facts) -> Finding:
    settings = facts.settings
    host = urlsplit(settings.public_url or "").hostname or ""
    if settings.public_url and not is_loopback(host) and not settings.trusted_proxies:
        return warning(
            f"GRISTMILL_PUBLIC_URL is {settings.public_url}, and GRISTMILL_TRUSTED_PROXIES is empty: "
            "a proxy counts as one client",
            "Set GRISTMILL_TRUSTED_PROXIES to the address of the proxy; docs/proxy.md describes it",
        )
    return ok(f"Clients reach the gateway at {settings.public_url or 'its own address'}")


def periods(facts: Facts) -> Finding:
    if facts.settings.time_scale != 1:
        return warning(
            f"GRISTMILL_TIME_SCALE is {facts.settings.time_scale:g}, so leases do not live 10 s",
            "Remove GRISTMILL_TIME_SCALE from each gateway and worker; it is for tests",
        )
    return ok("The periods are the default ones")


def chunks(facts: Facts) -> Finding:
    settings = facts.settings
    if settings.chunk_bytes is not None and settings.chunk_bytes < settings.min_chunk_bytes:
        return warning(
            f"GRISTMILL_CHUNK_BYTES is {settings.chunk_bytes}, "
            f"less than GRISTMILL_MIN_CHUNK_BYTES, {settings.min_chunk_bytes}",
            f"Set GRISTMILL_CHUNK_BYTES to {settings.min_chunk_bytes} or more, or remove it",
        )
    return ok("The sizes of chunks agree")


def sources(facts: Facts) -> Finding:
    if bad := facts.machine.unreadable:
        folders = [f"{folder} ({reason})" for folder, reason in bad.items()]
        return warning(
            f"Jobs cannot read {listed(folders)}, which GRISTMILL_SOURCES allows",
            "Mount or make the folder, and let the user of the workers read it",
        )
    return ok(f"{len(facts.settings.sources)} folders may be read")


def storage(facts: Facts) -> Finding:
    folder, found = facts.settings.storage, facts.storage
    if found.exists and not found.is_folder:
        return error(f"{folder} is no folder", "Set GRISTMILL_STORAGE to a folder")
    if not found.exists:
        return error(
            f"GRISTMILL_STORAGE, {folder.absolute()}, does not exist",
            f"Run `mkdir -p {folder.absolute()}`, as the user of the gateway and the workers",
        )
    if found.refusal:
        return error(
            f"No file can be written to {folder.absolute()}: {found.refusal}",
            f"Give the folder to the user of the services, with `chown` or `chmod u+w {folder.absolute()}`",
        )
    if not folder.is_absolute():
        return warning(
            f"GRISTMILL_STORAGE is {folder}, so each program takes it from its own current folder",
            f"Set GRISTMILL_STORAGE={folder.absolute()} for the gateway and each worker",
        )
    return ok(f"{folder} can be written")


def room(facts: Facts) -> Finding | None:
    found = facts.storage
    if not found.bytes_total:
        return None
    free = found.bytes_free / found.bytes_total
    inodes = found.files_free / found.files_total if found.files_total else 1.0
    said = f"{size(found.bytes_free)} of {size(found.bytes_total)} are free, and {inodes:.0%} of the inodes"
    cure = (
        "Delete uploads that no job needs (`gristmill uploads ls`, `gristmill uploads rm ID`), "
        "or enlarge the file system of GRISTMILL_STORAGE"
    )
    if min(free, inodes) < NONE_LEFT:
        return error(said, cure)
    return warning(said, cure) if min(free, inodes) < LITTLE else ok(said)


def shared_folder(facts: Facts) -> Finding | None:
    found = facts.storage
    if not found.is_folder or not isinstance(facts.postgres, Postgres) or facts.postgres.cluster is None:
        return None
    if found.missing:
        return error(
            f"The files of {len(found.missing)} uploads are not in this folder: {listed(found.missing)}",
            "Mount the one folder of GRISTMILL_STORAGE here, as on the machines of the gateway. After a loss "
            "or a restore, upload the files again",
        )
    if found.strays:
        return warning(
            f"{len(found.strays)} uploads here are not of this database: {listed(found.strays)}. "
            "After a day a worker deletes them",
            "Give each installation a folder of its own. After a restore, copy the files away if they matter",
        )
    return ok(f"The files of the newest {len(facts.postgres.cluster.uploads)} uploads are here")


def memory(facts: Facts) -> Finding:
    settings, there = facts.settings, facts.machine.memory_bytes
    most = settings.slots * settings.slot_memory_bytes
    said = f"{settings.slots} slots may take {size(settings.slot_memory_bytes)} each, of {size(there)}"
    if most > there:
        each = there // 2**20 * 9 // 10 // settings.slots * 2**20
        return warning(
            said, f"Set GRISTMILL_SLOT_MEMORY_BYTES={each} for a worker here, or take fewer GRISTMILL_SLOTS"
        )
    return ok(said)


def open_files(facts: Facts) -> Finding:
    most = facts.machine.open_files
    if 0 <= most < FEW_FILES:
        return warning(f"A process may open {most} files", "Raise the hard limit (`ulimit -Hn`) to 65536")
    return ok(f"A process may open {most if most >= 0 else 'any number of'} files")


def packages(facts: Facts) -> Finding:
    wrong = [each for each in facts.machine.packages if not each.fits]
    if wrong:
        told = [f"{each.name} {each.installed or 'is missing'} (not {each.required})" for each in wrong]
        return error(
            f"Packages do not fit: {listed(told)}",
            f"Run `pip install 'gristmill[server]=={facts.machine.version}'`",
        )
    return ok(f"{len(facts.machine.packages)} packages fit gristmill {facts.machine.version}")


def native(facts: Facts) -> Finding:
    if facts.machine.native:
        return ok(f"The native library is in use: {facts.machine.native}")
    said = f"The native library is not in use: {facts.machine.no_native}"
    if facts.settings.native == "off":
        return warning(said, "Remove GRISTMILL_NATIVE, unless a slower worker is wanted")
    cure = "Install a C compiler, then run `pip install --force-reinstall --no-deps gristmill`"
    return error(said, cure) if facts.settings.native == "require" else warning(said, cure)
