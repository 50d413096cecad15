"""The settings of a worker by which no other worker and no gateway may differ."""

from shared.migrations.run import run_sql

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run_sql(__file__)
