"""Jobs that a worker of the state versions before 6 has begun are planned again, by one of version 6."""

from shared.migrations.run import begin_jobs_anew

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    begin_jobs_anew(6)
