"""API keys have scopes, may end by themselves, may be made by other keys, and may open one job only."""

from shared.migrations.run import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_sql(__file__)
