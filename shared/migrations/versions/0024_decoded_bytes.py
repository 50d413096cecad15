"""The bytes that the states of a partial take once they are decoded."""

from shared.migrations.run import run_sql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    run_sql(__file__)
