"""The report of a worker about itself with its heartbeat, and whether it was asked to drain."""

from shared.migrations.run import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_sql(__file__)
