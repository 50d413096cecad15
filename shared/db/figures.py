"""The figures of the whole service, of all tenants, for /metrics."""

from datetime import timedelta

from shared.core.figures import Figures
from shared.db.overview import MOST_WAITING
from shared.db.pool import Pool
from shared.db.records import read_row
from shared.db.statements import METRICS

NEWEST_CHUNKS = 200


class FigureStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read(self, lease: timedelta) -> Figures:
        """A worker that was silent for *lease* is gone."""
        async with self._pool.connection() as connection:
            row = await METRICS.service.fetchrow(
                connection, lease=lease, most=MOST_WAITING, newest=NEWEST_CHUNKS
            )
        assert row is not None
        return read_row(Figures, row)
