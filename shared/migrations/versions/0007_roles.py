"""Readers of results reach the tables that are granted to them."""

from shared.migrations.run import run_sql

revision = "0007"
down_revision = "0003"


def upgrade() -> None:
    run_sql(__file__)
