"""Dry runs: jobs that only plan, and the plans that other jobs begin with."""

from shared.migrations.run import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_sql(__file__)
