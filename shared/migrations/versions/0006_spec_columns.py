"""Columns for the parts of a spec that SQL needs: the deadline, the versions to keep, the uploads."""

from shared.migrations.run import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql(__file__)
