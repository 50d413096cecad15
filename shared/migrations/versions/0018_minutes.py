"""The index by which the overview adds up the rows read in the last hour."""

from shared.migrations.run import run_sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_sql(__file__)
