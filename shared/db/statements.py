"""The SQL of `queries/*.sql`: named statements with named parameters.

A file holds statements, each below a line `-- name --` and a comment that describes it. A parameter is
written `@name`, which Postgres has no other use for. A name that begins with an underscore is a part: other
statements, of any file, contain it as `{_name}`.
"""

import re
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from asyncpg.cursor import CursorFactory

from shared.db.pool import Connection, Record

_STATEMENT = re.compile(r"^-- (\w+) --\n(.*?)(?=^-- \w+ --\n|\Z)", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^ *--.*\n", re.MULTILINE)
_PART = re.compile(r"\{(_\w+)\}")
_PARAMETER = re.compile(r"@([a-z_][a-z0-9_]*)")


class Statement:
    """One statement; *source* has named parameters, `sql` has Postgres' `$1`, `$2`, and so on.

    Each call gives every parameter by its name; a name too few or too many is a TypeError.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.parameters = tuple(dict.fromkeys(_PARAMETER.findall(source)))
        numbers = {name: f"${no}" for no, name in enumerate(self.parameters, 1)}
        self.sql = _PARAMETER.sub(lambda found: numbers[found[1]], source)

    def arguments(self, named: Mapping[str, Any]) -> list[Any]:
        if named.keys() != set(self.parameters):
            raise TypeError(f"The statement takes {sorted(self.parameters)}, and was given {sorted(named)}")
        return [named[name] for name in self.parameters]

    async def execute(self, connection: Connection, **named: Any) -> None:
        await connection.execute(self.sql, *self.arguments(named))

    async def fetch(self, connection: Connection, **named: Any) -> list[Record]:
        return await connection.fetch(self.sql, *self.arguments(named))

    async def fetchrow(self, connection: Connection, **named: Any) -> Record | None:
        return await connection.fetchrow(self.sql, *self.arguments(named))

    async def fetchval(self, connection: Connection, **named: Any) -> Any:
        return await connection.fetchval(self.sql, *self.arguments(named))

    def cursor(self, connection: Connection, prefetch: int | None, **named: Any) -> "CursorFactory[Record]":
        return connection.cursor(self.sql, *self.arguments(named), prefetch=prefetch)


def _bodies(file: Traversable) -> dict[str, str]:
    return {name: _COMMENT.sub("", body).strip() for name, body in _STATEMENT.findall(file.read_text())}


_PARTS = {
    name: body
    for file in files("shared.db").joinpath("queries").iterdir()
    for name, body in _bodies(file).items()
    if name.startswith("_")
}


class Statements:
    """The statements of one file, by name; an unknown name raises AttributeError."""

    def __init__(self, file: str) -> None:
        self.by_name = {
            name: Statement(_PART.sub(lambda part: _PARTS[part[1]], body))
            for name, body in _bodies(files("shared.db").joinpath("queries", f"{file}.sql")).items()
            if not name.startswith("_")
        }

    def __getattr__(self, name: str) -> Statement:
        try:
            return self.by_name[name]
        except KeyError:
            raise AttributeError(name) from None


API_KEYS = Statements("api_keys")
DELETING = Statements("deleting")
DOCTOR = Statements("doctor")
HISTORY = Statements("history")
JOBS = Statements("jobs")
LIMITS = Statements("limits")
METRICS = Statements("metrics")
OVERVIEW = Statements("overview")
PARTIALS = Statements("partials")
PLANS = Statements("plans")
PRUNING = Statements("pruning")
QUARANTINE = Statements("quarantine")
RECEIPTS = Statements("receipts")
SESSIONS = Statements("sessions")
TENANTS = Statements("tenants")
UNFINISHED_UPLOADS = Statements("unfinished_uploads")
UNITS = Statements("units")
UPLOADS = Statements("uploads")
VERIFY = Statements("verify")
VERSIONS = Statements("versions")
WORKERS = Statements("workers")
