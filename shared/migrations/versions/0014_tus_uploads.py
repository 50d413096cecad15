"""The table of unfinished resumable uploads, and the index by which uploads are listed."""

from shared.migrations.run import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_sql(__file__)
