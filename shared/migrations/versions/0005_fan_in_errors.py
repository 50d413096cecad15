"""Errors of fan-in are counted, so that one that repeats ends its job."""

from shared.migrations.run import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql(__file__)
