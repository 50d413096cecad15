"""Sessions of browsers that signed in to the dashboard."""

from shared.migrations.run import run_sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_sql(__file__)
