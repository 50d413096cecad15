"""The history of jobs, and columns for the keys `expires`, `max_parallel_chunks` and `source.uris`."""

from shared.migrations.run import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_sql(__file__)
