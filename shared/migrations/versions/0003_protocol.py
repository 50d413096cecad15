"""A job's deadline and its receipt; leases that ended out of memory; rows counted through the merge."""

from shared.migrations.run import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql(__file__)
