"""How often a unit made room for another tenant, and how many slots of a worker can work."""

from shared.migrations.run import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql(__file__)
