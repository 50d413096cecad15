"""The trace of the request that has submitted a job."""

from shared.migrations.run import run_sql

revision = "0022"
down_revision = "0019"


def upgrade() -> None:
    run_sql(__file__)
