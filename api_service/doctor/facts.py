"""All facts that the checks judge. Facts of a server are a text, the reason, where it did not answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.core.facts import Postgres, Redis
from shared.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """The folder of GRISTMILL_STORAGE. *refusal* is the error of writing a file there, else empty.

    *missing* are uploads of the database that have no file there. *strays* are files there that the database
    does not know.
    """

    exists: bool
    is_folder: bool
    refusal: str = ""
    bytes_free: int = 0
    bytes_total: int = 0
    files_free: int = 0
    files_total: int = 0
    missing: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that the service requires; *installed* is None if it is missing, *fits* unless it is."""

    name: str
    required: str
    installed: str | None
    fits: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """This machine and this installation. *variables* are those of the environment with our prefix.

    *unreadable* are folders of GRISTMILL_SOURCES, each with the reason. *native* is the variant of the native
    library, and *no_native* the reason for none.
    """

    memory_bytes: int
    open_files: int
    variables: Mapping[str, str] = field(default_factory=dict)
    version: str
    packages: tuple[Package, ...]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    native: str | None
    no_native: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    settings: Settings
    machine: Machine
    storage: Storage
    postgres: Postgres | str
    redis: Redis | str
