"""A logical clock for Postgres: the product's SQL reads the time from a row that only the test changes.

`now()` is an ordinary function that is found through the search path. A connection whose path names schema
`clock` before `pg_catalog` calls ours; the defaults of columns were bound when the tables were made, so they
are pointed at it too.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

SEARCH_PATH = "clock, pg_catalog, public"
"""For the `server_settings` of every connection that has to see the clock.

Pg_catalog has to be named, or it would come first.
"""

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)

_INSTALL = """
CREATE SCHEMA clock;
CREATE TABLE clock.reading (now timestamptz NOT NULL, started timestamptz NOT NULL);
CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now FROM clock.reading';
CREATE FUNCTION clock.pg_postmaster_start_time() RETURNS timestamptz LANGUAGE sql STABLE
AS 'SELECT started FROM clock.reading';
"""

_DEFAULTS = """
SELECT format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT clock.now()', d.adrelid::regclass, a.attname)
FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
WHERE pg_get_expr(d.adbin, d.adrelid) = 'now()'
"""


class Clock:
    """Time stands still between two calls of `advance`; `now` is what Postgres says."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """*connection* commits by itself; its database is given the clock."""
        self._connection = connection
        self.now = self.started = EPOCH
        connection.execute(_INSTALL)
        for (statement,) in connection.execute(_DEFAULTS).fetchall():
            connection.execute(statement)
        connection.execute("INSERT INTO clock.reading VALUES (%s, %s)", (self.now, self.started))

    def seconds(self) -> float:
        """As `time.time`."""
        return self.now.timestamp()

    def advance(self, by: timedelta) -> None:
        self._set(self.now + by, self.started)

    def restart_server(self) -> None:
        """From here on Postgres says that it has started just now."""
        self._set(self.now, self.now)

    def reset(self) -> None:
        """Long after the start of the server, at the same moment each time."""
        self._set(EPOCH, EPOCH - timedelta(days=1))

    def _set(self, now: datetime, started: datetime) -> None:
        self.now, self.started = now, started
        self._connection.execute("UPDATE clock.reading SET now = %s, started = %s", (now, started))
