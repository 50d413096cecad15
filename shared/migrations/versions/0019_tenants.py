"""The limits of tenants, the bytes that they scan in a day, and jobs that wait to run."""

from shared.migrations.run import run_sql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_sql(__file__)
