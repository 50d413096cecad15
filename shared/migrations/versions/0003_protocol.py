"""What the whole unit protocol needs: a job's deadline, its receipt, out of memory counted, rows carried through the merge."""

from shared.migrations.run import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql(__file__)
