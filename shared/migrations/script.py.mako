"""${message}"""

from shared.migrations.run import run_sql

revision = ${repr(up_revision)}
down_from shared.migrations.run import run_sql

revision = ${repr(down_revision)}


def upgrade() -> None:
    run_sql(__file__)
