"""The table of bad rows that are kept aside, and where the rows of a unit went."""

from shared.migrations.run import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql(__file__)
