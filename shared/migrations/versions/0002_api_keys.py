"""API keys: each lets its holder use the gateway as one tenant."""

from shared.migrations.run import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql(__file__)
