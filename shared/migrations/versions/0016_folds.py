"""Leases that a slot holds beside its first one are marked."""

from shared.migrations.run import run_sql

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_sql(__file__)
